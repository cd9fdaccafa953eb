//! What is done with what is found.

use std::borrow::Cow;

use aivonx_domain::Findings;
use aivonx_protocol::organization::PrivacyMode;

use super::{
    Privacy,
    body::{Edit, Reader, Unsearchable, apply},
    find::Hint,
};
use crate::api::Edits;

/// Why a prompt is not passed on. It never says what was found, only of which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// Personal data or credentials are in it, and the mode is `block`.
    #[error("the prompt contains {}; remove it and try again", .0.kinds())]
    Found(Findings),
    /// It cannot be searched, and the mode does not let that pass.
    #[error("{0}")]
    Unsearchable(Unsearchable),
}

/// Searches a request body, which [`Peek`](crate::api::Peek) has read, and adds to `edits` what must be replaced.
///
/// # Errors
/// [`Blocked`] under `block` if anything was found, and under `redact` and `block` if it cannot be searched. Then
/// `edits` are as they were.
pub fn screen(privacy: Privacy, body: &[u8], edits: &mut Edits) -> Result<Findings, Blocked> {
    if privacy.is_off() {
        return Ok(Findings::default());
    }
    let enforces = privacy.enforces();
    if enforces && std::str::from_utf8(body).is_err() {
        return Err(Blocked::Unsearchable(Unsearchable::Encoding));
    }
    let mut reader = Reader::new(privacy.wanted, enforces);
    let mut changes = Vec::new();
    let searched = reader.json(body, 0, &mut changes);
    conclude(privacy, searched, reader.findings)?;
    if privacy.mode == PrivacyMode::Redact {
        for Edit { range, text } in changes {
            match text {
                Cow::Borrowed(text) => edits.push(range, text),
                Cow::Owned(text) => edits.push(range, text),
            }
        }
    }
    Ok(reader.findings)
}

/// Searches one text, as if it were the content of a message, and returns it as it would be passed on.
///
/// # Errors
/// As [`screen`].
pub fn redact_text(privacy: Privacy, text: &str) -> Result<(String, Findings), Blocked> {
    if privacy.is_off() {
        return Ok((text.to_owned(), Findings::default()));
    }
    let mut reader = Reader::new(privacy.wanted, privacy.enforces());
    let mut changes = Vec::new();
    let searched = reader.text_or_json(text.as_bytes(), Hint::default(), 0, &mut changes);
    conclude(privacy, searched, reader.findings)?;
    if privacy.mode != PrivacyMode::Redact {
        return Ok((text.to_owned(), reader.findings));
    }
    // Markers and the text between them are UTF-8, and findings are whole characters.
    Ok((String::from_utf8_lossy(&apply(text.as_bytes(), &changes)).into_owned(), reader.findings))
}

fn conclude(privacy: Privacy, searched: Result<(), Unsearchable>, findings: Findings) -> Result<(), Blocked> {
    match searched {
        Err(why) if privacy.enforces() => Err(Blocked::Unsearchable(why)),
        _ if privacy.mode == PrivacyMode::Block && findings.total() > 0 => Err(Blocked::Found(findings)),
        _ => Ok(()),
    }
}
