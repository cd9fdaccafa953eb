//! Data in bodies: images and sound are no text, and whatever else is in base64 may be.

use std::{borrow::Cow, ops::Range};

use super::{
    body::{Edit, MAX_LEVEL, Reader, Unsearchable, apply},
    find::{Hint, find},
    rules::Key,
};
use crate::api::media::{self, Decoded};

/// Shortest base64 outside of a `data:` URL that is taken for data, in which no mixed strings are looked for.
pub(super) const DATA: usize = 64;

/// Shortest base64 that is taken for a document by its first bytes, or for text by all of them.
const DOCUMENT: usize = 16;

/// Shortest run of ASCII in binary data that is searched.
const READABLE: usize = 16;

impl Reader {
    /// A string where data may be: base64 alone or in a `data:` URL. What is no image and no sound is searched: as it
    /// stands, for what only looks like base64, and decoded.
    pub(super) fn data(
        &mut self,
        text: &[u8],
        key: Key,
        level: usize,
        edits: &mut Vec<Edit>,
    ) -> Result<(), Unsearchable> {
        let url = media::payload(text);
        let encoded = if key == Key::Data { Some(url.unwrap_or(text)) } else { url };
        let Some(encoded) = encoded else { return self.text_or_json(text, Hint::default(), level, edits) };
        if media::is_media(encoded) {
            return Ok(());
        }
        let Some(decoded) = media::decode(encoded) else {
            // Some decoders take what is percent-encoded, or drop what is not of the alphabet.
            if url.is_some() && self.enforces {
                return Err(Unsearchable::Document);
            }
            return self.text_or_json(text, Hint::default(), level, edits);
        };
        let before = edits.len();
        let kind = decoded.kind();
        let is_data = url.is_some() || encoded.len() >= DATA || kind != media::Kind::Binary;
        self.text(text, if is_data { Hint::FORMS } else { Hint::default() }, edits)?;
        if edits.len() > before {
            return Ok(());
        }
        match kind {
            media::Kind::Text => self.wrapped(text.len() - encoded.len()..text.len(), &decoded, level, edits),
            media::Kind::Document if encoded.len() >= DOCUMENT && self.enforces => {
                Err(Unsearchable::Document)
            }
            media::Kind::Binary if self.enforces && self.shows(&decoded.bytes) => Err(Unsearchable::Document),
            _ => Ok(()),
        }
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

    /// A text in which nothing was found: it may be base64 of another.
    pub(super) fn whole(
        &mut self,
        text: &[u8],
        level: usize,
        edits: &mut Vec<Edit>,
    ) -> Result<(), Unsearchable> {
        // Prose has spaces.
        if text.len() < DOCUMENT || level >= MAX_LEVEL || memchr::memchr(b' ', text).is_some() {
            return Ok(());
        }
        match media::decode(text) {
            Some(decoded) if decoded.kind() == media::Kind::Text => {
                self.wrapped(0..text.len(), &decoded, level, edits)
            }
            _ => Ok(()),
        }
    }

    /// Whether anything is found in what can be read of binary data.
    fn shows(&mut self, bytes: &[u8]) -> bool {
        self.found.clear();
        let runs = bytes.split(|byte| !matches!(byte, b' '..=b'~')).filter(|run| run.len() >= READABLE);
        for run in runs {
            find(run, self.wanted, Hint::FORMS, &mut self.found);
        }
        !self.found.is_empty()
    }
}
