//! PostgreSQL: one row a record, one statement a transaction.
//!
//! Every statement stands alone and has no name, and nothing is kept in a session, so that a pooler in transaction mode
//! may stand between. A change is one statement that also checks, in the row of the writer, that this process is still
//! the one that may write: see [`writer`].

pub(crate) mod bank;
mod link;
pub(crate) mod schema;
mod tls;
pub(crate) mod writer;

use std::{collections::BTreeMap, sync::Arc};

use tokio_postgres::types::Type;

pub(crate) use link::{Link, Param};

use super::{Backend, Pair, Pairs, Write};
use crate::StoreError;
use writer::Claim;

/// Rows read at once.
const PAGE: i64 = 256;

/// The settings in a database, as their one writer.
pub(crate) struct Postgres {
    link: Arc<Link>,
    claim: Claim,
}

const APPLY: &str = "
    WITH mine AS (
        UPDATE aivonx.writer SET revision = revision + 1, seen = clock_timestamp() WHERE epoch = $1 AND revision = $2
        RETURNING revision
    ), removed AS (
        DELETE FROM aivonx.record r USING mine, unnest($3::text[], $4::bytea[]) AS gone(space, key)
        WHERE r.space = gone.space AND r.key = gone.key
    ), written AS (
        INSERT INTO aivonx.record (space, key, value, revision)
        SELECT new.space, new.key, new.value, mine.revision
        FROM mine, unnest($5::text[], $6::bytea[], $7::bytea[]) AS new(space, key, value)
        ON CONFLICT (space, key) DO UPDATE SET value = excluded.value, revision = excluded.revision
    )
    SELECT revision FROM mine";

const CLEAR: &str = "
    WITH mine AS (
        UPDATE aivonx.writer SET revision = revision + 1, seen = clock_timestamp() WHERE epoch = $1 AND revision = $2
        RETURNING revision
    ), removed AS (
        DELETE FROM aivonx.record r USING mine WHERE r.space = $3
    )
    SELECT revision FROM mine";

impl Postgres {
    /// Over the tables that `claim` says this process may write.
    pub(crate) fn new(link: Arc<Link>, claim: Claim) -> Self {
        Self { link, claim }
    }

    /// Runs a statement that changes something, with the state it is for as its first parameters.
    fn write(&self, statement: &'static str, params: Vec<Param>) -> Result<(), StoreError> {
        let params = self.claim.state().into_iter().chain(params).collect();
        let written = self.link.once(statement, params)?;
        // Where the row says otherwise nothing was written.
        let row = written.first().ok_or_else(|| self.claim.lost(&self.link))?;
        self.claim.reached(link::column(row, 0)?);
        Ok(())
    }

    fn page(&self, space: &str, from: &From, to: Option<&Vec<u8>>) -> Result<Vec<Pair>, StoreError> {
        let (statement, key) = match from {
            From::At(key) => (
                "SELECT key, value FROM aivonx.record WHERE space = $1 AND key >= $2 AND ($3::bytea IS NULL OR key < $3) \
                 ORDER BY key LIMIT $4",
                key,
            ),
            From::Behind(key) => (
                "SELECT key, value FROM aivonx.record WHERE space = $1 AND key > $2 AND ($3::bytea IS NULL OR key < $3) \
                 ORDER BY key LIMIT $4",
                key,
            ),
        };
        let params = vec![
            Param::new(space.to_owned(), Type::TEXT),
            Param::new(key.clone(), Type::BYTEA),
            Param::new(to.cloned(), Type::BYTEA),
            Param::new(PAGE, Type::INT8),
        ];
        let rows = self.link.read(statement, params)?;
        rows.iter().map(|row| Ok((link::column(row, 0)?, link::column(row, 1)?))).collect()
    }
}

/// Where a page begins.
enum From {
    At(Vec<u8>),
    Behind(Vec<u8>),
}

impl Backend for Postgres {
    fn get(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let params = vec![Param::new(space.to_owned(), Type::TEXT), Param::new(key.to_vec(), Type::BYTEA)];
        let rows = self.link.read("SELECT value FROM aivonx.record WHERE space = $1 AND key = $2", params)?;
        rows.first().map(|row| link::column(row, 0)).transpose()
    }

    fn scan(&self, space: &str, prefix: &[u8]) -> Pairs<'_> {
        let (space, to) = (space.to_owned(), successor(prefix));
        let mut from = Some(From::At(prefix.to_vec()));
        let mut page = Vec::new().into_iter();
        Box::new(std::iter::from_fn(move || {
            loop {
                if let Some(pair) = page.next() {
                    return Some(Ok(pair));
                }
                match self.page(&space, &from.take()?, to.as_ref()) {
                    Ok(rows) => {
                        let is_full = rows.len() == PAGE as usize;
                        from = rows.last().filter(|_| is_full).map(|(key, _)| From::Behind(key.clone()));
                        page = rows.into_iter();
                    }
                    Err(e) => return Some(Err(e)),
                }
            }
        }))
    }

    fn apply(&self, writes: &[Write<'_>]) -> Result<(), StoreError> {
        if writes.is_empty() {
            return Ok(());
        }
        // A statement may write a row once: of several writes to a key the last counts.
        let last: BTreeMap<_, _> = writes.iter().map(|w| ((w.space, w.key), w.value)).collect();
        let (mut gone, mut new) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new(), Vec::new()));
        for ((space, key), value) in last {
            let (space, key) = (space.to_owned(), key.to_vec());
            match value {
                Some(value) => {
                    new.0.push(space);
                    new.1.push(key);
                    new.2.push(value.to_vec());
                }
                None => {
                    gone.0.push(space);
                    gone.1.push(key);
                }
            }
        }
        let params = vec![
            Param::new(gone.0, Type::TEXT_ARRAY),
            Param::new(gone.1, Type::BYTEA_ARRAY),
            Param::new(new.0, Type::TEXT_ARRAY),
            Param::new(new.1, Type::BYTEA_ARRAY),
            Param::new(new.2, Type::BYTEA_ARRAY),
        ];
        self.write(APPLY, params)
    }

    /// What is committed is durable: `synchronous_commit` is never off.
    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn clear(&self, space: &str) -> Result<(), StoreError> {
        self.write(CLEAR, vec![Param::new(space.to_owned(), Type::TEXT)])
    }

    fn spaces(&self) -> Result<Vec<String>, StoreError> {
        let rows = self.link.read("SELECT DISTINCT space FROM aivonx.record", Vec::new())?;
        rows.iter().map(|row| link::column(row, 0)).collect()
    }

    fn renew(&self) -> Result<(), StoreError> {
        self.claim.renew(&self.link)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.claim.release(&self.link);
    }
}

/// The first key behind all that begin with `prefix`; None if there is none.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut key = prefix[..=last].to_vec();
    key[last] += 1;
    Some(key)
}
