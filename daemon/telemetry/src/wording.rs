//! A finished request in words: one list of fields and one sentence, for every form of the log.

use std::{fmt::Write as _, net::IpAddr, time::Duration};

use aivonx_domain::access::{AccessRecord, Outcome};
use uuid::fmt::Hyphenated;

use super::redact;

/// Most characters of an error that are kept.
const ERROR_MAX: usize = 512;

/// What a field says.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    /// Words. Not escaped.
    Text(&'a str),
    /// A number, bare in JSON.
    Number(u64),
}

impl Value<'_> {
    /// Hands the value over as text, with whether it is a number.
    pub(crate) fn with_text<T>(self, use_it: impl FnOnce(&str, bool) -> T) -> T {
        match self {
            Self::Text(text) => use_it(text, false),
            Self::Number(number) => use_it(itoa::Buffer::new().format(number), true),
        }
    }
}

/// Appends a number. Without the machinery of `write!`, which costs ten times as much: a busy gateway writes
/// hundreds of thousands of numbers a second here.
pub(crate) fn push_number(number: u64, out: &mut String) {
    // Most have a digit or two.
    match usize::try_from(number) {
        Ok(number @ 0..10) => out.push_str(&DIGITS[2 * number + 1..2 * number + 2]),
        Ok(number @ 10..100) => out.push_str(&DIGITS[2 * number..2 * number + 2]),
        _ => out.push_str(itoa::Buffer::new().format(number)),
    }
}

/// All numbers of two digits, one after the other.
const DIGITS: &str = "\
    0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
    5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

/// Appends `POST /api/chat 200 llama3.2:latest gpu1 12ms`, and how it ended if that is odd. Not escaped.
pub(crate) fn sentence(r: &AccessRecord, out: &mut String) {
    push_beginning(r, out);
    push_ending(r, out);
}

/// Appends the beginning of the sentence: `POST /api/chat 200 llama3.2:latest gpu1 `.
pub(crate) fn push_beginning(r: &AccessRecord, out: &mut String) {
    out.push_str(r.method.as_str());
    out.push(' ');
    out.push_str(r.route);
    out.push(' ');
    push_number(r.status.into(), out);
    for name in [&r.model, &r.node].into_iter().flatten() {
        out.push(' ');
        out.push_str(name);
    }
    out.push(' ');
}

/// Appends the end of the sentence: `12ms`, and how it ended if that is odd.
pub(crate) fn push_ending(r: &AccessRecord, out: &mut String) {
    let us = u64::try_from(r.duration.as_micros()).unwrap_or(u64::MAX);
    let (whole, tenth, unit) = match us {
        0..10_000 => (us / 1000, Some(us % 1000 / 100), "ms"),
        10_000..10_000_000 => (us / 1000, None, "ms"),
        _ => (us / 1_000_000, Some(us % 1_000_000 / 100_000), "s"),
    };
    push_number(whole, out);
    if let Some(tenth) = tenth {
        out.push('.');
        push_number(tenth, out);
    }
    out.push_str(unit);
    match r.outcome {
        Outcome::Complete | Outcome::Refused => {}
        other => {
            out.push(' ');
            out.push_str(other.name());
        }
    }
}

/// Calls `field` with name, value and whether the sentence has said it, or it says that nothing special
/// happened; in the order of interest. What is not there is left out; credentials in the error are masked.
pub(crate) fn each_field(r: &AccessRecord, mut field: impl FnMut(&'static str, Value<'_>, bool)) {
    use Value::{Number, Text};
    let mut id = [0; Hyphenated::LENGTH];
    field("request_id", Text(r.request_id.as_hyphenated().encode_lower(&mut id)), false);
    if let Some(id) = &r.client_request_id {
        field("client_request_id", Text(id), false);
    }
    let mut scratch = String::with_capacity(48);
    push_address(r.client, &mut scratch);
    field("client", Text(&scratch), false);
    if let Some(subject) = &r.subject {
        if let Some((id, slug)) = &subject.organization {
            field("org", Text(slug), false);
            field("organization", Text(id), false);
        }
        if let Some((_, name)) = &subject.user {
            field("user", Text(name), false);
        }
        if let Some((_, name)) = &subject.key {
            field("with", Text(name), false);
        }
    }
    field("method", Text(r.method.as_str()), true);
    field("route", Text(r.route), true);
    if let Some(model) = &r.model {
        field("model", Text(model), true);
    }
    if let Some(served) = &r.served {
        field("served", Text(served), false);
    }
    if let Some(node) = &r.node {
        field("node", Text(node), true);
    }
    if r.findings.total() > 0 {
        field("findings", Text(&r.findings.counts()), false);
    }
    if let Some(limit) = r.limit {
        field("event", Text("limit_reached"), false);
        field("limit", Text(limit.name()), false);
    }
    field("status", Number(r.status.into()), true);
    field("outcome", Text(r.outcome.name()), r.outcome == Outcome::Complete);
    field("retries", Number(r.retries.into()), r.retries == 0);
    let numbers = [
        ("bytes_in", Some(r.bytes_in)),
        ("bytes_out", Some(r.bytes_out)),
        ("prompt_tokens", r.prompt_tokens),
        ("output_tokens", r.output_tokens),
        ("cost_microusd", (r.cost > 0).then_some(r.cost)),
        ("queued_ms", r.queued.map(milliseconds)),
        ("first_byte_ms", r.first_byte.map(milliseconds)),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            field(name, Number(number), false);
        }
    }
    field("duration_ms", Number(milliseconds(r.duration)), true);
    if let Some(error) = &r.error {
        scratch.clear();
        scratch.push_str(cut(error));
        redact::scrub(&mut scratch, 0);
        field("error", Text(&scratch), false);
    }
}

pub(crate) fn push_address(address: IpAddr, out: &mut String) {
    match address {
        IpAddr::V4(v4) => {
            for (at, octet) in v4.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push('.');
                }
                push_number(octet.into(), out);
            }
        }
        // Writing to a string does not fail.
        IpAddr::V6(v6) => _ = write!(out, "{v6}"),
    }
}

pub(crate) fn milliseconds(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(ERROR_MAX).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_full() {
        for number in (0..1100).chain([65_535, u64::MAX]) {
            let mut text = String::from("x");
            push_number(number, &mut text);
            assert_eq!(text, format!("x{number}"));
        }
    }
}
