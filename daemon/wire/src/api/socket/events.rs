//! What messages say: which models a client names, and what a node counted.

use memchr::memmem;

use super::SocketError;
use crate::api::{
    escape::unescape,
    json::{Kind, MAX_DEPTH, Raw, Scanner, Sink},
    usage::{EventData, Usage, type_of},
};

/// What a client's message says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said {
    /// Bytes of an event, but for its sound.
    pub bytes: usize,
    /// It asks for an answer.
    pub asks: bool,
}

/// Looks at every model that a client's message names, at any depth: a session, its transcription and each of its
/// answers may have one of their own. What does not begin like JSON is nobody's event.
///
/// # Errors
/// [`SocketError::Model`] for the first that is not `allowed`, [`SocketError::Json`], [`SocketError::Encoding`].
pub fn check_models(message: &[u8], allowed: impl FnMut(&str) -> bool) -> Result<Said, SocketError> {
    let text = message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message);
    // Some decoders find out by themselves that it is UTF-16 or UTF-32: by its mark, or by the zeros of its first letters.
    let begins = text.iter().position(|byte| *byte != 0 && !byte.is_ascii_whitespace());
    match begins.map_or(&[][..], |at| &text[at..]) {
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] => return Err(SocketError::Encoding),
        // Zeros are not JSON.
        [b'{' | b'[', ..] => {}
        _ => return Ok(Said::default()),
    }
    let found = Said { bytes: text.len(), asks: false };
    let mut scanner = Scanner::new(Models { allowed, next: Next::Other, from: 0, found });
    scanner.feed(text)?;
    scanner.finish().map(|models| models.found)
}

/// What the value that comes next is, if it is a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Model,
    Sound,
    /// The type of the message.
    Type,
    Other,
}

struct Models<F> {
    allowed: F,
    next: Next,
    /// Where it begins.
    from: usize,
    found: Said,
}

impl<F: FnMut(&str) -> bool> Sink for Models<F> {
    const TOLD: usize = MAX_DEPTH;
    type Error = SocketError;

    fn key(&mut self, depth: usize, key: Raw<'_>) -> Result<(), SocketError> {
        self.next = match unescape(key.bytes).as_deref() {
            // Some decoders take keys in any case.
            Some(key) if key.eq_ignore_ascii_case("model") => Next::Model,
            Some("audio") => Next::Sound,
            Some("type") if depth == 1 => Next::Type,
            _ => Next::Other,
        };
        Ok(())
    }

    fn begin(&mut self, _: usize, kind: Kind, at: usize) -> Result<bool, SocketError> {
        if kind != Kind::String {
            self.next = Next::Other;
        }
        self.from = at;
        Ok(self.next != Next::Other)
    }

    fn end(&mut self, _: usize, _: Kind, end: usize, raw: Option<Raw<'_>>) -> Result<(), SocketError> {
        let next = std::mem::replace(&mut self.next, Next::Other);
        let text = || raw.filter(|raw| !raw.cut).and_then(|raw| unescape(raw.bytes));
        match next {
            Next::Model => match text() {
                Some(model) if (self.allowed)(&model) => {}
                model => return Err(SocketError::Model(model.unwrap_or_default())),
            },
            Next::Sound => self.found.bytes -= end - self.from,
            Next::Type => self.found.asks |= text().is_some_and(|kind| kind == "response.create"),
            Next::Other => {}
        }
        Ok(())
    }
}

/// What a node's message says of the work that was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Event {
    /// What an answer, or a transcription, came to that is over.
    pub usage: Option<Usage>,
    /// A piece of an answer.
    pub is_piece: bool,
    /// An answer, or a transcription, is over.
    pub is_last: bool,
}

impl Event {
    /// Reads a node's message.
    #[must_use]
    pub fn read(message: &[u8]) -> Self {
        let Some(kind) = type_of(message) else { return Self::default() };
        let is_last = matches!(&*kind, "response.done" | "transcription.done")
            || kind.ends_with("input_audio_transcription.completed");
        let counts = is_last && memmem::find(message, b"\"usage\"").is_some();
        let usage = counts.then(|| EventData::read(message)?.usage()).flatten();
        // What is spoken comes as text besides.
        let is_piece = kind.ends_with(".delta") && !kind.ends_with("audio.delta");
        Self { usage, is_piece, is_last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_that_a_message_names_is_looked_at() {
        let check = |text: &str| check_models(text.as_bytes(), |model| model == "m").map(drop);
        for text in [
            r#"{"type":"session.update","session":{"model":"m"}}"#,
            r#"{"type":"session.update","session":{"tools":[{"parameters":{"properties":{"model":{"type":"string"}}}}]}}"#,
            r#"{"item":{"content":[{"text":"\"model\":\"other\""}]}}"#,
            r#"{"model":null,"x":"other"}"#,
            "hello",
            "",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for text in [
            r#"{"model":"other"}"#,
            r#"{"session":{"model":"m","Model":"other"}}"#,
            r#"{"session":{"mod\u0065l":"other"}}"#,
            r#"{"a":[[{"b":{"model":"othe\u0072"}}]]}"#,
            r#" [{"model":"other"}]"#,
            "\u{feff}{\"model\":\"other\"}",
        ] {
            assert_eq!(check(text), Err(SocketError::Model("other".into())), "{text}");
        }
        let long = format!(r#"{{"model":"{}"}}"#, "m".repeat(2000));
        assert!(matches!(check(&long), Err(SocketError::Model(_))));
        for encoded in [
            &b"\xff\xfe{\0}\0"[..],
            b"\xfe\xff\0{\0}",
            b"\xff\xfe\0\0{\0\0\0}\0\0\0",
            b"\0\0\xfe\xff\0\0\0{\0\0\0}",
        ] {
            assert_eq!(check_models(encoded, |_| true), Err(SocketError::Encoding), "{encoded:?}");
        }
        for encoded in
            [&b"{\0}\0"[..], b"\0{\0}", b"\0 \0{\0}", b" \0{\0}\0", b"{\0\0\0}\0\0\0", b"\0\0\0{\0\0\0}"]
        {
            assert!(matches!(check_models(encoded, |_| true), Err(SocketError::Json(_))), "{encoded:?}");
        }
        assert_eq!(check_models(b"\0\0\0\0\x01\0\x02\0", |_| true), Ok(Said::default()));
        for (text, bytes) in [
            ("hello", 0),
            (r#"{"a":"xyz"}"#, 11),
            (r#"{"audio":"AAAA","a":["audio"]}"#, 24),
            (r#"{"audio":{"input":"AAAA"}}"#, 26),
        ] {
            assert_eq!(check_models(text.as_bytes(), |_| true), Ok(Said { bytes, asks: false }), "{text}");
        }
        for text in [r#"{"model":"m""#, "{'model':'other'}", r#"{"x":NaN,"model":"other"}"#, "{} {}"] {
            assert!(matches!(check(text), Err(SocketError::Json(_))), "{text}");
        }
    }

    #[test]
    fn a_message_asks_by_the_type_of_itself() {
        for (text, asks) in [
            (r#"{"type":"response.create"}"#, true),
            (r#"{"a":{"b":[1]},"ty\u0070e" : "response\u002ecreate"}"#, true),
            ("\u{feff}{\"type\":\"response.create\"}", true),
            (r#"{"type":"response.cancel"}"#, false),
            (r#"{"item":{"type":"response.create"}}"#, false),
            (r#"[{"type":"response.create"}]"#, false),
            (r#"{"type":["response.create"],"x":"response.create"}"#, false),
            ("response.create", false),
        ] {
            assert_eq!(check_models(text.as_bytes(), |_| true).map(|said| said.asks), Ok(asks), "{text}");
        }
    }

    #[test]
    fn an_answers_counts_are_those_of_its_end() {
        let usage = |prompt, output| Usage { prompt: Some(prompt), output: Some(output), ..Usage::default() };
        for (text, want) in [
            (
                r#"{"type":"response.done","response":{"output":[],"usage":{"total_tokens":9,"input_tokens":4,"output_tokens":5}}}"#,
                Event { usage: Some(usage(4, 5)), is_last: true, is_piece: false },
            ),
            (
                r#"{"usage":{"prompt_tokens":3,"completion_tokens":2},"type":"transcription.done"}"#,
                Event { usage: Some(usage(3, 2)), is_last: true, is_piece: false },
            ),
            (
                r#"{"type":"response.done","response":{"usage":null}}"#,
                Event { is_last: true, ..Event::default() },
            ),
            (r#"{"type":"response.created","response":{"usage":{"input_tokens":4}}}"#, Event::default()),
            (r#"{"type":"response.text.delta","delta":"x"}"#, Event { is_piece: true, ..Event::default() }),
            (r#"{"type":"response.output_audio.delta","delta":"AAAA"}"#, Event::default()),
            (
                r#"{"type":"response.output_audio_transcript.delta","delta":"x"}"#,
                Event { is_piece: true, ..Event::default() },
            ),
            ("hello", Event::default()),
        ] {
            assert_eq!(Event::read(text.as_bytes()), want, "{text}");
        }
    }
}
