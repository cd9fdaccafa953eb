//! What looks like an attack, and what is done about it.
//!
//! ## contained
//! | field | meaning |
//! |---|---|
//! | `kind` | `key`, `user`, `organization` or `address` |
//! | `name` | its name |
//! | `sessions` | number of sessions and control tokens that ended |
//! | `revoked` | number of keys that were revoked for good |
//! | `must_change` | number of users who must change their password |
//! | `undo` | the command that takes it back, or null if nothing does or it was shut off before |
//!
//! ## finding
//! | field | meaning |
//! |---|---|
//! | `kind` | `cross_organization`, `failed_logins`, `refused_credentials`, `usage_spike`, `first_seen_address` or `incomplete` |
//! | `subject` | the address, user or key that it is about |
//! | `count` | how often, in the time that was asked for |
//! | `usual` | how often in as long a time before, on average |
//! | `first`, `last` | times, or null |
//! | `finding` | the same in words |
//! | `contain` | the command that shuts it off, or null |

use std::borrow::Cow;

use aivonx_protocol::incident::{Contain, Contained, ContainedKind, Finding};

use super::{Field, Noun, View};
use crate::{
    filter::Subject,
    render::{
        Cell, Column, Table, Tone,
        text::{plural, span},
    },
};

/// What no rotation can do by itself, each with the command that does it.
pub(crate) const AFTER_ROTATION: [(&str, &str); 6] = [
    ("the master key, with the daemon stopped", "aivonxd rekey --old OLD --new NEW"),
    ("keys that others may have", "aivonx key rotate KEY --grace 0s"),
    ("passwords of those concerned", "aivonx user reset-password USER"),
    ("second factors", "aivonx incident reset-2fa --all"),
    ("credentials of the nodes", "aivonx node set NODE --bearer-file FILE"),
    ("a backup under the new keys", "aivonx backup create"),
];

/// What would be done, a sentence each.
pub(crate) fn consequences(asked: &Contain) -> Vec<String> {
    let Contain { keys, users, organizations, addresses, revoke, lasts_ms, .. } = asked;
    let mut lines = Vec::new();
    let mut say = |what: &str, names: &[String], consequence: &str| {
        if !names.is_empty() {
            lines.push(format!("{what} {}: {consequence}.", names.join(", ")));
        }
    };
    let (of_keys, also) = if *revoke {
        ("revoked for good", "; their keys are revoked for good")
    } else {
        ("disabled until it is enabled again", "")
    };
    say("Key", keys, of_keys);
    say("User", users, &format!("disabled, sessions ended, the password must be changed{also}"));
    say("Organization", organizations, &format!("disabled, and the users in it likewise{also}"));
    let blocked = lasts_ms.map_or_else(|| "until unblocked".to_owned(), |ms| format!("for {}", span(ms)));
    say("Address", addresses, &format!("blocked {blocked}; sessions begun there end"));
    lines.push("Requests that run for any of them end at once.".to_owned());
    lines
}

/// Where the commands that undo it are kept.
pub(crate) const UNDO_KEPT: &str = "How to undo it is kept in the audit log: aivonx incident report (--since TIME for what is older than 24 h)";

/// What was done to one of them, and how that is undone, a sentence each.
pub(crate) fn contained(one: &Contained) -> (String, Vec<String>) {
    let mut also = vec!["what runs for it ends".to_owned()];
    for (count, what, how) in [(one.sessions, "session", "ended"), (one.revoked, "key", "revoked")] {
        if count > 0 {
            also.push(format!("{} {how}", plural(u64::from(count), what)));
        }
    }
    if one.must_change > 0 {
        also.push(format!("{} must be changed", plural(u64::from(one.must_change), "password")));
    }
    let done = format!("Contained the {} {}: {}.", one.kind.as_str(), one.name, also.join(", "));
    let mut undo = Vec::new();
    match &one.undo {
        Some(command) => undo.push(format!("To undo: {command}")),
        None if one.revoked == 0 => {
            undo.push("It was shut off before, so there is nothing to undo".to_owned());
        }
        None => {}
    }
    if one.revoked > 0 {
        undo.push(if one.kind == ContainedKind::Key {
            "This cannot be undone; make another key: aivonx key create NAME".to_owned()
        } else {
            let keys = plural(u64::from(one.revoked), "key");
            format!("Revoked for good: {keys}; make others: aivonx key create NAME")
        });
    }
    if one.must_change > 0 && one.undo.is_some() {
        undo.push("The passwords must be changed all the same".to_owned());
    }
    (done, undo)
}

impl Noun for Finding {
    const FIELDS: &'static [Field<Self>] = &[
        // The worst first.
        Field::<Self>::new(Column::text("FOUND").cut(24), |one, _| Cell::toned(&one.finding, Tone::Warn))
            .sorted(|a, b| (a.kind, &a.subject).cmp(&(b.kind, &b.subject))),
        Field::<Self>::new(Column::number("COUNT"), |one, _| one.count.to_string().into())
            .sorted(|a, b| b.count.cmp(&a.count)),
        Field::<Self>::new(Column::number("USUAL"), |one, _| one.usual.to_string().into())
            .sorted(|a, b| b.usual.cmp(&a.usual)),
        Field::<Self>::new(Column::number("LAST").cells(11), |one, view| view.ago(one.last))
            .sorted(|a, b| b.last.cmp(&a.last)),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{}\n{}", self.kind.as_str(), self.subject))
    }

    fn name(&self) -> &str {
        &self.subject
    }

    fn details(&self, view: &View<'_>) -> Table {
        let mut table = Table::pairs();
        table.pair("found", Cell::toned(&self.finding, Tone::Warn));
        table.pair("kind", self.kind.as_str());
        table.pair("about", &self.subject);
        table.pair("count", self.count.to_string());
        table.pair("usual", self.usual.to_string());
        table.pair("first", Cell::optional(self.first.map(|at| view.time(at))));
        table.pair("last", Cell::optional(self.last.map(|at| view.time(at))));
        if let Some(contain) = &self.contain {
            table.pair("shut it off", Cell::toned(contain, Tone::Accent));
        }
        table
    }
}

impl Subject for Finding {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "kind" => self.kind.as_str().to_owned(),
            "subject" | "about" => self.subject.clone(),
            "count" => self.count.to_string(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.finding) || test(&self.subject)
    }
}
