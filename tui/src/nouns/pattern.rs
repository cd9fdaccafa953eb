//! Patterns of an organization's own.
//!
//! ## pattern
//! | field | meaning |
//! |---|---|
//! | `name` | unique in its organization |
//! | `organization` | slug of the organization, or null for those without one |
//! | `regex` | the regular expression, or null if it is of words |
//! | `words` | array of words that are found whole and in any case |
//! | `marker` | what stands in place of a match |
//! | `action` | `detect`, `redact` or `refuse` |
//! | `created` | time |

use std::borrow::Cow;

use aivonx_protocol::privacy::{Pattern, PatternAction};

use super::{Field, Noun, View};
use crate::{
    filter::Subject,
    render::{Column, Table},
};

/// What happens to a match, in words.
pub(crate) fn done(action: PatternAction) -> &'static str {
    match action {
        PatternAction::Detect => "what matches is counted",
        PatternAction::Redact => "what matches is replaced",
        PatternAction::Refuse => "prompts with it are refused, answers with it stopped",
    }
}

fn looks_for(pattern: &Pattern) -> String {
    pattern.regex.clone().unwrap_or_else(|| pattern.words.join(", "))
}

impl Noun for Pattern {
    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("PATTERN").cut(20), |one, _| (&one.name).into())
            .sorted(|a, b| a.name.cmp(&b.name)),
        Field::<Self>::new(Column::text("ACTION").cells(7), |one, _| one.action.name().into()),
        Field::<Self>::new(Column::text("MARKER").cut(24), |one, _| (&one.marker).into()),
        Field::<Self>::new(Column::text("LOOKS FOR").cut(30), |one, _| looks_for(one).into()),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn details(&self, view: &View<'_>) -> Table {
        let mut table = Table::pairs();
        table.pair("pattern", &self.name);
        table.pair("of", self.organization.as_deref().unwrap_or("those without an organization"));
        table.pair("looks for", looks_for(self));
        table.pair("action", self.action.name());
        table.pair("marker", &self.marker);
        table.pair("added", view.time(self.created));
        table
    }
}

impl Subject for Pattern {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "name" => self.name.clone(),
            "action" => self.action.name().to_owned(),
            "marker" => self.marker.clone(),
            "org" | "organization" => self.organization.clone().unwrap_or_default(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.name) || test(&looks_for(self))
    }
}
