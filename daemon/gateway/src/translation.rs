//! The seam to [`aivonx_wire::translate`]: what a node is asked whose API is not the client's, and what becomes of its
//! answer. It stands below limits, policy and privacy, which are about the client's request.

use aivonx_wire::{
    api::{Pieces, route::Stream},
    translate::{About, Api, LONGEST, Request, Translator, Wishes, request},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use jiff::Timestamp;

use super::{
    answer::{self, Answer},
    aside::{self, aside},
    body::{BodyError, Collected, VerdictError},
    budget::Held,
    deadline::{InFlight, Waiting},
    error_response::Refusal,
    exchange::Exchange,
    gather::Gather,
    headers,
    meaning::{Blame, Meaning},
    opened::is_stream,
    trial::Answered,
};

/// How a request was translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Translated {
    client: Api,
    pub(super) node: Api,
    wishes: Wishes,
}

/// What a translated request comes to.
pub(super) enum Body {
    Send(Collected),
    /// Nothing is asked of a node: this is the answer.
    Answer(Bytes),
}

/// What an answer says of itself.
pub(super) fn about(id: &str, model: Option<&str>) -> About {
    let now = Timestamp::now();
    let (id, model) = (id.into(), model.unwrap_or_default().into());
    let created_at = now.to_string().into();
    About { id, model, created: now.as_second(), created_at, begun: None, prompt: 0, asked: None }
}

/// Translates a body from the client's API to the node's.
///
/// # Errors
/// Something in it has no counterpart, or there is no room for it.
pub(super) fn write(
    (client, node): (Api, Api),
    asks_usage: bool,
    about: &About,
    segments: &[Bytes],
    mut gather: Gather,
) -> Result<(Body, Translated), Refusal> {
    let joined;
    let body = match segments {
        [whole] => &whole[..],
        segments => {
            joined = segments.concat();
            &joined
        }
    };
    Ok(match request(client, node, asks_usage, about, body)? {
        Request::Send(node, body, wishes) => {
            gather.copy(&body)?;
            (Body::Send(gather.into()), Translated { client, node, wishes })
        }
        Request::Answer(answer) => {
            (Body::Answer(answer.into()), Translated { client, node, wishes: Wishes::default() })
        }
    })
}

impl Translated {
    /// `anthropic>openai`: the client's dialect, then the node's.
    pub(super) fn heading(&self) -> HeaderValue {
        let names = format!("{}>{}", self.client.dialect().name(), self.node.dialect().name());
        HeaderValue::from_str(&names).unwrap_or(HeaderValue::from_static("unknown"))
    }

    /// What turns the node's answer, a stream or one object, into the client's.
    pub(super) fn translator(self, about: About, status: StatusCode, streams: bool) -> Translator {
        let Self { client, node, wishes } = self;
        match (status.is_success(), streams) {
            (false, _) => Translator::error(client, about, status),
            (true, true) => Translator::stream(client, node, about, wishes),
            (true, false) => Translator::whole(client, node, about, wishes),
        }
    }
}

/// An answer in one piece that was translated before its head went out.
pub(super) struct Written {
    /// Puts out what it came to.
    pub(super) translator: Translator,
    /// What it and the node's answer take of the budget.
    pub(super) held: Held,
    /// It tells tokens that the node did not count.
    pub(super) estimated: bool,
}

/// Reads all of an answer in one piece that has to be translated, and does that, while its head can still say that it
/// cannot be. None of any other answer.
///
/// # Errors
/// It broke off, or is no answer in the node's API: the node is to blame. Or there is no room for it.
pub(super) async fn write_whole(
    exchange: &mut Exchange,
    flight: &InFlight,
    answered: &mut Answered,
    stream: Stream,
    mut held: Held,
) -> Result<Option<Written>, Refusal> {
    let Answered { opened, lease, asked } = answered;
    let Some(translated) = &asked.translated else { return Ok(None) };
    let incoming = &mut opened.incoming;
    let status = incoming.status;
    if opened.meaning != Meaning::Served
        || !status.is_success()
        || is_stream(stream, status, &incoming.headers)
    {
        return Ok(None);
    }
    let mut read: usize = incoming.body.ahead().map(Bytes::len).sum();
    charge(&mut held, read)?;
    let came = loop {
        flight.allow(Waiting::Chunk, exchange.worker.now(), exchange.settings.idle);
        match flight.watch(incoming.body.read_ahead()).await.map_err(VerdictError)? {
            Some(Ok(piece)) if read + piece.len() <= LONGEST => {
                charge(&mut held, piece.len())?;
                read += piece.len();
            }
            Some(Ok(_)) => break Err("the node's answer is too long".to_owned()),
            Some(Err(error)) => break Err(format!("the node's answer broke off: {error}")),
            None => break Ok(()),
        }
    };
    let model = asked.served.as_deref().or(exchange.record.model.as_deref());
    let prompt = exchange.prompt_estimate();
    let about = About { begun: Some(exchange.begun().at), prompt, ..about(exchange.id(), model) };
    let pieces: Vec<Bytes> = incoming.body.ahead().cloned().collect();
    let (to, of) = (translated.clone(), about.clone());
    let translate = move || {
        let mut translator = to.translator(of, status, false);
        let mut out = Pieces::default();
        pieces.iter().for_each(|piece| translator.pass(piece, &mut out));
        translator.finish(&mut out).map(|()| (out, translator.is_estimated()))
    };
    let written = match came {
        Err(why) => Err(why),
        Ok(()) if read as u64 <= aside::LARGE => translate().map_err(str::to_owned),
        Ok(()) => {
            let done = flight.watch(aside(translate)).await.map_err(VerdictError)?;
            done.ok_or(Refusal::Internal("the answer could not be translated"))?.map_err(str::to_owned)
        }
    };
    let (written, estimated) = written.map_err(|why| {
        let node = lease.node();
        exchange.record.node = Some(node.name.clone());
        exchange.failed(node, why.clone());
        Blame::Model.on(node, exchange.model());
        Refusal::NodeFailed { node: node.name.to_string(), why }
    })?;
    charge(&mut held, written.iter().map(Bytes::len).sum())?;
    Ok(Some(Written { translator: Translator::written(translated.client, about, written), held, estimated }))
}

fn charge(held: &mut Held, bytes: usize) -> Result<(), BodyError> {
    if held.grow(bytes as u64) { Ok(()) } else { Err(BodyError::Budget) }
}

/// An answer that no node was asked for.
pub(super) fn alone(translated: Option<Translated>, body: Bytes) -> Answer {
    let mut answer = answer::json(StatusCode::OK, body);
    if let Some(translated) = translated {
        answer.headers_mut().insert(headers::X_AIVONX_TRANSLATED, translated.heading());
    }
    answer
}
