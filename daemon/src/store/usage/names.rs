//! What codes stand for, and which codes are still needed.

use std::collections::HashMap;

use super::{
    UsageLog, UsageName,
    block::Block,
    code::{Code, Parties},
    day,
};
use crate::store::{StoreError, engine::Engine, tree::Tree};

/// What uses names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Used {
    /// Requests.
    Entries,
    /// Sums of days.
    Sums,
}

/// Some of many, and where to go on; None if there are no more.
type Part<T> = (Vec<T>, Option<Vec<u8>>);

/// Codes, and where to go on; None if there are no more.
pub type Codes = Part<Code>;

impl UsageLog {
    /// What the codes stand for, as far as is known.
    ///
    /// # Errors
    /// If the store fails or a record is damaged.
    pub async fn names(&self, codes: Vec<Code>) -> Result<HashMap<Code, UsageName>, StoreError> {
        self.store
            .run(move |engine, _| {
                let mut names = HashMap::with_capacity(codes.len());
                for code in codes {
                    if let Some(name) = engine.get(Tree::UsageName, &code.bytes())? {
                        names.insert(code, name);
                    }
                }
                Ok(names)
            })
            .await
    }

    /// Codes with a name, of up to `most` records from `from` on.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn named(&self, from: Option<Vec<u8>>, most: usize) -> Result<Codes, StoreError> {
        let code = |key: &[u8]| key.try_into().map(Code::from_bytes).ok();
        self.store
            .run(move |engine, _| {
                let (keys, next) = keys(engine, Tree::UsageName, from, most)?;
                Ok((keys.iter().filter_map(|key| code(key)).collect(), next))
            })
            .await
    }

    /// Codes that `what` uses, of up to `most` records from `from` on; some more than once.
    ///
    /// # Errors
    /// If the store fails or a record is damaged.
    pub async fn used(&self, what: Used, from: Option<Vec<u8>>, most: usize) -> Result<Codes, StoreError> {
        self.store
            .run(move |engine, _| {
                let mut codes = Vec::new();
                let tree = match what {
                    Used::Entries => Tree::UsageRaw,
                    Used::Sums => Tree::UsageDay,
                };
                let (keys, next) = keys(engine, tree, from, most)?;
                for key in keys {
                    match what {
                        Used::Sums => {
                            codes.extend(day::read(&key).iter().flat_map(|(_, parties)| all(parties)))
                        }
                        Used::Entries => {
                            let bytes = engine.tree(tree).get(&key)?;
                            let block = bytes.map(|bytes| Block::read(&key, &bytes)).transpose()?;
                            codes.extend(block.iter().flat_map(Block::parties).flat_map(all));
                        }
                    }
                }
                codes.sort_unstable();
                codes.dedup();
                Ok((codes, next))
            })
            .await
    }

    /// Forgets what codes stand for.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn forget_names(&self, codes: Vec<Code>) -> Result<(), StoreError> {
        self.store
            .run(move |engine, _| {
                engine.append(|group| {
                    codes.iter().for_each(|code| group.remove(Tree::UsageName, &code.bytes()));
                    Ok(())
                })
            })
            .await
    }
}

fn all(parties: &Parties) -> [Code; 7] {
    let Parties { organization, user, key, model, served, node, route } = *parties;
    [organization, user, key, model, served, node, route]
}

/// Up to `most` keys of a tree from `from` on, and the one after them.
fn keys(
    engine: &Engine,
    tree: Tree,
    from: Option<Vec<u8>>,
    most: usize,
) -> Result<Part<Vec<u8>>, StoreError> {
    let mut keys =
        engine.keys(tree, from.unwrap_or_default()..).take(most + 1).collect::<Result<Vec<_>, _>>()?;
    let next = if keys.len() > most { keys.pop() } else { None };
    Ok((keys, next))
}
