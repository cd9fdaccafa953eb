//! The two ledgers: who did what ([`audit`]) and who used what ([`usage`]).

pub mod audit;
pub mod usage;
