//! Reading token counts and times out of the end of an answer that is one JSON object, without parsing the rest of it.

use memchr::memmem;
use serde::Deserialize as _;

use super::{
    timing::Timing,
    usage::{Counts, Usage, whole_part},
};

/// Where counts are looked for first, bytes from the end.
const NEAR: usize = 256;

/// Counts in the end of an answer that is one JSON object. Its keys cannot be confused with text, whose
/// quotes are escaped.
#[must_use]
pub fn of_tail(tail: &[u8]) -> Usage {
    of_usage(tail).unwrap_or_else(|| of_names(tail))
}

/// The counts of the objects called `usage`; of several the largest, for one of them may be an echo of what the client
/// sent.
fn of_usage(tail: &[u8]) -> Option<Usage> {
    const NAME: &[u8] = b"\"usage\"";
    let objects = memmem::find_iter(tail, NAME).filter_map(|at| {
        let rest = tail[at + NAME.len()..].trim_ascii_start().strip_prefix(b":")?;
        // What follows the object is not looked at.
        let counts = Counts::deserialize(&mut serde_json::Deserializer::from_slice(rest)).ok()?;
        Some(counts.usage()).filter(|usage| *usage != Usage::default())
    });
    objects.reduce(Usage::max)
}

/// The counts and times of an answer whose last members are those that Ollama writes there, in its order; None of any
/// other. Nothing else in such an answer counts.
pub(super) fn of_ollama(tail: &[u8]) -> Option<(Usage, Timing)> {
    let rest = tail.trim_ascii_end().strip_suffix(b"}")?;
    let (rest, decode) = last_member(rest, b",\"eval_duration\":")?;
    let (rest, output) = last_member(rest, b",\"eval_count\":")?;
    let (rest, prefill) = last_member(rest, b",\"prompt_eval_duration\":")?;
    let (rest, prompt) = last_member(rest, b",\"prompt_eval_count\":")?;
    let (rest, load) = last_member(rest, b",\"load_duration\":")?;
    last_member(rest, b",\"total_duration\":")?;
    let usage = Usage { prompt: Some(prompt), output: Some(output), cached: 0, total: None };
    Some((usage, Timing::of_nanoseconds(load, prefill, decode)))
}

/// Splits a member off the end whose value is a whole number: what is before it, and that.
fn last_member<'a>(text: &'a [u8], name: &[u8]) -> Option<(&'a [u8], u64)> {
    let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (rest, digits) = text.split_at(text.len() - digits);
    let add = |number: u64, digit: &u8| number.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    let number = digits.first().and_then(|_| digits.iter().try_fold(0, add))?;
    Some((rest.strip_suffix(name)?, number))
}

/// The counts under all their names, anywhere in the tail.
fn of_names(tail: &[u8]) -> Usage {
    // What counts is the last of a name, and names in the very last bytes before all others.
    let near = &tail[tail.len().saturating_sub(NEAR)..];
    let find = |names: [&str; 3]| {
        let within = |part| names.iter().find_map(|name| last_of(part, name));
        within(near).or_else(|| within(tail))
    };
    Usage {
        prompt: find(["\"prompt_eval_count\"", "\"prompt_tokens\"", "\"input_tokens\""]),
        output: find(["\"eval_count\"", "\"completion_tokens\"", "\"output_tokens\""]),
        cached: 0,
        total: None,
    }
}

/// The number of the last member of this name.
fn last_of(part: &[u8], name: &str) -> Option<u64> {
    let at = memmem::rfind(part, name.as_bytes())?;
    number(part[at + name.len()..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start())
}

/// The count that `text` begins with.
fn number(text: &[u8]) -> Option<u64> {
    let length =
        text.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')).count();
    let text = std::str::from_utf8(&text[..length]).ok()?;
    text.parse().ok().or_else(|| whole_part(text.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Timing, Usage, of_names, of_ollama, of_tail};

    #[test]
    fn tails_of_each_dialect() {
        let want = Usage { prompt: Some(26), output: Some(298), cached: 0, total: None };
        assert_eq!(
            of_tail(br#","done":true,"prompt_eval_count":26,"prompt_eval_duration":1,"eval_count":298}"#),
            want
        );
        assert_eq!(of_tail(br#""usage": {"prompt_tokens": 26, "completion_tokens": 298}}"#), want);
        assert_eq!(of_tail(br#""usage":{"input_tokens":26,"output_tokens":298}}"#), want);
        assert_eq!(of_tail(br#"{"content":"\"eval_count\":7"}"#), Usage::default());
        // Wherever they lie.
        for gap in 150..300 {
            let text = format!(
                "{{\"prompt_eval_count\":1,\"prompt_eval_count\":26,\"eval_count\":298,\"x\":\"{}\"}}",
                "y".repeat(gap)
            );
            assert_eq!(of_tail(text.as_bytes()), want, "{gap}");
        }
    }

    proptest! {
        #[test]
        fn what_ollama_writes_at_the_end_is_read_as_anywhere(
            members in prop::collection::vec((0usize..12, "[0-9]{1,22}"), 6), cut in 0usize..40, end in "[ \n}]{0,3}",
        ) {
            let names = [
                "total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count",
                "eval_duration",
            ];
            let list: Vec<_> = members.iter().zip(names).map(|((odd, number), name)| {
                let name = if *odd == 0 { "x" } else { name };
                format!("\"{name}\":{number}")
            }).collect();
            let text = format!("{{\"done\":true,{}}}{end}", list.join(","));
            let tail = &text.as_bytes()[cut..];
            if let Some((usage, timing)) = of_ollama(tail) {
                prop_assert_eq!((usage, timing), (of_names(tail), Timing::read(tail)), "{}", text);
            } else {
                let is_odd = members.iter().any(|(odd, number)| *odd == 0 || number.parse::<u64>().is_err());
                prop_assert!(is_odd || cut > 12 || end.contains('}'), "{}", text);
            }
        }
    }
}
