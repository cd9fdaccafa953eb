//! Budgets of the day and month that are nearly used up.

use std::{cmp::Reverse, sync::Arc};

use aivonx_identity::Snapshot;
use aivonx_limits::{Counters, Level, Now};
use aivonx_protocol::{
    limit::LimitName,
    pulse::{BUDGET_NEAR, BUDGETS_MAX, Budget, BudgetOf},
};

/// The limits that are budgets: what is used of them does not come back soon.
const BUDGETS: [LimitName; 4] =
    [LimitName::InferenceDay, LimitName::SpendDay, LimitName::SpendMonth, LimitName::TokensDay];

/// The budgets that are used up by [`BUDGET_NEAR`] percent or more, the worst first, at most [`BUDGETS_MAX`] of
/// them; of the organization with this id, or of everybody.
#[must_use]
pub fn near(snapshot: &Snapshot, now: &Now, organization: Option<&str>) -> Vec<Budget> {
    let within = |id: Option<&Arc<str>>| organization.is_none() || id.map(|id| &**id) == organization;
    let mut near = Near { now, found: Vec::new() };
    for (slug, one) in snapshot.organizations() {
        if within(Some(&one.id)) {
            near.look(&one.level, BudgetOf::Organization, &one.id, slug, None);
        }
    }
    for user in snapshot.users() {
        let of = user.organization.as_ref();
        if within(of.map(|of| &of.id)) {
            near.look(&user.level, BudgetOf::User, &user.id, &user.name, of.map(|of| &*of.slug));
        }
    }
    for key in snapshot.keys() {
        let of = key.organization.as_ref();
        if let (true, Some((id, name))) = (within(of.map(|of| &of.id)), &key.subject.key) {
            near.look(&key.level, BudgetOf::Key, id, name, of.map(|of| &*of.slug));
        }
    }
    let mut found = near.found;
    found.sort_by_cached_key(|budget| (Reverse(budget.share()), budget.name.clone(), budget.limit));
    found.truncate(BUDGETS_MAX);
    found
}

struct Near<'n> {
    now: &'n Now,
    found: Vec<Budget>,
}

impl Near<'_> {
    fn look(&mut self, level: &Level, of: BudgetOf, id: &str, name: &str, organization: Option<&str>) {
        // Most have none, and need not be asked what they used.
        let mut counters = None;
        for limit in BUDGETS {
            let Some(allowed) = level.caps.of(limit).filter(|allowed| *allowed > 0) else { continue };
            let counters = counters.get_or_insert_with(|| level.account.counters(self.now));
            let (used, resets) = used(counters, limit);
            if u128::from(used) * 100 >= u128::from(allowed) * u128::from(BUDGET_NEAR) {
                self.found.push(Budget {
                    of,
                    id: id.to_owned(),
                    name: name.to_owned(),
                    organization: organization.map(str::to_owned),
                    limit,
                    used,
                    allowed,
                    resets,
                });
            }
        }
    }
}

/// What is used of a limit, and when it begins anew.
fn used(counters: &Counters, limit: LimitName) -> (u64, u64) {
    match limit {
        LimitName::InferenceDay => (counters.day.requests, counters.day_ends),
        LimitName::SpendDay => (counters.day.spend, counters.day_ends),
        LimitName::TokensDay => (counters.day.tokens, counters.day_ends),
        LimitName::SpendMonth => (counters.month.spend, counters.month_ends),
        _ => (0, 0),
    }
}
