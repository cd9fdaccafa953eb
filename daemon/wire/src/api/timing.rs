//! How long the parts of an answer's work took, as nodes write it at its end.

use memchr::memmem;

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
        let number = |name: &str| number(text, name).filter(|number| (0.0..f64::MAX).contains(number));
        let seconds = |name: &str, of: f64| number(name).map(|n| n / of).filter(|n| *n <= LONGEST);
        let prefill = seconds("\"prompt_eval_duration\"", 1e9);
        let is_ollama = prefill.is_some() || number("\"total_duration\"").is_some();
        Self {
            // Ollama leaves zeros out.
            load: seconds("\"load_duration\"", 1e9).or(is_ollama.then_some(0.0)),
            prefill: prefill.or_else(|| seconds("\"prompt_ms\"", 1e3)),
            decode: seconds("\"eval_duration\"", 1e9).or_else(|| seconds("\"predicted_ms\"", 1e3)),
            cached: number("\"cache_n\"").or_else(|| number("\"cached_tokens\"")),
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

/// The number after the last member of this name. Names cannot be confused with text, whose quotes are escaped.
pub(super) fn number(text: &[u8], name: &str) -> Option<f64> {
    let at = memmem::rfind(text, name.as_bytes())?;
    let rest = text[at + name.len()..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let end = rest.iter().position(|b| !matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    str::from_utf8(&rest[..end.unwrap_or(rest.len())]).ok()?.parse().ok()
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
            ("", Timing::default()),
        ] {
            assert_eq!(Timing::read(text.as_bytes()), want, "{text}");
        }
    }
}
