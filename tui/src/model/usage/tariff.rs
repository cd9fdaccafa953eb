//! Prices, model policies and aliases as rows.

use std::{borrow::Cow, cmp::Ordering};

use aivonx_protocol::{
    policy::{Alias, Policy},
    price::Price,
};

use crate::{
    filter::Subject,
    model::list::{Column, Record, Width},
};

impl Subject for Price {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "model" | "name" => self.model.clone(),
            "prompt" | "in" => self.prompt.to_string(),
            "output" | "out" => self.output.to_string(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.model)
    }
}

impl Record for Price {
    const COLUMNS: &'static [Column] = &[
        Column::new("MODELS", Width::Fill(24), 0),
        Column::number("USD/M PROMPT", 12, 0),
        Column::number("USD/M OUTPUT", 12, 0),
        Column::new("SINCE", Width::Fixed(19), 1),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.model)
    }

    fn name(&self) -> &str {
        &self.model
    }

    fn order(&self, other: &Self, column: usize) -> Ordering {
        match column {
            1 => other.prompt.cmp(&self.prompt),
            2 => other.output.cmp(&self.output),
            3 => other.created.cmp(&self.created),
            _ => self.model.cmp(&other.model),
        }
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

impl Record for Policy {
    const COLUMNS: &'static [Column] = &[
        Column::new("MODELS", Width::Fill(24), 0),
        Column::new("ORG", Width::Fill(12), 0),
        Column::new("KEEP ALIVE", Width::Fixed(11), 0),
        Column::number("CONTEXT", 9, 0),
        Column::number("MAX OUTPUT", 10, 1),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{}\n{}", self.organization.as_deref().unwrap_or_default(), self.model))
    }

    fn name(&self) -> &str {
        &self.model
    }

    fn order(&self, other: &Self, column: usize) -> Ordering {
        match column {
            2 => self.keep_alive.is_some().cmp(&other.keep_alive.is_some()).reverse(),
            3 => other.num_ctx.map(|size| size.tokens).cmp(&self.num_ctx.map(|size| size.tokens)),
            4 => other.output_max.cmp(&self.output_max),
            1 => (&self.organization, &self.model).cmp(&(&other.organization, &other.model)),
            _ => (&self.model, &self.organization).cmp(&(&other.model, &other.organization)),
        }
    }
}

impl Subject for Alias {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "alias" | "name" => self.alias.clone(),
            "org" => self.organization.clone()?,
            "model" => self.models.join(" "),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.alias)
            || self.models.iter().any(|model| test(model))
            || self.organization.as_deref().is_some_and(test)
    }
}

impl Record for Alias {
    const COLUMNS: &'static [Column] = &[
        Column::new("ALIAS", Width::Fill(18), 0),
        Column::new("ORG", Width::Fill(12), 0),
        Column::new("SERVED", Width::Fill(30), 0),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{}\n{}", self.organization.as_deref().unwrap_or_default(), self.alias))
    }

    fn name(&self) -> &str {
        &self.alias
    }

    fn order(&self, other: &Self, column: usize) -> Ordering {
        match column {
            1 => (&self.organization, &self.alias).cmp(&(&other.organization, &other.alias)),
            2 => self.models.cmp(&other.models),
            _ => (&self.alias, &self.organization).cmp(&(&other.alias, &other.organization)),
        }
    }
}
