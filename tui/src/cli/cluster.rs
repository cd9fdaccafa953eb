//! `aivonx cluster ...`

use aivonx_protocol::cluster::{self, Member, MemberState};
use clap::Subcommand;
use serde::Serialize;

use super::{Confirm, Context};
use crate::{exit::Failure, input, nouns, render::text::safe};

/// What can be done with the members of a cluster.
#[derive(Debug, Subcommand)]
pub enum ClusterVerb {
    /// Whether every member serves, and from the same settings
    Status,
    /// The gateways whose settings are in the same database
    #[command(visible_alias = "ls")]
    Members,
    /// Take from a member the right to change settings and to serve: it ends
    ///
    /// For one that cannot be reached to be stopped. It joins again only with a new data directory.
    Fence {
        /// Name or id of the member
        member: String,
        #[command(flatten)]
        confirm: Confirm,
    },
}

/// What `cluster status` prints for scripts.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// How many serve.
    pub serving: usize,
    /// All of them.
    pub members: Vec<Member>,
}

const NONE: &str =
    "The settings are in the embedded store: this gateway is alone. See [cluster] in aivonxd(8).";

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: ClusterVerb) -> Result<(), Failure> {
    if let ClusterVerb::Fence { member, confirm } = verb {
        let question =
            format!("Fence {}? It ends, and joins again only with a new data directory.", safe(&member));
        input::confirm(confirm.yes, &question)?;
        let fenced = context.client().await?.ask(cluster::Fence { member }).await?;
        return context.out.show(&fenced, |out| {
            out.line(format_args!("{} may neither change settings nor serve any more.", safe(&fenced.name)))
        });
    }
    let members = context.client().await?.ask(cluster::Members).await?;
    if matches!(verb, ClusterVerb::Members) {
        return context.out.show(&members, |out| match members.len() {
            0 => out.line(NONE),
            _ => nouns::list(out, &members),
        });
    }
    let serving = members.iter().filter(|member| member.state == MemberState::Serving).count();
    let shown = Shown { serving, members };
    context.out.show(&shown, |out| {
        if shown.members.is_empty() {
            return out.line(NONE);
        }
        out.line(format_args!("{} of {} members serve.", shown.serving, shown.members.len()))?;
        let behind = |member: &&Member| member.state == MemberState::Serving && member.lag > 0;
        for member in shown.members.iter().filter(behind) {
            out.line(format_args!("{} lacks {} changes.", safe(&member.name), member.lag))?;
        }
        let is_away = |member: &&Member| member.state == MemberState::Away;
        for member in shown.members.iter().filter(is_away) {
            out.line(format_args!("{} is away: it was not seen for 15 seconds.", safe(&member.name)))?;
        }
        Ok(())
    })
}
