//! The body that asks a node for one of the models.

use std::sync::Arc;

use aivonx_wire::{
    api::Edits,
    translate::{About, Api},
};
use bytes::Bytes;

use crate::{
    aside::{self, aside, discard},
    body::{BodyError, Collected},
    error_response::Refusal,
    gather::Gather,
    translation::{self, Translated},
};

/// The body for one of the models.
pub(super) enum Written {
    /// The client's.
    AsItCame,
    /// That one with a few changes: most of it is not copied.
    Spliced(Vec<Bytes>),
    /// That one with many changes.
    Anew(Collected),
    /// None: the gateway has the answer.
    Nothing(Bytes),
}

/// Changes that are made on the thread that serves the request.
const FEW: usize = 256;

/// Changes that are so many that only other threads go through them.
pub(in super::super) struct Many(Option<Arc<Edits>>);

impl Many {
    /// All of `edits`, if they are that many.
    pub(in super::super) fn of(edits: &mut Edits) -> Option<Self> {
        (edits.len() > FEW).then(|| Self(Some(Arc::new(std::mem::take(edits)))))
    }
}

impl Drop for Many {
    fn drop(&mut self) {
        discard(self.0.take());
    }
}

/// Pieces between changes that are not copied.
const PIECE: usize = 4 << 10;

impl Written {
    /// What is sent, of a request whose body `came`.
    pub(super) fn segments<'w>(&'w self, came: &'w Collected) -> &'w [Bytes] {
        match self {
            Self::AsItCame => &came.segments,
            Self::Spliced(segments) => segments,
            Self::Anew(body) => &body.segments,
            Self::Nothing(_) => &[],
        }
    }
}

/// The body that `came`, with `edits`, and with many more if there are.
///
/// # Errors
/// [`BodyError::Budget`]: with the changes it is there twice.
pub(super) async fn write(edits: Edits, many: Option<&Many>, came: &Collected) -> Result<Written, Refusal> {
    let segments = &came.segments;
    if let Some(many) = many.and_then(|many| many.0.clone()) {
        let (segments, gather) = (segments.clone(), came.beside());
        let anew = aside(move || anew(&many, &edits, &segments, gather)).await;
        return Ok(Written::Anew(anew.ok_or(Refusal::Internal("the body could not be changed"))??));
    }
    if edits.is_empty() {
        return Ok(Written::AsItCame);
    }
    Ok(Written::Spliced(edits.apply(segments)))
}

/// What says to a node of another API what `written` says of the body that `came`.
///
/// # Errors
/// As of [`write`], or it has no counterpart there.
pub(super) async fn translate(
    apis: (Api, Api),
    asks: bool,
    about: About,
    written: &Written,
    came: &Collected,
) -> Result<(Written, Translated), Refusal> {
    let (segments, gather) = (written.segments(came).to_vec(), came.beside());
    // To be read it must lie in one piece.
    let mut joined = Collected::from(came.beside());
    if segments.len() > 1 {
        joined.charge(segments.iter().map(|segment| segment.len() as u64).sum())?;
    }
    let work = move || {
        let _joined = joined;
        translation::write(apis, asks, &about, &segments, gather)
    };
    let done = match came.bytes > aside::LARGE {
        true => aside(work).await.ok_or(Refusal::Internal("the body could not be translated"))?,
        false => work(),
    };
    let (body, translated) = done?;
    let written = match body {
        translation::Body::Send(body) => Written::Anew(body),
        translation::Body::Answer(answer) => Written::Nothing(answer),
    };
    Ok((written, translated))
}

/// The body with `many` changes and `others`: what lies between changes is mostly too short to be worth a piece of
/// its own.
fn anew(
    many: &Edits,
    others: &Edits,
    segments: &[Bytes],
    mut gather: Gather,
) -> Result<Collected, BodyError> {
    let mut done = Ok(());
    many.pieces(others, segments, |piece| {
        if done.is_ok() {
            done = if piece.len() < PIECE { gather.copy(&piece) } else { gather.keep(piece) };
        }
    });
    done.map(|()| gather.into())
}
