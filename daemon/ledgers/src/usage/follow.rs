//! Requests as they end, and those that have ended.

use std::sync::Arc;

use aivonx_domain::TenantScope;
use aivonx_protocol::{UnixMillis, usage::UsageFrom};
use aivonx_store::usage::{Cursor, Wanted};
use tokio::sync::broadcast::{self, error::RecvError};

use super::{
    Only, Usage, UsageError, Whose,
    report::{self, Names},
};

/// Requests in one step of an export.
const PAGE: usize = 500;

/// What those who follow are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// Requests that ended.
    Records(Vec<UsageFrom>),
    /// So many groups of requests went by unseen, because the reader was slow.
    Missed(u64),
}

/// A reader of requests as they end.
#[derive(Debug)]
pub struct Follow {
    live: broadcast::Receiver<Arc<Vec<(Whose, UsageFrom)>>>,
    reach: TenantScope,
    only: Only,
}

impl Follow {
    /// What comes next; None when the ledger is closed. May be dropped at any point without losing anything.
    pub async fn next(&mut self) -> Option<Followed> {
        loop {
            match self.live.recv().await {
                Ok(group) => {
                    let wanted = |((organization, user), record): &&(Whose, UsageFrom)| {
                        self.reach.covers(organization.as_deref(), user.as_deref()) && self.only.has(record)
                    };
                    let records: Vec<_> = group.iter().filter(wanted).map(|(_, r)| r.clone()).collect();
                    if !records.is_empty() {
                        return Some(Followed::Records(records));
                    }
                }
                Err(RecvError::Lagged(groups)) => return Some(Followed::Missed(groups)),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

/// Reads the requests that are kept, page by page.
#[derive(Debug)]
pub struct Export {
    usage: Usage,
    wanted: Wanted,
    since: UnixMillis,
    until: UnixMillis,
    /// None when all was read.
    cursor: Option<Option<Cursor>>,
    names: Names,
}

impl Export {
    /// The next page; None if there are no more.
    ///
    /// # Errors
    /// If the store fails or a record is damaged.
    pub async fn next(&mut self) -> Result<Option<Vec<UsageFrom>>, UsageError> {
        let log = &self.usage.inner.log;
        while let Some(cursor) = self.cursor.take() {
            let page = log.page(self.wanted, self.since, self.until, cursor, PAGE).await?;
            self.cursor = page.next.map(Some);
            if page.entries.is_empty() {
                continue;
            }
            self.names.learn(log, page.entries.iter().map(|entry| &entry.parties)).await?;
            return Ok(Some(page.entries.iter().map(|entry| self.names.record(entry)).collect()));
        }
        Ok(None)
    }
}

impl Usage {
    /// Requests within reach as they end, from now on.
    #[must_use]
    pub fn follow(&self, reach: TenantScope, only: Only) -> Follow {
        Follow { live: self.inner.live.subscribe(), reach, only }
    }

    /// Requests within reach that ended from `since` to before `until`, oldest first.
    pub async fn export(
        &self,
        reach: &TenantScope,
        only: &Only,
        since: Option<UnixMillis>,
        until: Option<UnixMillis>,
    ) -> Export {
        self.catch_up().await;
        let wanted = report::wanted(reach, only);
        let (since, until) = (since.unwrap_or(0), until.unwrap_or(UnixMillis::MAX));
        Export { usage: self.clone(), wanted, since, until, cursor: Some(None), names: Names::default() }
    }
}
