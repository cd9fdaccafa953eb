//! Shared budgets in PostgreSQL: see `bank.sql`, which carries out each turn as one statement by the server's clock.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio_postgres::types::Type;

use super::link::{self, Link, Param};
use crate::{
    StoreError,
    bank::{Answer, Bank, Budget, Expired, Report, Turn},
};

/// See the module. On a connection of its own.
pub(crate) struct PostgresBank {
    link: Link,
    member: String,
    expires: Duration,
    day_offset: Duration,
    turns: Mutex<Turns>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Turns {
    /// The last one tried.
    tried: i64,
    /// The last one that was answered; a bank that knows an earlier one went back.
    answered: i64,
}

const TURN: &str = "SELECT at, kind, subject, name, window_index, left_ms, amount, others_held, others_spent, corrected \
     FROM aivonx.bank_turn($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ORDER BY at";

/// Row 0 with this for an epoch: the turn was not carried out, because a later one was.
const LATE: i64 = -1;

impl PostgresBank {
    /// For the gateway `member`, whose leases end `expires` after they were renewed.
    pub(crate) fn new(link: Link, member: &str, expires: Duration, day_offset: Duration) -> Self {
        Self { link, member: member.to_owned(), expires, day_offset, turns: Mutex::default() }
    }

    fn ask(&self, turns: &Turns, reports: &[Report]) -> Result<Said, StoreError> {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let int8s =
            |of: fn(&Report) -> i64| Param::new(reports.iter().map(of).collect::<Vec<_>>(), Type::INT8_ARRAY);
        let texts = |of: fn(&Report) -> &String| {
            Param::new(reports.iter().map(|r| of(r).clone()).collect::<Vec<_>>(), Type::TEXT_ARRAY)
        };
        let int2s =
            |of: fn(&Report) -> i16| Param::new(reports.iter().map(of).collect::<Vec<_>>(), Type::INT2_ARRAY);
        let params = vec![
            Param::new(self.member.clone(), Type::TEXT),
            Param::new(turns.tried, Type::INT8),
            Param::new(turns.answered, Type::INT8),
            Param::new(millis(self.expires), Type::INT8),
            Param::new(millis(self.day_offset), Type::INT8),
            int2s(|r| r.budget.kind.into()),
            texts(|r| &r.budget.subject),
            texts(|r| &r.budget.name),
            int2s(|r| r.period as i16),
            int8s(|r| signed(r.cap)),
            int8s(|r| r.id),
            int8s(|r| r.window.unwrap_or(i64::MIN)),
            int8s(|r| signed(r.hold)),
            int8s(|r| signed(r.spent)),
            int8s(|r| signed(r.need)),
            int8s(|r| signed(r.more)),
        ];
        let mut said = Said { turn: Turn::default(), reached: 0 };
        for row in self.link.once(TURN, params)? {
            let number = |at: usize| link::column::<i64>(&row, at);
            match number(0)? {
                0 => (said.turn.epoch, said.reached) = (number(4)?, number(6)?),
                1.. => said.turn.answers.push(Answer {
                    window: number(4)?,
                    left: u64::try_from(number(5)?).ok(),
                    amount: unsigned(number(6)?),
                    others_held: unsigned(number(7)?),
                    others_spent: unsigned(number(8)?),
                    corrected: number(9)?,
                }),
                _ => said.turn.wanted.push(budget(&row, 1)?),
            }
        }
        Ok(said)
    }
}

struct Said {
    turn: Turn,
    /// The last turn that the server knows of.
    reached: i64,
}

impl Bank for PostgresBank {
    fn turn(&self, reports: &[Report]) -> Result<Turn, StoreError> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let mut said = None;
        // A gateway that was started anew learns first how far it was.
        for _ in 0..2 {
            turns.tried += 1;
            let answer = self.ask(&turns, reports)?;
            if answer.turn.epoch != LATE {
                said = Some(answer);
                break;
            }
            turns.tried = turns.tried.max(answer.reached);
        }
        let other = || StoreError::Database("another process takes turns in the name of this gateway".into());
        let Said { turn, reached } = said.ok_or_else(other)?;
        turns.answered = reached;
        if turn.answers.len() != reports.len() {
            return Err(StoreError::Database("PostgreSQL answers otherwise than asked".into()));
        }
        Ok(turn)
    }

    fn expire(&self) -> Result<Vec<Expired>, StoreError> {
        let rows = self
            .link
            .once("SELECT kind, subject, name, member, amount, spent FROM aivonx.bank_expire()", vec![])?;
        let expired = |row| {
            Ok(Expired {
                budget: budget(row, 0)?,
                member: link::column(row, 3)?,
                amount: unsigned(link::column(row, 4)?),
                spent: unsigned(link::column(row, 5)?),
            })
        };
        let expired = rows.iter().map(expired).collect();
        // By itself, so that what was booked stays booked.
        self.link.once("SELECT aivonx.bank_forget()", vec![])?;
        expired
    }
}

fn budget(row: &tokio_postgres::Row, at: usize) -> Result<Budget, StoreError> {
    let kind: i16 = link::column(row, at)?;
    Ok(Budget {
        kind: u8::try_from(kind).unwrap_or(u8::MAX),
        subject: link::column(row, at + 1)?,
        name: link::column(row, at + 2)?,
    })
}

/// At most 10^17, so that sums of amounts stay in the range of a bigint.
fn signed(amount: u64) -> i64 {
    const MOST: i64 = 100_000_000_000_000_000;
    i64::try_from(amount).map_or(MOST, |amount| amount.min(MOST))
}

fn unsigned(amount: i64) -> u64 {
    u64::try_from(amount).unwrap_or(0)
}
