//! The nodes one request was tried on, and what becomes of it for them. One that fails on two convicts itself: it is
//! held against neither, and no third one is asked.

use std::sync::Arc;

use aivonx_fleet::Node;
use http::{HeaderMap, HeaderValue, header};

use super::{
    exchange::Exchange,
    meaning::Meaning,
    rescue::Refusal,
    upstream::{Incoming, SendError},
};

/// What came of the attempts so far.
#[derive(Default)]
pub(super) struct Trial {
    /// Those that are not to be asked again.
    pub(super) tried: Vec<Arc<Node>>,
    /// The one that failed over the request, and how, until it is clear that the request is not to blame.
    broke: Option<(Arc<Node>, String)>,
    convicted: bool,
    /// A node was busy.
    busy: bool,
    /// Seconds until the first busy node has room, as far as they say.
    wait: Option<u32>,
}

impl Trial {
    /// Takes in what `node` answered, or how it failed. Whether another node may be asked.
    pub(super) fn takes(
        &mut self,
        exchange: &Exchange,
        node: &Arc<Node>,
        sent: &Result<Incoming, SendError>,
    ) -> bool {
        let meaning = match sent {
            Ok(incoming) => Meaning::of_status(incoming.status),
            Err(error) => Meaning::of_error(error),
        };
        match meaning {
            Meaning::Served => exchange.worker.succeeded(node),
            // It failed here too, in its way.
            Meaning::Passed => self.broke = None,
            Meaning::Busy => {
                let wait = sent.as_ref().ok().and_then(|incoming| retry_after(&incoming.headers));
                self.busy = true;
                self.wait = [self.wait, wait].into_iter().flatten().min();
            }
            Meaning::Unreachable => exchange.worker.failed(node, why(sent), None),
            Meaning::Broke if self.broke.take().is_some() => self.convicted = true,
            Meaning::Broke => self.broke = Some((node.clone(), why(sent))),
            Meaning::Unasked => {}
        }
        if meaning.tries_another() {
            self.tried.push(node.clone());
        }
        meaning.tries_another() && !self.convicted
    }

    /// The answer to the request: what `node`, the last one asked, sent or did.
    ///
    /// # Errors
    /// None of the nodes answered.
    pub(super) fn end(
        self,
        exchange: &Exchange,
        node: &Node,
        sent: Result<Incoming, SendError>,
    ) -> Result<Incoming, Refusal> {
        if let Some((node, why)) = self.broke {
            exchange.failed(&node, why);
        }
        match sent {
            Ok(mut incoming) => {
                // A node that is merely busy says so best itself; when to come back is told by the one that knows.
                if let (Meaning::Busy, Some(wait)) = (Meaning::of_status(incoming.status), self.wait) {
                    incoming.headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
                }
                Ok(incoming)
            }
            Err(_) if self.busy && !self.convicted => Err(Refusal::NodesBusy { wait: self.wait }),
            // None of them is at fault.
            Err(SendError::NoRoom) => Err(Refusal::NoRoom),
            Err(error) => {
                let (node, why) = (node.name.to_string(), error.to_string());
                Err(if self.convicted {
                    Refusal::FailedTwice { node, why }
                } else {
                    Refusal::NodeFailed { node, why }
                })
            }
        }
    }
}

fn why(sent: &Result<Incoming, SendError>) -> String {
    match sent {
        Ok(incoming) => format!("answered {}", incoming.status.as_u16()),
        Err(error) => error.to_string(),
    }
}

/// Seconds (RFC 9110, 10.2.3). A date is passed on as it is, if its node is the one that answers.
fn retry_after(headers: &HeaderMap) -> Option<u32> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}
