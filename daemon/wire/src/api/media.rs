//! Base64 in bodies: where it may stand and what it holds. Images and sound are no text; what only looks like base64
//! is, and so is what text becomes in it.

use std::borrow::Cow;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Shortest lines that base64 of an image may be wrapped into: RFC 7468 has 64, RFC 2045 76.
const LINE: usize = 60;

/// Shortest groups that base64 may be written in.
const GROUP: usize = 4;

/// Bytes of base64 that suffice to detect what it holds; in one line wherever it is wrapped.
const HEAD: usize = 60;

/// What is behind the `;base64,` of a `data:` URL (RFC 2397). None if it is another URL, or holds its data as text.
pub(crate) fn payload(url: &[u8]) -> Option<&[u8]> {
    let head = &url[..url.len().min(256)];
    if !url.get(..5)?.eq_ignore_ascii_case(b"data:") {
        return None;
    }
    let comma = memchr::memchr(b',', head)?;
    let encoding = head[..comma].last_chunk::<7>()?;
    encoding.eq_ignore_ascii_case(b";base64").then(|| &url[comma + 1..])
}

/// Base64 that has been decoded.
pub(crate) struct Decoded {
    pub(crate) bytes: Vec<u8>,
    engine: &'static GeneralPurpose,
}

impl Decoded {
    /// The same base64 with `bytes` in it.
    pub(crate) fn encode(&self, bytes: &[u8]) -> String {
        self.engine.encode(bytes)
    }

    /// What it is.
    pub(crate) fn kind(&self) -> Kind {
        kind(&self.bytes)
    }
}

/// Decodes base64 of either alphabet (RFC 4648), in one line or several, or in groups of one length. None if `text` is
/// none.
pub(crate) fn decode(text: &[u8]) -> Option<Decoded> {
    let letters = without_blanks(text)?;
    let url_safe = memchr::memchr2(b'-', b'_', &letters).is_some();
    let engine = if url_safe { &URL_SAFE } else { &STANDARD };
    Some(Decoded { bytes: engine.decode(letters).ok()?, engine })
}

/// Base64 without the ends of its lines, and without the blanks between its groups if those are of one length: words of
/// prose are not.
pub(crate) fn without_blanks(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let text = text.trim_ascii();
    if memchr::memchr2(b' ', b'\t', text).is_some() {
        let mut groups = text.split(u8::is_ascii_whitespace).filter(|group| !group.is_empty());
        let length = groups.next().map_or(0, <[u8]>::len);
        let last = groups.next_back().unwrap_or_default();
        if length < GROUP || last.len() > length || groups.any(|group| group.len() != length) {
            return None;
        }
    } else if memchr::memchr2(b'\r', b'\n', text).is_none() {
        return Some(Cow::Borrowed(text));
    }
    Some(text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect())
}

/// Whether `text` is base64 of an image or of sound: by its first bytes, its alphabet, and the length of its lines.
pub(crate) fn is_media(text: &[u8]) -> bool {
    beginning(text) == Some(Kind::Media) && is_wrapped(text)
}

/// Whether a `data:` URL says that it is of an image, sound or a film.
pub(crate) fn is_of_media(url: &[u8]) -> bool {
    [b"data:image/".as_slice(), b"data:audio/", b"data:video/"]
        .iter()
        .any(|kind| url.get(..kind.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(kind)))
}

/// Whether a `data:` URL says that it is of text.
pub(crate) fn is_of_text(url: &[u8]) -> bool {
    url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"data:")) && is_text_type(&url[5..])
}

/// Whether a media type (RFC 6838) is one of text.
pub(crate) fn is_text_type(media_type: &[u8]) -> bool {
    let end = media_type
        .iter()
        .take(64)
        .position(|byte| matches!(byte, b';' | b','))
        .unwrap_or(media_type.len().min(64));
    // Some writers of JSON escape slashes.
    let name: Vec<u8> = media_type[..end].iter().filter(|byte| **byte != b'\\').copied().collect();
    let name = name.trim_ascii().to_ascii_lowercase();
    name.starts_with(b"text/")
        || [b"json".as_slice(), b"xml", b"yaml", b"csv", b"javascript", b"x-ndjson"]
            .iter()
            .any(|kind| name.starts_with(b"application/") && name.ends_with(kind))
}

/// Whether the beginning of `text` is that of an image, of sound or of a document in base64.
pub(crate) fn starts_as_file(text: &[u8]) -> bool {
    matches!(beginning(text), Some(Kind::Media | Kind::Document))
}

/// What the beginning of `text` is in base64.
fn beginning(text: &[u8]) -> Option<Kind> {
    let head = &text[..text.len().min(HEAD)];
    STANDARD.decode(&head[..head.len() / 4 * 4]).ok().map(|bytes| kind(&bytes))
}

/// Whether it is of the standard alphabet, in one line or in lines of one length.
fn is_wrapped(text: &[u8]) -> bool {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let mut lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next().unwrap_or_default();
    let Some(last) = lines.next_back() else { return is_plain(first) };
    first.len() >= LINE
        && last.len() <= first.len()
        && lines.all(|line| line.len() == first.len() && is_plain(line))
        && is_plain(first)
        && is_plain(last)
}

fn is_plain(line: &[u8]) -> bool {
    let end = line.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    line.len() - end <= 2
        && line[..end].iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// What bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An image, sound, or a film.
    Media,
    /// UTF-8 that prints.
    Text,
    /// A document that has text in it in a form of its own: PDF, archives and what is one inside, UTF-16.
    Document,
    /// Anything else.
    Binary,
}

/// What bytes are, by their beginning, and by all of them if they may be text.
fn kind(bytes: &[u8]) -> Kind {
    const MEDIA: [&[u8]; 18] = [
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"GIF87a",
        b"GIF89a",
        b"RIFF",
        b"II*\0",
        b"MM\0*",
        b"OggS",
        b"fLaC",
        b"ID3",
        b"\x1aE\xdf\xa3",
        b"\0\0\x01\0",
        // MPEG audio without a head: layer 3 of two versions, with and without a checksum; AAC.
        b"\xff\xfb",
        b"\xff\xfa",
        b"\xff\xf3",
        b"\xff\xf2",
        b"\xff\xf1",
        b"\xff\xf9",
    ];
    const DOCUMENTS: [&[u8]; 9] = [
        b"%PDF",
        b"PK\x03\x04",
        b"\x1f\x8b",
        b"BZh",
        b"7z\xbc\xaf\x27\x1c",
        b"\xfd7zXZ",
        b"\x28\xb5\x2f\xfd",
        b"\xd0\xcf\x11\xe0",
        b"\xff\xfe",
    ];
    let prints = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n' | 0x0c | 0x1b | 0x80..);
    let is_text = !bytes.is_empty() && bytes.iter().all(prints) && is_utf8_begun(bytes);
    let begins = |of: &[&[u8]]| of.iter().any(|magic| bytes.starts_with(magic));
    let bitmap = bytes.starts_with(b"BM") && bytes.get(6..10) == Some(&[0; 4]);
    // A text may begin like a file whose first bytes are letters.
    if !is_text && (begins(&MEDIA) || bitmap || bytes.get(4..8) == Some(b"ftyp")) {
        return Kind::Media;
    }
    if begins(&DOCUMENTS) || bytes.starts_with(b"\xfe\xff") || is_utf16(bytes) {
        return Kind::Document;
    }
    if is_text { Kind::Text } else { Kind::Binary }
}

/// Whether it is UTF-8 as far as it goes: what is looked at may end within a character.
fn is_utf8_begun(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).err().is_none_or(|error| error.error_len().is_none())
}

/// Whether it is UTF-16 of Latin text: every other byte is zero, and no more.
fn is_utf16(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(64) / 2 * 2];
    let zero = |odd: usize| head.iter().skip(odd).step_by(2).all(|byte| *byte == 0);
    head.len() >= 8 && zero(0) != zero(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(text: &str) -> Option<Kind> {
        decode(text.as_bytes()).map(|decoded| decoded.kind())
    }

    #[test]
    fn what_base64_holds_is_told_by_its_bytes() {
        assert_eq!(kind_of("V3JpdGUgdG8gYm9iQGV4YW1wbGUuY29t"), Some(Kind::Text));
        assert_eq!(kind_of("V3JpdGUgdG8g\r\nYm9iQGV4YW1wbGUuY29t"), Some(Kind::Text));
        assert_eq!(kind_of("8J-YgA"), Some(Kind::Text));
        assert_eq!(kind_of("iVBORw0KGgoAAAANSUhEUgAA"), Some(Kind::Media));
        assert_eq!(kind_of("JVBERi0xLjQKJeLjz9MK"), Some(Kind::Document));
        assert_eq!(kind_of("YgBvAGIAQABlAHgA"), Some(Kind::Document));
        assert_eq!(kind_of("4111111111111111"), Some(Kind::Binary));
        assert_eq!(kind_of("not base64"), None);
        assert_eq!(kind_of(" V3JpdGUg dG8gYm9i\tQGV4YW1w\nbGUuY29t"), Some(Kind::Text));
        assert_eq!(kind_of("these words then that they like"), None);
        for begin in ["RIFF", "ID3", "OggS", "fLaC", "GIF89a", "xxxxftyp"] {
            let text = STANDARD.encode(format!("{begin} report: ssn 123-45-6789"));
            assert_eq!(kind_of(&text), Some(Kind::Text), "{begin}");
            assert!(!is_media(text.as_bytes()) && !starts_as_file(text.as_bytes()), "{begin}");
        }
        assert_eq!(decode(b"YmI=").unwrap().encode(b"a"), "YQ==");
    }

    #[test]
    fn lines_of_one_length_are_those_of_an_encoder() {
        let image = format!("iVBORw0KGgoAAAANSUhEUgAA{}", "QUJD".repeat(40));
        assert!(is_media(image.as_bytes()));
        for line in [64, 76] {
            let lines: Vec<_> =
                image.as_bytes().chunks(line).map(|l| std::str::from_utf8(l).unwrap()).collect();
            assert!(is_media(lines.join("\n").as_bytes()));
            assert!(is_media((lines.join("\r\n") + "\r\n").as_bytes()));
        }
        assert!(!is_media(format!("{image}\n4111111111111111\n{image}").as_bytes()));
        assert!(!is_media(b"iVBORw0KGgoAAAAN\n4111111111111111"));
        assert!(!is_media("QUJD".repeat(40).as_bytes()));
    }

    #[test]
    fn types_of_text_are_told_by_their_names() {
        for url in
            ["data:text/plain;base64,", "DATA:Text/HTML,x", "data:application/json;charset=utf-8;base64,QQ"]
        {
            assert!(is_of_text(url.as_bytes()), "{url}");
        }
        for url in
            ["data:image/svg;base64,", "text/plain", "data:application/pdf,", "data:;base64,text/plain"]
        {
            assert!(!is_of_text(url.as_bytes()), "{url}");
        }
        assert!(is_text_type(b"application/ld+json") && !is_text_type(b"image/json"));
    }

    #[test]
    fn only_base64_of_data_urls_is_a_payload() {
        assert_eq!(payload(b"data:image/png;base64,QUJD"), Some(b"QUJD".as_slice()));
        assert_eq!(payload(b"DATA:;BASE64,QUJD"), Some(b"QUJD".as_slice()));
        assert_eq!(payload(b"data:text/plain,QUJD"), None);
        assert_eq!(payload(b"https://x/;base64,QUJD"), None);
    }
}
