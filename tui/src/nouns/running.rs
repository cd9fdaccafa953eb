//! Requests that run now.
//!
//! ## running request
//! | field | meaning |
//! |---|---|
//! | `id` | our id of it, as in `X-Request-Id` and in the log |
//! | `client` | address of the client |
//! | `organization` | slug of the organization it is for |
//! | `user` | name of the user it is from |
//! | `key` | name of the API key it came with |
//! | `route` | route pattern |
//! | `model` | model asked for, as the catalogue names it |
//! | `node` | node that works on it |
//! | `phase` | `receiving` its body, `waiting` for the node, or `answering` |
//! | `age_ms` | milliseconds since its head came in |
//! | `answering_ms` | milliseconds since its answer began; null before |
//! | `tokens` | tokens of output passed on so far: pieces of the stream, each of which is about one token |
//! | `position` | where it stands in the queue while it waits for a place on a node, 1 being next; else null |
//! | `expected_ms` | milliseconds until its turn there, as predicted, or null |

use std::{borrow::Cow, time::Duration};

use aivonx_protocol::running::{Phase, Queued, Running};

use super::{Field, Noun, View};
use crate::{
    filter::Subject,
    render::{
        Cell, Column, Table, Tone,
        text::{count, latency, span},
    },
};

/// How far a request is, in a word.
fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Receiving => "receiving",
        Phase::Waiting => "waiting",
        Phase::Answering => "answering",
    }
}

fn toned(of: Phase, text: &str) -> Cell {
    Cell::toned(
        text,
        match of {
            Phase::Receiving => Tone::Plain,
            Phase::Waiting => Tone::Warn,
            Phase::Answering => Tone::Good,
        },
    )
}

/// Tokens per second since the answer began; None before it can be said.
fn rate(request: &Running) -> Option<f64> {
    let time = Duration::from_millis(request.answering_ms?).as_secs_f64();
    // Tokens that can be counted do not reach where a double is inexact.
    #[expect(clippy::cast_precision_loss, reason = "see above")]
    (time >= 0.1).then(|| request.tokens as f64 / time)
}

fn speed(request: &Running) -> Cell {
    Cell::optional(rate(request).map(|rate| format!("{rate:.1}")))
}

/// Whose it is: `acme/alice/ci`, or what of that is known.
fn from(request: &Running) -> Option<String> {
    let from = [&request.organization, &request.user, &request.key].into_iter().flatten();
    let from: Vec<&str> = from.map(String::as_str).collect();
    (!from.is_empty()).then(|| from.join("/"))
}

impl Noun for Running {
    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("ID"), |one, _| (&one.id).into()).on_command_line(),
        // The oldest first.
        Field::<Self>::new(Column::number("AGE").cells(6), |one, _| span(one.age_ms).into())
            .sorted(|a, b| b.age_ms.cmp(&a.age_ms)),
        Field::<Self>::new(Column::text("PHASE").cells(9).optional(3), |one, _| {
            toned(one.phase, phase(one.phase))
        })
        .sorted(|a, b| (a.phase as u8).cmp(&(b.phase as u8))),
        Field::<Self>::new(Column::text("NODE").cut(8), |one, _| Cell::optional(one.node.as_deref()))
            .sorted(|a, b| a.node.cmp(&b.node)),
        Field::<Self>::new(Column::text("MODEL").cut(10), |one, _| Cell::optional(one.model.as_deref()))
            .sorted(|a, b| a.model.cmp(&b.model)),
        Field::<Self>::new(Column::number("TOKENS"), |one, _| one.tokens.to_string().into())
            .sorted(|a, b| b.tokens.cmp(&a.tokens)),
        Field::<Self>::new(Column::number("PER S").cells(6).optional(2), |one, _| speed(one)).sorted(
            |a, b| {
                let rate = |one: &Running| rate(one).unwrap_or(-1.0);
                rate(b).total_cmp(&rate(a))
            },
        ),
        Field::<Self>::new(Column::text("FROM").cut(8).optional(1), |one, _| Cell::optional(from(one)))
            .on_command_line(),
        Field::<Self>::new(Column::text("ORG").cut(7).optional(4), |one, _| {
            Cell::optional(one.organization.as_deref())
        })
        .sorted(|a, b| a.organization.cmp(&b.organization))
        .in_console(),
        Field::<Self>::new(Column::text("USER").cut(8).optional(6), |one, _| {
            Cell::optional(one.user.as_deref())
        })
        .sorted(|a, b| a.user.cmp(&b.user))
        .in_console(),
        Field::<Self>::new(Column::text("KEY").cut(10), |one, _| Cell::optional(one.key.as_deref()))
            .sorted(|a, b| a.key.cmp(&b.key))
            .in_console(),
        Field::<Self>::new(Column::text("CLIENT").cells(15).optional(5), |one, _| (&one.client).into())
            .sorted(|a, b| a.client.cmp(&b.client)),
        Field::<Self>::new(Column::text("ROUTE").cells(14).optional(7), |one, _| (&one.route).into())
            .sorted(|a, b| a.route.cmp(&b.route)),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }

    fn name(&self) -> &str {
        &self.id
    }

    fn details(&self, _: &View<'_>) -> Table {
        let about = match self.phase {
            Phase::Receiving => "its body is still coming in",
            Phase::Waiting => "its node has not answered yet",
            Phase::Answering => "the answer is being passed on",
        };
        let text = |text: &Option<String>| Cell::optional(text.as_deref());
        let mut table = Table::pairs();
        table.pair("id", &self.id);
        table.pair("phase", toned(self.phase, &format!("{} ({about})", phase(self.phase))));
        table.pair("age", span(self.age_ms));
        if let Some(answering) = self.answering_ms {
            let waited = self.age_ms.saturating_sub(answering);
            #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
            table.pair("answer began", format!("after {}", latency(waited as f64)));
        }
        table.pair("tokens", format!("{} so far", count(self.tokens)));
        table.pair("tokens a second", speed(self));
        table.pair("model", text(&self.model));
        table.pair("node", text(&self.node));
        table.pair("route", &self.route);
        table.pair("client", &self.client);
        table.pair("organization", text(&self.organization));
        table.pair("user", text(&self.user));
        table.pair("key", text(&self.key));
        table
    }
}

/// Where it stands in the queue: `2, its turn in about 1.2s`.
pub(crate) fn place(queued: &Queued) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    let turn = latency(queued.expected_ms as f64);
    format!("{}, its turn in about {turn}", queued.position)
}

/// Whose it is in words: `key ci of acme`, or what of that is known.
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
