//! Keeping the counters over a restart.

use std::{sync::Arc, time::Duration};

use aivonx_protocol::limit::LimitName;
use aivonx_store::{CounterRecord, Store, StoreError};

use super::{
    Account, Accounts, Caps, Clock, Kind, Limits, Now, Prices, Sharing, refill::Refill, throttle::Throttles,
    window::LiveCounters,
};

/// Time between two looks for what has changed.
const EVERY: Duration = Duration::from_secs(1);
/// Looks between two for subjects that are gone.
const SWEEP: u32 = 600;

impl Limits {
    /// Reads what was saved into `accounts`, and saves what changes from then on.
    ///
    /// # Errors
    /// If the store fails. Counters that cannot be read are left out, and logged.
    pub async fn open(store: Store, accounts: Arc<Accounts>, clock: Clock) -> Result<Arc<Self>, StoreError> {
        Self::open_shared(store, accounts, clock, None).await
    }

    /// The same, with limits that are shared with other gateways, if it is said how.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_shared(
        store: Store,
        accounts: Arc<Accounts>,
        clock: Clock,
        sharing: Option<Sharing>,
    ) -> Result<Arc<Self>, StoreError> {
        let now = clock.now();
        let mut damaged = 0u64;
        for record in store.limit_counters().load().await? {
            match record.map(|record| (kind_of(record.kind), record)) {
                Ok((Some(kind), record)) => {
                    let live = LiveCounters::restored(&record.windows, record.saved, &now);
                    accounts.restore(kind, &record.id.into(), live);
                }
                Ok((None, _)) | Err(_) => damaged += 1,
            }
        }
        if damaged > 0 {
            tracing::warn!(
                event = "limits_lost",
                count = damaged,
                "counters of limits that cannot be read begin anew"
            );
        }
        let refill = sharing.map(|sharing| Arc::new(Refill::new(sharing)));
        if let Some(refill) = &refill {
            accounts.share(refill);
            resume(&store, &accounts).await?;
        }
        let limits = Arc::new(Self {
            clock,
            store,
            accounts,
            throttles: Throttles::default(),
            fleet: arc_swap::ArcSwap::from_pointee(Caps::UNLIMITED),
            prices: Prices::default(),
            refusals: [const { std::sync::atomic::AtomicU64::new(0) }; LimitName::ALL.len()],
            refill,
        });
        if let Some(refill) = limits.refill.clone() {
            tokio::spawn(refill.run(Arc::downgrade(&limits)));
        }
        let weak = Arc::downgrade(&limits);
        tokio::spawn(async move {
            for look in 1u32.. {
                tokio::time::sleep(EVERY).await;
                let Some(limits) = weak.upgrade() else { return };
                let swept = if look % SWEEP == 0 { limits.sweep().await } else { Ok(()) };
                match swept.and(limits.flush().await) {
                    Ok(()) => {}
                    Err(StoreError::Closed) => return,
                    Err(error) => {
                        tracing::warn!(event = "limits_lost", %error, "counters of limits are not saved")
                    }
                }
            }
        });
        Ok(limits)
    }

    /// Saves what has changed since the last time; durable when it returns.
    ///
    /// # Errors
    /// If the store fails. What was not saved is saved the next time.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let now = self.now();
        let changed =
            self.accounts.all().into_iter().filter_map(|account| Some((record(&account, &now)?, account)));
        let (records, accounts): (Vec<_>, Vec<Arc<Account>>) = changed.unzip();
        if records.is_empty() {
            return Ok(());
        }
        let count = records.len();
        let saved = self.store.limit_counters().save(records).await;
        match &saved {
            Ok(()) => tracing::debug!(count, "counters of limits saved"),
            Err(_) => accounts.iter().for_each(|account| account.lock().dirty = true),
        }
        saved
    }

    /// Saves everything, and gives back what it holds of shared limits: nothing may be reserved any more. What cannot be
    /// given back is kept for the next start.
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub async fn close(&self) -> Result<(), StoreError> {
        if let Some(refill) = &self.refill
            && let Err(error) = refill.end(&self.accounts, self).await
        {
            tracing::warn!(event = "budget_degraded", %error, "what this gateway holds of limits is kept until the next start");
            let lines = self.accounts.all().into_iter().flat_map(|account| {
                let lines = account.lock().slices.as_ref().map_or_else(Vec::new, |slices| slices.saved());
                let name = format!("{} {}", account.kind() as u8, account.id());
                lines.into_iter().map(move |line| format!("{name} {line}"))
            });
            let text = lines.collect::<Vec<_>>().join("\n");
            self.store.learned().save(vec![(SLICES.to_owned(), Some(text))]).await?;
        }
        self.flush().await
    }

    pub(super) async fn sweep(&self) -> Result<(), StoreError> {
        let gone = self.accounts.sweep(&self.now());
        if gone.is_empty() {
            return Ok(());
        }
        let gone = gone.into_iter().map(|(kind, id)| (kind as u8, id.to_string())).collect();
        self.store.limit_counters().forget(gone).await
    }
}

/// The key under which slices are kept that could not be given back.
const SLICES: &str = "limits:slices";

/// Goes on with the slices that could not be given back at the last stop. They are forgotten first: after a kill it is
/// not known what was used of them.
async fn resume(store: &Store, accounts: &Accounts) -> Result<(), StoreError> {
    let kept = store.learned().load().await?.into_iter().find(|(key, _)| key == SLICES);
    let Some((_, text)) = kept else { return Ok(()) };
    store.learned().save(vec![(SLICES.to_owned(), None)]).await?;
    for line in text.unwrap_or_default().lines() {
        let mut parts = line.splitn(3, ' ');
        let (Some(kind), Some(id), Some(line)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let Some(kind) = kind.parse().ok().and_then(kind_of) else { continue };
        let account = accounts.account(kind, &id.into());
        if let Some(slices) = &mut account.lock().slices {
            slices.resume(line, &account);
        }
    }
    Ok(())
}

/// What is to be saved of an account; None if nothing changed.
fn record(account: &Account, now: &Now) -> Option<CounterRecord> {
    let mut live = account.lock();
    if !std::mem::take(&mut live.dirty) {
        return None;
    }
    live.roll(now);
    let windows = live.saved(now);
    drop(live);
    Some(CounterRecord { kind: account.kind() as u8, id: account.id().to_string(), saved: now.wall, windows })
}

fn kind_of(number: u8) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| *kind as u8 == number)
}
