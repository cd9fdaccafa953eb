//! Personal data in prompts: the body is searched as the caller's mode says.

use aivonx_domain::Findings;
use aivonx_identity::Caller;
use aivonx_wire::{
    api::{Edits, route::Forward},
    privacy::{self, Blocked, Privacy},
};

use super::{
    aside::aside,
    body::{BodyError, Collected, VerdictError},
    deadline::Waiting,
    error_response::Refusal,
    exchange::Exchange,
    worker::Watched,
};

/// What a search found, the body, and what must be replaced in it.
type Searched = (Result<Findings, Blocked>, Collected, Edits);

/// Up to this many bytes are searched where they are: as long as a handful of requests take.
const AT_ONCE: u64 = 64 << 10;

/// Searches the body of a request that carries a prompt: adds what must be replaced to `edits` and counts what was
/// found in the record.
pub(super) async fn screen(
    exchange: &mut Exchange,
    flight: &Watched,
    caller: &Caller,
    route: &Forward,
    body: &mut Collected,
    edits: &mut Edits,
) -> Result<(), Refusal> {
    let privacy = match caller.organization() {
        Some(organization) => organization.privacy,
        None => exchange.worker.shared.identity.hot().load().privacy(),
    };
    if privacy.is_off() || !route.prompts() {
        return Ok(());
    }
    let searched = if body.bytes <= AT_ONCE {
        privacy::screen(privacy, &body.whole()?, edits)
    } else {
        let worker = &exchange.worker;
        // The body is there; what is waited for from now on is the answer.
        flight.allow(Waiting::Work, worker.now(), exchange.settings.header_wait);
        let (searched, back, made) =
            flight.watch(search(privacy, body.take())).await.map_err(VerdictError)??;
        *body = back;
        edits.append(made);
        searched
    };
    match searched {
        Ok(findings) | Err(Blocked::Found(findings)) => exchange.record.findings = findings,
        Err(Blocked::Unsearchable(_)) => {}
    }
    searched.map(drop).map_err(Refusal::Private)
}

/// The same on a thread where it keeps no stream waiting.
async fn search(privacy: Privacy, mut body: Collected) -> Result<Searched, Refusal> {
    let search = move || {
        let whole = body.whole()?;
        let mut edits = Edits::default();
        let searched = privacy::screen(privacy, &whole, &mut edits);
        body.charge(edits.memory())?;
        Ok::<_, BodyError>((searched, body, edits))
    };
    Ok(aside(search).await.ok_or(Refusal::Internal("the body could not be searched"))??)
}
