//! The price table as it is administered.
//!
//! The price of a model is that of the most specific pattern that matches it: the one with the most characters
//! that are no wildcards; of several such the one with the fewest wildcards, then the first in the alphabet.

use std::sync::Arc;

use aivonx_domain::{Globs, TenantScope};
use aivonx_protocol::{Fault, FaultKind, limit::Unpriced, money::MicroUsd, price::Price};
use aivonx_store::{Changed, Collection, Follower, InForce, PriceRecord, Projection, Store, StoreError};

use super::{Limits, prices as hot};

/// The highest price of a million tokens: a million US dollars.
const PRICE_MAX: MicroUsd = MicroUsd(1_000_000_000_000);
/// Most prices: each request looks through them.
const PRICES_MAX: usize = 1000;

/// The prices in the store, and their hot copy in [`Limits`], which follows it.
#[derive(Debug)]
pub struct PriceList {
    store: Store,
    limits: Arc<Limits>,
    in_force: InForce,
}

impl Projection for PriceList {
    const COLLECTIONS: &'static [Collection] = &[Collection::Price];
    type Error = StoreError;

    async fn refresh(&self, _: &Changed) -> Result<(), StoreError> {
        let hot =
            |record: PriceRecord| (record.model, hot::Price { prompt: record.prompt, output: record.output });
        self.limits.prices().set(self.ordered().await?.into_iter().map(hot));
        Ok(())
    }

    fn stale(&self, error: &StoreError) {
        tracing::error!(event = "prices_stale", %error, "prices cannot be read; the old ones stay");
    }
}

impl PriceList {
    /// Puts the prices into `limits`, now and whenever they change.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn open(store: &Store, limits: &Arc<Limits>) -> Result<Arc<Self>, StoreError> {
        let follower = Follower::new(store);
        let list =
            Arc::new(Self { store: store.clone(), limits: limits.clone(), in_force: follower.in_force() });
        list.refresh(&Changed::any_of(Self::COLLECTIONS)).await?;
        follower.follow(&list);
        Ok(list)
    }

    async fn ordered(&self) -> Result<Vec<PriceRecord>, StoreError> {
        let mut records = self.store.prices().list(&TenantScope::All).await?;
        records.sort_by_cached_key(|record| Globs::rank(&record.id));
        Ok(records)
    }

    /// All prices, in the order in which they are tried.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list(&self) -> Result<Vec<Price>, Fault> {
        Ok(self.ordered().await?.into_iter().map(view).collect())
    }

    /// Which of these models have no price.
    #[must_use]
    pub fn unpriced(&self, models: impl Iterator<Item = String>) -> Unpriced {
        let prices = self.limits.prices();
        Unpriced {
            models: models.filter(|model| prices.find(model).is_none()).collect(),
            all: prices.is_empty(),
        }
    }

    /// Sets the price of a pattern; it holds for the next request.
    ///
    /// # Errors
    /// `Invalid` for a pattern that no model can have, and for too high a price; or the store fails.
    pub async fn set(&self, model: String, prompt: MicroUsd, output: MicroUsd) -> Result<Price, Fault> {
        Globs::check(std::slice::from_ref(&model)).map_err(|e| {
            let fix = "use a pattern such as llama3.2:*, qwen3:8b or *";
            Fault::new(FaultKind::Invalid, e.to_string()).field("model").hint(fix)
        })?;
        for (field, price) in [("prompt", prompt), ("output", output)] {
            if price > PRICE_MAX {
                let message = format!("{price} USD per million tokens is more than {PRICE_MAX}");
                return Err(Fault::new(FaultKind::Invalid, message).field(field).hint("use less"));
            }
        }
        let (prices, id) = (self.store.prices(), Globs::normal(&model));
        let known = prices.list(&TenantScope::All).await?;
        if known.len() >= PRICES_MAX && known.iter().all(|price| price.id != *id) {
            let message = format!("there are {PRICES_MAX} prices, which is the most");
            let fault = Fault::new(FaultKind::Invalid, message).field("model");
            return Err(fault.hint("remove some, or use wildcards"));
        }
        let changed = prices.alter(&id, move |old| {
            let (prompt, output) = (prompt.0, output.0);
            Some(match old {
                Some(old) => PriceRecord { model, prompt, output, ..old },
                None => PriceRecord { id: String::new(), model, prompt, output, created: 0, revision: 0 },
            })
        });
        let record = changed.await?;
        self.in_force.settle().await?;
        record.map(view).ok_or_else(|| Fault::new(FaultKind::Internal, "the price was not stored"))
    }

    /// Forgets the price of a pattern; it holds for the next request.
    ///
    /// # Errors
    /// `NotFound` if it has none; or the store fails.
    pub async fn remove(&self, model: &str) -> Result<(), Fault> {
        match self.store.prices().remove(&TenantScope::All, &Globs::normal(model), None).await {
            Ok(_) => Ok(self.in_force.settle().await?),
            Err(StoreError::NotFound { .. }) => {
                let missing = StoreError::NotFound { noun: Collection::Price.as_str(), id: model.to_owned() };
                let hint = "the patterns that have one: aivonx price list";
                Err(Fault::from(missing).field("model").hint(hint))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn view(record: PriceRecord) -> Price {
    Price {
        model: record.model,
        prompt: MicroUsd(record.prompt),
        output: MicroUsd(record.output),
        created: record.created,
        revision: record.revision,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Clock;
    use aivonx_store::testing::{Stand, stand};

    async fn price_list(stand: &Stand) -> Arc<PriceList> {
        let clock = Clock::system(Duration::ZERO);
        let limits = Limits::open(stand.store.clone(), Arc::default(), clock).await.unwrap();
        PriceList::open(&stand.store, &limits).await.unwrap()
    }

    #[tokio::test]
    async fn the_most_specific_pattern_is_tried_first() {
        let stand = stand().await;
        let prices = price_list(&stand).await;
        let patterns = ["*", "llama3*", "qwen3", "llama3.3:70b", "?lama3*", "llama3.3*"];
        for (at, pattern) in (1..).zip(patterns) {
            prices.set(pattern.to_owned(), MicroUsd(at), MicroUsd(2 * at)).await.unwrap();
        }
        let order: Vec<String> = prices.list().await.unwrap().into_iter().map(|price| price.model).collect();
        // `qwen3` means its tag `latest`.
        assert_eq!(order, ["llama3.3:70b", "qwen3", "llama3.3*", "llama3*", "?lama3*", "*"]);
        let hot = |model: &str| prices.limits.prices().of(model).prompt;
        let found = ["llama3.3:70b", "llama3.3:8b", "llama3", "qwen3", "qwen3:8b"].map(hot);
        assert_eq!(found, [4, 6, 2, 3, 1], "at once");
        // One pattern, however it is written, has one price.
        let again = prices.set("Qwen3:Latest".into(), MicroUsd(7), MicroUsd(8)).await.unwrap();
        assert_eq!((again.model.as_str(), again.revision), ("Qwen3:Latest", 2));
        assert_eq!(prices.list().await.unwrap().len(), 6);
        prices.remove("qwen3").await.unwrap();
        assert_eq!(hot("qwen3"), 1);
        let gone = prices.remove("qwen3").await.unwrap_err();
        assert_eq!((gone.kind, gone.message.as_str()), (FaultKind::NotFound, "there is no price \"qwen3\""));
        assert_eq!(price_list(&stand).await.limits.prices().of("llama3").prompt, 2, "after a restart");
    }

    #[tokio::test]
    async fn what_cannot_be_is_refused() {
        let stand = stand().await;
        let prices = price_list(&stand).await;
        let (low, high) = (MicroUsd(1), MicroUsd(PRICE_MAX.0 + 1));
        for (pattern, prompt, output, field) in [
            ("a b", low, low, "model"),
            ("", low, low, "model"),
            ("a", high, low, "prompt"),
            ("a", low, high, "output"),
        ] {
            let fault = prices.set(pattern.into(), prompt, output).await.unwrap_err();
            assert_eq!((fault.kind, fault.field.as_deref()), (FaultKind::Invalid, Some(field)), "{fault}");
        }
    }
}
