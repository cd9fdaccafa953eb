//! What messages say: which models a client names, and what a node counted.

use memchr::memmem;

use super::SocketError;
use crate::api::{
    escape::unescape,
    json::{Kind, MAX_DEPTH, Raw, Scanner, Sink},
    usage::{EventData, Usage, type_of},
};

/// Looks at every model that a client's message names, at any depth: a session, its transcription and each of its
/// answers may have one of their own. What does not begin like JSON is nobody's event. Returns the bytes of an event, but
/// for its sound.
///
/// # Errors
/// [`SocketError::Model`] for the first that is not `allowed`, [`SocketError::Json`], [`SocketError::Encoding`].
pub fn check_models(message: &[u8], allowed: impl FnMut(&str) -> bool) -> Result<usize, SocketError> {
    let text = message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message);
    // Some decoders find out by themselves that it is UTF-16 or UTF-32: by its mark, or by the zeros of its first letters.
    let begins = text.iter().position(|byte| *byte != 0 && !byte.is_ascii_whitespace());
    match begins.map_or(&[][..], |at| &text[at..]) {
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] => return Err(SocketError::Encoding),
        // Zeros are not JSON.
        [b'{' | b'[', ..] => {}
        _ => return Ok(0),
    }
    let mut scanner = Scanner::new(Models { allowed, named: false, audio: false, from: 0, sound: 0 });
    scanner.feed(text)?;
    scanner.finish().map(|found| text.len() - found.sound)
}

struct Models<F> {
    allowed: F,
    /// The value that comes next is a model's name, if it is a string.
    named: bool,
    /// Or sound.
    audio: bool,
    /// Where it begins.
    from: usize,
    /// Bytes of sound.
    sound: usize,
}

impl<F: FnMut(&str) -> bool> Sink for Models<F> {
    const TOLD: usize = MAX_DEPTH;
    type Error = SocketError;

    fn key(&mut self, _: usize, key: Raw<'_>) -> Result<(), SocketError> {
        // Some decoders take keys in any case.
        let key = unescape(key.bytes);
        self.named = key.as_ref().is_some_and(|key| key.eq_ignore_ascii_case("model"));
        self.audio = key.is_some_and(|key| key == "audio");
        Ok(())
    }

    fn begin(&mut self, _: usize, kind: Kind, at: usize) -> Result<bool, SocketError> {
        self.named &= kind == Kind::String;
        self.audio &= kind == Kind::String;
        self.from = at;
        Ok(self.named || self.audio)
    }

    fn end(&mut self, _: usize, _: Kind, end: usize, raw: Option<Raw<'_>>) -> Result<(), SocketError> {
        if std::mem::take(&mut self.audio) {
            self.sound += end - self.from;
        }
        let Some(raw) = raw.filter(|_| std::mem::take(&mut self.named)) else { return Ok(()) };
        match unescape(raw.bytes).filter(|_| !raw.cut) {
            Some(model) if (self.allowed)(&model) => Ok(()),
            model => Err(SocketError::Model(model.unwrap_or_default())),
        }
    }
}

/// Whether a client's message asks for an answer.
#[must_use]
pub fn asks(message: &[u8]) -> bool {
    type_of(message).is_some_and(|kind| kind == "response.create")
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
        assert_eq!(check_models(b"\0\0\0\0\x01\0\x02\0", |_| true), Ok(0));
        for (text, bytes) in [
            ("hello", 0),
            (r#"{"a":"xyz"}"#, 11),
            (r#"{"audio":"AAAA","a":["audio"]}"#, 24),
            (r#"{"audio":{"input":"AAAA"}}"#, 26),
        ] {
            assert_eq!(check_models(text.as_bytes(), |_| true), Ok(bytes), "{text}");
        }
        for text in [r#"{"model":"m""#, "{'model':'other'}", r#"{"x":NaN,"model":"other"}"#, "{} {}"] {
            assert!(matches!(check(text), Err(SocketError::Json(_))), "{text}");
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
