//! Tests of the whole: a corpus, properties of what comes out, and what each dialect sends.

mod assigned;
mod beside;
mod corpus;
mod dialects;
mod holes;
mod kinds;
mod own;
mod parts;
mod planted;
mod properties;
mod spread;

use aivonx_domain::Findings;
use aivonx_protocol::organization::PrivacyMode;
use bytes::Bytes;

use super::{Blocked, Privacy, Screening, screen};
use crate::api::Edits;

fn privacy(mode: PrivacyMode) -> Screening {
    Privacy { mode, ..Privacy::OFF }.into()
}

/// The body as a node would get it under `redact`.
fn redacted(body: &str) -> Result<(String, Findings), Blocked> {
    let mut edits = Edits::default();
    let findings = screen(&privacy(PrivacyMode::Redact), body.as_bytes(), &mut edits)?;
    let out = edits.apply(&[Bytes::copy_from_slice(body.as_bytes())]).concat();
    Ok((String::from_utf8(out).unwrap(), findings))
}

/// The same, where that must be possible.
fn redact(body: &str) -> String {
    redacted(body).unwrap().0
}
