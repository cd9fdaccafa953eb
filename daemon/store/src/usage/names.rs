//! What codes stand for, and which codes are still needed.

use std::collections::{HashMap, HashSet};

use aivonx_domain::TenantScope;

use super::{
    Part, UsageLog, UsageName,
    code::{Code, Parties},
};
use crate::{
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

    /// Names again what requests and sums are about, as far as there still is a record of it: for when the log with the
    /// names has lost some. Returns how many got one.
    ///
    /// # Errors
    /// If the store or the ledger cannot be read, or the names not be written.
    pub async fn name_again(&self) -> Result<usize, StoreError> {
        let (store, calendar) = (&self.store, self.calendar);
        let mut known = Vec::new();
        let mut add = |part, id: String, name: String| {
            known.push((Code::of(part, &id), UsageName { part, id, name }));
        };
        for one in store.organizations().list(&TenantScope::All).await? {
            add(Part::Organization, one.id, one.slug);
        }
        for one in store.users().list(&TenantScope::All).await? {
            add(Part::User, one.id, one.name);
        }
        for one in store.keys().list(&TenantScope::All).await? {
            add(Part::Key, one.id, one.name);
        }
        for one in store.nodes().list().await? {
            add(Part::Node, one.name.clone(), one.name);
        }
        store
            .with_ledgers(move |ledgers| {
                let used = ledgers.usage.codes(calendar)?;
                let named: HashSet<Vec<u8>> = ledgers.counters.keys(Table::UsageName).into_iter().collect();
                known.retain(|(code, _)| used.contains(code) && !named.contains(&code.bytes()[..]));
                let put = |(code, name): &(Code, UsageName)| {
                    Change::put(Table::UsageName, code.bytes().to_vec(), name)
                };
                ledgers.counters.change(known.iter().map(put).collect::<Result<_, _>>()?)?;
                Ok(known.len())
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
