//! Makes a record a tracing event again, for layers of tracing that write somewhere.
//!
//! The event goes straight to one subscriber, beside the macros and dispatchers of tracing. A second
//! dispatcher would be felt by the whole daemon: every event would have to ask both whether it is wanted. So
//! no filter sees these events either, which is right: a record has passed one.

use aivonx_protocol::log::Level;
use tracing::{
    Event, Metadata, Subscriber,
    callsite::{Callsite, Identifier},
    field::{FieldSet, Value},
    metadata::Kind,
    subscriber::Interest,
};

use super::{
    fields::{FIELDS, NAMES, OWN},
    format::{escape, human_field},
    messages::{self, IDENTIFIER},
    view::View,
};

/// Hands `record` to `to` as an event with those fields of [`NAMES`] that it has. All values are texts, escaped.
pub(crate) fn reissue(record: View<'_>, to: &impl Subscriber) {
    let text = record.text();
    let mut values = [const { None::<String> }; NAMES.len()];
    let (own, documented) = values.split_at_mut(OWN.len());
    let mut other = String::new();
    for field in text.fields() {
        match FIELDS.iter().position(|name| *name == field.name) {
            Some(i) => documented[i] = Some(escaped(&field.value)),
            None => human_field(field.name, &field.value, field.bare, &mut other),
        }
    }
    // In the order of OWN.
    own[0] = Some(escaped(text.message()));
    own[1] = text.field("event").and_then(messages::id_of).map(str::to_owned);
    own[2] = Some(escaped(record.target));
    own[3] = i64::try_from(record.time)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map(|time| format!("{time:.3}"));
    own[4] = other.strip_prefix(' ').map(str::to_owned);

    let values = values.each_ref().map(|value| value.as_ref().map(|text| text as &dyn Value));
    let meta = match record.level {
        Level::Error => &ERROR,
        Level::Warn => &WARN,
        Level::Info => &INFO,
        Level::Debug => &DEBUG,
        Level::Trace => &TRACE,
    };
    // Hidden in tracing's docs, yet fixed: its macros expand to it.
    to.event(&Event::new(meta, &meta.fields().value_set_all(&values)));
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape(text, &mut out);
    out
}

static ERROR: Metadata<'static> = metadata(tracing::Level::ERROR);
static WARN: Metadata<'static> = metadata(tracing::Level::WARN);
static INFO: Metadata<'static> = metadata(tracing::Level::INFO);
static DEBUG: Metadata<'static> = metadata(tracing::Level::DEBUG);
static TRACE: Metadata<'static> = metadata(tracing::Level::TRACE);

const fn metadata(level: tracing::Level) -> Metadata<'static> {
    let fields = FieldSet::new(&NAMES, Identifier(&SITE));
    Metadata::new("record", IDENTIFIER, level, None, None, None, fields, Kind::EVENT)
}

/// What the fields belong to. Never registered: nothing asks whether our events are wanted.
struct Site {
    /// Gives the static an address of its own, by which tracing distinguishes sites.
    _address: u8,
}

static SITE: Site = Site { _address: 0 };

impl Callsite for Site {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        &INFO
    }
}
