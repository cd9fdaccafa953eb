//! `aivonx running ...`

use std::time::Duration;

use aivonx_protocol::running::{self, Phase, Running};
use clap::{Args, Subcommand};

use super::Context;
use crate::{
    exit::Failure,
    render::{
        Cell, Column, Table, Tone,
        text::{self, safe},
    },
};

/// What can be done with running requests.
#[derive(Debug, Subcommand)]
pub enum RunningVerb {
    /// What the gateway works on now, oldest first
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// End requests; their clients are told that an administrator ended them
    Cancel(CancelArgs),
}

/// `running list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only of this organization
    #[arg(long, value_name = "ORG")]
    pub org: Option<String>,
    /// Only of this user
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Only with this API key
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Only on this node
    #[arg(long, value_name = "NODE")]
    pub node: Option<String>,
    /// Only for this model
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
}

/// `running cancel`
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// Ids of the requests, as listed or as in the log
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<String>,
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: RunningVerb) -> Result<(), Failure> {
    let client = context.client().await?;
    match verb {
        RunningVerb::List(args) => {
            let mut running = client.ask(running::List).await?;
            running.retain(|request| args.asks_for(request));
            context.out.show(&running, |out| {
                if running.is_empty() {
                    return out.line(if args.is_all() {
                        "Nothing is running."
                    } else {
                        "No such request is running."
                    });
                }
                out.table(&overview(&running))
            })
        }
        RunningVerb::Cancel(CancelArgs { ids }) => {
            for id in &ids {
                client.ask(running::Cancel { id: id.to_owned() }).await?;
            }
            context.out.show(&ids, |out| {
                ids.iter().try_for_each(|id| out.line(format_args!("Request {} ends.", safe(id))))
            })
        }
    }
}

impl ListArgs {
    fn is_all(&self) -> bool {
        [&self.org, &self.user, &self.key, &self.node, &self.model].into_iter().all(Option::is_none)
    }

    fn asks_for(&self, request: &Running) -> bool {
        let same = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        same(&self.org, &request.organization)
            && same(&self.user, &request.user)
            && same(&self.key, &request.key)
            && same(&self.node, &request.node)
            && same(&self.model, &request.model)
    }
}

/// How far a request is, in a word.
#[must_use]
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Receiving => "receiving",
        Phase::Waiting => "waiting",
        Phase::Answering => "answering",
    }
}

fn phase_cell(of: Phase) -> Cell {
    Cell::new(phase(of)).tone(match of {
        Phase::Receiving => Tone::Plain,
        Phase::Waiting => Tone::Warn,
        Phase::Answering => Tone::Good,
    })
}

/// Tokens per second since the answer began; None before it can be said.
#[must_use]
pub fn rate(request: &Running) -> Option<f64> {
    let time = Duration::from_millis(request.answering_ms?).as_secs_f64();
    // Tokens that can be counted do not reach where a double is inexact.
    #[expect(clippy::cast_precision_loss, reason = "see above")]
    (time >= 0.1).then(|| request.tokens as f64 / time)
}

/// `running list` as a table.
#[must_use]
pub fn overview(running: &[Running]) -> Table {
    let mut table = Table::new([
        Column::text("ID"),
        Column::number("AGE"),
        Column::text("PHASE").optional(3),
        Column::text("NODE").cut(8),
        Column::text("MODEL").cut(10),
        Column::number("TOKENS"),
        Column::number("PER S").optional(2),
        Column::text("FROM").cut(8).optional(1),
        Column::text("CLIENT").optional(4),
        Column::text("ROUTE").optional(5),
    ]);
    for request in running {
        let none = || "-".to_owned();
        let from = [&request.organization, &request.user, &request.key].into_iter().flatten();
        let from: Vec<&str> = from.map(String::as_str).collect();
        table.row([
            (&request.id).into(),
            text::span(request.age_ms).into(),
            phase_cell(request.phase),
            request.node.clone().unwrap_or_else(none).into(),
            request.model.clone().unwrap_or_else(none).into(),
            request.tokens.to_string().into(),
            rate(request).map_or_else(none, |rate| format!("{rate:.1}")).into(),
            if from.is_empty() { none() } else { from.join("/") }.into(),
            (&request.client).into(),
            (&request.route).into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn what_runs() {
        let running = samples::running();
        let shown = [80, 160].map(|width| overview(&running).render(Some(width), false));
        insta::assert_snapshot!(shown.join("\n\n"));
    }

    #[test]
    fn every_filter_counts() {
        let running = samples::running();
        let none = ListArgs { org: None, user: None, key: None, node: None, model: None };
        assert!(running.iter().all(|request| none.asks_for(request)));
        let some = |change: fn(&mut ListArgs)| {
            let mut args = ListArgs { org: None, user: None, key: None, node: None, model: None };
            change(&mut args);
            running.iter().filter(|request| args.asks_for(request)).count()
        };
        assert_eq!(some(|args| args.org = Some("acme".into())), 1);
        assert_eq!(some(|args| args.user = Some("nobody".into())), 0);
        assert_eq!(some(|args| args.key = Some("ci".into())), 1);
        assert_eq!(some(|args| args.node = Some("gpu1".into())), 1);
        assert_eq!(some(|args| args.model = Some("llama3:8b".into())), 1);
    }
}
