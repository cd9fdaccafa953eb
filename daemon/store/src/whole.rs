//! A copy of the whole store, ledgers included, for backups: read while everything goes on, and put in place of what a
//! data directory holds.
//!
//! It has the parts `snapshot` (every record, see [`snapshot`]), the segments of the ledgers as `ledger/NAME/FILE`, and
//! `COMMIT`, which says how far they go. The records are of one moment; the ledgers go at least as far.

use std::{fs, io, path::Path, sync::PoisonError};

use super::{
    Store, StoreError, files,
    layout::Layout,
    ledgers::Ledger,
    marker::{Acknowledged, Commit},
    recover::{self, Restored},
    snapshot, swap,
};

/// Name of the part with the records.
const RECORDS: &str = "snapshot";
const COMMIT: &str = "COMMIT";
const LEDGERS: &str = "ledger";

/// What a copy holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Number of the last change it has.
    pub change: u64,
    /// Schema of its records.
    pub schema: u32,
}

impl Store {
    /// Gives every part of a copy to `each`: what the copy is of, the part's name and its content. A segment of a ledger
    /// that is removed by age meanwhile is left out.
    ///
    /// # Errors
    /// If the store does not check out, a ledger cannot be read, or `each` fails.
    pub async fn copy(
        &self,
        mut each: impl FnMut(&Copied, &str, &[u8]) -> io::Result<()> + Send + 'static,
    ) -> Result<Copied, StoreError> {
        let (dir, daemon) = (self.dir().to_owned(), self.daemon().to_owned());
        let records = self
            .run_long(move |engine, _| {
                let collected = engine.quiet(|engine| snapshot::collect(engine, &daemon))?;
                collected.map_err(|e| e.report(|what| StoreError::Damaged { dir, what }))
            })
            .await?;
        let inner = self.inner.clone();
        let copying = tokio::task::spawn_blocking(move || {
            let failed = |source| StoreError::io("write a copy of", &inner.layout.dir)(source);
            let reached = || {
                let ledgers = inner.ledgers.read().unwrap_or_else(PoisonError::into_inner);
                ledgers.as_ref().map(super::Ledgers::reached).ok_or(StoreError::Closed)
            };
            let copied = Copied { change: records.seq, schema: records.schema };
            each(&copied, RECORDS, &snapshot::render(&records)).map_err(failed)?;
            let mut to = Acknowledged { seq: records.seq, ..reached()? };
            for ledger in Ledger::ALL {
                let segments = {
                    let ledgers = inner.ledgers.read().unwrap_or_else(PoisonError::into_inner);
                    ledgers.as_ref().ok_or(StoreError::Closed)?.log(ledger).segments()
                };
                for segment in segments {
                    let path = segment.path();
                    let Some(file) = path.file_name() else { continue };
                    if let Some(content) = segment.content()? {
                        let name = format!("{LEDGERS}/{}/{}", ledger.directory(), file.to_string_lossy());
                        each(&copied, &name, &content).map_err(failed)?;
                    }
                }
            }
            // What was removed by age meanwhile is not missed.
            let behind = reached()?;
            for ledger in Ledger::ALL {
                let first = ledger.extent(&behind).first;
                let extent = ledger.extent_mut(&mut to);
                extent.first = extent.first.max(first);
            }
            each(&copied, COMMIT, &Commit::render(to)).map_err(failed)?;
            Ok(copied)
        });
        copying.await.map_err(|e| StoreError::Panicked(e.to_string()))?
    }
}

/// A place where a copy is laid out, before [`Staged::put`] puts it into the data directory around it.
#[derive(Debug)]
pub struct Staged {
    claim: recover::Claim,
}

impl Staged {
    /// An empty place in the data directory `dir`, which is made if it is not there.
    ///
    /// # Errors
    /// If the directory is in use or foreign, or cannot be written.
    pub fn lay(dir: &Path) -> Result<Self, StoreError> {
        let claim = recover::Claim::lay(dir)?;
        let place = claim.layout.staged();
        files::remove_dir(&place)?;
        files::make_dir(&place)?;
        Ok(Self { claim })
    }

    /// Writes one part.
    ///
    /// # Errors
    /// If it is not a part of a copy, or the disk takes it not.
    pub fn add(&self, name: &str, content: &mut dyn io::Read) -> Result<(), StoreError> {
        let place = self.claim.layout.staged();
        if !is_part(name) {
            let what = format!(
                "it has a part \"{}\" that is none of a store's",
                aivonx_protocol::Untrusted::new(name)
            );
            return Err(StoreError::BadSnapshot { path: place, what });
        }
        let path = place.join(name);
        if let Some(parent) = path.parent() {
            files::make_dir(parent)?;
        }
        let mut file = files::create_private(&path)?;
        io::copy(content, &mut file).and_then(|_| file.sync_all()).map_err(StoreError::io("write", &path))
    }

    /// Checks that all is there and can be read, before anything is put anywhere.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<recover::Summary, StoreError> {
        let place = self.claim.layout.staged();
        let missing = |what: &str| StoreError::BadSnapshot { path: place.clone(), what: what.to_owned() };
        let records = snapshot::read(&place.join(RECORDS))?;
        if Commit::read(&place.join(COMMIT))?.is_none() {
            return Err(missing("it does not say how far its ledgers go"));
        }
        Ok(recover::summary(&records, None))
    }

    /// Puts the copy in place of what the directory holds, which is set aside beside it (`NAME.before-TIME`), never
    /// deleted. Interrupted, the directory is refused until this is done again.
    ///
    /// # Errors
    /// As of [`recover::put_back`].
    pub fn put(self, source: &Path) -> Result<Restored, StoreError> {
        let layout = &self.claim.layout;
        let place = layout.staged();
        let contents = snapshot::read(&place.join(RECORDS))?;
        recover::check_schema(&contents, source)?;
        files::replace(&layout.half_restored(), b"A backup is being restored. Do not delete.\n")?;
        let aside = swap::set_aside(layout)?;
        for (name, to) in [(LEDGERS, layout.ledgers()), (COMMIT, layout.commit())] {
            let from = place.join(name);
            if from.exists() {
                files::rename(&from, &to)?;
            }
        }
        let mut restored = recover::put(&self.claim, contents, source)?;
        restored.set_aside = aside;
        files::remove(&layout.half_restored())?;
        files::sync_dir(&layout.dir)?;
        files::remove_dir(&place)?;
        Ok(restored)
    }

    /// Removes what was laid out.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn discard(self) -> Result<(), StoreError> {
        files::remove_dir(&self.claim.layout.staged())
    }
}

/// Refuses a directory in which a copy is half in place.
pub(super) fn check_complete(layout: &Layout) -> Result<(), StoreError> {
    if fs::symlink_metadata(layout.half_restored()).is_ok() {
        return Err(StoreError::HalfRestored { dir: layout.dir.clone() });
    }
    Ok(())
}

fn is_part(name: &str) -> bool {
    let is_segment = |file: &str| {
        file.strip_suffix(".log").is_some_and(|n| n.len() == 20 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    match name.split('/').collect::<Vec<_>>()[..] {
        [RECORDS | COMMIT] => true,
        [LEDGERS, dir, file] => {
            Ledger::ALL.iter().any(|ledger| ledger.directory() == dir) && is_segment(file)
        }
        _ => false,
    }
}
