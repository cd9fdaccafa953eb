//! Bodies that are forms with files: read, searched, and written anew for the node.

use aivonx_identity::Caller;
use aivonx_wire::api::{
    Edits, Peek,
    form::{self, Form, Upload},
    route::Forward,
};
use bytes::Bytes;
use http::{HeaderMap, header};

use super::{
    aside::aside,
    body::{Collected, VerdictError},
    deadline::Waiting,
    error_response::Refusal,
    exchange::Exchange,
    headers, privacy,
    worker::Watched,
};

/// What a form is for.
pub(super) struct Sent<'a> {
    pub(super) route: &'a Forward,
    pub(super) upload: Upload,
    pub(super) caller: &'a Caller,
    pub(super) headers: &'a HeaderMap,
}

/// The form as a node gets it, and what the gateway has to know of it. Its texts are searched here, before the model is
/// known, because they are not written afterwards.
pub(super) async fn read(
    exchange: &mut Exchange,
    flight: &Watched,
    sent: Sent<'_>,
    mut body: Collected,
) -> Result<(Collected, Box<Peek>), Refusal> {
    let content_type = sent.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary = form::boundary(content_type.unwrap_or_default())?;
    // The body is there; what is waited for from now on is the answer.
    flight.allow(Waiting::Work, exchange.worker.now(), exchange.settings.header_wait);
    let (segments, upload) = (body.segments.clone(), sent.upload);
    let read = aside(move || Form::read(&segments, &boundary, upload));
    let read = flight.watch(read).await.map_err(VerdictError)?;
    let mut form = read.ok_or(Refusal::Internal("the form could not be read"))??;
    if sent.route.prompts()
        && let Some(screening) = privacy::of(exchange, sent.caller)
    {
        let mut edits = Edits::default();
        let mut texts = body.beside();
        texts.copy(form.texts().as_bytes())?;
        let mut texts = Collected::from(texts);
        privacy::screen(exchange, flight, &screening, &mut texts, &mut edits).await?;
        if !edits.is_empty() && !form.replace_texts(&edits.apply(&texts.segments).concat()) {
            return Err(Refusal::Internal("the texts of the form could not be replaced"));
        }
    }
    let (segments, peek) = form.write(&headers::boundary(exchange.id()))?;
    let bytes = segments.iter().map(Bytes::len).sum::<usize>() as u64;
    let held = body.take().held.take();
    Ok((Collected { segments: segments.into(), bytes, held }, Box::new(peek)))
}
