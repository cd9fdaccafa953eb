//! Running requests of the data plane, for the control plane: each thread alone knows its requests, and answers in a
//! turn of its own.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aivonx_domain::{TenantScope, access::Subject};
use aivonx_fleet::Line;
use aivonx_protocol::running::{Phase, Queued, Running};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use uuid::Uuid;

use super::deadline::{CancelReason, InFlight};
use crate::pulse::Pace;

/// Longest wait for the data-plane threads, which answer within microseconds unless something is very wrong.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Asks the data-plane threads about their requests.
#[derive(Debug, Default)]
pub struct Board {
    threads: Mutex<Vec<UnboundedSender<Ask>>>,
}

/// How an attempt to end a request came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It ends.
    Ended,
    /// It is not within reach.
    Foreign,
    /// No running request has this id.
    Unknown,
}

/// What a thread is asked. It answers by using the sender, and is done when it drops it.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    List(TenantScope, UnboundedSender<Vec<Entry>>),
    Queue(TenantScope, UnboundedSender<Vec<Stands>>),
    End(Uuid, TenantScope, UnboundedSender<Ending>),
}

/// A running request, as its thread reports it: copying it touches nothing but reference counts.
#[derive(Debug)]
pub(super) struct Entry {
    id: Uuid,
    client: IpAddr,
    subject: Option<Arc<Subject>>,
    route: &'static str,
    model: Option<Arc<str>>,
    node: Option<Arc<str>>,
    phase: Phase,
    age: Duration,
    answering: Option<Duration>,
    tokens: u64,
}

/// A request that waits for a place on a node.
#[derive(Debug)]
pub(super) struct Stands {
    id: Uuid,
    at: Instant,
    line: Line,
}

impl Board {
    /// The requests within `reach`, oldest first.
    pub async fn list(&self, reach: &TenantScope) -> Vec<Running> {
        let mut all = self.gather(reach).await;
        all.sort_by_key(|entry| std::cmp::Reverse(entry.age));
        all.into_iter().map(Entry::tell).collect()
    }

    /// The requests within `reach` that wait for a place on a node, the longest first.
    pub async fn queued(&self, reach: &TenantScope) -> Vec<Queued> {
        let mut all = gathered(self.ask(|answer| Ask::Queue(reach.clone(), answer))).await;
        all.sort_by_key(|stands| stands.at);
        all.iter().map(Stands::tell).collect()
    }

    async fn gather(&self, reach: &TenantScope) -> Vec<Entry> {
        gathered(self.ask(|answer| Ask::List(reach.clone(), answer))).await
    }

    /// How far the requests within `reach` are.
    pub async fn paces(&self, reach: &TenantScope) -> Vec<Pace> {
        let pace = |entry: &Entry| Pace {
            route: entry.route,
            age: entry.age,
            answering: entry.answering,
            tokens: entry.tokens,
        };
        self.gather(reach).await.iter().map(pace).collect()
    }

    /// Ends a request within `reach`.
    pub async fn end(&self, id: Uuid, reach: &TenantScope) -> Ending {
        let mut answers = self.ask(|answer| Ask::End(id, reach.clone(), answer));
        // Only the thread that has it says anything.
        tokio::time::timeout(ANSWER_WITHIN, answers.recv()).await.ok().flatten().unwrap_or(Ending::Unknown)
    }

    fn ask<T>(&self, ask: impl FnOnce(UnboundedSender<T>) -> Ask) -> UnboundedReceiver<T> {
        let (answer, answers) = unbounded_channel();
        let ask = ask(answer);
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        // A thread that has ended has no requests.
        threads.retain(|thread| thread.send(ask.clone()).is_ok());
        answers
    }

    /// What the calling thread will be asked.
    pub(super) fn join(&self) -> UnboundedReceiver<Ask> {
        let (sender, asks) = unbounded_channel();
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        asks
    }
}

/// What the threads answer, as far as it comes in time.
async fn gathered<T>(mut answers: UnboundedReceiver<Vec<T>>) -> Vec<T> {
    let mut all = Vec::new();
    let gather = async {
        while let Some(some) = answers.recv().await {
            all.extend(some);
        }
    };
    let _ = tokio::time::timeout(ANSWER_WITHIN, gather).await;
    all
}

/// Answers for the requests of one thread.
pub(super) fn answer<'f>(ask: Ask, flights: impl Iterator<Item = &'f InFlight>) {
    // The receiver may have stopped waiting.
    match ask {
        Ask::List(reach, answer) => {
            let own = flights.filter(|flight| within(&reach, flight));
            let _ = answer.send(own.map(entry).collect());
        }
        Ask::Queue(reach, answer) => {
            let own = flights.filter(|flight| within(&reach, flight));
            let stands = |flight: &InFlight| {
                let Begun { id, at, .. } = flight.begun;
                flight.line().map(|line| Stands { id, at, line })
            };
            let _ = answer.send(own.filter_map(stands).collect());
        }
        Ask::End(id, reach, answer) => {
            let Some(flight) = flights.into_iter().find(|flight| flight.begun.id == id) else { return };
            let ending = if within(&reach, flight) {
                flight.end(CancelReason::Cancelled);
                Ending::Ended
            } else {
                Ending::Foreign
            };
            let _ = answer.send(ending);
        }
    }
}

fn within(reach: &TenantScope, flight: &InFlight) -> bool {
    let subject = flight.subject();
    let id = |of: &Option<(Arc<str>, Arc<str>)>| of.as_ref().map(|(id, _)| id.clone());
    let organization = subject.as_ref().and_then(|subject| id(&subject.organization));
    let user = subject.as_ref().and_then(|subject| id(&subject.user));
    reach.covers(organization.as_deref(), user.as_deref())
}

fn entry(flight: &InFlight) -> Entry {
    let age = flight.begun.at.elapsed();
    let (answering, tokens) = flight.passed();
    let phase = match answering {
        Some(_) => Phase::Answering,
        None if flight.receives() => Phase::Receiving,
        None => Phase::Waiting,
    };
    Entry {
        id: flight.begun.id,
        client: flight.begun.client,
        subject: flight.subject(),
        route: flight.begun.route,
        model: flight.model(),
        node: flight.node_name(),
        phase,
        age,
        answering: answering.map(|began| age.saturating_sub(began)),
        tokens,
    }
}

impl Stands {
    fn tell(&self) -> Queued {
        let (before, seconds) = self.line.standing();
        Queued {
            id: self.id.to_string(),
            position: u32::try_from(before + 1).unwrap_or(u32::MAX),
            expected_ms: Duration::try_from_secs_f64(seconds).map_or(0, milliseconds),
        }
    }
}

impl Entry {
    fn tell(self) -> Running {
        let subject = self.subject.as_deref();
        let name = |of: Option<&(Arc<str>, Arc<str>)>| of.map(|(_, name)| name.to_string());
        Running {
            id: self.id.to_string(),
            client: self.client.to_string(),
            organization: name(subject.and_then(|subject| subject.organization.as_ref())),
            user: name(subject.and_then(|subject| subject.user.as_ref())),
            key: name(subject.and_then(|subject| subject.key.as_ref())),
            route: self.route.to_owned(),
            model: self.model.as_deref().map(str::to_owned),
            node: self.node.as_deref().map(str::to_owned),
            phase: self.phase,
            age_ms: milliseconds(self.age),
            answering_ms: self.answering.map(milliseconds),
            tokens: self.tokens,
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What is known of a request from its head on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    pub(super) id: Uuid,
    pub(super) at: Instant,
    pub(super) client: IpAddr,
    pub(super) route: &'static str,
}
