//! `aivonx running ...`

use std::collections::HashMap;

use aivonx_protocol::running::{self, Queued, Running};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::Context;
use crate::{
    exit::Failure,
    nouns,
    render::{
        Cell, Column, Out, Table,
        text::{latency, safe},
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
            let queued = client.ask(running::Queue).await?;
            let all = described(&running, &queued);
            context.out.show(&all, |out| {
                if running.is_empty() {
                    return out.line(if args.is_all() {
                        "Nothing is running."
                    } else {
                        "No such request is running."
                    });
                }
                nouns::list(out, &running)?;
                waiting(out, &all)
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

/// A running request, and where it stands in the queue.
#[derive(Debug, Serialize)]
pub struct Described<'a> {
    /// The request.
    #[serde(flatten)]
    pub request: &'a Running,
    /// Where it stands while it waits for a place on a node: 1 is next.
    pub position: Option<u32>,
    /// Milliseconds until its turn, as predicted.
    pub expected_ms: Option<u64>,
}

/// Puts together what was asked for of each request.
fn described<'a>(running: &'a [Running], queued: &[Queued]) -> Vec<Described<'a>> {
    let queued: HashMap<&str, &Queued> = queued.iter().map(|one| (&*one.id, one)).collect();
    let describe = |request: &'a Running| {
        let queued = queued.get(&*request.id);
        Described {
            request,
            position: queued.map(|queued| queued.position),
            expected_ms: queued.map(|queued| queued.expected_ms),
        }
    };
    running.iter().map(describe).collect()
}

/// Those that wait for a place on a node.
fn waiting(out: &mut Out, all: &[Described<'_>]) -> Result<(), Failure> {
    let mut table = Table::new([
        Column::text("WAITS FOR A PLACE"),
        Column::text("MODEL"),
        Column::number("POSITION"),
        Column::number("EXPECTED"),
    ]);
    for one in all {
        let (Some(position), Some(expected)) = (one.position, one.expected_ms) else { continue };
        let model = Cell::optional(one.request.model.as_deref());
        #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
        let expected = latency(expected as f64);
        table.row([(&one.request.id).into(), model, position.to_string().into(), expected.into()]);
    }
    if table.is_empty() {
        return Ok(());
    }
    out.line("")?;
    out.table(&table)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn those_that_wait_say_where_they_stand() {
        let running = samples::running();
        let queued = Queued { id: running[0].id.clone(), position: 2, expected_ms: 1500 };
        let all = described(&running, &[queued]);
        let stands: Vec<_> = all.iter().map(|one| (one.position, one.expected_ms)).collect();
        assert_eq!(stands[0], (Some(2), Some(1500)));
        assert!(stands[1..].iter().all(|stands| *stands == (None, None)), "{stands:?}");
        let json = serde_json::to_value(&all[0]).unwrap();
        assert_eq!((&json["id"], &json["position"]), (&running[0].id.as_str().into(), &2.into()));
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
