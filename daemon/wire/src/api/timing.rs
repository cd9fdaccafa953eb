//! How long the parts of an answer's work took, as nodes write it at its end.

use memchr::{memchr_iter, memrchr};

/// What an answer says of its work. None where it does not.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Timing {
    /// Seconds to load the model.
    pub load: Option<f64>,
    /// Seconds of prefill.
    pub prefill: Option<f64>,
    /// Seconds of generating the output.
    pub decode: Option<f64>,
    /// Tokens of the prompt that came out of the cache.
    pub cached: Option<f64>,
}

/// Longest time that is believed.
const LONGEST: f64 = 86_400.0;

impl Timing {
    /// Reads the last line or event of a stream, or the end of an object: Ollama's durations in nanoseconds, llama.cpp's
    /// `timings` in milliseconds, and `prompt_tokens_details.cached_tokens`. What is said twice counts as said last.
    #[must_use]
    pub fn read(text: &[u8]) -> Self {
        // Where one thing has two names, what stands under the first counts.
        let (mut first, mut second, mut total) = (Self::default(), Self::default(), None);
        // Those below end so, and few others do.
        for (name, value) in named(text, |end| matches!(end, b'n' | b's')) {
            let (said, unit, most) = match name {
                b"load_duration" => (&mut first.load, 1e9, LONGEST),
                b"prompt_eval_duration" => (&mut first.prefill, 1e9, LONGEST),
                b"eval_duration" => (&mut first.decode, 1e9, LONGEST),
                b"total_duration" => (&mut total, 1e9, f64::MAX),
                b"prompt_ms" => (&mut second.prefill, 1e3, LONGEST),
                b"predicted_ms" => (&mut second.decode, 1e3, LONGEST),
                b"cache_n" => (&mut first.cached, 1.0, f64::MAX),
                b"cached_tokens" => (&mut second.cached, 1.0, f64::MAX),
                _ => continue,
            };
            *said = number(value).map(|number| number / unit).filter(|number| (0.0..=most).contains(number));
        }
        if first.prefill.or(total).is_some() {
            // Ollama leaves zeros out.
            first.load.get_or_insert(0.0);
        }
        second.absorb(first);
        second
    }

    /// Ollama's times, as far as they may be true.
    #[expect(
        clippy::cast_precision_loss,
        reason = "what is believed is exact to far less than a microsecond"
    )]
    pub(super) fn of_nanoseconds(load: u64, prefill: u64, decode: u64) -> Self {
        let seconds = |nanoseconds: u64| Some(nanoseconds as f64 / 1e9).filter(|seconds| *seconds <= LONGEST);
        Self {
            load: seconds(load).or(Some(0.0)),
            prefill: seconds(prefill),
            decode: seconds(decode),
            cached: None,
        }
    }

    /// Takes over what `later` knows.
    pub fn absorb(&mut self, later: Self) {
        *self = Self {
            load: later.load.or(self.load),
            prefill: later.prefill.or(self.prefill),
            decode: later.decode.or(self.decode),
            cached: later.cached.or(self.cached),
        };
    }
}

/// The number that is the value of the last member of this name.
pub(super) fn last(text: &[u8], name: &[u8]) -> Option<f64> {
    members(text).filter(|(other, _)| *other == name).last().and_then(|(_, value)| number(value))
}

/// The members of all objects in `text`: each name, and what follows its colon. Names cannot be confused with text, whose
/// quotes are escaped.
fn members(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    named(text, |_| true)
}

/// Those of them whose names end in what `ends` accepts.
fn named(text: &[u8], ends: impl Fn(u8) -> bool) -> impl Iterator<Item = (&[u8], &[u8])> {
    memchr_iter(b':', text).filter_map(move |colon| {
        let name = text[..colon].trim_ascii_end().strip_suffix(b"\"")?;
        name.last().filter(|last| ends(**last))?;
        let quote = memrchr(b'"', name)?;
        Some((&name[quote + 1..], &text[colon + 1..]))
    })
}

/// The number that `text` begins with.
fn number(text: &[u8]) -> Option<f64> {
    let text = text.trim_ascii_start();
    let end = text.iter().position(|b| !matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    str::from_utf8(&text[..end.unwrap_or(text.len())]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_engines_write_them() {
        for (text, want) in [
            (
                r#"{"model":"m","done":true,"total_duration":9,"load_duration":1500000000,"prompt_eval_count":26,"prompt_eval_duration":130000000,"eval_count":2,"eval_duration":250000000}"#,
                Timing { load: Some(1.5), prefill: Some(0.13), decode: Some(0.25), cached: None },
            ),
            (
                r#"{"done":true,"total_duration":5,"prompt_eval_duration":2000000000}"#,
                Timing { load: Some(0.0), prefill: Some(2.0), decode: None, cached: None },
            ),
            (
                r#"data: {"choices":[],"timings":{"cache_n":236,"prompt_n":1,"prompt_ms":30.958,"predicted_n":35,"predicted_ms":661.064}}"#,
                Timing { load: None, prefill: Some(0.030_958), decode: Some(0.661_064), cached: Some(236.0) },
            ),
            (
                r#"{"usage":{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":8}}}"#,
                Timing { cached: Some(8.0), ..Timing::default() },
            ),
            (r#"{"response":"\"load_duration\":7","load_duration":-5,"done":true}"#, Timing::default()),
            (
                r#"{"prompt_eval_duration":1e300,"eval_duration":"x"}"#,
                Timing { load: None, ..Timing::default() },
            ),
            (
                "{\"eval_duration\" :\t1000000000, \"eval_duration\": 2e9 , \"cached_tokens\":5, \"cache_n\":3}",
                Timing { decode: Some(2.0), cached: Some(3.0), ..Timing::default() },
            ),
            (r#"{"eval_duration":1000000000,"eval_duration":"later"}"#, Timing::default()),
            (r#":"eval_duration":"cached_tokens": "#, Timing::default()),
            (
                r#"{"cache_n":123456789012345,"cached_tokens":12345678901234567890,"prompt_ms":,"load_duration":007}"#,
                Timing { cached: Some(123_456_789_012_345.0), load: Some(7e-9), ..Timing::default() },
            ),
            (
                r#"{"cached_tokens":12345678901234567890}"#,
                Timing { cached: Some(12_345_678_901_234_567_890.0), ..Timing::default() },
            ),
            ("", Timing::default()),
        ] {
            assert_eq!(Timing::read(text.as_bytes()), want, "{text}");
        }
    }
}
