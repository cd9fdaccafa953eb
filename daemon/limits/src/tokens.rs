//! Token operations: what one login began counts once an hour.

use std::{hash::Hash, sync::Arc};

use aivonx_protocol::limit::LimitName;

use super::{Exceeded, Kind, Limits};

/// Distinguishes families from subjects in the table.
#[derive(Hash)]
struct Family<'a>(&'a str);

impl Limits {
    /// Counts a token operation of the user `id`, of which `cap` are allowed an hour, in the refresh family (the
    /// session) `family`; all of one family in an hour are one.
    ///
    /// # Errors
    /// [`Exceeded`]; then it does not count.
    pub fn throttle_family(&self, id: &Arc<str>, cap: u64, family: &str) -> Result<(), Exceeded> {
        let limit = LimitName::TokenHour;
        let (now, family) = (self.now(), Family(family));
        if self.throttles.is_full(limit, &family, 1, &now) {
            return Ok(());
        }
        self.throttle_subject(limit, Kind::User, id, cap)?;
        // Of two at once both may have counted: a family that refreshes twice at the same moment is rare.
        let _ = self.throttles.count(limit, &family, 1, &now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Accounts, clock::Hand};
    use aivonx_store::testing::stand;

    #[tokio::test]
    async fn a_family_counts_once_an_hour() {
        let stand = stand().await;
        let (hand, clock) = Hand::at("2027-01-01T12:00:00Z", Duration::ZERO);
        let limits = Limits::open(stand.store.clone(), Arc::<Accounts>::default(), clock).await.unwrap();
        let user: Arc<str> = "u1".into();
        for _ in 0..50 {
            for family in ["a", "b"] {
                limits.throttle_family(&user, 2, family).unwrap();
            }
        }
        let refused = limits.throttle_family(&user, 2, "c").unwrap_err();
        assert_eq!((refused.limit, refused.cap, refused.used), (LimitName::TokenHour, 2, 2));
        assert!(limits.throttle_family(&user, 2, "c").is_err(), "what was refused is not known");
        limits.throttle_family(&"u2".into(), 2, "d").unwrap();
        hand.pass(Duration::from_secs(3601));
        for family in ["a", "c"] {
            limits.throttle_family(&user, 2, family).unwrap();
        }
        assert!(limits.throttle_family(&user, 2, "b").is_err());
    }
}
