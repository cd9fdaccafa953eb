//! The price table as it is administered.
//!
//! The price of a model is that of the most specific pattern that matches it: the one with the most characters
//! that are no wildcards; of several such the one with the fewest wildcards, then the first in the alphabet.

use std::cmp::Reverse;

use aivonx_protocol::{Fault, FaultKind, money::MicroUsd, price::Price};

use crate::{
    fleet::Globs,
    store::{Noun, PriceRecord, Reach, Store, StoreError},
};

/// The highest price of a million tokens: a million US dollars.
const PRICE_MAX: MicroUsd = MicroUsd(1_000_000_000_000);
/// Most prices: each request looks through them.
const PRICES_MAX: usize = 1000;

/// All prices, in the order in which they are tried.
///
/// # Errors
/// If the store fails.
pub async fn list(store: &Store) -> Result<Vec<Price>, Fault> {
    Ok(ordered(store).await?.into_iter().map(view).collect())
}

/// All prices, the most specific first.
///
/// # Errors
/// If the store fails.
pub async fn ordered(store: &Store) -> Result<Vec<PriceRecord>, StoreError> {
    let mut records = store.prices().list(&Reach::All).await?;
    records.sort_by(|a, b| rank(&a.id).cmp(&rank(&b.id)));
    Ok(records)
}

/// Sets the price of a pattern.
///
/// # Errors
/// `Invalid` for a pattern that no model can have, and for too high a price; or the store fails.
pub async fn set(store: &Store, model: String, prompt: MicroUsd, output: MicroUsd) -> Result<Price, Fault> {
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
    let id = Globs::normal(&model);
    let known = store.prices().list(&Reach::All).await?;
    if known.len() >= PRICES_MAX && known.iter().all(|price| price.id != *id) {
        let message = format!("there are {PRICES_MAX} prices, which is the most");
        return Err(Fault::new(FaultKind::Invalid, message)
            .field("model")
            .hint("remove some, or use wildcards"));
    }
    let prices = store.prices();
    let changed = prices.alter(&id, move |old| {
        let (prompt, output) = (prompt.0, output.0);
        Some(match old {
            Some(old) => PriceRecord { model, prompt, output, ..old },
            None => PriceRecord { id: String::new(), model, prompt, output, created: 0, revision: 0 },
        })
    });
    changed.await?.map(view).ok_or_else(|| Fault::new(FaultKind::Internal, "the price was not stored"))
}

/// Forgets the price of a pattern.
///
/// # Errors
/// `NotFound` if it has none; or the store fails.
pub async fn remove(store: &Store, model: &str) -> Result<(), Fault> {
    match store.prices().remove(&Reach::All, &Globs::normal(model), None).await {
        Ok(_) => Ok(()),
        Err(StoreError::NotFound { .. }) => {
            let missing = StoreError::NotFound { noun: Noun::Price.as_str(), id: model.to_owned() };
            Err(Fault::from(missing).field("model").hint("the patterns that have one: aivonx price list"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Sorts the most specific pattern first.
fn rank(pattern: &str) -> (Reverse<usize>, usize, &str) {
    let wild = pattern.chars().filter(|c| matches!(c, '*' | '?')).count();
    (Reverse(pattern.chars().count() - wild), wild, pattern)
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
    use super::*;
    use crate::identity::rig::Rig;

    async fn set_all(store: &Store, patterns: &[&str]) {
        for (at, pattern) in (1..).zip(patterns) {
            set(store, (*pattern).to_owned(), MicroUsd(at), MicroUsd(2 * at)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_most_specific_pattern_is_tried_first() {
        let rig = Rig::new().await;
        let store = rig.store();
        set_all(store, &["*", "llama3*", "qwen3", "llama3.3:70b", "?lama3*", "llama3.3*"]).await;
        let order: Vec<String> = list(store).await.unwrap().into_iter().map(|price| price.model).collect();
        // `qwen3` means its tag `latest`.
        assert_eq!(order, ["llama3.3:70b", "qwen3", "llama3.3*", "llama3*", "?lama3*", "*"]);
        // One pattern, however it is written, has one price.
        let again = set(store, "Qwen3:Latest".into(), MicroUsd(7), MicroUsd(8)).await.unwrap();
        assert_eq!((again.model.as_str(), again.revision), ("Qwen3:Latest", 2));
        assert_eq!(list(store).await.unwrap().len(), 6);
        remove(store, "qwen3").await.unwrap();
        let gone = remove(store, "qwen3").await.unwrap_err();
        assert_eq!((gone.kind, gone.message.as_str()), (FaultKind::NotFound, "there is no price \"qwen3\""));
    }

    #[tokio::test]
    async fn what_cannot_be_is_refused() {
        let rig = Rig::new().await;
        let (low, high) = (MicroUsd(1), MicroUsd(PRICE_MAX.0 + 1));
        for (pattern, prompt, output, field) in [
            ("a b", low, low, "model"),
            ("", low, low, "model"),
            ("a", high, low, "prompt"),
            ("a", low, high, "output"),
        ] {
            let fault = set(rig.store(), pattern.into(), prompt, output).await.unwrap_err();
            assert_eq!((fault.kind, fault.field.as_deref()), (FaultKind::Invalid, Some(field)), "{fault}");
        }
    }
}
