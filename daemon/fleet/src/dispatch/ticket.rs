//! One request in the scheduler: submitted, waiting for its turn, sent.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use aivonx_scheduler::{Answer, Candidate, JobId, NodeId, Terms};

use super::{Dispatch, Seat, Work, ask, seat};
use crate::{Lease, Node, scheduler::policy, snapshot::Target};

impl Dispatch {
    /// Submits a request to the best of its candidates, which are the numbers of `nodes`.
    pub(crate) fn submit(
        self: &Arc<Self>,
        target: Target,
        work: Work<'_>,
        candidates: &[Candidate],
        nodes: impl Fn(NodeId) -> Option<Arc<Node>>,
    ) -> Option<Place> {
        let (job, node, predicted) = self.with(|state, now| {
            let policy = policy(target.strategy);
            let (job, node) = state.scheduler.submit(policy, &ask(target.model, work), candidates, now)?;
            *seat(&mut state.seats, job) = Seat::default();
            if node.is_none() {
                let held = candidates.iter().filter(|candidate| candidate.held);
                held.for_each(|one| state.held.add(one.node, target.model, &state.names, &nodes));
            }
            Some((job, node, state.scheduler.terms_of(job)))
        })?;
        let ticket = Ticket { dispatch: self.clone(), job, answer: None, predicted };
        match node {
            Some(node) => Some(Place::Now(Lease::new(nodes(node)?, ticket))),
            None => {
                let nodes =
                    candidates.iter().filter_map(|candidate| Some((candidate.node, nodes(candidate.node)?)));
                Some(Place::Waits(Waiting { nodes: nodes.collect(), ticket: Some(ticket) }))
            }
        }
    }
}

/// What came of a submission.
#[derive(Debug)]
pub enum Place {
    /// It can be sent.
    Now(Lease),
    /// It has to wait.
    Waits(Waiting),
}

/// A request that waits for a place. Dropped, it leaves the queue.
#[derive(Debug)]
pub struct Waiting {
    nodes: Vec<(NodeId, Arc<Node>)>,
    ticket: Option<Ticket>,
}

impl Waiting {
    /// Where it stands: requests before it on its node, and the seconds until its turn, as predicted.
    #[must_use]
    pub fn standing(&self) -> (usize, f64) {
        self.line().map_or((0, 0.0), |line| line.standing())
    }

    /// Requests for the same model that wait for a node, itself included.
    #[must_use]
    pub fn for_its_model(&self) -> usize {
        self.ticket.as_ref().map_or(0, |ticket| ticket.dispatch.lock().scheduler.queued_beside(ticket.job))
    }

    /// The same for others to ask, as long as it waits.
    #[must_use]
    pub fn line(&self) -> Option<Line> {
        self.ticket.as_ref().map(|ticket| Line { dispatch: ticket.dispatch.clone(), job: ticket.job })
    }
}

/// Where a request stands that waits. Means nothing once it does not.
#[derive(Debug, Clone)]
pub struct Line {
    dispatch: Arc<Dispatch>,
    job: JobId,
}

impl Line {
    /// As [`Waiting::standing`].
    #[must_use]
    pub fn standing(&self) -> (usize, f64) {
        self.dispatch.with(|state, now| state.scheduler.standing(self.job, now))
    }
}

impl Future for Waiting {
    type Output = Lease;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Lease> {
        let Some(ticket) = &self.ticket else { return Poll::Pending };
        let (sent, load) = {
            let mut state = ticket.dispatch.lock();
            let seat = seat(&mut state.seats, ticket.job);
            if seat.node.is_none() {
                seat.waker = Some(cx.waker().clone());
            }
            let sent = seat.node;
            // What was in memory may have left it meanwhile.
            (sent, sent.map(|_| state.scheduler.terms_of(ticket.job).load))
        };
        let node = sent.and_then(|sent| self.nodes.iter().find(|(node, _)| *node == sent));
        let Some(node) = node.map(|(_, node)| node.clone()) else { return Poll::Pending };
        match self.ticket.take() {
            Some(mut ticket) => {
                ticket.predicted.load = load.unwrap_or(ticket.predicted.load);
                Poll::Ready(Lease::new(node, ticket))
            }
            None => Poll::Pending,
        }
    }
}

/// A request in the scheduler, until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    dispatch: Arc<Dispatch>,
    job: JobId,
    answer: Option<Answer>,
    pub(crate) predicted: Terms,
}

impl Ticket {
    /// The answer has begun.
    pub(crate) fn begun(&self) {
        self.dispatch.with(|state, now| state.scheduler.begun(self.job, now));
    }

    /// The load that it causes on `node`, if it causes one.
    pub(crate) fn load(&self, node: &Arc<Node>) -> Option<Load> {
        let takes = self.predicted.load;
        let takes = Duration::try_from_secs_f64(takes).ok().filter(|takes| !takes.is_zero())?;
        let (dispatch, node) = (self.dispatch.clone(), node.clone());
        Some(Load { dispatch, job: self.job, node, takes, since: Instant::now() })
    }

    /// The node is full.
    pub(crate) fn refused(&self) {
        self.dispatch.with(|state, now| state.scheduler.refused(self.job, now));
    }

    /// What the answer said of the work.
    pub(crate) fn answered(&mut self, answer: Answer) {
        self.answer = Some(answer);
    }
}

/// A load that a request causes.
#[derive(Debug, Clone)]
pub struct Load {
    dispatch: Arc<Dispatch>,
    job: JobId,
    node: Arc<Node>,
    /// How long it takes, as predicted.
    takes: Duration,
    since: Instant,
}

impl Load {
    /// The node.
    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// It goes on when its request ends, which has not ended.
    pub fn outlives(&self) {
        self.dispatch.with(|state, _| state.scheduler.outlives(self.job));
    }

    /// How long it takes from now on at the most, as far as is known.
    pub(crate) fn left(&self, least: Duration) -> Duration {
        (self.takes * 2).saturating_sub(self.since.elapsed()).max(least)
    }

    /// The model of this normal name is loaded.
    pub(crate) fn done(&self, normal: &str) {
        let model = self.dispatch.model(normal);
        self.dispatch.with(|state, now| {
            if let Some(node) = state.nodes.get(&self.node.id).copied() {
                state.scheduler.loaded(node, model, now);
            }
        });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.dispatch.with(|state, now| state.scheduler.ended(self.job, self.answer.as_ref(), now));
    }
}
