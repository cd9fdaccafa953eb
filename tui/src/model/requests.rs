//! The requests that run now, as the console knows them.

use std::{borrow::Cow, cmp::Ordering};

use aivonx_protocol::running::{Phase, Running};

use super::list::{Column, List, Record, Width};
use crate::{
    cli::running::{phase, rate},
    filter::Subject,
};

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// All that the caller may see.
    pub(crate) list: List<Running>,
}

/// Whose it is: `key ci of acme`, or what of that is known.
pub(crate) fn whose(request: &Running) -> Option<String> {
    let one = match (&request.key, &request.user) {
        (Some(key), _) => Some(format!("key {key}")),
        (None, Some(user)) => Some(format!("user {user}")),
        (None, None) => None,
    };
    match (one, &request.organization) {
        (Some(one), Some(organization)) => Some(format!("{one} of {organization}")),
        (None, Some(organization)) => Some(organization.clone()),
        (one, None) => one,
    }
}

impl Subject for Running {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "id" | "request" | "request_id" => self.id.clone(),
            "client" | "from" => self.client.clone(),
            "org" | "organization" => self.organization.clone()?,
            "user" => self.user.clone()?,
            "key" => self.key.clone()?,
            "route" => self.route.clone(),
            "model" => self.model.clone()?,
            "node" => self.node.clone()?,
            "phase" => phase(self.phase).to_owned(),
            "tokens" => self.tokens.to_string(),
            "rate" => rate(self)?.to_string(),
            // In seconds, as it is shown.
            "age" => (self.age_ms / 1000).to_string(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.id)
            || test(&self.client)
            || test(&self.route)
            || test(phase(self.phase))
            || [&self.organization, &self.user, &self.key, &self.model, &self.node]
                .into_iter()
                .flatten()
                .any(|text| test(text))
    }
}

impl Record for Running {
    const COLUMNS: &'static [Column] = &[
        Column::number("AGE", 6, 0),
        Column::new("ORG", Width::Fill(7), 2),
        Column::new("USER", Width::Fill(8), 5),
        Column::new("KEY", Width::Fill(10), 0),
        Column::new("MODEL", Width::Fill(14), 0),
        Column::new("NODE", Width::Fill(6), 0),
        Column::new("PHASE", Width::Fixed(9), 1),
        Column::number("TOKENS", 6, 0),
        Column::number("PER S", 6, 0),
        Column::new("CLIENT", Width::Fixed(15), 3),
        Column::new("ROUTE", Width::Fill(12), 6),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }

    fn name(&self) -> &str {
        &self.id
    }

    fn order(&self, other: &Self, column: usize) -> Ordering {
        match column {
            1 => self.organization.cmp(&other.organization),
            2 => self.user.cmp(&other.user),
            3 => self.key.cmp(&other.key),
            4 => self.model.cmp(&other.model),
            5 => self.node.cmp(&other.node),
            6 => place(self).cmp(&place(other)),
            // The most first.
            7 => other.tokens.cmp(&self.tokens),
            8 => {
                let rate = |one: &Self| rate(one).unwrap_or(-1.0);
                rate(other).total_cmp(&rate(self))
            }
            9 => self.client.cmp(&other.client),
            10 => self.route.cmp(&other.route),
            // The oldest first.
            _ => other.age_ms.cmp(&self.age_ms),
        }
    }
}

/// The order in which a request goes through its phases.
fn place(request: &Running) -> u8 {
    match request.phase {
        Phase::Receiving => 0,
        Phase::Waiting => 1,
        Phase::Answering => 2,
    }
}
