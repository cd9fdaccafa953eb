//! The one form in which an entry, a checkpoint or an export is hashed and signed.
//!
//! It is JSON as RFC 8785 (JCS) demands it: members in the order of their names, no space, the shortest
//! escapes, UTF-8. There are only objects, strings and integers below 2^53, and members without a value are
//! left out. So anyone can verify an exported line without this program: take `hash` and `prev` out of the
//! object, write it canonically, and compare SHA-256 over the 32 bytes of `prev` and that text with `hash`.
//!
//! ```python
//! import hashlib, json
//! for line in open("audit.jsonl"):
//!     entry = json.loads(line); hash = entry.pop("hash"); prev = entry.pop("prev")
//!     text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
//!     assert hashlib.sha256(bytes.fromhex(prev) + text.encode()).hexdigest() == hash
//! ```
//!
//! The first entry of a chain has as `prev` the SHA-256 over the text
//! `aivonx audit chain v1\n` daemon id `\n` chain id `\n`.

use std::fmt::{self, Write};

use sha2::{Digest as _, Sha256};

use super::{AuditEntry, Digest, HexBytes};
use crate::Untrusted;

impl AuditEntry {
    /// The hash that this entry should have behind `prev`.
    #[must_use]
    pub fn chained(&self, prev: &Digest) -> Digest {
        chain(prev, self)
    }
}

/// The canonical form of `entry`: what is hashed behind `prev`.
#[must_use]
pub fn form(entry: &AuditEntry) -> String {
    let mut text = String::with_capacity(512);
    object(&mut text, Escapes::Canonical, |o| entry_members(o, entry, false));
    text
}

/// `entry` as one line of an export, without the line's end: the same with `hash` and `prev`, and with
/// characters that could mislead a terminal escaped.
#[must_use]
pub fn line(entry: &AuditEntry) -> String {
    let mut text = String::with_capacity(768);
    object(&mut text, Escapes::Terminal, |o| entry_members(o, entry, true));
    text
}

/// SHA-256 over `prev` and the canonical form of `entry`.
#[must_use]
pub fn chain(prev: &Digest, entry: &AuditEntry) -> Digest {
    let mut hash = Sha256::new();
    hash.update(prev.0);
    hash.update(form(entry).as_bytes());
    HexBytes(hash.finalize().into())
}

/// What stands in place of the hash before the first entry of the chain `chain` of the daemon `daemon`.
#[must_use]
pub fn genesis(daemon: &str, chain: &str) -> Digest {
    HexBytes(Sha256::digest(format!("aivonx audit chain v1\n{daemon}\n{chain}\n").as_bytes()).into())
}

fn entry_members(o: &mut Members<'_>, e: &AuditEntry, with_hashes: bool) {
    o.text("action", e.action.as_str());
    o.object("actor", |o| {
        o.maybe("id", e.actor.id.as_deref());
        o.text("name", &e.actor.name);
    });
    o.object("details", |o| e.details.iter().for_each(|(name, value)| o.text(name, value)));
    if with_hashes {
        o.shown("hash", e.hash);
    }
    if let Some(object) = &e.object {
        o.object("object", |o| {
            o.maybe("id", object.id.as_deref());
            o.text("kind", &object.kind);
            o.maybe("name", object.name.as_deref());
        });
    }
    if let Some(organization) = &e.organization {
        o.object("organization", |o| {
            o.text("id", &organization.id);
            o.maybe("name", organization.name.as_deref());
        });
    }
    o.text("outcome", e.outcome.as_str());
    if with_hashes {
        o.shown("prev", e.prev);
    }
    o.maybe("request_id", e.request_id.as_deref());
    o.number("seq", e.seq);
    o.object("source", |o| {
        o.maybe("address", e.source.address.as_deref());
        e.source.gid.inspect(|gid| o.number("gid", *gid));
        e.source.pid.inspect(|pid| o.number("pid", *pid));
        e.source.uid.inspect(|uid| o.number("uid", *uid));
        o.maybe("user_agent", e.source.user_agent.as_deref());
    });
    o.number("time", e.time);
    o.maybe("via", e.via.as_deref());
}

/// Which characters of a string are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// Those RFC 8785 says.
    Canonical,
    /// And those that could mislead a terminal.
    Terminal,
}

/// Writes one object; `members` adds its members in the order of their names.
pub(super) fn object(out: &mut String, escapes: Escapes, members: impl FnOnce(&mut Members<'_>)) {
    out.push('{');
    members(&mut Members { out, escapes, first: true });
    out.push('}');
}

/// The members of an object being written.
pub(super) struct Members<'a> {
    out: &'a mut String,
    escapes: Escapes,
    first: bool,
}

impl Members<'_> {
    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.first) {
            self.out.push(',');
        }
        string(self.out, self.escapes, name);
        self.out.push(':');
    }

    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        string(self.out, self.escapes, value);
    }

    pub(super) fn maybe(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// A value whose text needs no escapes.
    pub(super) fn shown(&mut self, name: &str, value: impl fmt::Display) {
        self.name(name);
        put(self.out, format_args!("\"{value}\""));
    }

    pub(super) fn number(&mut self, name: &str, value: impl fmt::Display) {
        self.name(name);
        put(self.out, format_args!("{value}"));
    }

    pub(super) fn object(&mut self, name: &str, members: impl FnOnce(&mut Members<'_>)) {
        self.name(name);
        object(self.out, self.escapes, members);
    }
}

fn put(out: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = out.write_fmt(text);
}

fn string(out: &mut String, escapes: Escapes, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => put(out, format_args!("\\u{:04x}", u32::from(c))),
            c if escapes == Escapes::Terminal && Untrusted::is_hostile(c) => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| put(out, format_args!("\\u{unit:04x}")));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
