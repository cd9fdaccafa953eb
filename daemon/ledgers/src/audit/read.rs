//! Reading the log within somebody's reach.

use aivonx_domain::TenantScope;
use aivonx_protocol::audit::{AuditEntry, AuditFilter, AuditPage, PAGE_MAX};
use aivonx_store::{AuditHead, AuditLog, audit::Query};
use tokio::sync::watch;

use super::{Audit, AuditError};

/// Bytes of entries in one answer: half of what a frame holds.
const BYTES: usize = 4 << 20;

impl Audit {
    /// Entries that pass the filter, newest first unless `oldest_first`; `cursor` as the page before said.
    ///
    /// # Errors
    /// If the store fails or an entry cannot be read.
    pub async fn list(
        &self,
        reach: &TenantScope,
        filter: AuditFilter,
        cursor: Option<u64>,
        limit: u32,
        oldest_first: bool,
    ) -> Result<AuditPage, AuditError> {
        let limit = limit.clamp(1, PAGE_MAX) as usize;
        let query = Query { filter, cursor, limit, bytes: BYTES, oldest_first };
        let page = self.shared()?.log.page(reach, query).await?;
        Ok(AuditPage { entries: page.entries, next: page.next })
    }

    /// The entry at `seq`; None if the caller can reach none there.
    ///
    /// # Errors
    /// If the store fails or the entry cannot be read.
    pub async fn show(&self, reach: &TenantScope, seq: u64) -> Result<Option<AuditEntry>, AuditError> {
        Ok(self.shared()?.log.entry(reach, seq).await?)
    }

    /// The newest `lines` entries that pass the filter, then every new one.
    ///
    /// # Errors
    /// If the store fails or an entry cannot be read.
    pub async fn follow(
        &self,
        reach: TenantScope,
        filter: AuditFilter,
        lines: u32,
    ) -> Result<Follow, AuditError> {
        let shared = self.shared()?;
        let mut heads = shared.head.subscribe();
        let seen = heads.borrow_and_update().last;
        let page = match lines {
            0 => AuditPage { entries: Vec::new(), next: None },
            lines => self.list(&reach, filter.clone(), Some(seen + 1), lines, false).await?,
        };
        Ok(Follow { log: shared.log.clone(), reach, filter, heads, seen, ready: page.entries })
    }
}

/// Entries as they are written. None is left out, however slow its reader: they are read from the store.
#[derive(Debug)]
pub struct Follow {
    log: AuditLog,
    reach: TenantScope,
    filter: AuditFilter,
    heads: watch::Receiver<AuditHead>,
    /// The last entry looked at.
    seen: u64,
    /// Entries to be given, the next one last.
    ready: Vec<AuditEntry>,
}

impl Follow {
    /// The next entry; None when the log is closed.
    ///
    /// # Errors
    /// If the store fails or an entry cannot be read.
    pub async fn next(&mut self) -> Option<Result<AuditEntry, AuditError>> {
        loop {
            if let Some(entry) = self.ready.pop() {
                return Some(Ok(entry));
            }
            let last = self.heads.borrow_and_update().last;
            if last <= self.seen {
                self.heads.changed().await.ok()?;
                continue;
            }
            let query = Query {
                filter: self.filter.clone(),
                cursor: Some(self.seen),
                limit: PAGE_MAX as usize,
                bytes: BYTES,
                oldest_first: true,
            };
            match self.log.page(&self.reach, query).await {
                Ok(page) => {
                    // Entries behind `last` may be in it already.
                    let newest = page.entries.last().map_or(0, |entry| entry.seq);
                    self.seen = page.next.unwrap_or(last).max(newest);
                    self.ready = page.entries;
                    self.ready.reverse();
                }
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}
