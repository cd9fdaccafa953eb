//! Forms with files (RFC 7578). A form is read part by part and written anew for the node: what it acts on is what was
//! checked, however its own reader of forms takes what two readers may take differently.

mod kind;
mod scan;

use std::ops::Range;

use bytes::Bytes;
use serde::de::{self, MapAccess, Visitor};

pub use self::kind::Kind;
use self::scan::Scan;
use super::{
    Peek,
    peek::{PeekError, governed_field},
};

/// Most parts of a form.
const PARTS: usize = 64;
/// Largest head of a part.
const HEAD: usize = 2 << 10;
/// Longest name of a field.
const NAME: usize = 64;
/// Longest name of a file, as sent.
const FILE_NAME: usize = 255;
/// Longest text of a field.
const TEXT: usize = 256 << 10;

/// The field that names the model.
const MODEL: &str = "model";

/// What files a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upload {
    /// Speech.
    Audio,
    /// Images.
    Image,
}

impl Upload {
    /// Largest form, bytes: somewhat more than OpenAI's own API takes as one file.
    #[must_use]
    pub fn most(self) -> u64 {
        match self {
            Self::Audio => 26 << 20,
            Self::Image => 52 << 20,
        }
    }

    fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Audio => Kind::AUDIO,
            Self::Image => Kind::IMAGES,
        }
    }
}

/// Why a form is refused.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// Another type of body, or no boundary.
    #[error(
        "this route takes a form with a file: send 'Content-Type: multipart/form-data' with its boundary"
    )]
    NotAForm,
    /// What is not as RFC 7578 has it.
    #[error("the form cannot be read: {0}")]
    Malformed(&'static str),
    /// Too many parts.
    #[error("the form has more than {PARTS} parts")]
    Parts,
    /// A field without a name that can be passed on.
    #[error("each part of a form needs a name of at most {NAME} letters, digits and _ - . [ ]")]
    Name,
    /// A file's name is too long.
    #[error("the name of the file in '{0}' is longer than {FILE_NAME} bytes")]
    FileName(String),
    /// A text is too long.
    #[error("the field '{0}' is longer than {TEXT} bytes")]
    Long(String),
    /// A text that is none.
    #[error("the field '{0}' is not UTF-8; send a file with a file name")]
    NotText(String),
    /// A name that means something is misspelled, repeated or not served.
    #[error(transparent)]
    Field(#[from] PeekError),
    /// A file of no kind that the route takes.
    #[error("the file in '{0}' is none of {1} by its first bytes")]
    Kind(String, String),
    /// A file that is called what it is not.
    #[error("the file in '{field}' is declared as {declared}, but is {found} by its first bytes")]
    Declared {
        /// The field.
        field: String,
        /// Its type, or the end of its name.
        declared: String,
        /// What it is.
        found: Kind,
    },
}

/// A form.
#[derive(Debug)]
pub struct Form {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: String,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Text(String),
    File { kind: Kind, bytes: Vec<Bytes> },
}

/// The boundary that a `Content-Type` names (RFC 2046, 5.1.1).
///
/// # Errors
/// [`FormError::NotAForm`].
pub fn boundary(content_type: &str) -> Result<String, FormError> {
    let mut parameters = content_type.split(';').map(str::trim);
    let is_form = parameters.next().is_some_and(|kind| kind.eq_ignore_ascii_case("multipart/form-data"));
    let mut named = parameters.filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    });
    let boundary = named.next().filter(|_| is_form && named.next().is_none());
    let good = |text: &&str| {
        (1..=70).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&b))
    };
    boundary.filter(good).map(str::to_owned).ok_or(FormError::NotAForm)
}

impl Form {
    /// Reads a form that lies in `segments`. Its files are not copied.
    ///
    /// # Errors
    /// [`FormError`]: what is wrong with the first thing that is.
    pub fn read(segments: &[Bytes], boundary: &str, upload: Upload) -> Result<Self, FormError> {
        use FormError::Malformed;
        let scan = Scan::new(segments);
        let delimiter = format!("\r\n--{boundary}");
        let mut at = delimiter.len() - 2;
        if scan.copy(0..at) != delimiter.as_bytes()[2..] {
            return Err(Malformed("it does not begin with its boundary"));
        }
        let mut form = Self { parts: Vec::new() };
        loop {
            match &scan.copy(at..at + 2)[..] {
                b"--" => break,
                b"\r\n" => {}
                _ => return Err(Malformed("a boundary is not followed by the end of its line")),
            }
            if form.parts.len() == PARTS {
                return Err(FormError::Parts);
            }
            let begin = at + 2;
            let head = scan.copy(begin..begin + HEAD);
            let blank = memchr::memmem::find(&head, b"\r\n\r\n");
            let blank = blank.ok_or(Malformed("the head of a part does not end, or is too long"))?;
            let content = begin + blank + 4;
            // The line end of an empty content is that of the blank line.
            let end = scan.find(delimiter.as_bytes(), content - 2);
            let end = end.ok_or(Malformed("a part is not followed by the boundary"))?;
            let part = part(&head[..blank], &scan, content..end.max(content), upload)?;
            form.take(part)?;
            at = end + delimiter.len();
        }
        Ok(form)
    }

    /// Adds a part, if its name is one that may stand there.
    fn take(&mut self, part: Part) -> Result<(), FormError> {
        let base = part.name.trim_end_matches("[]");
        if let Some(known) = governed_field(base)? {
            if self.parts.iter().any(|other| other.name == part.name) {
                return Err(PeekError::Repeated(known).into());
            }
            if known == MODEL && (base != part.name || matches!(part.content, Content::File { .. })) {
                return Err(PeekError::Type(MODEL, "a text").into());
            }
        }
        self.parts.push(part);
        Ok(())
    }

    /// The texts in it but for the model's name, as a JSON object that is searched as that of a prompt.
    #[must_use]
    pub fn texts(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let member = |(name, text): (&str, &str)| format!("{}:{}", quoted(name), quoted(text));
        let members: Vec<String> = self.each_text().map(member).collect();
        format!("{{{}}}", members.join(","))
    }

    fn each_text(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parts.iter().filter_map(|part| match &part.content {
            Content::Text(text) if part.name != MODEL => Some((&*part.name, &**text)),
            _ => None,
        })
    }

    /// Puts other texts in the place of [those](Self::texts). False if they are not the same fields.
    #[must_use]
    pub fn replace_texts(&mut self, object: &[u8]) -> bool {
        let Ok(Members(members)) = serde_json::from_slice(object) else { return false };
        let texts = self.parts.iter_mut().filter(|part| part.name != MODEL);
        let texts = texts.filter_map(|part| match &mut part.content {
            Content::Text(text) => Some(text),
            Content::File { .. } => None,
        });
        let mut members = members.into_iter();
        texts.for_each(|text| *text = members.next().unwrap_or_default());
        members.next().is_none()
    }

    /// The form with a boundary that nothing in it can contain, and what the gateway has to know of it.
    ///
    /// # Errors
    /// [`PeekError`] about the model's name.
    pub fn write(&self, boundary: &str) -> Result<(Vec<Bytes>, Peek), PeekError> {
        let mut out = Out::default();
        let mut model = None;
        for Part { name, content } in &self.parts {
            let head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"");
            match content {
                Content::Text(text) => {
                    out.text(&format!("{head}\r\n\r\n"));
                    if name == MODEL {
                        model = Some((text.clone(), out.length..out.length + text.len()));
                    }
                    out.text(text);
                }
                Content::File { kind, bytes } => {
                    // Its own name is text that nobody searched: the node needs no more than the end of one.
                    let (end, media_type) = (kind.to_string().to_ascii_lowercase(), kind.media_type());
                    out.text(&format!(
                        "{head}; filename=\"file.{end}\"\r\nContent-Type: {media_type}\r\n\r\n"
                    ));
                    bytes.iter().for_each(|bytes| out.bytes(bytes.clone()));
                }
            }
            out.text("\r\n");
        }
        out.text(&format!("--{boundary}--\r\n"));
        let text = self.each_text().map(|(_, text)| text.len() as u64).sum();
        Ok((out.finish(), Peek::of_form(model, text)?))
    }
}

/// A body in pieces, small ones together.
#[derive(Default)]
struct Out {
    pieces: Vec<Bytes>,
    text: Vec<u8>,
    length: usize,
}

impl Out {
    fn text(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
        self.length += text.len();
    }

    fn bytes(&mut self, bytes: Bytes) {
        self.seal();
        self.length += bytes.len();
        self.pieces.push(bytes);
    }

    fn seal(&mut self) {
        if !self.text.is_empty() {
            self.pieces.push(std::mem::take(&mut self.text).into());
        }
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.seal();
        self.pieces
    }
}

/// Reads a part with this `head` and the content at `range`.
fn part(head: &[u8], scan: &Scan<'_>, range: Range<usize>, upload: Upload) -> Result<Part, FormError> {
    let Head { name, file, media_type } = Head::read(head)?;
    let Some(file) = file else {
        if range.len() > TEXT {
            return Err(FormError::Long(name));
        }
        return match String::from_utf8(scan.copy(range)) {
            Ok(text) => Ok(Part { name, content: Content::Text(text) }),
            Err(_) => Err(FormError::NotText(name)),
        };
    };
    if file.len() > FILE_NAME {
        return Err(FormError::FileName(name));
    }
    let first = scan.copy(range.start..range.end.min(range.start + kind::FIRST));
    let Some(found) = Kind::of_bytes(&first).filter(|kind| upload.kinds().contains(kind)) else {
        let kinds: Vec<String> = upload.kinds().iter().map(ToString::to_string).collect();
        return Err(FormError::Kind(name, kinds.join(", ")));
    };
    if let Some((declared, kinds)) = kind::declared(&media_type, &file)
        && !kinds.contains(&found)
    {
        return Err(FormError::Declared { field: name, declared, found });
    }
    Ok(Part { name, content: Content::File { kind: found, bytes: scan.slice(range) } })
}

/// What the head of a part says.
struct Head {
    name: String,
    /// The file's name; None is a field.
    file: Option<String>,
    media_type: String,
}

impl Head {
    fn read(head: &[u8]) -> Result<Self, FormError> {
        use FormError::Malformed;
        let head = std::str::from_utf8(head).map_err(|_| Malformed("the head of a part is not UTF-8"))?;
        let (mut disposition, mut media_type) = (None, String::new());
        for line in head.split("\r\n") {
            let (field, value) =
                line.split_once(':').ok_or(Malformed("a line of a part's head has no colon"))?;
            if field.eq_ignore_ascii_case("content-disposition") {
                if disposition.replace(value.trim()).is_some() {
                    return Err(Malformed("a part has two Content-Disposition fields"));
                }
            } else if field.eq_ignore_ascii_case("content-type") {
                value.trim().clone_into(&mut media_type);
            } else if field.eq_ignore_ascii_case("content-transfer-encoding")
                && !["binary", "8bit", "7bit"].iter().any(|plain| value.trim().eq_ignore_ascii_case(plain))
            {
                return Err(Malformed("a part has a Content-Transfer-Encoding; send it as it is"));
            }
        }
        let disposition = disposition.ok_or(Malformed("a part has no Content-Disposition"))?;
        let rest = disposition.strip_prefix("form-data").ok_or(Malformed("a part is no form-data"))?;
        let (name, file) = parameters(rest)?;
        let good = |name: &String| {
            (1..=NAME).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.[]".contains(&b))
        };
        Ok(Self { name: name.filter(good).ok_or(FormError::Name)?, file, media_type })
    }
}

/// `name` and `filename` among the parameters of a disposition.
fn parameters(mut rest: &str) -> Result<(Option<String>, Option<String>), FormError> {
    use FormError::Malformed;
    let (mut name, mut file) = (None, None);
    while let Some(next) = rest.trim_start().strip_prefix(';') {
        let (key, value) = next.split_once('=').ok_or(Malformed("a Content-Disposition has no value"))?;
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted_string(quoted).ok_or(Malformed("a quoted text does not end"))?,
            None => {
                let end = value.find(';').unwrap_or(value.len());
                (value[..end].trim().to_owned(), &value[end..])
            }
        };
        let before = match key.trim() {
            "name" => name.replace(value),
            "filename" => file.replace(value),
            // In another charset: the plain one stands beside it.
            _ => None,
        };
        if before.is_some() {
            return Err(Malformed("a Content-Disposition says the same twice"));
        }
        rest = after;
    }
    if rest.trim().is_empty() {
        Ok((name, file))
    } else {
        Err(Malformed("a Content-Disposition cannot be read"))
    }
}

/// The text up to its closing quote, and what follows.
fn quoted_string(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, &text[at + 1..])),
            // Browsers escape nothing but the quote, so that a path of Windows stays one.
            '\\' if text[at + 1..].starts_with('"') => out.push(chars.next()?.1),
            c => out.push(c),
        }
    }
    None
}

/// The values of an object whose members are texts, in their order, repeated ones too.
struct Members(Vec<String>);

impl<'de> de::Deserialize<'de> for Members {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some((_, text)) = map.next_entry::<de::IgnoredAny, String>()? {
                    members.push(text);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

#[cfg(test)]
mod tests;
