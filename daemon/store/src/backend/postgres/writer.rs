//! Who may write: one process, by the one row of `aivonx.writer`.
//!
//! Not an advisory lock: that belongs to a session, which a pooler in transaction mode shares out anew for each
//! statement, and which is lost with every connection. The row says which data directory the settings belong to
//! (`owner`), which process writes (`holder`, with its `place`), when it was last seen, and an `epoch` that every claim
//! raises, by a random step: a claim that a failover forgot does not share its epoch with the next. Each change compares
//! the epoch in its own statement, so a process that was superseded writes nothing, however late its change arrives. It
//! also compares the `revision`, which each change raises: after a failover to a server that lacks changes, or a backup
//! put back, the epoch may be the same, and nothing may be written on top of that state.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::atomic::{AtomicI64, Ordering},
};

use aivonx_protocol::UnixMillis;
use sha2::{Digest as _, Sha256};
use tokio_postgres::types::Type;

use super::link::{self, Link, Param};
use crate::StoreError;

/// The right to write.
#[derive(Debug)]
pub(crate) struct Claim {
    epoch: i64,
    /// Of the last change made with it. Behind after a change whose outcome is not known, which ends its use.
    revision: AtomicI64,
}

/// The process that claims.
pub(crate) struct Claimant {
    /// The id of the data directory's share in the database, out of its file `STORE`.
    pub(crate) owner: String,
    /// For messages.
    name: String,
    /// Equal for two processes only if they use one directory on one running machine, where the directory's lock lets in
    /// one at a time. A copy of the directory, also on a copy of the machine, has another.
    place: String,
}

impl Claimant {
    /// This process, which has the lock on `dir`.
    pub(crate) fn of(dir: &Path, owner: &str) -> Result<Self, StoreError> {
        let meta = fs::metadata(dir).map_err(StoreError::io("look at", dir))?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim();
        let place = format!("{}\n{}\n{}\n{host}", boot.trim(), meta.dev(), meta.ino());
        Ok(Self {
            owner: owner.to_owned(),
            name: format!("process {} on {host}, in {}", std::process::id(), dir.display()),
            place: hex::encode(&Sha256::digest(place.as_bytes())[..16]),
        })
    }

    fn params(self) -> Vec<Param> {
        [self.owner, self.name, self.place].map(|text| Param::new(text, Type::TEXT)).into()
    }
}

/// A holder that was not seen for so long is taken to be gone. It is seen every [`crate::lease::RENEW_EVERY`].
const STALE: &str = "30 seconds";

const CLAIM: &str = "
    UPDATE aivonx.writer
    SET epoch = epoch + 1 + floor(random() * 1000000)::bigint, owner = $1, holder = $2, place = $3, seen = clock_timestamp()
    WHERE (owner IS NULL OR owner = $1)
      AND (holder IS NULL OR place = $3 OR seen < clock_timestamp() - interval '30 seconds')
    RETURNING epoch, revision";

const TAKE_OVER: &str = "
    UPDATE aivonx.writer
    SET epoch = epoch + 1 + floor(random() * 1000000)::bigint, owner = $1, holder = $2, place = $3, seen = clock_timestamp()
    WHERE $4 OR holder IS NULL OR place = $3 OR seen < clock_timestamp() - interval '30 seconds'
    RETURNING epoch, revision";

/// What the row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    epoch: i64,
    pub(crate) owner: Option<String>,
    /// The process that writes, in words, and the seconds since it was seen.
    pub(crate) holder: Option<(String, i64)>,
    /// When it was.
    seen: UnixMillis,
}

impl Holder {
    pub(crate) fn read(link: &Link) -> Result<Self, StoreError> {
        let rows = link.read(
            "SELECT owner, holder, greatest(0, extract(epoch FROM clock_timestamp() - seen))::bigint, \
             (extract(epoch FROM seen) * 1000)::bigint, epoch FROM aivonx.writer",
            Vec::new(),
        )?;
        let row = rows
            .first()
            .ok_or_else(|| StoreError::NotMigrated(format!("{} has no row in aivonx.writer", link.name())))?;
        let holder: Option<String> = link::column(row, 1)?;
        let ago: Option<i64> = link::column(row, 2)?;
        let seen: Option<i64> = link::column(row, 3)?;
        Ok(Self {
            epoch: link::column(row, 4)?,
            owner: link::column(row, 0)?,
            holder: holder.map(|name| (name, ago.unwrap_or(i64::MAX))),
            seen: seen.and_then(|at| at.try_into().ok()).unwrap_or(0),
        })
    }

    fn in_words(&self) -> String {
        match &self.holder {
            Some((name, seconds)) => {
                format!("{} (seen {seconds} s ago)", aivonx_protocol::Untrusted::new(name))
            }
            None => "no process at the moment".into(),
        }
    }
}

impl Claim {
    /// No right: epochs begin at 1.
    pub(crate) fn none() -> Self {
        Self { epoch: 0, revision: AtomicI64::new(0) }
    }

    /// The right to write for the data directory of `claimant`.
    ///
    /// # Errors
    /// If another process writes, or the settings belong to another data directory.
    pub(crate) fn take(link: &Link, claimant: Claimant) -> Result<Self, StoreError> {
        let owner = claimant.owner.clone();
        if let Some(claim) = Self::run(link, CLAIM, claimant.params())? {
            return Ok(claim);
        }
        let held = Holder::read(link)?;
        let name = link.name();
        if held.owner.as_ref().is_some_and(|other| *other != owner) {
            return Err(StoreError::Superseded(format!(
                "{name} holds the settings of a gateway with another data directory, used by {}; give each gateway a \
                 database of its own. If that gateway is gone for good and this one is to go on in its place: aivonxd takeover",
                held.in_words()
            )));
        }
        let why = format!(
            "{name} is in use by {}; two gateways on one database are refused. Stop that one first; if its machine is gone, \
             its right to write ends {STALE} after it was last seen",
            held.in_words()
        );
        Err(StoreError::DatabaseHeld { why, seen: held.seen })
    }

    /// The same for another data directory than so far; from a process that is alive only by `force`.
    pub(crate) fn take_over(link: &Link, claimant: Claimant, force: bool) -> Result<Self, StoreError> {
        let mut params = claimant.params();
        params.push(Param::new(force, Type::BOOL));
        if let Some(claim) = Self::run(link, TAKE_OVER, params)? {
            return Ok(claim);
        }
        Err(StoreError::DatabaseRefused(format!(
            "{} is in use by {}; stop that gateway first. If its machine is gone, its right to write ends {STALE} after it was \
             last seen; `aivonxd takeover --force` takes over its settings at once",
            link.name(),
            Holder::read(link)?.in_words()
        )))
    }

    fn run(link: &Link, statement: &'static str, params: Vec<Param>) -> Result<Option<Self>, StoreError> {
        let rows = link.once(statement, params)?;
        let claim =
            |row| Ok(Self { epoch: link::column(row, 0)?, revision: AtomicI64::new(link::column(row, 1)?) });
        rows.first().map(claim).transpose()
    }

    /// What a change compares, as parameters: the epoch, and the revision that the last one reached.
    pub(super) fn state(&self) -> [Param; 2] {
        [self.epoch, self.revision.load(Ordering::Acquire)].map(|number| Param::new(number, Type::INT8))
    }

    /// A change was made.
    pub(super) fn reached(&self, revision: i64) {
        self.revision.store(revision, Ordering::Release);
    }

    /// Says that this process is alive.
    pub(super) fn renew(&self, link: &Link) -> Result<(), StoreError> {
        let rows = link.once(
            // A change may be made meanwhile.
            "UPDATE aivonx.writer SET seen = clock_timestamp() WHERE epoch = $1 AND revision >= $2 RETURNING epoch",
            self.state().into(),
        )?;
        if rows.is_empty() { Err(self.lost(link)) } else { Ok(()) }
    }

    /// Why nothing could be written.
    pub(super) fn lost(&self, link: &Link) -> StoreError {
        let name = link.name();
        match Holder::read(link) {
            Ok(held) if held.epoch > self.epoch => StoreError::Superseded(format!(
                "{name} was taken over by {}; this gateway may not write it any more",
                held.in_words()
            )),
            Ok(_) => StoreError::Database(format!(
                "{name} went back to an earlier state: it lacks changes that this gateway has made. Look for a failover, or a \
                 backup that was put back"
            )),
            // Whoever took over, if anybody did, is found when the right is claimed anew.
            Err(e) => e,
        }
    }

    /// Lets the next process in at once.
    pub(super) fn release(&self, link: &Link) {
        if self.epoch == 0 {
            return;
        }
        // If it fails, the right ends by itself.
        let _ = link.once(
            "UPDATE aivonx.writer SET holder = NULL, place = NULL WHERE epoch = $1",
            vec![Param::new(self.epoch, Type::INT8)],
        );
    }
}
