//! The sums of a report, put where they are shown.

use std::collections::HashMap;

use aivonx_protocol::usage::{UsageBy, UsageReport};

use crate::{
    nouns::{Budget, Served},
    state::{Model, usage::unused},
};

/// Puts the last sums into the list they are about, with those who have used nothing.
pub(in crate::update) fn fill(model: &mut Model) {
    let Model { usage, access, now, .. } = model;
    let Some(report) = &usage.report else { return };
    let Some(by) = report.by else { return };
    let all = report.total.prompt_tokens.saturating_add(report.total.output_tokens);
    let served = || report.rows.iter().map(|row| Served { row: row.clone(), all }).collect();
    match by {
        UsageBy::Organization => {
            let known = access.organizations.all().iter();
            let known =
                known.map(|one| Known { id: &one.id, name: &one.slug, organization: None, listed: true });
            usage.organizations.set(budgets(report, known), *now);
        }
        UsageBy::User => {
            let known = access.users.all().iter();
            let known = known.map(|one| Known {
                id: &one.id,
                name: &one.name,
                organization: one.organization.as_ref(),
                listed: true,
            });
            usage.users.set(budgets(report, known), *now);
        }
        UsageBy::Key => {
            let known = access.keys.all().iter();
            let known = known.map(|one| Known {
                id: &one.id,
                name: &one.name,
                organization: one.organization.as_ref(),
                listed: one.revoked.is_none(),
            });
            usage.keys.set(budgets(report, known), *now);
        }
        UsageBy::Model => usage.models.set(served(), *now),
        UsageBy::Node => usage.nodes.set(served(), *now),
    }
}

/// Somebody who may have used something.
struct Known<'a> {
    id: &'a str,
    name: &'a str,
    organization: Option<&'a String>,
    /// Whether to be listed without having used anything.
    listed: bool,
}

/// The rows of a report, and those listed that it has none of.
fn budgets<'a>(report: &UsageReport, known: impl Iterator<Item = Known<'a>>) -> Vec<Budget> {
    let rows = report.rows.iter().map(|row| Budget { row: row.clone(), organization: None });
    let mut rows: Vec<Budget> = rows.collect();
    // There may be thousands of either.
    let with_id = report.rows.iter().enumerate().filter_map(|(at, row)| Some((row.id.as_deref()?, at)));
    let places: HashMap<&str, usize> = with_id.collect();
    for Known { id, name, organization, listed } in known {
        match places.get(id) {
            Some(at) => rows[*at].organization = organization.cloned(),
            None if listed => {
                rows.push(Budget { row: unused(id, name), organization: organization.cloned() });
            }
            None => {}
        }
    }
    rows
}
