//! The one that writes: what was gathered becomes entries, names and sums.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use aivonx_domain::{access::Subject, table::Map};
use aivonx_store::{
    StoreError, UsageLog,
    usage::{APPEND_MAX, Code, Part, Parties, UsageEntry, UsageName},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::MissedTickBehavior,
};

use super::{
    gather::{Gathered, Group},
    seen::{About, Seen},
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
    let mut writer = Writer {
        log,
        gathered,
        names: Map::default(),
        watched: false,
        told: None,
        noted: 0,
        entries: Vec::new(),
    };
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
                    writer.end().await;
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
                None => {
                    writer.write().await;
                    return writer.end().await;
                }
            },
        }
    }
}

struct Writer {
    log: UsageLog,
    gathered: Arc<Gathered>,
    /// The names that are stored.
    names: Map<Code, String>,
    /// Whether all names stored since it was asked to watch are among them.
    watched: bool,
    /// When something wrong was last said, and how many requests had been lost.
    told: Option<(Option<Instant>, u64)>,
    /// Requests that are noted in the store as not written.
    noted: u64,
    /// Reused.
    entries: Vec<UsageEntry>,
}

impl Writer {
    async fn write(&mut self) {
        let group = self.gathered.drain();
        if group.seen.is_empty() {
            self.gathered.give_back(group.seen);
            self.note(0).await;
            return self.tell(None);
        }
        // By place, and only of what is about to be stored or has been.
        let mut known = vec![None; group.abouts.len()];
        let mut written = 0;
        let mut failed = None;
        for part in group.seen.chunks(APPEND_MAX) {
            match self.append(part, &group.abouts, &mut known).await {
                Ok(()) => written += part.len(),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        // One sync for all parts: each wakes every thread that the store keeps for its files.
        if written > 0
            && let Err(error) = self.log.flush().await
        {
            (failed, written) = (Some(error), 0);
        }
        self.entries.shrink_to(group.seen.len().min(APPEND_MAX));
        let Some(error) = failed else {
            self.gathered.give_back(group.seen);
            self.note(0).await;
            return self.tell(None);
        };
        let Group { mut seen, abouts } = group;
        seen.drain(..written);
        let waiting = self.gathered.put_back(Group { seen, abouts });
        self.note(waiting).await;
        self.tell(Some(&error));
    }

    /// Stores some requests, and the names in them that are new or others than before.
    async fn append(
        &mut self,
        part: &[Seen],
        abouts: &[About],
        known: &mut [Option<Parties>],
    ) -> Result<(), StoreError> {
        let mut names = Map::default();
        let mut entries = std::mem::take(&mut self.entries);
        entries.extend(part.iter().map(|seen| {
            let about = seen.about as usize;
            let parties = *known[about].get_or_insert_with(|| self.parties(&abouts[about], &mut names));
            entry(seen, parties)
        }));
        let names: Vec<_> = names.into_iter().collect();
        self.entries = self.log.add(entries, names.clone()).await?;
        if self.names.len() + names.len() > NAMES_MAX {
            self.names.clear();
            self.watched = false;
        }
        self.names.extend(names.into_iter().map(|(code, name)| (code, name.name)));
        Ok(())
    }

    /// Forgets names that nothing stored needs. What is gathered but not written yet will store its names anew.
    async fn forget(&mut self, mut codes: Vec<Code>) {
        codes.retain(|code| !self.names.contains_key(code));
        // Those that are left may be in use after all: the next round decides.
        if !self.watched {
            return;
        }
        if let Err(error) = self.log.forget_names(codes).await {
            self.tell(Some(&error));
        }
    }

    /// Says what is lost because it could not be written to the last.
    async fn end(&mut self) {
        if self.gathered.give_up() > 0 {
            self.told = self.told.map(|(_, lost)| (None, lost));
            self.tell(None);
        }
        self.note(0).await;
    }

    /// Has the store note what is lost, and what would be without the memory of so many requests that wait: it is told
    /// after a restart, whatever ends this process.
    async fn note(&mut self, waiting: u64) {
        let lost = waiting + self.gathered.lost.load(std::sync::atomic::Ordering::Relaxed);
        if lost != self.noted {
            match self.log.note_unwritten(lost).await {
                Ok(()) => self.noted = lost,
                // It is in the log all the same.
                Err(error) => tracing::debug!(%error, "what the usage ledger misses is not noted"),
            }
        }
    }

    /// Says that the ledger cannot be written, or misses something; not too often.
    fn tell(&mut self, error: Option<&StoreError>) {
        let lost = self.gathered.lost.load(std::sync::atomic::Ordering::Relaxed);
        let (said, before) = self.told.unwrap_or_default();
        if (error.is_none() && lost == before) || said.is_some_and(|at| at.elapsed() < NOTICE_EVERY) {
            return;
        }
        self.told = Some((Some(Instant::now()), lost));
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

    fn parties(&self, about: &About, names: &mut Map<Code, UsageName>) -> Parties {
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
        let subject: Option<&Subject> = about.subject.as_deref();
        let organization = whose(Part::Organization, subject.and_then(|s| s.organization.as_ref()));
        let user = whose(Part::User, subject.and_then(|s| s.user.as_ref()));
        let key = whose(Part::Key, subject.and_then(|s| s.key.as_ref()));
        let mut what = |part, name: Option<&str>| name.map_or(Code::NONE, |name| code(part, name, name));
        Parties {
            organization,
            user,
            key,
            model: what(Part::Model, about.model.as_deref()),
            served: what(Part::Model, about.served.as_deref()),
            node: what(Part::Node, about.node.as_deref()),
            route: what(Part::Route, Some(about.route)),
        }
    }
}

fn entry(seen: &Seen, parties: Parties) -> UsageEntry {
    UsageEntry {
        time: seen.time,
        request: seen.request,
        parties,
        address: seen.address,
        times: seen.times,
        prompt: seen.prompt,
        output: seen.output,
        estimated: seen.estimated,
        cost: seen.cost,
        status: seen.status,
        outcome: seen.outcome as u8,
        limit: seen.limit,
        // Most have none, and are spared the making of a map from nothing.
        findings: if seen.findings.total() == 0 { BTreeMap::new() } else { seen.findings.each().collect() },
        queued_ms: seen.queued_ms,
        total_ms: seen.total_ms,
    }
}
