//! What a node does for a while and tells in lines, such as a pull.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::json;

use super::{
    Endpoint,
    client::{Session, collect},
    merge::Line,
};

/// Longest silence of a node that pulls: a registry may take its time, and so may checking a digest.
const SILENCE: Duration = Duration::from_secs(600);

/// Longest line of progress.
const LINE: usize = 1 << 20;

/// Largest refusal read.
const REFUSAL: usize = 64 << 10;

/// What is said of a node that redirects.
pub const REDIRECTS: &str = "which is not followed";

/// The body that asks for `model` from its registry, or for it to be sent there.
pub(super) fn wanted(model: &str, insecure: bool) -> Bytes {
    // Older versions know the field as `name`.
    json!({"model": model, "name": model, "insecure": insecure, "stream": true}).to_string().into()
}

/// Asks `path` of the node at `endpoint` for a request that came by `before` (see [`Session::after`]); `each` gets the
/// progress. Dropping the future closes the connection, and with it ends what the node does.
///
/// # Errors
/// The node's own words, or what broke.
pub(super) async fn follow(
    endpoint: &Endpoint,
    connect: Duration,
    path: &str,
    body: Bytes,
    before: &[HeaderValue],
    mut each: impl FnMut(Line),
) -> Result<(), String> {
    let mut session = Session::new(endpoint, connect).after(before);
    let sent = session.send(Method::POST, path, Some(body));
    let answer = within(sent).await?.map_err(|e| e.to_string())?;
    let status = answer.status();
    if status != StatusCode::OK {
        let body = within(collect(answer.into_body(), REFUSAL)).await?.unwrap_or_default();
        return Err(refusal(status, &body));
    }
    let mut lines = Lines { body: answer.into_body(), buffer: BytesMut::new(), searched: 0 };
    let what = path.trim_start_matches("/api/");
    while let Some(text) = within(lines.next()).await?? {
        let line: Line = serde_json::from_slice(&text)
            .map_err(|e| format!("the node's answer is not the progress of a {what}: {e}"))?;
        if let Some(error) = line.error {
            return Err(error);
        }
        if line.status == "success" {
            return Ok(());
        }
        each(line);
    }
    Err(format!("the node's answer ended before the {what} was complete"))
}

/// What a node that refused said.
pub(super) fn refusal(status: StatusCode, body: &[u8]) -> String {
    match serde_json::from_slice::<Line>(body) {
        // Followed, it would take what is sent past everything that is checked here.
        _ if status.is_redirection() => {
            let status = status.as_u16();
            format!(
                "the node redirects ({status}), {REDIRECTS}; set the address it leads to: aivonx node set --url"
            )
        }
        Ok(Line { error: Some(error), .. }) => error,
        _ => format!("the node answered {status}"),
    }
}

async fn within<T>(work: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(SILENCE, work)
        .await
        .map_err(|_| format!("the node was silent for {} s", SILENCE.as_secs()))
}

/// The lines of a body.
struct Lines {
    body: Incoming,
    buffer: BytesMut,
    /// Bytes of the buffer known to hold no line feed.
    searched: usize,
}

impl Lines {
    /// The next line that is not empty; None at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[self.searched..]) {
                let line = self.buffer.split_to(self.searched + at).freeze();
                self.buffer.advance(1);
                self.searched = 0;
                if !line.trim_ascii().is_empty() {
                    return Ok(Some(line));
                }
                continue;
            }
            self.searched = self.buffer.len();
            if self.searched > LINE {
                return Err(format!("the node sent a line longer than {} KiB", LINE >> 10));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Some(Err(e)) => return Err(format!("the connection to the node broke: {e}")),
                None if self.buffer.trim_ascii().is_empty() => return Ok(None),
                None => {
                    self.searched = 0;
                    return Ok(Some(self.buffer.split().freeze()));
                }
            }
        }
    }
}
