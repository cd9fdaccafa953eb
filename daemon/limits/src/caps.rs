//! Caps: how much of each limit one subject may use.

use aivonx_protocol::limit::LimitName;

/// The caps of one subject, by limit; None is no cap. Requests, tokens and characters are counted, money is in
/// micro-USD.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Caps([Option<u64>; LimitName::ALL.len()]);

impl Caps {
    /// No cap on anything.
    pub const UNLIMITED: Self = Self([None; LimitName::ALL.len()]);

    /// These caps, by [`LimitName`].
    #[must_use]
    pub const fn new(caps: [Option<u64>; LimitName::ALL.len()]) -> Self {
        Self(caps)
    }

    /// The cap on `limit`.
    #[must_use]
    pub fn of(&self, limit: LimitName) -> Option<u64> {
        self.0[limit as usize]
    }

    /// Puts a cap on `limit`, or takes it away.
    pub fn set(&mut self, limit: LimitName, cap: Option<u64>) {
        self.0[limit as usize] = cap;
    }

    /// The same with this cap on `limit`.
    #[must_use]
    pub fn with(mut self, limit: LimitName, cap: u64) -> Self {
        self.set(limit, Some(cap));
        self
    }

    /// Every cap there is.
    pub fn each(&self) -> impl Iterator<Item = (LimitName, u64)> + '_ {
        LimitName::ALL.into_iter().filter_map(|limit| Some((limit, self.of(limit)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_is_set_and_taken_away() {
        let mut caps = Caps::UNLIMITED.with(LimitName::SpendDay, 5).with(LimitName::UserHour, 0);
        let each: Vec<_> = caps.each().collect();
        assert_eq!(each, [(LimitName::UserHour, 0), (LimitName::SpendDay, 5)]);
        caps.set(LimitName::UserHour, None);
        assert_eq!(caps.of(LimitName::UserHour), None);
        assert_eq!(caps.of(LimitName::SpendDay), Some(5));
    }
}
