//! The one that writes: what was gathered becomes entries, names and sums.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot},
    time::MissedTickBehavior,
};

use super::{
    gather::Gathered,
    seen::{Seen, millis},
};
use crate::{
    store::{
        StoreError, UsageLog,
        usage::{APPEND_MAX, Code, Part, Parties, UsageEntry, UsageName},
    },
    telemetry::access::Subject,
};

/// Longest time that a request waits to be written. With the way here from the data plane it stays below the
/// second that a kill -9 may cost.
const EVERY: Duration = Duration::from_millis(750);

/// How often failures and losses are said.
const NOTICE_EVERY: Duration = Duration::from_secs(60);

/// Names remembered as stored. Beyond, all are stored once more.
const NAMES_MAX: usize = 65_536;

/// What the writer is asked.
#[derive(Debug)]
pub(super) enum Job {
    /// Write what was gathered.
    Flush(oneshot::Sender<()>),
    /// And then end.
    Close(oneshot::Sender<()>),
    /// Remember from now on which names are stored.
    Watch(oneshot::Sender<()>),
    /// Forget these names, but for those that were stored since.
    Forget(Vec<Code>, oneshot::Sender<()>),
}

/// Writes until closed, or until the ledger is gone.
pub(super) async fn run(log: UsageLog, gathered: Arc<Gathered>, mut jobs: mpsc::Receiver<Job>) {
    let mut writer = Writer { log, gathered, names: HashMap::new(), watched: false, told: None };
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => writer.write().await,
            job = jobs.recv() => match job {
                Some(Job::Flush(done)) => {
                    writer.write().await;
                    let _ = done.send(());
                }
                Some(Job::Close(done)) => {
                    writer.write().await;
                    let _ = done.send(());
                    return;
                }
                Some(Job::Watch(done)) => {
                    writer.names.clear();
                    writer.watched = true;
                    let _ = done.send(());
                }
                Some(Job::Forget(codes, done)) => {
                    writer.forget(codes).await;
                    let _ = done.send(());
                }
                None => return writer.write().await,
            },
        }
    }
}

struct Writer {
    log: UsageLog,
    gathered: Arc<Gathered>,
    /// The names that are stored.
    names: HashMap<Code, String>,
    /// Whether all names stored since it was asked to watch are among them.
    watched: bool,
    /// When something wrong was last said, and how many requests had been lost.
    told: Option<(Instant, u64)>,
}

impl Writer {
    async fn write(&mut self) {
        let mut waiting = VecDeque::from(self.gathered.drain());
        while !waiting.is_empty() {
            let part: Vec<_> = waiting.drain(..waiting.len().min(APPEND_MAX)).collect();
            let (entries, names) = self.entries(&part);
            if let Err(error) = self.log.append(entries, names.clone()).await {
                self.gathered.put_back(part.into_iter().chain(waiting).collect());
                return self.tell(Some(&error));
            }
            if self.names.len() + names.len() > NAMES_MAX {
                self.names.clear();
                self.watched = false;
            }
            self.names.extend(names.into_iter().map(|(code, name)| (code, name.name)));
        }
        self.tell(None);
    }

    /// Forgets names that nothing stored needs. What is gathered but not written yet will store its names anew.
    async fn forget(&mut self, mut codes: Vec<Code>) {
        codes.retain(|code| !self.names.contains_key(code));
        // Those that are left may be in use after all: the next round will tell.
        if !self.watched {
            return;
        }
        if let Err(error) = self.log.forget_names(codes).await {
            self.tell(Some(&error));
        }
    }

    /// Says that the ledger cannot be written, or misses something; not too often.
    fn tell(&mut self, error: Option<&StoreError>) {
        let lost = self.gathered.lost.load(std::sync::atomic::Ordering::Relaxed);
        let (said, before) = self.told.map_or((None, 0), |(at, lost)| (Some(at), lost));
        if (error.is_none() && lost == before) || said.is_some_and(|at| at.elapsed() < NOTICE_EVERY) {
            return;
        }
        self.told = Some((Instant::now(), lost));
        let count = lost - before;
        if let Some(error) = error {
            tracing::error!(
                event = "usage_failed", %error, count,
                "the usage ledger cannot be written; what it has not got is kept in memory for now"
            );
        } else {
            tracing::error!(
                event = "usage_lost",
                count,
                "{count} requests are missing from the usage ledger because it could not be written in time"
            );
        }
    }

    /// Entries, and the names in them that are new or others than before.
    fn entries(&self, part: &[(Seen, u32)]) -> (Vec<UsageEntry>, Vec<(Code, UsageName)>) {
        let mut names = HashMap::new();
        // Most of a group share what they are about; what is shared lies at one place.
        let mut known = HashMap::new();
        let entries = part
            .iter()
            .map(|(seen, times)| {
                let parties = *known.entry(places(seen)).or_insert_with(|| self.parties(seen, &mut names));
                UsageEntry {
                    time: seen.time,
                    request: seen.request,
                    parties,
                    times: *times,
                    prompt: seen.prompt,
                    output: seen.output,
                    estimated: seen.estimated,
                    cost: seen.cost,
                    status: seen.status,
                    outcome: seen.outcome as u8,
                    limit: seen.limit,
                    findings: seen.findings.each().collect(),
                    queued_ms: seen.queued.map(millis),
                    total_ms: millis(seen.total),
                }
            })
            .collect();
        (entries, names.into_iter().collect())
    }

    fn parties(&self, seen: &Seen, names: &mut HashMap<Code, UsageName>) -> Parties {
        let mut code = |part, id: &str, name: &str| {
            let code = Code::of(part, id);
            if self.names.get(&code).is_none_or(|before| before != name) {
                names.insert(code, UsageName { part, id: id.to_owned(), name: name.to_owned() });
            }
            code
        };
        let mut whose = |part, named: Option<&(Arc<str>, Arc<str>)>| {
            named.map_or(Code::NONE, |(id, name)| code(part, id, name))
        };
        let subject: Option<&Subject> = seen.subject.as_deref();
        let organization = whose(Part::Organization, subject.and_then(|s| s.organization.as_ref()));
        let user = whose(Part::User, subject.and_then(|s| s.user.as_ref()));
        let key = whose(Part::Key, subject.and_then(|s| s.key.as_ref()));
        let mut what = |part, name: Option<&str>| name.map_or(Code::NONE, |name| code(part, name, name));
        Parties {
            organization,
            user,
            key,
            model: what(Part::Model, seen.model.as_deref()),
            served: what(Part::Model, seen.served.as_deref()),
            node: what(Part::Node, seen.node.as_deref()),
            route: what(Part::Route, Some(seen.route)),
        }
    }
}

/// Where what a request is about lies in memory.
fn places(seen: &Seen) -> [usize; 5] {
    let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |t| Arc::as_ptr(t).cast::<u8>() as usize);
    let subject = seen.subject.as_ref().map_or(0, |subject| Arc::as_ptr(subject) as usize);
    [subject, text(&seen.model), text(&seen.served), text(&seen.node), seen.route.as_ptr() as usize]
}
