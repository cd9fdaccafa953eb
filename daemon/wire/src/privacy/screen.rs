//! What is done with what is found.

use std::{borrow::Cow, sync::Arc};

use aivonx_domain::Findings;
use aivonx_protocol::organization::PrivacyMode;

use super::{
    Privacy, Screening, Wanted,
    body::{Edit, Reader, Unsearchable, apart, apply},
    find::Hint,
};
use crate::api::Edits;

/// Why a prompt is not passed on. It never says what was found, only of which kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// Personal data or credentials are in it, and the mode is `block`.
    #[error("the prompt contains {}; remove it and try again", .0.kinds())]
    Found(Findings),
    /// A pattern of the organization's own refuses it.
    #[error("the prompt contains what the pattern {0} refuses; remove it and try again")]
    Refused(Arc<str>, Findings),
    /// It cannot be searched, and the mode does not let that pass.
    #[error("{0}")]
    Unsearchable(Unsearchable),
}

/// Searches a request body, which [`Peek`](crate::api::Peek) has read, and adds to `edits` what must be replaced.
///
/// # Errors
/// [`Blocked`] under `block` if anything was found, if a pattern refuses it, and under `redact` and `block` if it cannot
/// be searched. Then `edits` are as they were.
pub fn screen(screening: &Screening, body: &[u8], edits: &mut Edits) -> Result<Findings, Blocked> {
    if screening.enforces() && std::str::from_utf8(body).is_err() {
        return Err(Blocked::Unsearchable(Unsearchable::Encoding));
    }
    let (changes, findings) = search(screening, |reader, changes| reader.json(body, 0, changes))?;
    for Edit { range, text } in changes {
        match text {
            Cow::Borrowed(text) => edits.push(range, text),
            Cow::Owned(text) => edits.push(range, text),
        }
    }
    Ok(findings)
}

/// Searches one text, as if it were the content of a message, and returns it as it would be passed on.
///
/// # Errors
/// As [`screen`].
pub fn redact_text(screening: &Screening, text: &str) -> Result<(String, Findings), Blocked> {
    let (changes, findings) = search(screening, |reader, changes| {
        reader.text_or_json(text.as_bytes(), Hint::default(), 0, changes)
    })?;
    // Markers and the text between them are UTF-8, and findings are whole characters.
    Ok((String::from_utf8_lossy(&apply(text.as_bytes(), &changes)).into_owned(), findings))
}

/// Searches for what is wanted, and then for the organization's own patterns: those have actions of their own.
fn search(
    screening: &Screening,
    mut read: impl FnMut(&mut Reader, &mut Vec<Edit>) -> Result<(), Unsearchable>,
) -> Result<(Vec<Edit>, Findings), Blocked> {
    let Screening { privacy, own } = screening;
    let (mut changes, mut findings) = (Vec::new(), Findings::default());
    if !privacy.is_off() {
        let mut reader = Reader::new(privacy.wanted, privacy.enforces());
        let searched = read(&mut reader, &mut changes);
        findings = reader.findings;
        conclude(*privacy, searched, findings)?;
        if privacy.mode != PrivacyMode::Redact {
            changes.clear();
        }
    }
    if let Some(own) = own {
        let mut reader = Reader::new(Wanted::NONE, screening.enforces());
        reader.own = Some(own.clone());
        let mut more = Vec::new();
        let searched = read(&mut reader, &mut more);
        findings.join(&reader.findings);
        if let Some(name) = reader.refused {
            return Err(Blocked::Refused(name, findings));
        }
        // What cannot be searched may be what a pattern refuses.
        if screening.enforces() {
            searched.map_err(Blocked::Unsearchable)?;
        }
        changes.append(&mut more);
        apart(&mut changes, 0);
    }
    Ok((changes, findings))
}

fn conclude(privacy: Privacy, searched: Result<(), Unsearchable>, findings: Findings) -> Result<(), Blocked> {
    match searched {
        Err(why) if privacy.enforces() => Err(Blocked::Unsearchable(why)),
        _ if privacy.mode == PrivacyMode::Block && findings.total() > 0 => Err(Blocked::Found(findings)),
        _ => Ok(()),
    }
}
