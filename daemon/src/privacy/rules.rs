//! What a string is, by where it stands: text, or one of the few that are not searched.

use super::{classes, classes::ATOM, context, find::Hint};

/// What a member's key says about its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// Nothing.
    Other,
    /// `model`, `keep_alive` of the outermost object: other layers answer for them.
    Governed,
    /// A word of the API: `role`, `type`, `format`, `object`.
    Word,
    /// Ties a call to its result.
    Id,
    /// Where an image, a sound or a document may be, in base64 or as a data URL.
    Data,
    /// State that only its maker reads.
    Opaque,
    /// The outermost `context` of Ollama: tokens.
    Context,
    /// The outermost `prompt` or `input`: text, or tokens.
    Prompt,
    /// Parameters of the model.
    Options,
    /// What a tool is called with: all of it is text, whatever its keys are.
    Arguments,
}

/// Which part of a body a value is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    /// Members of the outermost object.
    Root,
    /// Parameters: numbers in them are no text.
    Options,
    /// An array that may hold tokens in place of text.
    Tokens(&'static str),
    /// Everything else.
    Plain,
    /// Arguments of tools, and JSON in strings: keys mean nothing.
    Free,
}

/// What `key` means in `zone`.
pub(super) fn key(zone: Zone, key: &[u8]) -> Key {
    match (zone, key) {
        (Zone::Free, _) => Key::Other,
        (Zone::Root, b"model" | b"keep_alive") => Key::Governed,
        (Zone::Root, b"context") => Key::Context,
        (Zone::Root, b"prompt" | b"input") => Key::Prompt,
        (Zone::Root, b"options") => Key::Options,
        (Zone::Root, b"previous_response_id") => Key::Id,
        (_, b"role" | b"type" | b"format" | b"object") => Key::Word,
        (_, b"id" | b"tool_call_id" | b"tool_use_id" | b"call_id" | b"item_id") => Key::Id,
        (_, b"images" | b"data" | b"url" | b"image_url" | b"file_data") => Key::Data,
        (_, b"signature" | b"thought_signature" | b"encrypted_content") => Key::Opaque,
        (Zone::Plain, b"arguments" | b"input") => Key::Arguments,
        _ => Key::Other,
    }
}

/// Where the members of an object or array are that stands in `zone` under `key`.
pub(super) fn inside(zone: Zone, key: Key, object: bool) -> Zone {
    match (zone, key) {
        (Zone::Free, _) => Zone::Free,
        (_, Key::Context) => Zone::Tokens("context"),
        (_, Key::Prompt) if !object => Zone::Tokens("prompt or input"),
        (Zone::Tokens(name), _) if !object => Zone::Tokens(name),
        (Zone::Root, Key::Options) | (Zone::Options, _) => Zone::Options,
        (_, Key::Arguments) => Zone::Free,
        _ => Zone::Plain,
    }
}

/// What is done with a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    /// Nothing.
    No,
    /// It is searched.
    Yes(Hint),
    /// It holds text in a form that cannot be searched.
    Cannot,
}

/// Judges the string `text` under `key`.
pub(super) fn string(key: Key, text: &[u8]) -> Search {
    match key {
        Key::Governed => Search::No,
        Key::Word if text.len() <= 64 && text.iter().all(|b| classes::is(*b, ATOM) || *b == b'.') => {
            Search::No
        }
        Key::Id => Search::Yes(Hint { mixed: false, ..Hint::default() }),
        Key::Opaque if text.len() >= LEAST && is_base64(text, b"-_") => Search::No,
        Key::Data => data(text),
        _ => Search::Yes(Hint::default()),
    }
}

/// What the name of a value says: looked at only for short values with digits.
pub(super) fn hint(name: &[u8], value: &[u8]) -> Hint {
    let mut hint = Hint::default();
    // A marker in a name says what the name was.
    if name.len() > 40
        || name.contains(&b']')
        || !(7..=256).contains(&value.len())
        || !value.iter().any(u8::is_ascii_digit)
    {
        return hint;
    }
    let mut lower = [0; 40];
    let lower = &mut lower[..name.len()];
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let says = |word: &str| memchr::memmem::find(lower, word.as_bytes()).is_some();
    hint.phone = says("phone") || says("mobile") || says("fax") || lower.starts_with(b"tel");
    hint.ssn = says("ssn") || says("social_sec") || says("socialsec");
    hint.secret = context::is_secret_name(lower);
    hint
}

/// Shortest base64 that is taken for data without looking into it.
const LEAST: usize = 64;

/// A string where data may be: base64 alone or in a data URL.
fn data(text: &[u8]) -> Search {
    let url = text.get(..5).is_some_and(|begin| begin.eq_ignore_ascii_case(b"data:"));
    let encoded = if url {
        let head = &text[..text.len().min(256)];
        match memchr::memmem::find(head, b";base64,") {
            Some(at) => &text[at + 8..],
            None => return Search::Yes(Hint::default()),
        }
    } else {
        text
    };
    if !is_base64(encoded, b"\r\n") {
        return Search::Yes(Hint::default());
    }
    match sniff(encoded) {
        Content::Picture => Search::No,
        Content::Document => Search::Cannot,
        Content::Unknown if url || encoded.len() >= LEAST => Search::No,
        Content::Unknown => Search::Yes(Hint::default()),
    }
}

fn is_base64(text: &[u8], besides: &[u8]) -> bool {
    let end = text.iter().rposition(|b| *b != b'=').map_or(0, |last| last + 1);
    let (of, also) = match besides {
        [a, b] => (*a, *b),
        _ => (b'+', b'/'),
    };
    text.len() - end <= 2
        && text[..end]
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/') || *b == of || *b == also)
}

enum Content {
    /// An image or a sound, by its first bytes.
    Picture,
    /// Text, or a document with text in it.
    Document,
    /// Anything else.
    Unknown,
}

/// What base64 holds, by its beginning.
fn sniff(encoded: &[u8]) -> Content {
    use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
    let mut head = [0; 96];
    let mut length = 0;
    let plain = encoded.iter().filter(|b| !matches!(b, b'\r' | b'\n' | b'='));
    for (place, byte) in head.iter_mut().zip(plain) {
        *place = *byte;
        length += 1;
    }
    let mut bytes = [0; 72];
    let whole = length / 4 * 4;
    let Ok(length) = STANDARD_NO_PAD.decode_slice(&head[..whole], &mut bytes) else {
        return Content::Unknown;
    };
    let bytes = &bytes[..length];
    const PICTURES: [&[u8]; 11] = [
        b"\x89PNG",
        b"\xff\xd8\xff",
        b"GIF8",
        b"RIFF",
        b"BM",
        b"II*\0",
        b"MM\0*",
        b"OggS",
        b"fLaC",
        b"ID3",
        b"\x1aE\xdf\xa3",
    ];
    if PICTURES.iter().any(|magic| bytes.starts_with(magic)) || bytes.get(4..8) == Some(b"ftyp") {
        return Content::Picture;
    }
    let text =
        !bytes.is_empty() && bytes.iter().all(|b| matches!(b, b' '..=b'~' | b'\t' | b'\r' | b'\n' | 0x80..));
    let readable = text
        && match std::str::from_utf8(bytes) {
            Ok(_) => true,
            // Cut off in the middle of a character.
            Err(error) => error.error_len().is_none(),
        };
    if readable || bytes.starts_with(b"%PDF") || bytes.starts_with(b"PK\x03\x04") {
        return Content::Document;
    }
    Content::Unknown
}
