//! The lines of finished requests, written fast.
//!
//! They say what [`super::wording`] says, in the forms of [`super::format`]: a busy gateway writes a hundred thousand of
//! them a second, and most of each is what many others say too. Those parts are written once and remembered. What is
//! not quite ordinary is left to the slow way.

use std::{net::IpAddr, sync::Arc};

use aivonx_config::LogFormat;
use aivonx_domain::{
    access::{AccessRecord, Outcome, Subject},
    batch::Places,
};
use uuid::fmt::Hyphenated;

use super::{
    format::{human_field, is_plain, json_field},
    wording::{Value, each_field, milliseconds, push_address, push_beginning, push_ending, push_number},
};

/// Most that are remembered: some half a megabyte.
const PHRASES_MAX: usize = 1024;

/// Longest text that the fast way writes; some way below the length at which one is cut.
const TEXT_MAX: usize = 512;

/// Parts of lines that were written before.
#[derive(Debug)]
pub(crate) struct Phrases {
    format: LogFormat,
    /// Each has one place, at which the last one stays.
    known: Vec<Option<Box<Known>>>,
    client: Option<IpAddr>,
    /// Its text.
    address: String,
}

/// None of what is for the slow way.
type Known = (Key, Option<Phrase>);

/// What requests share that share a phrase: what they are about, their method and their status.
type Key = (Places, u8, u16);

#[derive(Debug)]
struct Phrase {
    /// The beginning of the sentence.
    beginning: String,
    /// The fields that say whose the request was and what it was about, from after the client on.
    about: String,
    /// What lies at the key's places, so that nothing else will as long as this is remembered.
    _held: (Option<Arc<Subject>>, [Option<Arc<str>>; 3]),
}

impl Phrases {
    /// For lines of one form.
    pub(crate) fn new(format: LogFormat) -> Self {
        Self { format, known: Vec::new(), client: None, address: String::new() }
    }

    /// Appends the sentence and the fields about `r`. False, and nothing appended, if that is for the slow way.
    pub(crate) fn push(&mut self, r: &AccessRecord, out: &mut String) -> bool {
        let Some(method) = method(r) else { return false };
        let short = r.client_request_id.as_ref().is_none_or(|id| id.len() <= TEXT_MAX);
        if !short || r.error.is_some() || r.limit.is_some() || r.findings.total() > 0 {
            return false;
        }
        if self.client != Some(r.client) {
            self.client = Some(r.client);
            self.address.clear();
            push_address(r.client, &mut self.address);
        }
        let key = (r.places(), method, r.status);
        let format = self.format;
        if self.known.is_empty() {
            self.known.resize_with(PHRASES_MAX, || None);
        }
        let known = match &mut self.known[place(&key)] {
            Some(known) if known.0 == key => known,
            other => other.insert(Box::new((key, Phrase::of(r, format)))),
        };
        let Some(phrase) = &known.1 else { return false };
        match format {
            LogFormat::Human => human(r, phrase, &self.address, out),
            LogFormat::Json => json(r, phrase, &self.address, out),
        }
        true
    }
}

/// The place of a key among [`PHRASES_MAX`]: something of all its bits, in the highest of a product.
fn place((places, method, status): &Key) -> usize {
    let seed = (u64::from(*status) << 8) | u64::from(*method);
    let mixed =
        places.iter().fold(seed, |sum, place| (sum.rotate_left(11) ^ *place as u64).wrapping_mul(MIX));
    (mixed >> 32) as usize % PHRASES_MAX
}

/// Odd, with bits set everywhere.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number for each of the usual methods.
fn method(r: &AccessRecord) -> Option<u8> {
    Some(match r.method {
        http::Method::POST => 0,
        http::Method::GET => 1,
        http::Method::HEAD => 2,
        http::Method::DELETE => 3,
        http::Method::OPTIONS => 4,
        http::Method::PUT => 5,
        _ => return None,
    })
}

impl Phrase {
    /// None if these words need more care.
    fn of(r: &AccessRecord, format: LogFormat) -> Option<Self> {
        let mut beginning = String::new();
        push_beginning(r, &mut beginning);
        if beginning.len() > TEXT_MAX || !is_plain(&beginning) {
            return None;
        }
        let mut about = String::new();
        let mut long = false;
        each_field(r, |name, value, said| {
            let Value::Text(text) = value else { return };
            long |= text.len() > TEXT_MAX;
            match (name, format) {
                ("request_id" | "client_request_id" | "client" | "outcome", _) => {}
                (_, LogFormat::Human) if said => {}
                (_, LogFormat::Human) => human_field(name, text, false, &mut about),
                (_, LogFormat::Json) => json_field(name, text, &mut about),
            }
        });
        let held = (r.subject.clone(), [r.model.clone(), r.served.clone(), r.node.clone()]);
        (!long && about.len() <= 4 * TEXT_MAX).then_some(Self { beginning, about, _held: held })
    }
}

fn human(r: &AccessRecord, phrase: &Phrase, address: &str, out: &mut String) {
    out.push_str(&phrase.beginning);
    push_ending(r, out);
    out.push_str(" request_id=");
    push_id(r, out);
    if let Some(id) = &r.client_request_id {
        human_field("client_request_id", id, false, out);
    }
    out.push_str(" client=");
    out.push_str(address);
    out.push_str(&phrase.about);
    if r.outcome != Outcome::Complete {
        out.push_str(" outcome=");
        out.push_str(r.outcome.name());
    }
    let mut number = |name: &str, number: Option<u64>| {
        if let Some(number) = number {
            out.push_str(name);
            push_number(number, out);
        }
    };
    number(" retries=", Some(r.retries.into()).filter(|n| *n > 0));
    number(" bytes_in=", Some(r.bytes_in));
    number(" bytes_out=", Some(r.bytes_out));
    number(" prompt_tokens=", r.prompt_tokens);
    number(" output_tokens=", r.output_tokens);
    number(" cost_microusd=", Some(r.cost).filter(|n| *n > 0));
    number(" queued_ms=", r.queued.map(milliseconds));
    number(" first_byte_ms=", r.first_byte.map(milliseconds));
}

fn json(r: &AccessRecord, phrase: &Phrase, address: &str, out: &mut String) {
    out.push('"');
    // Neither quotes nor backslashes come from the names: they would be for the slow way.
    out.push_str(&phrase.beginning);
    push_ending(r, out);
    out.push_str("\",\"request_id\":\"");
    push_id(r, out);
    out.push('"');
    if let Some(id) = &r.client_request_id {
        json_field("client_request_id", id, out);
    }
    out.push_str(",\"client\":\"");
    out.push_str(address);
    out.push('"');
    out.push_str(&phrase.about);
    out.push_str(",\"status\":");
    push_number(r.status.into(), out);
    out.push_str(",\"outcome\":\"");
    out.push_str(r.outcome.name());
    out.push_str("\",\"retries\":");
    push_number(r.retries.into(), out);
    let mut number = |name: &str, number: Option<u64>| {
        if let Some(number) = number {
            out.push_str(name);
            push_number(number, out);
        }
    };
    number(",\"bytes_in\":", Some(r.bytes_in));
    number(",\"bytes_out\":", Some(r.bytes_out));
    number(",\"prompt_tokens\":", r.prompt_tokens);
    number(",\"output_tokens\":", r.output_tokens);
    number(",\"cost_microusd\":", Some(r.cost).filter(|n| *n > 0));
    number(",\"queued_ms\":", r.queued.map(milliseconds));
    number(",\"first_byte_ms\":", r.first_byte.map(milliseconds));
    number(",\"duration_ms\":", Some(milliseconds(r.duration)));
}

fn push_id(r: &AccessRecord, out: &mut String) {
    out.push_str(r.request_id.as_hyphenated().encode_lower(&mut [0; Hyphenated::LENGTH]));
}
