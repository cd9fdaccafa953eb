//! What codes stand for, and which codes are still needed.

use std::collections::{HashMap, HashSet};

use super::{
    UsageLog, UsageName,
    code::{Code, Parties},
};
use crate::store::{
    StoreError,
    counters::{Change, Table},
};

impl UsageLog {
    /// What the codes stand for, as far as is known.
    ///
    /// # Errors
    /// If the store is closed.
    pub async fn names(&self, codes: Vec<Code>) -> Result<HashMap<Code, UsageName>, StoreError> {
        self.store
            .with_ledgers(move |ledgers| {
                let name = |code: Code| {
                    let name = ledgers.counters.get(Table::UsageName, &code.bytes());
                    name.transpose().map(|name| Ok((code, name?)))
                };
                codes.into_iter().filter_map(name).collect()
            })
            .await
    }

    /// The codes with a name that neither requests nor sums have.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn unused_names(&self) -> Result<Vec<Code>, StoreError> {
        let calendar = self.calendar;
        self.store
            .with_ledgers(move |ledgers| {
                let named = ledgers.counters.keys(Table::UsageName);
                let named =
                    named.iter().filter_map(|key| key.as_slice().try_into().map(Code::from_bytes).ok());
                let named: HashSet<Code> = named.collect();
                let used = ledgers.usage.codes(calendar)?;
                Ok(named.difference(&used).copied().collect())
            })
            .await
    }

    /// Forgets what codes stand for.
    ///
    /// # Errors
    /// If that cannot be written.
    pub async fn forget_names(&self, codes: Vec<Code>) -> Result<(), StoreError> {
        self.store
            .with_ledgers(move |ledgers| {
                let forget = |code: &Code| Change::forget(Table::UsageName, code.bytes().to_vec());
                ledgers.counters.change(codes.iter().map(forget).collect())
            })
            .await
    }
}

pub(super) fn all(parties: &Parties) -> [Code; 7] {
    let Parties { organization, user, key, model, served, node, route } = *parties;
    [organization, user, key, model, served, node, route]
}
