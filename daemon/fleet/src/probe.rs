//! Asking a node what it is and what it has. Only a proper answer counts: a server that says 404, or serves
//! a web page, is not a healthy node.

use std::time::Duration;

use aivonx_protocol::node::NodeKind;
use bytes::Bytes;
use http::StatusCode;

use super::{
    Endpoint,
    client::{CallError, Session},
    engine_memory,
    inventory::{self, Inventory, SeenLoaded, SeenModel},
    sanitize::shown,
};

/// Time limits of one probe.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProbeLimits {
    /// Connecting, TLS included.
    pub(super) connect: Duration,
    /// The probe as a whole.
    pub(super) whole: Duration,
}

/// A good answer.
#[derive(Debug)]
pub(super) struct Found {
    /// What it speaks.
    pub(super) kind: NodeKind,
    /// What it has.
    pub(super) sight: Inventory,
    /// The first exchange's round trip, without connecting.
    pub(super) round_trip: Duration,
}

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    /// Nothing that can be called an answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// An answer with a status that says no.
    #[error("GET {path} answered {status}{}", status_hint(*.status, .path))]
    Status {
        /// What was asked.
        path: &'static str,
        /// What was answered.
        status: StatusCode,
    },
    /// An answer that is not what the API says.
    #[error("GET {path} answered something else: {why}")]
    Wrong {
        /// What was asked.
        path: &'static str,
        /// What is wrong with the answer.
        why: String,
    },
    /// The same, where the node's address ends in `/api`.
    #[error("{0}; the address ends in /api, which the gateway adds itself: leave it out")]
    EndsInApi(Box<ProbeError>),
    /// The node cannot be asked at all, for a reason on this side.
    #[error("{0}")]
    Unusable(String),
    /// Neither API is there. Carries what each said.
    #[error("neither an Ollama nor an OpenAI API: {ollama}; {openai}")]
    Neither {
        /// What asking for the one gave.
        ollama: Box<ProbeError>,
        /// What asking for the other gave.
        openai: Box<ProbeError>,
    },
}

impl ProbeError {
    /// Whether the node could not be reached at all, so that nothing is known about what it is.
    #[must_use]
    pub(super) fn unreachable(&self) -> bool {
        match self {
            Self::Call(_) => true,
            Self::Status { .. } | Self::Wrong { .. } | Self::Unusable(_) => false,
            Self::Neither { ollama, openai } => ollama.unreachable() && openai.unreachable(),
            Self::EndsInApi(error) => error.unreachable(),
        }
    }

    /// Whether something is there that is only starting: engines and what stands in front of them answer so while a
    /// model loads.
    #[must_use]
    pub(super) fn is_starting(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                matches!(*status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::Neither { ollama, openai } => ollama.is_starting() || openai.is_starting(),
            Self::EndsInApi(error) => error.is_starting(),
            Self::Call(_) | Self::Wrong { .. } | Self::Unusable(_) => false,
        }
    }

    /// Whether the server has the route but answers with an error (5xx or 429): its other routes may work.
    #[must_use]
    pub(super) fn is_odd(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                (status.is_server_error() && !is_missing(*status) && !self.is_starting())
                    || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Neither { ollama, openai } => ollama.is_odd() || openai.is_odd(),
            Self::EndsInApi(error) => error.is_odd(),
            Self::Call(_) | Self::Wrong { .. } | Self::Unusable(_) => false,
        }
    }

    /// Whether what was asked for is not there, or is something else: that says nothing of the other API.
    fn is_elsewhere(&self) -> bool {
        match self {
            Self::Status { status, .. } => is_missing(*status),
            Self::Wrong { .. } => true,
            Self::Call(_) | Self::Unusable(_) | Self::Neither { .. } | Self::EndsInApi(_) => false,
        }
    }

    /// Whether nothing that was asked for is there.
    fn is_nowhere(&self) -> bool {
        match self {
            Self::Neither { ollama, openai } => ollama.is_nowhere() && openai.is_nowhere(),
            other => other.is_elsewhere(),
        }
    }

    /// Whether the node wants a credential, or another one.
    #[must_use]
    pub(super) fn wants_credential(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                matches!(*status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            }
            Self::Neither { ollama, openai } => ollama.wants_credential() || openai.wants_credential(),
            Self::EndsInApi(error) => error.wants_credential(),
            Self::Call(_) | Self::Wrong { .. } | Self::Unusable(_) => false,
        }
    }
}

/// Whether this is how a server says that it does not have a route.
fn is_missing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::GONE
            | StatusCode::NOT_IMPLEMENTED
    )
}

/// What the error says of a node that refuses its credential.
pub(super) const REFUSED: &str = "; check the node's credential, or that it allows this host";

fn status_hint(status: StatusCode, path: &str) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => REFUSED,
        StatusCode::NOT_FOUND if path.starts_with("/api/") => {
            "; there is no Ollama API here (for a server with the OpenAI API alone, set the kind to openai)"
        }
        StatusCode::NOT_FOUND => "; there is no OpenAI API here",
        status if status.is_redirection() => "; redirects are not followed, give the final URL",
        _ => "",
    }
}

const VERSION: &str = "/api/version";
const TAGS: &str = "/api/tags";
const PS: &str = "/api/ps";
const MODELS: &str = "/v1/models";

/// Probes the node as `kind`, or finds out its kind if None.
///
/// # Errors
/// [`ProbeError`] if there is no proper answer within the limits.
pub(super) async fn probe(
    endpoint: &Endpoint,
    kind: Option<NodeKind>,
    limits: ProbeLimits,
) -> Result<Found, ProbeError> {
    let all = async {
        let mut session = Session::new(endpoint, limits.connect);
        match kind {
            Some(NodeKind::Ollama) => ollama(&mut session).await,
            Some(NodeKind::Openai) => openai(&mut session).await,
            None => detect(&mut session).await,
        }
    };
    match tokio::time::timeout(limits.whole, all).await {
        // Some servers have OpenAI's API there.
        Ok(Err(error))
            if kind != Some(NodeKind::Openai) && endpoint.prefix.ends_with("/api") && error.is_nowhere() =>
        {
            Err(ProbeError::EndsInApi(Box::new(error)))
        }
        Ok(found) => found,
        Err(_) => Err(CallError::TimedOut(limits.whole).into()),
    }
}

/// Finds out the kind. No single answer decides: servers with OpenAI's API serve some of Ollama's routes, too.
async fn detect(session: &mut Session<'_>) -> Result<Found, ProbeError> {
    let ollama = match ask_version(session).await {
        Ok((version, round_trip)) => match rest_of_ollama(session, Some(version), round_trip).await {
            Err(error) if error.is_elsewhere() => error,
            found => return found,
        },
        Err(no_connection @ ProbeError::Call(CallError::Dial(_))) => return Err(no_connection),
        // The server has the route: whether it is an Ollama, its list of models decides.
        Err(error) if error.is_odd() => match rest_of_ollama(session, None, Duration::ZERO).await {
            Ok(found) => return Ok(found),
            Err(error) => error,
        },
        Err(error) => error,
    };
    let openai = match openai(session).await {
        Ok(found) => return Ok(found),
        Err(error) => error,
    };
    // Others that speak Ollama's API have no version of it.
    if ollama.is_elsewhere()
        && openai.is_elsewhere()
        && let Ok(found) = rest_of_ollama(session, None, Duration::ZERO).await
    {
        return Ok(found);
    }
    Err(ProbeError::Neither { ollama: ollama.into(), openai: openai.into() })
}

async fn ollama(session: &mut Session<'_>) -> Result<Found, ProbeError> {
    match ask_version(session).await {
        Ok((version, round_trip)) => rest_of_ollama(session, Some(version), round_trip).await,
        // Others that speak Ollama's API have no version of it, or one that fails.
        Err(ProbeError::Status { status, .. }) if is_missing(status) => {
            rest_of_ollama(session, None, Duration::ZERO).await
        }
        Err(error) if error.is_odd() => rest_of_ollama(session, None, Duration::ZERO).await,
        Err(error) => Err(error),
    }
}

/// What is wrong may repeat what the node answered.
fn wrong(path: &'static str) -> impl FnOnce(String) -> ProbeError {
    move |why| ProbeError::Wrong { path, why: shown(why) }
}

async fn ask_version(session: &mut Session<'_>) -> Result<(Box<str>, Duration), ProbeError> {
    let (body, round_trip) = get(session, VERSION).await?;
    let version = inventory::read_version(&body).map_err(wrong(VERSION))?;
    Ok((version, round_trip))
}

async fn rest_of_ollama(
    session: &mut Session<'_>,
    version: Option<Box<str>>,
    round_trip: Duration,
) -> Result<Found, ProbeError> {
    let (tags, took) = get(session, TAGS).await?;
    let mut models = inventory::read_tags(&tags).map_err(wrong(TAGS))?;
    inventory::without_circles(&mut models, session.gateway());
    let mut loaded = match get(session, PS).await {
        // What it holds in memory is worth knowing, and nothing that is needed.
        Ok((ps, _)) => inventory::read_ps(&ps).unwrap_or_default(),
        Err(ProbeError::Status { .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    if session.gateway().is_some() {
        loaded.retain(|loaded| models.iter().any(|model| model.name == loaded.name));
    }
    let round_trip = if version.is_some() { round_trip } else { took };
    let sight = Inventory { version, models, loaded, tells: true };
    Ok(Found { kind: NodeKind::Ollama, sight, round_trip })
}

async fn openai(session: &mut Session<'_>) -> Result<Found, ProbeError> {
    let (body, round_trip) = get(session, MODELS).await?;
    let mut models = inventory::read_openai(&body).map_err(wrong(MODELS))?;
    inventory::without_circles(&mut models, session.gateway());
    let loaded = in_memory(session, &models).await?;
    let tells = loaded.is_some();
    let sight = Inventory { version: None, models, loaded: loaded.unwrap_or_default(), tells };
    Ok(Found { kind: NodeKind::Openai, sight, round_trip })
}

/// What an engine behind OpenAI's API holds in memory, if it is one that says so: llama.cpp as a router in its list, LM
/// Studio and vLLM when asked for it.
async fn in_memory(
    session: &mut Session<'_>,
    models: &[SeenModel],
) -> Result<Option<Vec<SeenLoaded>>, ProbeError> {
    if models.iter().any(|model| model.is_loaded().is_some()) {
        let loaded = models.iter().filter(|model| model.is_loaded() == Some(true));
        return Ok(Some(loaded.map(SeenModel::as_loaded).collect()));
    }
    let (sleeps, path) = match models.first().map(SeenModel::owner) {
        Some("vllm") => (true, "/is_sleeping"),
        Some("organization_owner") => (false, "/api/v1/models"),
        _ => return Ok(None),
    };
    let body = match get(session, path).await {
        Ok((body, _)) => body,
        Err(ProbeError::Status { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    if sleeps {
        let held =
            |sleeps| if sleeps { Vec::new() } else { models.iter().map(SeenModel::as_loaded).collect() };
        return Ok(engine_memory::sleeps(&body).map(held));
    }
    Ok(engine_memory::studio_loaded(&body).map(|loaded| {
        let held = models.iter().filter(|model| loaded.iter().any(|name| **name == *model.name));
        held.map(SeenModel::as_loaded).collect()
    }))
}

async fn get(session: &mut Session<'_>, path: &'static str) -> Result<(Bytes, Duration), ProbeError> {
    let (status, body, took) = session.get(path).await?;
    if status != StatusCode::OK {
        return Err(ProbeError::Status { path, status });
    }
    Ok((body, took))
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
