//! PostgreSQL: one row a record, one statement a transaction.
//!
//! Every statement stands alone and has no name, and nothing is kept in a session, so that a pooler in transaction mode
//! may stand between. Several members write, one at a time: a transaction takes the turn in the row of `aivonx.writer`,
//! reads, and is applied by one statement that checks that the turn is still its own, that nothing was changed since, and
//! that the member may write (see [`member`]). It also frees the turn. One whose process died ends by itself, and a
//! transaction that lost its turn writes nothing.
//!
//! Each change raises the revision by a random step and is noted in `aivonx.change`. A member that looks for the revision
//! it knows and does not find it there has met a database that went back to an earlier state.

pub(crate) mod bank;
mod link;
pub(crate) mod member;
pub(crate) mod schema;
mod tls;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio_postgres::types::Type;

pub(crate) use link::{Link, Param};

use super::{Backend, Pair, Pairs, Write};
use crate::{
    StoreError,
    member::{Followed, Member},
};
use member::Claim;

/// Rows read at once.
const PAGE: i64 = 256;

/// Longest wait for the turn. It is longer than that of one who died is kept.
const TURN_WITHIN: Duration = Duration::from_secs(8);

/// Time after which the turn of a transaction that still runs is made longer.
const LONG_TURN: Duration = Duration::from_secs(1);

/// Most changes that are looked at one by one.
const FOLLOWED: i64 = 5000;

/// The settings in a database, as one of its members.
pub(crate) struct Postgres {
    link: Arc<Link>,
    claim: Claim,
    /// Revision that this process last wrote, or wrote on top of.
    known: AtomicI64,
    /// Revision that was last followed.
    followed: AtomicI64,
    turn: Mutex<Option<Turn>>,
}

/// The turn of this process.
#[derive(Clone)]
struct Turn {
    token: String,
    since: Instant,
}

const APPLY: &str = "
    WITH mine AS (
        UPDATE aivonx.writer SET revision = revision + 1 + floor(random() * 1000000)::bigint, turn = NULL, until = NULL
        WHERE turn = $3 AND revision = $4
          AND EXISTS (SELECT FROM aivonx.member m WHERE m.id = $1 AND m.epoch = $2 AND m.fenced IS NULL)
        RETURNING revision
    ), removed AS (
        DELETE FROM aivonx.record r USING mine, unnest($5::text[], $6::bytea[]) AS gone(space, key)
        WHERE r.space = gone.space AND r.key = gone.key
    ), written AS (
        INSERT INTO aivonx.record (space, key, value, revision)
        SELECT new.space, new.key, new.value, mine.revision
        FROM mine, unnest($7::text[], $8::bytea[], $9::bytea[]) AS new(space, key, value)
        ON CONFLICT (space, key) DO UPDATE SET value = excluded.value, revision = excluded.revision
    ), noted AS (
        INSERT INTO aivonx.change (revision, space, key, member)
        SELECT mine.revision, changed.space, changed.key, $1
        FROM mine, unnest($5::text[] || $7::text[], $6::bytea[] || $8::bytea[]) AS changed(space, key)
    )
    SELECT revision FROM mine";

const CLEAR: &str = "
    WITH mine AS (
        UPDATE aivonx.writer SET revision = revision + 1 + floor(random() * 1000000)::bigint, turn = NULL, until = NULL
        WHERE turn = $3 AND revision = $4
          AND EXISTS (SELECT FROM aivonx.member m WHERE m.id = $1 AND m.epoch = $2 AND m.fenced IS NULL)
        RETURNING revision
    ), removed AS (
        DELETE FROM aivonx.record r USING mine WHERE r.space = $5
    ), noted AS (
        INSERT INTO aivonx.change (revision, space, key, member) SELECT mine.revision, $5, ''::bytea, $1 FROM mine
    )
    SELECT revision FROM mine";

const TAKE: &str = "
    UPDATE aivonx.writer SET turn = $3, until = clock_timestamp() + interval '5 seconds'
    WHERE (turn IS NULL OR turn = $3 OR until < clock_timestamp())
      AND EXISTS (SELECT FROM aivonx.member m WHERE m.id = $1 AND m.epoch = $2 AND m.fenced IS NULL)
    RETURNING revision";

impl Postgres {
    /// Over the tables, as the member of `claim`.
    pub(crate) fn new(link: Arc<Link>, claim: Claim) -> Result<Self, StoreError> {
        let revision = revision(&link)?;
        Ok(Self {
            link,
            claim,
            known: AtomicI64::new(revision),
            followed: AtomicI64::new(revision),
            turn: Mutex::default(),
        })
    }

    fn turn(&self) -> MutexGuard<'_, Option<Turn>> {
        // It is set and taken as a whole.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a statement that changes something, with the state it is for as its first parameters, and ends the turn.
    fn write(&self, statement: &'static str, params: Vec<Param>) -> Result<(), StoreError> {
        if self.turn().is_none() {
            self.begin()?;
        }
        let turn = self.turn().take();
        // Set by `begin`.
        let token = turn.map(|turn| turn.token).unwrap_or_default();
        let state = [
            Param::new(token.clone(), Type::TEXT),
            Param::new(self.known.load(Ordering::Acquire), Type::INT8),
        ];
        let params = self.claim.params().into_iter().chain(state).chain(params).collect();
        let written = self.link.once(statement, params)?;
        let Some(row) = written.first() else {
            // Where the rows say otherwise nothing was written.
            self.give_back(token);
            self.claim.check(&self.link)?;
            return Err(StoreError::TurnLost(format!(
                "{} was changed by another member, which this one kept waiting for too long; nothing was changed",
                self.link.name()
            )));
        };
        self.known.store(link::column(row, 0)?, Ordering::Release);
        Ok(())
    }

    fn give_back(&self, token: String) {
        // If it fails, the turn ends by itself.
        let _ = self.link.once(
            "UPDATE aivonx.writer SET turn = NULL, until = NULL WHERE turn = $1",
            vec![Param::new(token, Type::TEXT)],
        );
    }

    /// Refuses a database that lacks the revision `known`, where its own is `now`.
    fn check_history(&self, known: i64, now: i64) -> Result<(), StoreError> {
        if now < known {
            return Err(member::gone_back(&self.link));
        }
        let rows = self.link.read(
            "SELECT EXISTS (SELECT FROM aivonx.change WHERE revision = $1), \
             coalesce((SELECT min(revision) FROM aivonx.change) > $1, true)",
            vec![Param::new(known, Type::INT8)],
        )?;
        let Some(row) = rows.first() else { return Ok(()) };
        // One that is older than all that are noted is forgotten, not missing.
        let (is_there, is_old): (bool, bool) = (link::column(row, 0)?, link::column(row, 1)?);
        if is_there || is_old { Ok(()) } else { Err(member::gone_back(&self.link)) }
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

    fn begin(&self) -> Result<bool, StoreError> {
        let token = uuid::Uuid::new_v4().to_string();
        let began = Instant::now();
        let now: i64 = loop {
            let params = self.claim.params().into_iter().chain([Param::new(token.clone(), Type::TEXT)]);
            // A second time does no more than the first.
            let taken = self.link.read(TAKE, params.collect())?;
            if let Some(row) = taken.first() {
                break link::column(row, 0)?;
            }
            self.claim.check(&self.link)?;
            if began.elapsed() > TURN_WITHIN {
                let seconds = TURN_WITHIN.as_secs();
                return Err(StoreError::TurnLost(format!(
                    "{} is being changed by other members since {seconds} s; nothing was changed",
                    self.link.name()
                )));
            }
            // Not all at once again.
            let pause = 5 + u64::from(token.as_bytes()[began.elapsed().as_nanos() as usize % 32] % 16);
            thread::sleep(Duration::from_millis(pause));
        };
        let known = self.known.load(Ordering::Acquire);
        if now != known
            && let Err(e) = self.check_history(known, now)
        {
            self.give_back(token);
            return Err(e);
        }
        self.known.store(now, Ordering::Release);
        *self.turn() = Some(Turn { token, since: Instant::now() });
        Ok(now != known)
    }

    fn end(&self) {
        let turn = self.turn().take();
        if let Some(turn) = turn {
            self.give_back(turn.token);
        }
    }

    fn follow(&self) -> Result<Followed, StoreError> {
        let long = self.turn().clone().filter(|turn| turn.since.elapsed() > LONG_TURN);
        if let Some(turn) = long {
            self.link.once(
                "UPDATE aivonx.writer SET until = clock_timestamp() + interval '5 seconds' WHERE turn = $1",
                vec![Param::new(turn.token, Type::TEXT)],
            )?;
        }
        // Before the database says where it is, or a change in between would look lost.
        let written = self.known.load(Ordering::Acquire);
        let rows = self.link.read(
            "SELECT w.revision, m.epoch, m.fenced IS NOT NULL FROM aivonx.writer w \
             LEFT JOIN aivonx.member m ON m.id = $1",
            vec![Param::new(self.claim.id.clone(), Type::TEXT)],
        )?;
        let row = rows.first().ok_or_else(|| no_row(&self.link))?;
        let (epoch, is_fenced): (Option<i64>, bool) = (link::column(row, 1)?, link::column(row, 2)?);
        self.claim.judge(&self.link, epoch.map(|epoch| (epoch, is_fenced)))?;
        let (now, known): (i64, i64) = (link::column(row, 0)?, self.followed.load(Ordering::Acquire));
        if now == known && written <= known {
            return Ok(Followed::Nothing);
        }
        self.check_history(known.max(written), now)?;
        let rows = self.link.read(
            "SELECT space, key, member, (SELECT count(*) = 0 FROM aivonx.change WHERE revision <= $1) FROM aivonx.change \
             WHERE revision > $1 AND revision <= $2 ORDER BY revision LIMIT $3",
            [known, now, FOLLOWED].map(|number| Param::new(number, Type::INT8)).into(),
        )?;
        self.followed.store(now, Ordering::Release);
        let is_full = rows.len() as i64 == FOLLOWED;
        // Where the one that is known is forgotten, others behind it may be.
        let is_gap = rows.first().map_or(Ok(true), |row| link::column(row, 3))?;
        if is_full || is_gap {
            return Ok(Followed::Any);
        }
        let mut changed = Vec::new();
        for row in &rows {
            if link::column::<String>(row, 2)? != self.claim.id {
                changed.push((link::column(row, 0)?, link::column(row, 1)?));
            }
        }
        Ok(if changed.is_empty() { Followed::Nothing } else { Followed::These(changed) })
    }

    fn sign(&self, address: &str) -> Result<(), StoreError> {
        self.claim.sign(&self.link, self.followed.load(Ordering::Acquire), address)
    }

    fn member(&self) -> Option<&str> {
        Some(&self.claim.id)
    }

    fn members(&self) -> Result<Vec<Member>, StoreError> {
        Ok(member::rows(&self.link)?.into_iter().map(|row| row.member).collect())
    }

    fn fence(&self, id: &str) -> Result<bool, StoreError> {
        member::fence(&self.link, id)
    }

    fn duty(&self, name: &'static str) -> Result<Option<u64>, StoreError> {
        member::duty(&self.link, &self.claim.id, name)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end();
        self.claim.release(&self.link);
    }
}

fn revision(link: &Link) -> Result<i64, StoreError> {
    let rows = link.read("SELECT revision FROM aivonx.writer", Vec::new())?;
    link::column(rows.first().ok_or_else(|| no_row(link))?, 0)
}

fn no_row(link: &Link) -> StoreError {
    StoreError::NotMigrated(format!("{} has no row in aivonx.writer", link.name()))
}

/// The first key behind all that begin with `prefix`; None if there is none.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut key = prefix[..=last].to_vec();
    key[last] += 1;
    Some(key)
}
