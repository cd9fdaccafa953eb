//! `aivonx running ...`

use aivonx_protocol::running::{self, Running};
use clap::{Args, Subcommand};

use super::Context;
use crate::{exit::Failure, nouns, render::text::safe};

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
                nouns::list(out, &running)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

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
