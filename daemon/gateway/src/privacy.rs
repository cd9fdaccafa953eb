//! Personal data in prompts and answers: they are searched as the caller's modes say.

use aivonx_domain::Findings;
use aivonx_identity::Caller;
use aivonx_wire::{
    api::{
        Edits,
        route::{Forward, Output, Stream},
    },
    privacy::{self, Blocked, Screening, answer::Screen},
};
use http::HeaderValue;

use super::{
    aside::aside,
    body::{BodyError, Collected, VerdictError},
    deadline::Waiting,
    error_response::Refusal,
    exchange::Exchange,
    socket::HandshakeError,
    worker::Watched,
};

/// What a search found, the body, and what must be replaced in it.
type Searched = (Result<Findings, Blocked>, Collected, Edits);

/// Refuses what is said over a websocket, which is not searched, where it would have to be.
pub(super) fn refuse_unsearched(exchange: &Exchange, caller: &Caller) -> Result<(), HandshakeError> {
    if of(exchange, caller).is_some() { Err(HandshakeError::Private) } else { Ok(()) }
}

/// Up to this many bytes are searched where they are: as long as a handful of requests take.
const AT_ONCE: u64 = 64 << 10;

/// What is looked for in the prompts of a caller and the answers to them, if anything is.
pub(super) fn of(exchange: &Exchange, caller: &Caller) -> Option<Screening> {
    let some = |screening: &Screening| {
        (!screening.is_off() || !screening.is_off_for_answers()).then(|| screening.clone())
    };
    match caller.organization() {
        Some(organization) => some(&organization.screening),
        None => some(exchange.worker.shared.identity.hot().load().screening()),
    }
}

/// How answers are searched.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    screening: Screening,
    framing: Stream,
}

impl Answers {
    /// Of answers that are framed so if they stream; None if nothing is looked for.
    pub(super) fn of(screening: Screening, framing: Stream) -> Option<Self> {
        (!screening.is_off_for_answers()).then_some(Self { screening, framing })
    }

    /// The same for a route; vectors are not searched.
    pub(super) fn on(screening: Screening, route: &Forward) -> Option<Self> {
        let writes = route.output != Output::Nothing || route.optional || route.form.is_some();
        if writes { Self::of(screening, route.stream) } else { None }
    }

    /// What searches an answer of this type, by what it says to be as well; None for sound and the like.
    pub(super) fn screen(&self, streams: bool, content_type: Option<&HeaderValue>) -> Option<Screen> {
        let content_type = content_type.map_or(b"".as_slice(), HeaderValue::as_bytes);
        let begins = |with: &str| {
            content_type.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with.as_bytes()))
        };
        if ["audio/", "image/", "video/", "application/octet-stream"].into_iter().any(begins) {
            return None;
        }
        // Routes that never stream as a rule do with some engines: text of speech comes in events.
        let framing = if begins("text/event-stream") {
            Some(if self.framing == Stream::Ndjson { Stream::Done } else { self.framing })
        } else if begins("application/x-ndjson") {
            Some(Stream::Ndjson)
        } else {
            streams.then_some(self.framing)
        };
        Some(Screen::new(&self.screening, framing))
    }
}

/// Searches the body of a request that carries a prompt: adds what must be replaced to `edits` and counts what was
/// found in the record.
pub(super) async fn screen(
    exchange: &mut Exchange,
    flight: &Watched,
    screening: &Screening,
    body: &mut Collected,
    edits: &mut Edits,
) -> Result<(), Refusal> {
    if screening.is_off() {
        return Ok(());
    }
    let searched = if body.bytes <= AT_ONCE {
        privacy::screen(screening, &body.whole()?, edits)
    } else {
        let worker = &exchange.worker;
        // The body is there; what is waited for from now on is the answer.
        flight.allow(Waiting::Work, worker.now(), exchange.settings.header_wait);
        let (searched, back, made) =
            flight.watch(search(screening.clone(), body.take())).await.map_err(VerdictError)??;
        *body = back;
        edits.append(made);
        searched
    };
    match searched {
        Ok(findings) | Err(Blocked::Found(findings) | Blocked::Refused(_, findings)) => {
            exchange.record.findings = findings;
        }
        Err(Blocked::Unsearchable(_)) => {}
    }
    searched.map(drop).map_err(Refusal::Private)
}

/// The same on a thread where it keeps no stream waiting.
async fn search(screening: Screening, mut body: Collected) -> Result<Searched, Refusal> {
    let search = move || {
        let whole = body.whole()?;
        let mut edits = Edits::default();
        let searched = privacy::screen(&screening, &whole, &mut edits);
        body.charge(edits.memory())?;
        Ok::<_, BodyError>((searched, body, edits))
    };
    Ok(aside(search).await.ok_or(Refusal::Internal("the body could not be searched"))??)
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::privacy::AnswerMode;
    use aivonx_wire::{api::Pieces, privacy::Privacy};

    use super::*;

    #[test]
    fn answers_are_framed_as_they_say() {
        let privacy = Privacy { answers: AnswerMode::Redact, ..Privacy::OFF };
        let answers = Answers { screening: privacy.into(), framing: Stream::Never };
        let events = HeaderValue::from_static("text/event-stream; charset=utf-8");
        let mut screen = answers.screen(false, Some(&events)).unwrap();
        let mut out = Pieces::default();
        for text in ["bob@exam", "ple.com is"] {
            let event = format!("data: {{\"type\":\"transcript.text.delta\",\"delta\":\"{text}\"}}\n\n");
            screen.pass(event.into(), &mut out).unwrap();
        }
        screen.finish(&mut out).unwrap();
        assert_eq!(screen.findings().total(), 1);
    }
}
