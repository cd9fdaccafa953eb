//! Data in bodies: images and sound are no text, and anything else in base64 may be.

use std::{borrow::Cow, ops::Range};

use aivonx_protocol::privacy::Category;

use super::{
    body::{Edit, MAX_LEVEL, Reader, Unsearchable, apply},
    encoded,
    find::{Hint, find},
    rules::Key,
};
use crate::api::media::{self, Decoded, Kind};

/// Shortest base64 outside of a `data:` URL that is taken for data, in which no mixed strings are looked for.
const DATA: usize = 64;

/// Shortest base64 that is taken for a document by its first bytes, or for text by all of them.
const DOCUMENT: usize = 16;

/// Shortest row of ASCII in an image or in sound that is searched.
const CAPTION: usize = 16;

/// Shortest address of mail in binary data that is one.
const ADDRESS: usize = 12;

impl Reader {
    /// A string where data may be: base64 alone or in a `data:` URL. What is no image and no sound is searched: as it
    /// stands, for what only looks like base64, and decoded.
    pub(super) fn data(
        &mut self,
        text: &[u8],
        key: Key,
        hint: Hint,
        level: usize,
        edits: &mut Vec<Edit>,
    ) -> Result<(), Unsearchable> {
        let url = media::payload(text);
        let encoded = if key == Key::Url { url } else { Some(url.unwrap_or(text)) };
        let Some(encoded) = encoded else { return self.text_or_json(text, hint, level, edits) };
        let is_said_text = key == Key::Document || (url.is_some() && media::is_of_text(text));
        if !is_said_text && media::is_media(encoded) {
            return if self.enforces && self.shows_media(encoded) {
                Err(Unsearchable::Document)
            } else {
                Ok(())
            };
        }
        let Some(decoded) = media::decode(encoded) else {
            // Some decoders take what is percent-encoded, or drop what is not of the alphabet.
            if url.is_some() && self.enforces {
                return Err(Unsearchable::Document);
            }
            return self.text_or_json(text, hint, level, edits);
        };
        let kind = decoded.kind();
        let is_data = url.is_some() || encoded.len() >= DATA || kind != Kind::Binary;
        // State of a model's maker is as random as a key.
        let wanted = self.wanted;
        if key == Key::Opaque && is_data {
            self.wanted = wanted.without(Category::Key);
        }
        let before = edits.len();
        let hint = if is_data { Hint::FORMS } else { hint };
        let searched = self.text(text, Hint { encoded: 0, ..hint }, edits);
        self.wanted = wanted;
        searched?;
        if edits.len() > before {
            return Ok(());
        }
        if kind == Kind::Text {
            return self.wrapped(text.len() - encoded.len()..text.len(), &decoded, level, edits);
        }
        let unread = match kind {
            _ if decoded.bytes.is_empty() => false,
            _ if is_said_text => true,
            Kind::Document if key != Key::Opaque => encoded.len() >= DOCUMENT,
            _ => self.enforces && self.shows(&decoded.bytes),
        };
        if unread && self.enforces { Err(Unsearchable::Document) } else { Ok(()) }
    }

    /// Text that stands at `range` in base64: it goes back into it if it changes.
    fn wrapped(
        &mut self,
        range: Range<usize>,
        decoded: &Decoded,
        level: usize,
        edits: &mut Vec<Edit>,
    ) -> Result<(), Unsearchable> {
        let mut inner = Vec::new();
        self.text_or_json(&decoded.bytes, Hint::default(), level + 1, &mut inner)?;
        if !inner.is_empty() {
            edits.push(Edit { range, text: Cow::Owned(decoded.encode(&apply(&decoded.bytes, &inner))) });
        }
        Ok(())
    }

    /// Data that is found to be said to be text when it was searched already.
    pub(super) fn said_text(&self, raw: &[u8]) -> Result<(), Unsearchable> {
        let raw: Vec<u8> = raw.iter().copied().filter(|byte| *byte != b'\\').collect();
        let is_text = |decoded: &Decoded| decoded.bytes.is_empty() || decoded.kind() == Kind::Text;
        match media::decode(media::payload(&raw).unwrap_or(&raw)) {
            Some(decoded) if self.enforces && !is_text(&decoded) => Err(Unsearchable::Document),
            _ => Ok(()),
        }
    }

    /// A text that may be base64 of another.
    pub(super) fn whole(
        &mut self,
        text: &[u8],
        level: usize,
        edits: &mut Vec<Edit>,
    ) -> Result<(), Unsearchable> {
        if text.len() < DOCUMENT || level >= MAX_LEVEL {
            return Ok(());
        }
        match media::decode(text) {
            Some(decoded) if decoded.kind() == Kind::Text => {
                self.wrapped(0..text.len(), &decoded, level, edits)
            }
            _ => Ok(()),
        }
    }

    /// Whether anything is found in what can be read of binary data.
    fn shows(&mut self, bytes: &[u8]) -> bool {
        let mut shown = false;
        encoded::readable(bytes, |row| shown = shown || self.names(row));
        shown
    }

    /// Whether anything is found in what can be read of an image or of sound in base64, such as its captions.
    fn shows_media(&mut self, base64: &[u8]) -> bool {
        let Some(letters) = media::without_blanks(base64) else { return false };
        let mut shown = false;
        encoded::each_readable(&letters, |row| shown = shown || (row.len() >= CAPTION && self.names(row)));
        shown
    }

    /// Whether anything is found in a row of printable characters among others. Short addresses come about by chance.
    fn names(&mut self, row: &[u8]) -> bool {
        self.found.clear();
        find(row, self.wanted, Hint::FORMS, &mut self.found);
        self.found.iter().any(|found| found.category != Category::Email || found.end - found.start >= ADDRESS)
    }
}
