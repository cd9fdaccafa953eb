//! Reading token counts out of the end of an answer that is one JSON object, without parsing the rest of it.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize as _;

use super::usage::{Counts, Usage, whole_part};

/// How the names of the counts end: Ollama's `"prompt_eval_count"` and `"eval_count"`, then those of the others.
static EVAL_COUNT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("eval_count\""));
/// `"prompt_tokens"`, `"input_tokens"` and `"output_tokens"`.
static TOKENS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("t_tokens\""));
/// `"completion_tokens"`
static COMPLETION: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("completion_tokens\""));

/// Where counts are looked for first, bytes from the end.
const NEAR: usize = 256;

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"usage\""));

/// Counts in the end of an answer that is one JSON object. Its keys cannot be confused with text, whose
/// quotes are escaped.
#[must_use]
pub fn of_tail(tail: &[u8]) -> Usage {
    of_last_members(tail).or_else(|| of_usage(tail)).unwrap_or_else(|| of_names(tail))
}

/// The counts of the objects called `usage`; of several the largest, for one of them may be an echo of what the client
/// sent.
fn of_usage(tail: &[u8]) -> Option<Usage> {
    let objects = USAGE.find_iter(tail).filter_map(|at| {
        let rest = tail[at + USAGE.needle().len()..].trim_ascii_start().strip_prefix(b":")?;
        // What follows the object is not looked at.
        let counts = Counts::deserialize(&mut serde_json::Deserializer::from_slice(rest)).ok()?;
        Some(counts.usage()).filter(|usage| *usage != Usage::default())
    });
    objects.reduce(Usage::max)
}

/// The counts of an answer whose last members are those that Ollama writes there; None of any other.
fn of_last_members(tail: &[u8]) -> Option<Usage> {
    let rest = tail.trim_ascii_end().strip_suffix(b"}")?;
    let (rest, _) = last_member(rest, b",\"eval_duration\":")?;
    let (rest, output) = last_member(rest, b",\"eval_count\":")?;
    let (rest, _) = last_member(rest, b",\"prompt_eval_duration\":")?;
    let (_, prompt) = last_member(rest, b"\"prompt_eval_count\":")?;
    Some(Usage {
        prompt: Some(whole_number(prompt)?),
        output: Some(whole_number(output)?),
        cached: 0,
        total: None,
    })
}

/// Splits a member off the end whose value is all digits: what is before it, and these.
#[inline(always)]
fn last_member<'a>(text: &'a [u8], name: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let mut rest = text;
    // Times have nine digits and more.
    while let Some((before, last)) = rest.split_last_chunk()
        && are_digits(*last)
    {
        rest = before;
    }
    while let Some((b'0'..=b'9', before)) = rest.split_last() {
        rest = before;
    }
    Some((rest.strip_suffix(name)?, &text[rest.len()..]))
}

#[inline(always)]
fn are_digits(bytes: [u8; 8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(bytes);
    // All begin with a 3, and none leaves the range if 6 is added; no sum is carried into the next byte then.
    word & (ONES * 0xf0) == ONES * 0x30 && word.wrapping_add(ONES * 6) & (ONES * 0xf0) == ONES * 0x30
}

/// The counts by whatever names they have and wherever they are.
fn of_names(tail: &[u8]) -> Usage {
    // What counts is the last of a name, and names in the very last bytes before all others.
    let near = tail.len().saturating_sub(NEAR);
    let [mut prompt_eval, mut prompt, mut input] = [Last::default(); 3];
    let [mut eval, mut completion, mut output] = [Last::default(); 3];
    for at in EVAL_COUNT.find_iter(tail) {
        let end = at + EVAL_COUNT.needle().len();
        let _ = prompt_eval.is(tail, b"\"prompt_", at, end) || eval.is(tail, b"\"", at, end);
    }
    for at in TOKENS.find_iter(tail) {
        let end = at + TOKENS.needle().len();
        let _ = prompt.is(tail, b"\"promp", at, end)
            || input.is(tail, b"\"inpu", at, end)
            || output.is(tail, b"\"outpu", at, end);
    }
    for at in COMPLETION.find_iter(tail) {
        completion.is(tail, b"\"", at, at + COMPLETION.needle().len());
    }
    let find = |names: [Last; 3]| {
        let within = |from| names.iter().find_map(|name| name.number(tail, from));
        within(near).or_else(|| within(0))
    };
    Usage {
        prompt: find([prompt_eval, prompt, input]),
        output: find([eval, completion, output]),
        cached: 0,
        total: None,
    }
}

/// Where a name stands last: its quotes and all between, empty if nowhere.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    start: usize,
    end: usize,
}

impl Last {
    /// Takes the name whose `beginning` ends at `at` and which ends at `end`, if it is this one.
    fn is(&mut self, tail: &[u8], beginning: &[u8], at: usize, end: usize) -> bool {
        let is = tail[..at].ends_with(beginning);
        if is {
            *self = Self { start: at - beginning.len(), end };
        }
        is
    }

    /// The number after the name, if that stands at `from` or later.
    fn number(self, tail: &[u8], from: usize) -> Option<u64> {
        if self.end == 0 || self.start < from {
            return None;
        }
        number(tail[self.end..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start())
    }
}

/// The count that `text` begins with.
fn number(text: &[u8]) -> Option<u64> {
    let length =
        text.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')).count();
    let text = std::str::from_utf8(&text[..length]).ok()?;
    text.parse().ok().or_else(|| whole_part(text.parse().ok()?))
}

/// The whole number that `text`, all digits, is.
fn whole_number(text: &[u8]) -> Option<u64> {
    text.first()?;
    text.iter().try_fold(0_u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use memchr::memmem;
    use proptest::prelude::*;

    use super::{NEAR, Usage, of_names, of_tail};

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

    /// The same name by name.
    fn plainly(tail: &[u8]) -> Usage {
        let number_after = |part: &[u8], key: &&str| -> Option<u64> {
            let at = memmem::rfind(part, key.as_bytes())?;
            let rest = part[at + key.len()..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
            let digits = rest.iter().take_while(|b| b"0123456789.eE+-".contains(b)).count();
            let text = std::str::from_utf8(&rest[..digits]).ok()?;
            text.parse().ok().or_else(|| text.parse().ok().filter(|n: &f64| *n >= 0.0).map(|n| n as u64))
        };
        let near = &tail[tail.len().saturating_sub(NEAR)..];
        let find = |keys: [&str; 3]| {
            let within = |part| keys.iter().find_map(|key| number_after(part, key));
            within(near).or_else(|| within(tail))
        };
        Usage {
            prompt: find(["\"prompt_eval_count\"", "\"prompt_tokens\"", "\"input_tokens\""]),
            output: find(["\"eval_count\"", "\"completion_tokens\"", "\"output_tokens\""]),
            cached: 0,
            total: None,
        }
    }

    proptest! {
        #[test]
        fn counts_are_found_as_by_looking_for_each_name(parts in prop::collection::vec(prop_oneof![
            4 => prop::sample::select(vec![
                "\"prompt_eval_count\"", "\"eval_count\"", "\"prompt_tokens\"", "\"completion_tokens\"",
                "\"input_tokens\"", "\"output_tokens\"", "\"total_tokens\"", "eval_count\"", "tokens\"",
                "_tokens\"", "prompt_", "\"eval_duration\"", "\"prompt_eval_duration\"", "prompt", "\"", "_", "\"usage\":{", "}", ",", "null",
            ]).prop_map(str::to_owned),
            4 => prop::sample::select(vec![":", ": ", " : ", ":7,", ":26}", ":18446744073709551616"])
                .prop_map(str::to_owned),
            1 => "[0-9]{1,22}",
            1 => (1usize..200).prop_map(|gap| "y".repeat(gap)),
        ], 0..24)) {
            let tail = parts.concat();
            prop_assert_eq!(of_names(tail.as_bytes()), plainly(tail.as_bytes()), "{}", tail);
        }
    }

    proptest! {
        #[test]
        fn counts_are_found_where_ollama_writes_them(
            members in prop::collection::vec((0usize..6, "[0-9]{1,22}"), 4..6), cut in 0usize..40, end in "[ \n}]{0,3}",
        ) {
            let names = ["eval_duration", "eval_count", "prompt_eval_duration", "prompt_eval_count", "x", "input_tokens"];
            let orders = [[3, 2, 1, 0], [3, 2, 1, 0], [1, 0, 3, 2], [3, 5, 1, 0]];
            let order = orders[members[0].0 % 4];
            let list: Vec<_> = members.iter().zip(order).map(|((odd, number), name)| {
                let name = names[if *odd == 5 { 4 } else { name }];
                format!("\"{name}\":{number}")
            }).collect();
            let text = format!("{{\"done\":true,{}}}{end}", list.join(","));
            let tail = &text.as_bytes()[cut..];
            prop_assert_eq!(of_tail(tail), plainly(tail), "{}", text);
        }
    }
}
