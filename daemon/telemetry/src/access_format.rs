//! A finished request in words: one list of fields and one sentence, for every form of the log.

use std::{net::IpAddr, time::Duration};

use aivonx_domain::access::{AccessRecord, Outcome};
use arrayvec::ArrayString;
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

/// Bytes of most sentences, at most.
const SENTENCE: usize = 128;

/// The [`sentence`] by itself.
pub(crate) fn said(r: &AccessRecord) -> String {
    let mut out = String::with_capacity(SENTENCE);
    sentence(r, &mut out);
    out
}

/// `POST /api/chat 200 llama3.2:latest gpu1 12ms`, and how it ended if that is odd. Not escaped.
pub(crate) fn sentence(r: &AccessRecord, out: &mut String) {
    out.extend([r.method.as_str(), " ", r.route, " ", itoa::Buffer::new().format(r.status)]);
    for name in [&r.model, &r.node].into_iter().flatten() {
        out.extend([" ", name]);
    }
    // Cut, not rounded.
    let us = r.duration.as_micros();
    let (whole, tenth, unit) = match us {
        0..10_000 => (us / 1000, Some(us % 1000 / 100), "ms"),
        10_000..10_000_000 => (us / 1000, None, "ms"),
        _ => (us / 1_000_000, Some(us % 1_000_000 / 100_000), "s"),
    };
    out.extend([" ", itoa::Buffer::new().format(whole)]);
    if let Some(tenth) = tenth {
        out.extend([".", itoa::Buffer::new().format(tenth)]);
    }
    out.push_str(unit);
    if !matches!(r.outcome, Outcome::Complete | Outcome::Refused) {
        out.extend([" ", r.outcome.name()]);
    }
}

/// `address` as text. Formatting it as usual takes as long as the rest of the fields together.
fn with_address<T>(address: IpAddr, use_it: impl FnOnce(&str) -> T) -> T {
    let IpAddr::V4(address) = address else { return use_it(&address.to_string()) };
    let mut text = ArrayString::<15>::new();
    for (at, part) in address.octets().into_iter().enumerate() {
        text.push_str(if at > 0 { "." } else { "" });
        text.push_str(itoa::Buffer::new().format(part));
    }
    use_it(&text)
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
    with_address(r.client, |client| field("client", Text(client), false));
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
    if r.answer_findings.total() > 0 {
        field("answer_findings", Text(&r.answer_findings.counts()), false);
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
        ("predicted_ms", r.predicted.map(milliseconds)),
        ("first_byte_ms", r.first_byte.map(milliseconds)),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            field(name, Number(number), false);
        }
    }
    field("duration_ms", Number(milliseconds(r.duration)), true);
    if let Some(error) = &r.error {
        let mut error = cut(error).to_owned();
        redact::scrub(&mut error, 0);
        field("error", Text(&error), false);
    }
}

fn milliseconds(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(ERROR_MAX).map_or(text, |(end, _)| &text[..end])
}
