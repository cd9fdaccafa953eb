//! What was asked of the daemon and is not answered yet.

use std::collections::{BTreeMap, VecDeque};

use aivonx_protocol::{Request, UnixMillis};

use super::account::AccountStep;
use crate::msg::Ticket;

/// What is shown and can be asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// The daemon itself.
    Status,
    /// What it does right now.
    Pulse,
    /// Who the connection is for.
    Identity,
    /// The nodes.
    Nodes,
    /// The models.
    Models,
    /// Which of them differ between nodes.
    Drifts,
    /// The jobs.
    Jobs,
    /// How nodes are chosen.
    Strategy,
    /// Models that are kept loaded.
    Kept,
    /// Models with a strategy of their own.
    ModelStrategies,
    /// For which organizations models are.
    Restrictions,
    /// How nodes are woken.
    Wakes,
    /// The organizations.
    Organizations,
    /// Where the operators of organizations may place nodes.
    Networks,
    /// Which of them hide from their members what they use.
    HiddenUsage,
    /// The users.
    Users,
    /// The keys.
    Keys,
    /// Which of them are disabled.
    DisabledKeys,
    /// The newest entries of the audit log.
    Audit,
    /// Older ones.
    AuditMore,
    /// What runs now.
    Running,
    /// What of it waits for a place on a node.
    Queued,
    /// The lockouts.
    Lockouts,
    /// The sessions of one user.
    Sessions,
    /// The keys that secrets are kept under.
    Secrets,
    /// Whether all is in order with them.
    Checks,
    /// The snapshots of the store.
    Snapshots,
    /// The newest of them.
    NewestSnapshot,
    /// The blocks.
    Blocks,
    /// What looks like an attack.
    Findings,
    /// Whether the gateway is set up safely.
    Setup,
    /// What is used, by what the tab is about.
    Usage,
    /// What one used, by steps of time.
    Steps,
    /// The limits of one.
    Limits,
    /// Models for which its limits on money do not hold.
    Unpriced,
    /// The limit profiles.
    Profiles,
    /// The prices.
    Prices,
    /// The model policies.
    Policies,
    /// Other names for models.
    Aliases,
    /// What happens to personal data in the prompts of one.
    Privacy,
    /// What happens to it in answers to that one.
    Answers,
    /// Its own patterns.
    Patterns,
}

/// What a call is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Something to show.
    Load(Topic),
    /// Something to do.
    Act(Act),
    /// What the server in a form is.
    Probe,
    /// Begin a session.
    Login,
    /// End it.
    Logout,
    /// Something about one's own account.
    Account(AccountStep),
    /// Something to do, and what follows if it is done.
    Chain(Act, Vec<(Request, Act)>),
    /// One of several things to do, whatever becomes of the others.
    Each(Box<Each>),
    /// How much a question would end.
    Count,
    /// Something that this side does, of which is said: `Reading the journal`.
    Work(&'static str),
}

/// Several things to do, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Each {
    /// The one that is being done.
    pub(crate) now: Act,
    /// Those after it.
    pub(crate) left: VecDeque<(Request, Act)>,
    /// How many are done.
    pub(crate) done: usize,
    /// What failed, and why.
    pub(crate) failed: Vec<String>,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Act {
    /// What is said while it runs: `Draining gpu1`.
    pub(crate) doing: String,
    /// What is said when it is done, unless the answer says more: `gpu1 is draining`.
    pub(crate) done: String,
    /// What to look at again afterwards.
    pub(crate) reload: Vec<Topic>,
}

/// A call under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// What for.
    pub(crate) purpose: Purpose,
    /// Since when.
    pub(crate) since: UnixMillis,
}

/// The calls under way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calls {
    last: Ticket,
    open: BTreeMap<Ticket, Call>,
}

impl Calls {
    /// A number nothing has had.
    pub(crate) fn ticket(&mut self) -> Ticket {
        self.last += 1;
        self.last
    }

    /// Begins a call.
    pub(crate) fn begin(&mut self, purpose: Purpose, now: UnixMillis) -> Ticket {
        let ticket = self.ticket();
        self.open.insert(ticket, Call { purpose, since: now });
        ticket
    }

    /// Ends a call; what it was for. None if it was given up.
    pub(crate) fn end(&mut self, ticket: Ticket) -> Option<Purpose> {
        self.open.remove(&ticket).map(|call| call.purpose)
    }

    /// Whether this is being asked for.
    pub(crate) fn loads(&self, topic: Topic) -> bool {
        self.open.values().any(|call| call.purpose == Purpose::Load(topic))
    }

    /// Whether such a call about one's own account is under way.
    pub(crate) fn steps(&self, step: AccountStep) -> bool {
        self.open.values().any(|call| call.purpose == Purpose::Account(step))
    }

    /// Says something else of what is being done.
    pub(crate) fn say(&mut self, ticket: Ticket, what: String) {
        if let Some(Call { purpose: Purpose::Act(act), .. }) = self.open.get_mut(&ticket) {
            act.doing = what;
        }
    }

    /// Whether this side is at this work.
    pub(crate) fn works(&self, doing: &'static str) -> bool {
        self.open.values().any(|call| call.purpose == Purpose::Work(doing))
    }

    /// Gives up asking for this; the numbers of what is given up.
    pub(crate) fn give_up(&mut self, topic: Topic) -> Vec<Ticket> {
        let asked = self.open.iter().filter(|(_, call)| call.purpose == Purpose::Load(topic));
        let tickets: Vec<Ticket> = asked.map(|(ticket, _)| *ticket).collect();
        self.open.retain(|ticket, _| !tickets.contains(ticket));
        tickets
    }

    /// Gives up asking for anything to show: it was asked as somebody else.
    pub(crate) fn give_up_loads(&mut self) -> Vec<Ticket> {
        let asked = self.open.iter().filter(|(_, call)| matches!(call.purpose, Purpose::Load(_)));
        let tickets: Vec<Ticket> = asked.map(|(ticket, _)| *ticket).collect();
        self.open.retain(|ticket, _| !tickets.contains(ticket));
        tickets
    }

    /// The newest call that somebody waits for, with what is said of it.
    pub(crate) fn awaited(&self) -> Option<(Ticket, &str, UnixMillis)> {
        self.open.iter().rev().find_map(|(ticket, call)| match &call.purpose {
            Purpose::Act(act) | Purpose::Chain(act, _) => Some((*ticket, &*act.doing, call.since)),
            Purpose::Each(each) => Some((*ticket, &*each.now.doing, call.since)),
            Purpose::Login => Some((*ticket, "Logging in", call.since)),
            Purpose::Logout => Some((*ticket, "Logging out", call.since)),
            Purpose::Account(step) => Some((*ticket, step.doing(), call.since)),
            Purpose::Work(doing) => Some((*ticket, *doing, call.since)),
            Purpose::Load(_) | Purpose::Count | Purpose::Probe => None,
        })
    }

    /// Forgets everything: the connection is gone. What somebody waited for, and several that are not all done.
    pub(crate) fn clear(&mut self) -> (Option<String>, Vec<Each>) {
        // What this side does goes on.
        let work = |call: &Call| matches!(call.purpose, Purpose::Work(_));
        let awaited = self.awaited().filter(|(ticket, ..)| !self.open.get(ticket).is_some_and(work));
        let awaited = awaited.map(|(_, doing, _)| doing.to_owned());
        let (stays, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.open).into_iter().partition(|(_, call)| work(call));
        self.open = stays;
        let several = gone.into_values().filter_map(|call| match call.purpose {
            Purpose::Each(each) => Some(*each),
            _ => None,
        });
        (awaited, several.collect())
    }
}
