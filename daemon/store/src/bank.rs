//! Budgets that several gateways share: each holds a lease on a part of a budget and reserves from that in memory.
//!
//! A gateway says what it holds and has spent, in absolute numbers, and asks for more. What a [`Bank`] promises, whatever
//! fails when: the amounts of all leases and what is booked as spent are never more than the cap (but for what requests
//! turned out to need beyond their estimates, and for what a bank forgot that was put back to an earlier state); the same
//! again changes nothing; and a lease that is not renewed is booked as spent until its gateway says otherwise.

use super::StoreError;

#[cfg(any(test, feature = "testing"))]
mod memory;

#[cfg(any(test, feature = "testing"))]
pub use memory::MemoryBank;

/// What a budget is renewed with, by the bank's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// Never: places, which are given back.
    None = 0,
    /// Every minute.
    Minute = 1,
    /// Every hour.
    Hour = 2,
    /// Every day.
    Day = 3,
    /// Every month.
    Month = 4,
}

/// A limit of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Budget {
    /// Whether it is of an organization (0), a user (1) or a key (2).
    pub kind: u8,
    /// Its id.
    pub subject: String,
    /// The limit.
    pub name: String,
}

/// What a gateway says of a budget, and asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which one.
    pub budget: Budget,
    /// What it is renewed with.
    pub period: Period,
    /// How much there is of it.
    pub cap: u64,
    /// The id of the lease, chosen by the gateway: another one is another lease, and all of the one before is spent.
    pub id: i64,
    /// Number of the period that `hold` and `spent` are of; None if the bank has not said it yet.
    pub window: Option<i64>,
    /// How much the gateway holds, what is spent among it. The bank does not take it away.
    pub hold: u64,
    /// How much it has spent, for requests that run too.
    pub spent: u64,
    /// How much requests wait for.
    pub need: u64,
    /// How much it would like beside that.
    pub more: u64,
}

/// What the bank says to a [`Report`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answer {
    /// Number of the present period. What is reported of another one is not counted in it.
    pub window: i64,
    /// Milliseconds until it ends; None if it does not.
    pub left: Option<u64>,
    /// How much the gateway may spend of this period altogether.
    pub amount: u64,
    /// How much of the cap is bound by others, or booked as spent.
    pub others_held: u64,
    /// How much of that is spent, as far as the others have said.
    pub others_spent: u64,
    /// How much of a lease that was booked as spent was not; less than 0: how much is booked as
    /// spent because its gateway has forgotten the lease.
    pub corrected: i64,
}

/// Everything that the bank says in one turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn {
    /// Rises when the bank went back to an earlier state: everything that is held has to be said again.
    pub epoch: i64,
    /// To each report, in order.
    pub answers: Vec<Answer>,
    /// Budgets of which this gateway holds something that others wait for.
    pub wanted: Vec<Budget>,
}

/// A lease that was booked as spent because it was not renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// Of which budget.
    pub budget: Budget,
    /// Which gateway held it.
    pub member: String,
    /// How much, and how much of it was known to be spent.
    pub amount: u64,
    /// See there.
    pub spent: u64,
}

/// Where budgets are shared. Everything here blocks.
pub trait Bank: Send + Sync {
    /// Reports, and asks. The same again, after an answer that was lost, changes nothing.
    ///
    /// # Errors
    /// If the bank is away. It may have been done all the same.
    fn turn(&self, reports: &[Report]) -> Result<Turn, StoreError>;

    /// Books leases that were not renewed as spent; those of places are free again.
    ///
    /// # Errors
    /// If the bank is away.
    fn expire(&self) -> Result<Vec<Expired>, StoreError>;
}
