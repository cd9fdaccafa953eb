//! A finished request in words: one list of fields and one sentence, for every form of the log.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use uuid::fmt::Hyphenated;

use super::{
    access::{AccessRecord, Outcome},
    redact,
};

/// Most characters of an error that are kept.
const ERROR_MAX: usize = 512;

/// `POST /api/chat 200 llama3.2:latest gpu1 12ms`, and how it ended if that is odd.
pub(crate) struct Sentence<'a>(pub(crate) &'a AccessRecord);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let r = self.0;
        f.write_str(r.method.as_str())?;
        f.write_str(" ")?;
        f.write_str(r.route)?;
        write!(f, " {}", r.status)?;
        for name in [&r.model, &r.node].into_iter().flatten() {
            f.write_str(" ")?;
            f.write_str(name)?;
        }
        let us = r.duration.as_micros();
        match us {
            0..10_000 => write!(f, " {}.{}ms", us / 1000, us % 1000 / 100)?,
            10_000..10_000_000 => write!(f, " {}ms", us / 1000)?,
            _ => write!(f, " {}.{}s", us / 1_000_000, us % 1_000_000 / 100_000)?,
        }
        match r.outcome {
            Outcome::Complete | Outcome::Refused => Ok(()),
            other => write!(f, " {}", other.name()),
        }
    }
}

/// Calls `field` with name, value and whether the value is a number, in the order of interest. What is not
/// there is left out; credentials in the error are masked.
pub(crate) fn each_field(r: &AccessRecord, mut field: impl FnMut(&'static str, &str, bool)) {
    field("request_id", r.request_id.as_hyphenated().encode_lower(&mut [0; Hyphenated::LENGTH]), false);
    if let Some(id) = &r.client_request_id {
        field("client_request_id", id, false);
    }
    let mut scratch = String::with_capacity(48);
    let mut print = |name, value: fmt::Arguments<'_>, bare| {
        scratch.clear();
        // Writing to a string does not fail.
        let _ = scratch.write_fmt(value);
        field(name, &scratch, bare);
    };
    print("client", format_args!("{}", r.client), false);
    print("method", format_args!("{}", r.method), false);
    print("route", format_args!("{}", r.route), false);
    if let Some(model) = &r.model {
        print("model", format_args!("{model}"), false);
    }
    if let Some(node) = &r.node {
        print("node", format_args!("{node}"), false);
    }
    print("status", format_args!("{}", r.status), true);
    print("outcome", format_args!("{}", r.outcome.name()), false);
    let numbers = [
        ("retries", Some(u64::from(r.retries))),
        ("bytes_in", Some(r.bytes_in)),
        ("bytes_out", Some(r.bytes_out)),
        ("prompt_tokens", r.prompt_tokens),
        ("output_tokens", r.output_tokens),
        ("first_byte_ms", r.first_byte.map(milliseconds)),
        ("duration_ms", Some(milliseconds(r.duration))),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            print(name, format_args!("{number}"), true);
        }
    }
    if let Some(error) = &r.error {
        scratch.clear();
        scratch.push_str(cut(error));
        redact::scrub(&mut scratch, 0);
        field("error", &scratch, false);
    }
}

fn milliseconds(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(ERROR_MAX).map_or(text, |(end, _)| &text[..end])
}
