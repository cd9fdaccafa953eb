//! The beginning of a node's answer, read before anything of it is passed on: until then another node may answer.

use std::{sync::LazyLock, time::Duration};

use aivonx_wire::api::{
    failure::{self, Opening},
    route::Stream,
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use memchr::memmem;

use super::{
    meaning::{Class, Meaning},
    upstream::{Incoming, SendError},
};

/// How much of an error is read to see what it is.
const ENOUGH: usize = 1 << 10;

/// How much of an error is kept while other nodes are asked, or of a stream before its first output; what is longer is
/// not.
const KEPT: usize = 64 << 10;

static ERROR: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new("error"));

/// How long the rest of an error is waited for.
const REST: Duration = Duration::from_secs(1);

/// An answer of which the beginning has come.
pub(super) struct Opened {
    pub(super) incoming: Incoming,
    pub(super) meaning: Meaning,
    /// What the node says is wrong. Untrusted text.
    pub(super) words: Option<String>,
    /// What is wrong has to do with `stream_options`.
    pub(super) over_usage: bool,
    /// The beginning of what is no error.
    pub(super) beginning: Bytes,
    /// The node, which has the model if there is one, does not know the path.
    pub(super) no_route: bool,
}

impl Opened {
    /// Waits for as much of the answer's body as says what it means: the first byte, the first line of what may be an
    /// error in the place of a `stream`, the beginning of an error.
    ///
    /// `lives` is called for what comes before that, such as comment lines that only say that the node is still there.
    ///
    /// # Errors
    /// There is no body where one is due, or the connection ended before its first byte.
    pub(super) async fn read(
        mut incoming: Incoming,
        stream: Stream,
        lives: impl Fn(),
    ) -> Result<Box<Self>, SendError> {
        let status = incoming.status;
        // Nothing of their bodies says more.
        let meaning = match status {
            StatusCode::SWITCHING_PROTOCOLS => Some(Meaning::Served),
            _ => incoming.coded.then_some(Meaning::Misfit),
        };
        if let Some(meaning) = meaning {
            let (words, beginning) = (None, Bytes::new());
            return Ok(Box::new(Self {
                incoming,
                meaning,
                words,
                over_usage: false,
                beginning,
                no_route: false,
            }));
        }
        let (mut over_usage, mut beginning) = (false, Bytes::new());
        let (class, words) = if status == StatusCode::OK {
            of_output(&mut incoming, stream, &mut beginning, lives).await?
        } else {
            let text = tokio::time::timeout(REST, error_text(&mut incoming)).await.unwrap_or_default();
            over_usage = [&b"stream_options"[..], b"include_usage"]
                .iter()
                .any(|name| memmem::find(&text, name).is_some());
            (Class::of_error(&text), failure::words(&text))
        };
        let meaning = Meaning::of_answer(status, class);
        let no_route = matches!(status.as_u16(), 404 | 405 | 501) && class != Class::NoModel;
        Ok(Box::new(Self { incoming, meaning, words, over_usage, beginning, no_route }))
    }

    /// Takes what the node did not find for the route, not the model: another node may serve it, and this one is not
    /// to be asked what models it has now.
    pub(super) fn for_optional_route(mut self: Box<Self>) -> Box<Self> {
        if self.no_route {
            self.meaning = Meaning::Unasked;
        }
        self
    }

    /// The same where a websocket was asked for: what answers it as if it were none does not have it.
    pub(super) fn for_socket(mut self: Box<Self>) -> Box<Self> {
        self.no_route |= self.incoming.status.is_success();
        self.for_optional_route()
    }

    /// Whether the node found something wrong with the request.
    pub(super) fn is_rejection(&self) -> bool {
        matches!(self.incoming.status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY)
    }

    /// Reads the rest of what may still be passed on once other nodes were asked; false if it is too long for that.
    pub(super) async fn read_rest(&mut self) -> bool {
        let body = &mut self.incoming.body;
        let rest = async {
            let mut read = 0;
            while !body.has_come() && read < KEPT {
                match body.read_ahead().await {
                    Some(Ok(piece)) => read += piece.len(),
                    Some(Err(_)) => return false,
                    None => break,
                }
            }
            body.has_come()
        };
        tokio::time::timeout(REST, rest).await.unwrap_or(false)
    }

    /// Why it is not what was asked for.
    pub(super) fn why(&self) -> String {
        let status = self.incoming.status.as_u16();
        match self.words.as_deref().unwrap_or_default() {
            "" if self.meaning == Meaning::FrontEnd => {
                format!("answered {status} from in front of the engine")
            }
            "" => format!("answered {status}"),
            words => format!("answered {status}: {words}"),
        }
    }
}

/// What output begins with; of a stream the first line that is of interest.
async fn of_output(
    incoming: &mut Incoming,
    stream: Stream,
    held: &mut Bytes,
    lives: impl Fn(),
) -> Result<(Class, Option<String>), SendError> {
    let streams = is_stream(stream, incoming.status, &incoming.headers);
    let page = is_type(&incoming.headers, "text/html");
    loop {
        let piece = incoming.body.read_ahead().await.transpose().map_err(SendError::Broke)?;
        let over = piece.is_none();
        match piece {
            None if held.is_empty() => return Err(SendError::Empty),
            None => *held = [&held[..], b"\n"].concat().into(),
            Some(piece) if held.is_empty() => *held = piece,
            Some(piece) => *held = [&held[..], &piece].concat().into(),
        }
        if page {
            return Ok((Class::Page, None));
        }
        let opening = if streams { failure::opening(stream, held) } else { of_object(held) };
        match opening {
            Opening::Error(words) => return Ok((Class::instead_of_output(&words), Some(words))),
            Opening::Unknown if streams && over => return Err(SendError::Empty),
            Opening::Unknown if streams && held.len() < KEPT => lives(),
            Opening::Unknown | Opening::Output => return Ok((Class::Other, None)),
        }
    }
}

/// How an answer in one piece begins. Nothing of it is held back: an error is short enough to come at once.
fn of_object(text: &[u8]) -> Opening {
    if text.len() > ENOUGH || ERROR.find(text).is_none() {
        return Opening::Output;
    }
    failure::words(text).map_or(Opening::Output, Opening::Error)
}

/// The beginning of an error.
async fn error_text(incoming: &mut Incoming) -> Vec<u8> {
    let mut text = Vec::new();
    while text.len() < ENOUGH
        && let Some(Ok(piece)) = incoming.body.read_ahead().await
    {
        text.extend_from_slice(&piece[..piece.len().min(KEPT)]);
    }
    text
}

/// Whether the answer is the `stream` that was asked for: a node sends one object instead when it only loads or
/// unloads a model, or refuses.
pub(super) fn is_stream(stream: Stream, status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::OK
        && match stream {
            Stream::Never => false,
            Stream::Ndjson => is_type(headers, "application/x-ndjson"),
            _ => is_type(headers, "text/event-stream"),
        }
}

fn is_type(headers: &HeaderMap, wanted: &str) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return false };
    value.as_bytes().trim_ascii_start().split_at_checked(wanted.len()).is_some_and(|(kind, parameters)| {
        kind.eq_ignore_ascii_case(wanted.as_bytes())
            && matches!(parameters.trim_ascii_start(), [] | [b';', ..])
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_an_answer_of_the_streams_type_is_one() {
        let is = |stream, status, of: &'static str| {
            is_stream(
                stream,
                status,
                &HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(of))]),
            )
        };
        assert!(is(Stream::Ndjson, StatusCode::OK, "application/x-ndjson"));
        assert!(is(Stream::Done, StatusCode::OK, "Text/Event-Stream ; charset=utf-8"));
        assert!(!is(Stream::Ndjson, StatusCode::OK, "application/json"));
        assert!(!is(Stream::Ndjson, StatusCode::OK, "application/x-ndjson2"));
        assert!(!is(Stream::Ndjson, StatusCode::OK, "application/x"));
        assert!(!is(Stream::Done, StatusCode::OK, "application/x-ndjson"));
        assert!(!is(Stream::Ndjson, StatusCode::NOT_FOUND, "application/x-ndjson"));
        assert!(!is(Stream::Never, StatusCode::OK, "application/x-ndjson"));
        assert!(!is_stream(Stream::Done, StatusCode::OK, &HeaderMap::new()));
    }
}
