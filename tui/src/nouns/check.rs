//! What was looked at, among the secrets and elsewhere.
//!
//! ## check
//! | field | meaning |
//! |---|---|
//! | `name` | what was looked at, a word that stays the same |
//! | `outcome` | `ok`, `warn` or `fail` |
//! | `finding` | what was found |
//! | `fix` | what to do about it, or null |

use std::borrow::Cow;

use aivonx_protocol::secrets::{Check, CheckOutcome};

use super::{Field, Noun, View};
use crate::{
    filter::Subject,
    render::{Cell, Column, Out, Table, Tone, text::safe},
};

/// How it came out, in a word.
pub(crate) fn outcome(check: &Check) -> Cell {
    match check.outcome {
        CheckOutcome::Ok => Cell::toned("ok", Tone::Good),
        CheckOutcome::Warn => Cell::toned("warn", Tone::Warn),
        CheckOutcome::Fail => Cell::toned("FAIL", Tone::Bad),
    }
}

/// A check in one line, what to do about it behind.
pub(crate) fn line(out: &Out, check: &Check, width: usize) -> String {
    let outcome = outcome(check);
    let fix = check.fix.as_deref().map(|fix| format!(" ({})", safe(fix))).unwrap_or_default();
    format!(
        "{}  {:<width$}  {}{fix}",
        out.paint(&format!("{:<4}", outcome.text), outcome.tone),
        safe(&check.name),
        safe(&check.finding)
    )
}

impl Noun for Check {
    const FIELDS: &'static [Field<Self>] = &[
        // The worst first.
        Field::<Self>::new(Column::text("RESULT"), |check, _| outcome(check))
            .sorted(|a, b| b.outcome.cmp(&a.outcome)),
        Field::<Self>::new(Column::text("CHECKED").cells(14), |check, _| (&check.name).into())
            .sorted(|a, b| a.name.cmp(&b.name)),
        Field::<Self>::new(Column::text("FOUND").cut(20), |check, _| (&check.finding).into())
            .sorted(|a, b| a.finding.cmp(&b.finding)),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn details(&self, _: &View<'_>) -> Table {
        let mut table = Table::pairs();
        table.pair("checked", &self.name);
        table.pair("result", outcome(self));
        table.pair("found", &self.finding);
        if let Some(fix) = &self.fix {
            table.pair("to do", Cell::toned(fix, Tone::Accent));
        }
        table
    }
}

impl Subject for Check {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "name" => self.name.clone(),
            "outcome" => outcome(self).text,
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.name) || test(&self.finding) || test(&outcome(self).text)
    }
}
