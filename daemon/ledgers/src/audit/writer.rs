//! The one task that writes: it gives entries their place in the chain, stores them in groups, and makes
//! checkpoints.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use aivonx_domain::now;
use aivonx_protocol::{
    UnixMillis,
    audit::{AuditEntry, Checkpoint},
};
use aivonx_store::{AuditHead, StoreError};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Interval, MissedTickBehavior, interval, timeout},
};

use super::{AuditError, Entry, Shared, mirror, publish};

/// Most entries stored as one.
const GROUP: usize = 256;
/// Most entries kept while they cannot be stored; further ones are counted instead.
const KEPT: usize = 8192;
/// Time between two attempts to store those.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// How long entries that nobody waits for may gather.
const GATHER: Duration = Duration::from_millis(5);

/// What the task is asked.
pub(super) enum Job {
    /// Store an entry.
    Entry {
        entry: Box<Entry>,
        time: UnixMillis,
        /// Gets the entry's position once it is durable.
        done: Option<oneshot::Sender<Result<u64, AuditError>>>,
    },
    /// Write down what is counted.
    Counted(oneshot::Sender<()>),
    /// Make a checkpoint of everything asked for before, if there is something new.
    Checkpoint(oneshot::Sender<Result<Option<Checkpoint>, AuditError>>),
    /// Store a checkpoint as it is.
    Replace(Box<Checkpoint>, oneshot::Sender<Result<(), AuditError>>),
    /// Write down what is counted, make a last checkpoint and end.
    Close(oneshot::Sender<()>),
}

struct Waiting {
    entry: Box<Entry>,
    time: UnixMillis,
    done: Option<oneshot::Sender<Result<u64, AuditError>>>,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Job>,
    head: AuditHead,
    /// Entries behind the head that are not stored yet, in their order: what was acknowledged keeps its entry.
    kept: Vec<AuditEntry>,
    /// The entry that the last checkpoint is about.
    checkpoint: u64,
    checkpointed: Instant,
    /// When counting began.
    minute: UnixMillis,
    ticks: Interval,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        queue: mpsc::Receiver<Job>,
        head: AuditHead,
        checkpoint: u64,
    ) -> Self {
        let mut ticks = interval((shared.options.fold / 4).max(Duration::from_millis(10)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let kept = Vec::new();
        Self { shared, queue, head, kept, checkpoint, checkpointed: Instant::now(), minute: now(), ticks }
    }

    pub(super) async fn run(mut self) {
        loop {
            let job = tokio::select! {
                job = self.queue.recv() => job,
                _ = self.ticks.tick() => {
                    self.tick().await;
                    continue;
                }
                () = tokio::time::sleep(RETRY_EVERY), if !self.kept.is_empty() => {
                    // It failed before, and was reported then.
                    let _ = self.store_kept().await;
                    self.note_kept().await;
                    continue;
                }
            };
            let mut job = job;
            while let Some(this) = job.take() {
                match this {
                    Job::Entry { entry, time, done } => {
                        let (group, next) = self.gather(Waiting { entry, time, done }).await;
                        self.store(group).await;
                        job = next;
                    }
                    Job::Counted(done) => {
                        self.close_minute().await;
                        // Who asked may have left.
                        let _ = done.send(());
                    }
                    Job::Checkpoint(done) => {
                        let made = self.make_checkpoint().await;
                        // Who asked may have left.
                        let _ = done.send(made);
                    }
                    Job::Replace(checkpoint, done) => {
                        let head = self.head.clone();
                        let stored = self.shared.log.append(Vec::new(), Some(*checkpoint), head).await;
                        let _ = done.send(stored.map(drop).map_err(Into::into));
                    }
                    Job::Close(done) => {
                        self.end().await;
                        let _ = done.send(());
                        return;
                    }
                }
            }
            if self.queue.is_closed() && self.queue.is_empty() {
                return;
            }
        }
    }

    /// Takes what has come by now. If nobody waits for it, a little more may come.
    async fn gather(&mut self, first: Waiting) -> (Vec<Waiting>, Option<Job>) {
        if self.kept.is_empty() {
            self.shared.figures.oldest.store(first.time, Ordering::Relaxed);
        }
        let mut someone_waits = first.done.is_some();
        let mut group = vec![first];
        let until = Instant::now() + GATHER;
        while group.len() < GROUP {
            let job = match self.queue.try_recv() {
                Ok(job) => job,
                Err(_) if someone_waits => break,
                Err(_) => {
                    match timeout(until.saturating_duration_since(Instant::now()), self.queue.recv()).await {
                        Ok(Some(job)) => job,
                        _ => break,
                    }
                }
            };
            match job {
                Job::Entry { entry, time, done } => {
                    someone_waits |= done.is_some();
                    group.push(Waiting { entry, time, done });
                }
                other => return (group, Some(other)),
            }
        }
        (group, None)
    }

    async fn store(&mut self, group: Vec<Waiting>) {
        let mut waiting = Vec::with_capacity(group.len());
        let (count, earlier) = (group.len() as u64, self.kept.len());
        for Waiting { entry, time, done } in group {
            // Its place is given when it is stored.
            let mut entry = entry.placed(0, time);
            self.shared.name(&mut entry);
            self.kept.push(entry);
            waiting.push(done);
        }
        let stored = self.store_kept().await;
        if let Err(error) = &stored {
            self.shared.figures.failures.fetch_add(1, Ordering::Relaxed);
            if earlier == 0 {
                tracing::error!(
                    event = "audit_failed", count, %error, "audit entries could not be stored; it is tried again"
                );
            }
            self.give_up_surplus();
        }
        if stored.is_err() || earlier > 0 {
            self.note_kept().await;
        }
        let first = (self.head.last + 1).saturating_sub(count);
        for (seq, done) in (first..).zip(waiting) {
            if let Some(done) = done {
                let result = match &stored {
                    Ok(()) => Ok(seq),
                    Err(error) => Err(AuditError::NotStored(error.to_string())),
                };
                // Who waited may have left.
                let _ = done.send(result);
            }
        }
    }

    /// Gives what is kept its place, and stores it in groups.
    async fn store_kept(&mut self) -> Result<(), StoreError> {
        self.take_over_late().await?;
        while !self.kept.is_empty() {
            let count = self.kept.len().min(GROUP);
            let mut head = self.head.clone();
            for entry in &mut self.kept[..count] {
                (entry.seq, entry.prev) = (head.last + 1, head.hash);
                entry.hash = entry.chained(&head.hash);
                (head.last, head.hash) = (entry.seq, entry.hash);
            }
            let due = head.last - self.checkpoint >= self.shared.options.checkpoint_entries;
            let checkpoint = due.then(|| self.shared.signer.checkpoint(&head, self.checkpoint));
            let entries = self.kept[..count].to_vec();
            self.shared.log.append(entries, checkpoint.clone(), head.clone()).await?;
            self.advance(count, head);
            if let Some(checkpoint) = checkpoint {
                self.publish(&checkpoint).await;
            }
        }
        Ok(())
    }

    /// Has the store note how many entries are in memory alone, so that they are missed should that be the end of them.
    async fn note_kept(&self) {
        if let Err(error) = self.shared.log.note_unwritten(self.kept.len() as u64).await {
            tracing::debug!(%error, "what the audit log misses is not noted");
        }
    }

    /// An attempt that did not end in time may have come to its end since.
    async fn take_over_late(&mut self) -> Result<(), StoreError> {
        if self.kept.first().is_none_or(|entry| entry.seq == 0) {
            return Ok(());
        }
        if let Some(head) = self.shared.log.head().await?
            && let Some(last) =
                self.kept.iter().position(|entry| entry.seq == head.last && entry.hash == head.hash)
        {
            self.advance(last + 1, head);
        }
        Ok(())
    }

    /// Takes the first `count` of what is kept for stored.
    fn advance(&mut self, count: usize, head: AuditHead) {
        self.kept.drain(..count);
        let figures = &self.shared.figures;
        figures.written.fetch_add(count as u64, Ordering::Relaxed);
        figures.pending.fetch_sub(count as u64, Ordering::Relaxed);
        if let Some(oldest) = self.kept.first() {
            figures.oldest.store(oldest.time, Ordering::Relaxed);
        }
        self.head = head.clone();
        self.shared.head.send_replace(head);
    }

    /// Counts the entries for which there is no room, the newest: no change is made meanwhile, so those are of refusals.
    fn give_up_surplus(&mut self) {
        let surplus = self.kept.split_off(self.kept.len().min(KEPT));
        self.shared.figures.pending.fetch_sub(surplus.len() as u64, Ordering::Relaxed);
        let mut fold = self.shared.fold.lock().unwrap_or_else(PoisonError::into_inner);
        surplus.iter().for_each(|entry| fold.lose(entry.action));
    }

    async fn tick(&mut self) {
        let fold = u64::try_from(self.shared.options.fold.as_millis()).unwrap_or(u64::MAX);
        if now().saturating_sub(self.minute) >= fold {
            self.close_minute().await;
        }
        if self.checkpointed.elapsed() >= self.shared.options.checkpoint_interval {
            // A failure is logged, and tried again at the next tick.
            let _ = self.make_checkpoint().await;
        }
    }

    /// Writes down what was counted.
    async fn close_minute(&mut self) {
        let entries = {
            let mut fold = self.shared.fold.lock().unwrap_or_else(PoisonError::into_inner);
            fold.close(self.minute)
        };
        self.minute = now();
        let group: Vec<Waiting> = entries
            .into_iter()
            .map(|entry| {
                mirror::mirror(&entry);
                Waiting { entry: Box::new(entry), time: self.minute, done: None }
            })
            .collect();
        let mut group = group.into_iter().peekable();
        while group.peek().is_some() {
            let part: Vec<Waiting> = group.by_ref().take(GROUP).collect();
            self.shared.figures.pending.fetch_add(part.len() as u64, Ordering::Relaxed);
            self.store(part).await;
        }
    }

    async fn make_checkpoint(&mut self) -> Result<Option<Checkpoint>, AuditError> {
        self.store_kept().await?;
        if self.head.last <= self.checkpoint {
            self.checkpointed = Instant::now();
            return Ok(None);
        }
        let checkpoint = self.shared.signer.checkpoint(&self.head, self.checkpoint);
        let head = self.head.clone();
        if let Err(error) = self.shared.log.append(Vec::new(), Some(checkpoint.clone()), head).await {
            self.shared.figures.failures.fetch_add(1, Ordering::Relaxed);
            tracing::error!(event = "audit_failed", error = %error, "a checkpoint of the audit log could not be stored");
            return Err(error.into());
        }
        self.publish(&checkpoint).await;
        Ok(Some(checkpoint))
    }

    async fn publish(&mut self, checkpoint: &Checkpoint) {
        self.checkpoint = checkpoint.seq;
        self.checkpointed = Instant::now();
        self.shared.figures.checkpointed.store(checkpoint.time, Ordering::Relaxed);
        publish::publish(checkpoint, self.shared.options.checkpoint_file.as_deref()).await;
    }

    async fn end(&mut self) {
        self.queue.close();
        // What was sent before the door closed.
        let mut rest = Vec::new();
        while let Ok(job) = self.queue.try_recv() {
            if let Job::Entry { entry, time, done } = job {
                rest.push(Waiting { entry, time, done });
            }
        }
        if !rest.is_empty() {
            self.store(rest).await;
        }
        self.close_minute().await;
        let _ = self.make_checkpoint().await;
        if !self.kept.is_empty() {
            self.note_kept().await;
            let count = self.kept.len();
            tracing::error!(event = "audit_failed", count, "audit entries that could not be stored are lost");
        }
    }
}
