//! Model policies.
//!
//! ## policy
//! | field | meaning |
//! |---|---|
//! | `id` | stable id |
//! | `organization` | slug of the organization whose requests it is for, or null for everybody's |
//! | `model` | pattern of the models (`*`, `?`) |
//! | `keep_alive` | a keep alive, or null |
//! | `num_ctx` | a context size, or null |
//! | `output_max` | most tokens of an answer, or null |
//! | `created` | time |
//! | `revision` | rises with every change |
//! | `only_orgs` | slugs of the organizations that alone see and use the models; empty is everyone |
//! | `deny_orgs` | slugs of organizations that do not |
//!
//! Of a pattern for which nothing else is set, `organization`, `model`, `only_orgs` and `deny_orgs` alone are printed.
//!
//! ## keep alive
//! | field | meaning |
//! |---|---|
//! | `value` | how long models stay in memory after a request: `30m`, a number of seconds; negative is for ever |
//! | `force` | whether it replaces what the client asks for; else it stands in for what the client leaves out |
//!
//! ## context size
//! | field | meaning |
//! |---|---|
//! | `tokens` | size of the context |
//! | `force` | whether it replaces what the client asks for; else it stands in for what the client leaves out |

use std::borrow::Cow;

use aivonx_protocol::policy::Policy;

use super::{Field, Noun, View, everybody};
use crate::{
    filter::Subject,
    render::{Cell, Column, Table, text::count},
};

/// Marks a value that overrides the client's with `!`.
fn forced(text: String, force: bool) -> String {
    if force { format!("{text}!") } else { text }
}

impl Noun for Policy {
    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("ORG").cut(16).grows(12), |policy, _| {
            everybody(policy.organization.as_deref())
        })
        .sorted(|a, b| (&a.organization, &a.model).cmp(&(&b.organization, &b.model))),
        Field::<Self>::new(Column::text("MODEL").cut(24), |policy, _| (&policy.model).into())
            .sorted(|a, b| (&a.model, &a.organization).cmp(&(&b.model, &b.organization))),
        Field::<Self>::new(Column::number("KEEP ALIVE").cells(11), |policy, _| {
            let keep = policy.keep_alive.as_ref();
            Cell::optional(keep.map(|keep| forced(keep.value.clone(), keep.force)))
        })
        .sorted(|a, b| b.keep_alive.is_some().cmp(&a.keep_alive.is_some())),
        Field::<Self>::new(Column::number("CONTEXT").cells(9), |policy, _| {
            Cell::optional(policy.num_ctx.map(|size| forced(count(size.tokens.into()), size.force)))
        })
        .sorted(|a, b| b.num_ctx.map(|size| size.tokens).cmp(&a.num_ctx.map(|size| size.tokens))),
        Field::<Self>::new(Column::number("MAX OUTPUT"), |policy, _| {
            Cell::optional(policy.output_max.map(|most| count(most.into())))
        })
        .sorted(|a, b| b.output_max.cmp(&a.output_max)),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{}\n{}", self.organization.as_deref().unwrap_or_default(), self.model))
    }

    fn name(&self) -> &str {
        &self.model
    }

    fn details(&self, view: &View<'_>) -> Table {
        let how = |force| if force { "whatever the client says" } else { "where the client does not say" };
        let asked = || "as clients ask".to_owned();
        let mut table = Table::pairs();
        table.pair("model", &self.model);
        table.pair("organization", self.organization.as_deref().unwrap_or("all"));
        let keep = self.keep_alive.as_ref().map(|keep| format!("{}, {}", keep.value, how(keep.force)));
        table.pair("keep alive", keep.unwrap_or_else(asked));
        let size = self.num_ctx;
        let size = size.map(|size| format!("{} tokens, {}", count(size.tokens.into()), how(size.force)));
        table.pair("context", size.unwrap_or_else(asked));
        let most = self.output_max.map(|most| format!("at most {} tokens", count(most.into())));
        table.pair("max output", most.unwrap_or_else(asked));
        table.pair("set", view.time(self.created));
        table.pair("id", &self.id);
        table.pair("revision", self.revision.to_string());
        table
    }
}

impl Subject for Policy {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "model" | "name" => self.model.clone(),
            "org" => self.organization.clone()?,
            "context" => self.num_ctx?.tokens.to_string(),
            "output" => self.output_max?.to_string(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.model) || self.organization.as_deref().is_some_and(test)
    }
}
