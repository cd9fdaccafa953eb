//! Logins: the step with the password and the one with the one-time code are one.

use std::net::IpAddr;

use aivonx_domain::network;
use aivonx_protocol::limit::LimitName;

use super::Limits;

/// Distinguishes first steps from logins in the table.
const FIRST_STEP: &str = "first step";

impl Limits {
    /// Takes back the use of `login.hour` by a login from `address` whose password was right and that is to come
    /// once more, with the one-time code: that step counts. No oftener than an address may log in, because each
    /// step costs a hash.
    pub fn login_goes_on(&self, address: IpAddr) {
        let limit = LimitName::LoginHour;
        let Some(cap) = self.fleet.load().of(limit) else { return };
        let (now, client) = (self.now(), network(address));
        if self.throttles.count(limit, (FIRST_STEP, client), cap, &now).is_ok() {
            self.throttles.give_back(limit, client, &now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{Accounts, Caps, clock::Hand};
    use aivonx_store::testing::stand;

    #[tokio::test]
    async fn a_login_in_two_steps_counts_once_and_first_steps_are_bounded() {
        let stand = stand().await;
        let (_, clock) = Hand::at("2027-01-01T12:00:00Z", Duration::ZERO);
        let limits = Limits::open(stand.store.clone(), Arc::<Accounts>::default(), clock).await.unwrap();
        limits.set_fleet(Caps::UNLIMITED.with(LimitName::LoginHour, 3));
        let address = "192.0.2.1".parse().unwrap();
        let step = || limits.throttle_address(LimitName::LoginHour, address);
        for _ in 0..2 {
            step().unwrap();
            limits.login_goes_on(address);
            step().unwrap();
        }
        // With the last one first steps end as well.
        step().unwrap();
        limits.login_goes_on(address);
        step().unwrap();
        limits.login_goes_on(address);
        assert!(step().is_err());
    }
}
