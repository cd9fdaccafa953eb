//! The nodes one request was tried on: what becomes of it for them, and which of their answers the client gets if none
//! served it.

use std::sync::Arc;

use aivonx_fleet::{Lease, NoNode, Node};
use aivonx_protocol::node::Pool;
use http::{HeaderMap, HeaderValue, header};

use super::{
    error_response::Refusal,
    exchange::Exchange,
    meaning::{Blame, Meaning},
    opened::Opened,
    translation::Translated,
    upstream::SendError,
};
use crate::policy::Tally;

/// An answer, and the node it is from.
pub(super) struct Answered {
    /// In a box, for it is large and handed on often.
    pub(super) opened: Box<Opened>,
    pub(super) lease: Lease,
    pub(super) asked: Asked,
}

/// How a node was asked.
#[derive(Default)]
pub(super) struct Asked {
    /// For which model, where that is another than the client's.
    pub(super) served: Option<Arc<str>>,
    /// Where that is counted, if it is an alias's.
    pub(super) tally: Option<Arc<Tally>>,
    /// In which API, where that is another than the client's.
    pub(super) translated: Option<Translated>,
}

/// What came of the attempts so far.
#[derive(Default)]
pub(super) struct Trial {
    /// Those that are not to be asked again.
    pub(super) tried: Vec<Arc<Node>>,
    /// The best answer of them.
    best: Option<Box<Answered>>,
    /// The last one that did not answer, and why.
    error: Option<(Arc<Node>, SendError)>,
    /// Those that failed, and with which model, until it is clear whether the request itself is what they fail over.
    failed: Vec<(Arc<Node>, Blame, Box<str>)>,
    /// A node was busy.
    busy: bool,
    /// Seconds until the first busy node has room, as far as they say.
    wait: Option<u32>,
}

impl Trial {
    /// Takes in what `node` answered, or how it failed.
    pub(super) fn takes(
        &mut self,
        exchange: &Exchange,
        node: &Arc<Node>,
        sent: &Result<Box<Opened>, SendError>,
    ) -> Meaning {
        let meaning = match sent {
            Ok(opened) => opened.meaning,
            Err(error) => Meaning::of_error(error),
        };
        match meaning {
            Meaning::Served => exchange.served_by(node),
            Meaning::Busy => {
                let wait = sent.as_ref().ok().and_then(|opened| retry_after(&opened.incoming.headers));
                self.busy = true;
                self.wait = [self.wait, wait].into_iter().flatten().min();
            }
            Meaning::Missing => exchange.model_missing(node),
            _ => {}
        }
        let why = || match sent {
            Ok(opened) => opened.why(),
            Err(error) => error.to_string(),
        };
        match meaning.blames() {
            Blame::Nobody => {}
            Blame::Connection => exchange.unreachable(node, why()),
            blame @ (Blame::Model | Blame::Node) => {
                exchange.failed(node, why());
                self.failed.push((node.clone(), blame, exchange.model().into()));
            }
        }
        if meaning.tries_another() {
            self.tried.push(node.clone());
        }
        meaning
    }

    /// Whether a node answered, was busy, or could not be asked: what is said of it then stands.
    pub(super) fn has_something(&self) -> bool {
        self.best.is_some() || self.error.is_some() || self.busy
    }

    /// Keeps what came of an attempt while another node is asked: an answer only if it is the best so far. Its own node
    /// is left.
    pub(super) async fn keep(
        &mut self,
        exchange: &Exchange,
        sent: Result<Box<Opened>, SendError>,
        lease: Lease,
        asked: Asked,
    ) {
        let Some(mut answered) = self.answered(sent, lease, asked) else { return };
        let better = self.best.as_ref().is_none_or(|best| answered.opened.meaning <= best.opened.meaning);
        if better && answered.opened.read_rest().await {
            let (worker, settings) = (&exchange.worker, &exchange.settings);
            let body = &mut answered.opened.incoming.body;
            body.recycle(&worker.upstream, answered.lease.node(), worker.now(), settings.idle_per_node);
            answered.lease.give_back();
            self.best = Some(Box::new(answered));
        }
    }

    /// The answer of an attempt, if there was one.
    fn answered(
        &mut self,
        sent: Result<Box<Opened>, SendError>,
        lease: Lease,
        asked: Asked,
    ) -> Option<Answered> {
        match sent {
            Ok(opened) => Some(Answered { opened, lease, asked }),
            Err(error) => {
                self.error = Some((lease.node().clone(), error));
                None
            }
        }
    }

    /// The answer to the request: the last one, or the best of them where none served it. `sent` is what came of the last
    /// attempt, unless that is kept.
    ///
    /// # Errors
    /// None of the nodes answered.
    pub(super) fn end(
        mut self,
        sent: Option<Result<Box<Opened>, SendError>>,
        lease: Lease,
        asked: Asked,
    ) -> Result<Answered, Refusal> {
        let well = matches!(&sent, Some(Ok(opened)) if opened.meaning == Meaning::Served);
        match &*self.failed {
            failed if well => failed.iter().for_each(|(node, blame, model)| blame.on(node, model)),
            // Another node would perhaps have served it, perhaps not: no other model suffers for that.
            [(node, _, model)] => Blame::Model.on(node, model),
            // What several nodes fail over, and none serves, may be the request's own fault.
            _ => {}
        }
        let last = sent.and_then(|sent| self.answered(sent, lease, asked));
        // Of equals the last one.
        let best = match (last, self.best.take()) {
            (Some(last), Some(best)) if best.opened.meaning < last.opened.meaning => Some(*best),
            (last, best) => last.or_else(|| best.map(|best| *best)),
        };
        if let Some(mut best) = best {
            // A node that is merely busy says so best itself; when to come back is told by the one that knows.
            if let (Meaning::Busy, Some(wait)) = (best.opened.meaning, self.wait) {
                best.opened.incoming.headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
            }
            return Ok(best);
        }
        Err(match self.error {
            _ if self.busy => Refusal::NodesBusy { wait: self.wait },
            None => NoNode::Down.into(),
            // None of them is at fault.
            Some((_, SendError::NoRoom)) => Refusal::NoRoom,
            // As the health checks said.
            Some((node, SendError::Dial(_))) if node.pool == Pool::Standby => NoNode::Down.into(),
            Some((node, error)) => {
                Refusal::NodeFailed { node: node.name.to_string(), why: error.to_string() }
            }
        })
    }
}

/// Seconds (RFC 9110, 10.2.3). A date is passed on as it is, if its node is the one that answers.
fn retry_after(headers: &HeaderMap) -> Option<u32> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}
