//! Walking the whole log.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use aivonx_protocol::audit::{
    Action, AnchorProblem, AuditVerdict, Chain, Checkpoint, CheckpointKind, Digest, PublicKey, WrongAnchor,
};
use aivonx_store::audit::Placed;

use tokio::sync::mpsc::Sender;

use super::{Audit, AuditError, Shared};

/// Entries looked at in one go.
const BATCH: usize = 2048;

/// Where a walk begins, and what lies on its way.
pub(super) struct Walk {
    shared: Arc<Shared>,
    signers: Arc<Vec<PublicKey>>,
    /// The checkpoint that everything before was removed by, if something was.
    start: Option<Checkpoint>,
    checkpoints: HashMap<u64, Result<Checkpoint, String>>,
    chain: Chain,
    from: u64,
    /// Hashes that anchors are about.
    hashes: HashMap<u64, Digest>,
    wanted: HashSet<u64>,
    chains: HashSet<String>,
    /// Rest between two batches, for a walk that nobody waits for.
    pause: Option<Duration>,
    /// Where progress is sent.
    told: Option<Progress>,
}

/// Gets the entry that a walk has come to, and the last one. A receiver that is slow misses steps.
pub type Progress = Sender<(u64, u64)>;

impl Walk {
    pub(super) async fn new(shared: &Arc<Shared>, wanted: HashSet<u64>) -> Result<Self, AuditError> {
        let signers = shared.signer.public();
        let checkpoints = shared.log.checkpoints().await?;
        let start = checkpoints
            .iter()
            .rev()
            .filter_map(|(_, checkpoint)| checkpoint.as_ref().ok())
            .find(|c| c.kind == CheckpointKind::Retention && c.is_signed() && signers.contains(&c.signer))
            .cloned();
        let first = shared.head.borrow().first;
        let chain = match &start {
            Some(start) => Chain::behind(start),
            None => Chain::from_start(shared.signer.daemon(), first),
        };
        let chains = start.iter().map(|start| start.chain.clone()).collect();
        let hashes = start.iter().map(|start| (start.seq, start.hash)).collect();
        Ok(Self {
            shared: shared.clone(),
            signers: Arc::new(signers),
            from: start.as_ref().map_or(0, |start| start.seq + 1),
            start,
            checkpoints: checkpoints.into_iter().collect(),
            chain,
            hashes,
            wanted,
            chains,
            pause: None,
            told: None,
        })
    }

    /// The last entry that was removed by age.
    pub(super) fn removed_through(&self) -> u64 {
        self.start.as_ref().map_or(0, |start| start.seq)
    }

    /// The checkpoints that are there and readable, by entry.
    pub(super) fn checkpoints(&self) -> impl Iterator<Item = &Checkpoint> {
        self.checkpoints.values().filter_map(|checkpoint| checkpoint.as_ref().ok())
    }

    /// Walks up to and with entry `last`, which is known to have been written.
    pub(super) async fn run_to(&mut self, last: u64) -> Result<&Chain, AuditError> {
        loop {
            let batch = self.shared.log.walk(self.from, BATCH).await?;
            let batch: Vec<Placed> = batch.into_iter().filter(|(place, _)| *place <= last).collect();
            let Some((end, _)) = batch.last() else { break };
            self.from = end + 1;
            self.check(batch).await?;
            if self.chain.found().is_some() && self.wanted.is_empty() {
                break;
            }
            if let Some(told) = &self.told {
                let _ = told.try_send((self.from - 1, last));
            }
            if let Some(pause) = self.pause {
                tokio::time::sleep(pause).await;
            }
        }
        self.chain.end(last);
        Ok(&self.chain)
    }

    /// Takes a batch into the chain, off the threads on which others wait.
    async fn check(&mut self, batch: Vec<Placed>) -> Result<(), AuditError> {
        let mut chain = self.chain.clone();
        let range = batch[0].0..=batch[batch.len() - 1].0;
        let checkpoints: HashMap<u64, Result<Checkpoint, String>> = self
            .checkpoints
            .iter()
            .filter(|(seq, _)| range.contains(seq))
            .map(|(s, c)| (*s, c.clone()))
            .collect();
        let signers = self.signers.clone();
        let (chain, batch) = tokio::task::spawn_blocking(move || {
            for (place, entry) in &batch {
                chain.entry(*place, entry.as_ref().map_err(Clone::clone));
                match checkpoints.get(place) {
                    Some(Ok(checkpoint)) => chain.checkpoint(checkpoint, &signers),
                    Some(Err(why)) => chain.unreadable_checkpoint(*place, why),
                    None => {}
                }
            }
            (chain, batch)
        })
        .await
        .map_err(|e| AuditError::Broken(e.to_string()))?;
        self.chain = chain;
        for entry in batch.iter().filter_map(|(_, entry)| entry.as_ref().ok()) {
            if self.wanted.contains(&entry.seq) {
                self.hashes.insert(entry.seq, entry.hash);
            }
            if entry.action == Action::ChainStart {
                self.chains.extend(entry.details.get("chain").cloned());
            }
        }
        Ok(())
    }

    /// What an anchor proves: None if it is about entries since removed.
    fn anchor(&self, anchor: &Checkpoint, last: u64) -> Option<Result<(), AnchorProblem>> {
        let wrong = |why| Some(Err(why));
        if anchor.daemon != self.shared.signer.daemon() {
            return wrong(AnchorProblem::OtherDaemon);
        }
        if !anchor.is_signed() {
            return wrong(AnchorProblem::BadSignature);
        }
        if !self.signers.contains(&anchor.signer) {
            return wrong(AnchorProblem::UnknownSigner);
        }
        match self.hashes.get(&anchor.seq) {
            Some(hash) if *hash == anchor.hash => Some(Ok(())),
            None if anchor.seq < self.removed_through() => None,
            _ if !self.chains.contains(&anchor.chain) => wrong(AnchorProblem::OtherChain),
            None if anchor.seq > last => wrong(AnchorProblem::Cut),
            _ => wrong(AnchorProblem::Differs),
        }
    }
}

impl Audit {
    /// Walks the whole chain and compares it with published checkpoints.
    ///
    /// # Errors
    /// If the store fails. What is wrong with the log is no error but in the verdict.
    pub async fn verify(
        &self,
        anchors: &[Checkpoint],
        told: Option<Progress>,
    ) -> Result<AuditVerdict, AuditError> {
        self.walk(anchors, None, told).await
    }

    async fn walk(
        &self,
        anchors: &[Checkpoint],
        pause: Option<Duration>,
        told: Option<Progress>,
    ) -> Result<AuditVerdict, AuditError> {
        let began = Instant::now();
        let shared = self.shared()?;
        let mut walk = Walk::new(shared, anchors.iter().map(|anchor| anchor.seq).collect()).await?;
        walk.pause = pause;
        walk.told = told;
        let last = shared.head.borrow().last;
        let chain = walk.run_to(last).await?.clone();
        let (mut agreed, mut past, mut wrong) = (0, 0, Vec::new());
        for anchor in anchors {
            match walk.anchor(anchor, last) {
                Some(Ok(())) => agreed += 1,
                None => past += 1,
                Some(Err(why)) => wrong.push(WrongAnchor { seq: anchor.seq, time: anchor.time, why }),
            }
        }
        let intact = chain.found().is_none()
            && wrong.is_empty()
            && chain.restarts().iter().all(aivonx_protocol::audit::Restart::is_explained);
        if anchors.is_empty() || intact {
            shared.figures.verified.store(if intact { 1 } else { 2 }, Ordering::Relaxed);
        }
        Ok(AuditVerdict {
            intact,
            first: if chain.entries() == 0 {
                0
            } else {
                walk.start.as_ref().map_or(shared.head.borrow().first, |s| s.seq + 1)
            },
            last: if chain.entries() == 0 { 0 } else { last },
            entries: chain.entries(),
            checkpoints: chain.checkpoints(),
            signed_through: chain.signed_through(),
            retained_from: walk.start.as_ref().map(|start| start.time),
            found: chain.found().cloned(),
            restarts: chain.restarts().to_vec(),
            anchors_agreed: agreed,
            anchors_past: past,
            anchors_wrong: wrong,
            took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }
}

/// Verifies the log once, after the start, without haste.
pub(super) async fn in_background(audit: Audit) {
    match audit.walk(&[], Some(Duration::from_millis(5)), None).await {
        Ok(verdict) if verdict.intact => {}
        Ok(verdict) => {
            let found =
                verdict.found.map_or_else(|| "the chain begins anew".to_owned(), |found| found.to_string());
            tracing::error!(
                event = "audit_broken",
                reason = %found,
                "the audit log does not verify; see `aivonx audit verify`"
            );
        }
        // The store says so itself, unless it is closing.
        Err(error) => tracing::debug!(error = %error, "the audit log was not verified"),
    }
}
