//! Lockouts, sessions, keys of the daemon's own and snapshots of its store, as the console knows them.

use std::{borrow::Cow, cmp::Ordering};

use aivonx_protocol::{
    lockout::Lockout,
    secrets::{Check, CheckOutcome, SecretsStatus},
    session::{Session, SessionKind},
    snapshot::{NewestSnapshot, Snapshot},
};

use super::list::{Column, List, Record, Width};
use crate::filter::Subject;

/// What is shown of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tab {
    /// Logins that failed too often.
    #[default]
    Lockouts,
    /// Who is logged in as one user.
    Sessions,
    /// The keys that secrets are kept under.
    Secrets,
    /// The snapshots of the store.
    Snapshots,
}

impl Tab {
    /// Every tab, in order.
    pub(crate) const ALL: [Self; 4] = [Self::Lockouts, Self::Sessions, Self::Secrets, Self::Snapshots];

    /// Its name.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Lockouts => "Lockouts",
            Self::Sessions => "Sessions",
            Self::Secrets => "Secrets",
            Self::Snapshots => "Snapshots",
        }
    }
}

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct Security {
    /// What is shown.
    pub(crate) tab: Tab,
    /// Logins that failed.
    pub(crate) lockouts: List<Lockout>,
    /// Sessions and tokens.
    pub(crate) sessions: List<Session>,
    /// Whose; None is the caller's own.
    pub(crate) whose: Option<String>,
    /// What was looked at among the secrets.
    pub(crate) checks: List<Check>,
    /// Which keys there are.
    pub(crate) secrets: Option<SecretsStatus>,
    /// The kept snapshots.
    pub(crate) snapshots: List<Snapshot>,
    /// The newest of them that is whole.
    pub(crate) newest_snapshot: Option<NewestSnapshot>,
}

impl Subject for Lockout {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "user" => self.user.clone(),
            "address" | "from" => self.address.clone(),
            "failures" => self.failures.to_string(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.user) || test(&self.address)
    }
}

impl Record for Lockout {
    const COLUMNS: &'static [Column] = &[
        Column::new("USER TRIED", Width::Fill(16), 0),
        Column::new("FROM", Width::Fill(16), 0),
        Column::number("FAILURES", 8, 0),
        Column::new("LAST", Width::Fixed(12), 1),
        Column::new("LOCKED", Width::Fixed(14), 0),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{}\n{}", self.user, self.address))
    }

    fn name(&self) -> &str {
        &self.user
    }

    fn order(&self, other: &Self, column: usize) -> Ordering {
        match column {
            1 => self.address.cmp(&other.address),
            2 => other.failures.cmp(&self.failures),
            3 => other.last.cmp(&self.last),
            4 => other.locked_until.cmp(&self.locked_until),
            _ => self.user.cmp(&other.user),
        }
    }
}

/// What kind of session, in a word.
pub(crate) fn kind(session: &Session) -> &'static str {
    match session.kind {
        SessionKind::Control => "terminal",
        SessionKind::Token => "token",
        SessionKind::Http => "http",
    }
}

impl Subject for Session {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "user" => self.user.clone(),
            "kind" => kind(self).to_owned(),
            "name" => self.name.clone()?,
            "role" => self.role.to_string(),
            "from" => self.address.clone()?,
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.user)
            || test(kind(self))
            || test(self.role.as_str())
            || [&self.name, &self.address].into_iter().flatten().any(|text| test(text))
    }
}

impl Record for Session {
    const COLUMNS: &'static [Column] = &[
        Column::new("USER", Width::Fill(10), 0),
        Column::new("KIND", Width::Fixed(8), 0),
        Column::new("NAME", Width::Fill(8), 2),
        Column::new("ROLE", Width::Fixed(10), 3),
        Column::new("FROM", Width::Fixed(16), 1),
        Column::new("LAST USED", Width::Fixed(12), 0),
        Column::new("ENDS IN", Width::Fixed(9), 0),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }

    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }

    fn order(&self, other: &Self, column: usize) -> Ordering {
        match column {
            1 => kind(self).cmp(kind(other)),
            2 => self.name.cmp(&other.name),
            3 => self.role.cmp(&other.role),
            4 => self.address.cmp(&other.address),
            6 => self.expires.cmp(&other.expires),
            0 => self.user.cmp(&other.user).then(other.last_used.cmp(&self.last_used)),
            _ => other.last_used.cmp(&self.last_used),
        }
    }
}

/// How a check came out, in a word.
pub(crate) fn outcome(check: &Check) -> &'static str {
    match check.outcome {
        CheckOutcome::Ok => "ok",
        CheckOutcome::Warn => "warn",
        CheckOutcome::Fail => "FAIL",
    }
}

impl Subject for Check {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "name" => self.name.clone(),
            "outcome" => outcome(self).to_owned(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.name) || test(&self.finding) || test(outcome(self))
    }
}

impl Record for Check {
    const COLUMNS: &'static [Column] = &[
        Column::new("RESULT", Width::Fixed(6), 0),
        Column::new("CHECKED", Width::Fixed(14), 0),
        Column::new("FOUND", Width::Fill(20), 0),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn order(&self, other: &Self, column: usize) -> Ordering {
        match column {
            1 => self.name.cmp(&other.name),
            2 => self.finding.cmp(&other.finding),
            // The worst first.
            _ => other.outcome.cmp(&self.outcome),
        }
    }
}

/// How a snapshot is, in a word.
pub(crate) fn state(one: &Snapshot) -> &'static str {
    if one.problem.is_some() { "damaged" } else { "whole" }
}

impl Subject for Snapshot {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "file" => self.file.clone(),
            "state" => state(self).to_owned(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.file) || test(state(self))
    }
}

impl Record for Snapshot {
    const COLUMNS: &'static [Column] = &[
        Column::new("TAKEN", Width::Fixed(12), 0),
        Column::new("STATE", Width::Fixed(7), 0),
        Column::number("BEHIND", 7, 0),
        Column::number("SIZE", 9, 1),
        Column::new("CONTENTS", Width::Fill(20), 0),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.file)
    }

    fn name(&self) -> &str {
        &self.file
    }

    fn order(&self, other: &Self, column: usize) -> Ordering {
        match column {
            1 => state(self).cmp(state(other)),
            2 => self.behind.cmp(&other.behind),
            3 => other.bytes.cmp(&self.bytes),
            // The newest first, by what it has: a clock may have been wrong.
            _ => other.change.cmp(&self.change).then_with(|| other.file.cmp(&self.file)),
        }
    }
}
