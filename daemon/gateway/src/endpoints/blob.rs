//! The files that models are made of, on their way to a node: they are not collected here, however large they are.

use aivonx_fleet::{AbortOnDrop, Digest, RoutingRules, Uploaded};
use aivonx_identity::Caller;
use aivonx_protocol::{Fault, audit::Action};
use aivonx_wire::api::Route;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::sync::mpsc;

use super::manage::STOPPED;
use crate::{
    answer::{self, Answer},
    authenticate,
    body::{BodyError, VerdictError},
    conn::ConnContext,
    deadline::{CancelReason, InFlight, Waiting},
    decode::Encoding,
    error_response::Refusal,
    exchange::Exchange,
    fields::Fields,
    steady::Steady,
};

/// Largest blob.
const LARGEST: u64 = 1 << 40;

/// Pieces on their way between the two planes.
const PIECES: usize = 8;

/// What is asked.
pub(crate) struct Asked<'a> {
    pub(crate) route: &'static Route,
    pub(crate) method: &'a Method,
    pub(crate) digest: &'a str,
    pub(crate) fields: &'a Fields<'a>,
    /// The gateways that the request came through.
    pub(crate) before: Vec<HeaderValue>,
    pub(crate) caller: &'a Caller,
    pub(crate) eligible: &'a RoutingRules,
}

pub(crate) async fn answer(
    cx: &ConnContext,
    exchange: &mut Exchange,
    asked: Asked<'_>,
    incoming: &mut Incoming,
) -> Result<Answer, Refusal> {
    let refuse = |status, message: String| Refusal::Manage { status, message };
    let Some(digest) = Digest::parse(asked.digest) else {
        let message = "invalid digest format: write sha256: and 64 hexadecimal digits".to_owned();
        return Err(refuse(StatusCode::BAD_REQUEST, message));
    };
    let flight = cx.worker.watch(InFlight::new(cx.transport(), exchange.begun()));
    flight.on_behalf_of(asked.caller.clone());
    let shared = &exchange.worker.shared;
    let (fleet, eligible, before) = (shared.fleet.clone(), asked.eligible.clone(), asked.before);
    if *asked.method == Method::HEAD {
        // Clients send only what is not there, and of these callers nothing else may become a model.
        let lacks = !eligible.allows_all() && !fleet.has_uploaded(&eligible, &digest);
        flight.allow(Waiting::Work, exchange.worker.now(), exchange.settings.header_wait);
        let look = shared.control.spawn(async move { fleet.has_blob(before, &eligible, &digest).await });
        let has = flight.watch(look).await.map_err(VerdictError)?.map_err(|_| STOPPED)?;
        let has = has.map_err(|error| Refusal::from(Fault::from(error)))?;
        let status = if has && !lacks { StatusCode::OK } else { StatusCode::NOT_FOUND };
        return Ok(answer::typed(status, HeaderValue::from_static("text/plain"), Bytes::new()));
    }
    if Encoding::of(asked.fields)?.is_some() {
        let message = "a blob is sent as it is, without Content-Encoding".to_owned();
        return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let length = incoming.size_hint().exact();
    if incoming.size_hint().lower() > LARGEST {
        return Err(BodyError::TooLarge(LARGEST).into());
    }
    let (pieces, reader) = mpsc::channel(PIECES);
    let upload = async move { fleet.upload_blob(before, &eligible, digest, length, reader).await };
    // A client that leaves ends it, also where the node has ceased to read.
    let upload = AbortOnDrop(shared.control.spawn(upload));
    pass(exchange, &flight, incoming, pieces).await?;
    // The node checks the digest of all of it.
    flight.no_deadline(Waiting::Work);
    let uploaded = flight.watch(upload).await.map_err(VerdictError)?.map_err(|_| STOPPED)?;
    match uploaded.map_err(|error| Refusal::from(Fault::from(error)))? {
        Uploaded::Kept { node, status } => {
            let entry = authenticate::entry(
                cx,
                exchange,
                asked.route,
                asked.fields,
                Action::ModelUpload,
                authenticate::ANONYMOUS,
            )
            .object("file", Some(asked.digest), None)
            .detail("node", &node)
            .detail("bytes", exchange.record.bytes_in);
            exchange.record.node = Some(node.into());
            let identity = exchange.worker.shared.identity.clone();
            let written =
                exchange.worker.shared.control.spawn(async move { identity.audit().write(entry).await });
            if let Err(error) = written.await.map_err(|_| STOPPED)? {
                let message =
                    format!("the file is there, but that is not recorded in the audit log yet: {error}");
                return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, message));
            }
            Ok(answer::typed(status, HeaderValue::from_static("text/plain"), Bytes::new()))
        }
        Uploaded::Differs => Err(refuse(
            StatusCode::BAD_REQUEST,
            "digest mismatch: what was sent has another digest than it was sent under".to_owned(),
        )),
        Uploaded::Failed { node, why } => Err(Refusal::NodeFailed { node, why }),
    }
}

/// Hands the body over, piece by piece as the node takes it.
async fn pass(
    exchange: &mut Exchange,
    flight: &InFlight,
    incoming: &mut Incoming,
    pieces: mpsc::Sender<Option<Bytes>>,
) -> Result<(), Refusal> {
    let (worker, settings) = (exchange.worker.clone(), exchange.settings.clone());
    let mut steady = Steady::new(worker.now(), settings.body_idle, settings.body_rate);
    while !incoming.is_end_stream() {
        flight.allow(Waiting::Body, worker.now(), settings.body_idle);
        let Some(frame) = flight.watch(incoming.frame()).await.map_err(VerdictError)? else { break };
        let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() else { continue };
        exchange.record.bytes_in += data.len() as u64;
        if exchange.record.bytes_in > LARGEST {
            return Err(BodyError::TooLarge(LARGEST).into());
        }
        if !steady.goes_on(worker.now(), data.len()) {
            return Err(VerdictError(CancelReason::TimedOut(Waiting::Body)).into());
        }
        if data.is_empty() {
            continue;
        }
        // A node may take its time, and that is not the client's.
        flight.allow(Waiting::Work, worker.now(), settings.header_wait);
        let waited = worker.now();
        if flight.watch(pieces.send(Some(data))).await.map_err(VerdictError)?.is_err() {
            // It answered, or broke off, before it had all of it.
            return Ok(());
        }
        if worker.now() != waited {
            steady = Steady::new(worker.now(), settings.body_idle, settings.body_rate);
        }
    }
    let _ = flight.watch(pieces.send(None)).await.map_err(VerdictError)?;
    Ok(())
}
