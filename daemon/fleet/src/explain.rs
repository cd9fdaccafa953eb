//! Which node a request would go to now, and why.

use aivonx_domain::model_name;
use aivonx_protocol::{
    node::{AdminState, Pool},
    strategy::{Considered, Cost, Explained, Strategy},
};
use aivonx_scheduler::Terms;

use super::{
    NoNode, Node, NodeScope, Snapshot, Want, Work,
    scheduler::{Candidates, serves},
    snapshot::ModelEntry,
};

/// Seconds of cost within which nodes count as equal.
const EQUAL: f64 = 0.01;

/// A node as it was considered.
struct Looked<'a> {
    node: &'a Node,
    chosen: bool,
    terms: Option<Terms>,
}

impl Snapshot {
    /// Which node a request that wants `want` and makes `work` would go to now. Nodes outside of `realm` are not shown.
    ///
    /// # Errors
    /// The caller may not have the model, or no node has it.
    pub fn explain(&self, want: Want<'_>, work: Work<'_>, realm: &NodeScope) -> Result<Explained, NoNode> {
        let mut candidates = Candidates::new();
        let target = match self.candidates(want, &[], &mut candidates) {
            Ok(target) => {
                if self.own_first(want.overflow, target, work, &mut candidates).is_err() {
                    candidates.clear();
                }
                target
            }
            // Why, is said of each node.
            Err(NoNode::Down | NoNode::Unserved(_)) => {
                self.target(self.entries(want.model.unwrap_or_default()).next())
            }
            Err(error) => return Err(error),
        };
        let (chosen, terms) = self.dispatch.explain(target, work, &candidates);
        let mut looked: Vec<Looked<'_>> = (self.nodes.iter().zip(&self.numbers))
            .map(|(node, number)| {
                let at = candidates.iter().position(|one| one.node == *number && !one.held);
                let at = at.filter(|_| node.pool != Pool::Standby);
                let terms = at.and_then(|at| terms.get(at)).copied();
                Looked { node, chosen: at.is_some() && at == chosen, terms }
            })
            .collect();
        looked.sort_by(|a, b| {
            let total = |one: &Looked<'_>| one.terms.map_or(f64::INFINITY, |terms| terms.total());
            b.chosen.cmp(&a.chosen).then(total(a).total_cmp(&total(b)))
        });
        let is_elsewhere = looked.iter().any(|one| one.chosen && !is_within(realm, one.node));
        looked.retain(|one| is_within(realm, one.node));
        let why = match is_elsewhere {
            true => "A node that is not your organization's would be chosen.".to_owned(),
            false => why(target.strategy, &looked),
        };
        let nodes = looked.iter().map(|one| Considered {
            node: one.node.name.to_string(),
            chosen: one.chosen,
            cost: one.terms.as_ref().map(cost),
            reason: one.terms.is_none().then(|| self.reason(want, one.node)),
        });
        Ok(Explained {
            model: want.model.unwrap_or_default().to_owned(),
            strategy: target.strategy,
            prompt_tokens: work.prompt.into(),
            why,
            nodes: nodes.collect(),
        })
    }

    fn entries(&self, model: &str) -> impl Iterator<Item = &ModelEntry> {
        let ollama = model_name::with_normal(model, |normal| self.ollama.get(normal));
        ollama.into_iter().chain(self.openai.get(model))
    }

    /// Why `node` is no candidate.
    fn reason(&self, want: Want<'_>, node: &Node) -> String {
        let model = want.model.unwrap_or_default();
        let of = |nodes: &[u16]| {
            let at = |at: &u16| self.nodes.get(usize::from(*at)).is_some_and(|other| other.id == node.id);
            nodes.iter().any(at)
        };
        let has = self.entries(model).any(|entry| of(&entry.nodes));
        let hands_on = self.entries(model).any(|entry| of(&entry.cloud));
        match (node.admin_state, node.pool) {
            _ if !want.eligible.admits(node) => "does not serve the organization",
            _ if !has => "does not have the model",
            _ if hands_on && !want.eligible.cloud() => {
                "hands prompts on to a third party, which the organization does not allow"
            }
            _ if !serves(node, want) => "does not serve the route",
            (AdminState::Disabled, _) => "disabled",
            (AdminState::Draining, _) => "draining",
            (AdminState::Enabled, Pool::Standby) => "down",
            (AdminState::Enabled, Pool::Active | Pool::Asleep) if node.third_party => {
                "a third party, which is asked where the fleet's own nodes begin later than overflow.after"
            }
            (AdminState::Enabled, Pool::Active | Pool::Asleep) => {
                "failed the model of late: others come first"
            }
        }
        .to_owned()
    }
}

fn is_within(realm: &NodeScope, node: &Node) -> bool {
    realm.covers(node.organization.as_deref())
}

/// In one sentence, why the first is chosen.
fn why(strategy: Strategy, looked: &[Looked<'_>]) -> String {
    let mut candidates = looked.iter().filter_map(|one| Some((one, one.terms?)));
    let Some((first, best)) = candidates.next().filter(|(first, _)| first.chosen) else {
        return "No node can take it now.".to_owned();
    };
    let name = &first.node.name;
    let Some((other, next)) = candidates.next() else {
        return format!("{name} is the only candidate.");
    };
    if strategy != Strategy::Cost {
        return format!("The strategy {} chooses {name}: {}.", strategy.name(), strategy.about());
    }
    let other = &other.node.name;
    if next.total() - best.total() <= EQUAL {
        return format!(
            "{name} and {other} cost the same: of equals, those that need no load come first, then those with fewer requests, then lots decide."
        );
    }
    let gains = [
        (next.wait - best.wait, "a place is free there sooner".to_owned()),
        (
            next.load - best.load,
            if best.load > 0.0 { "it has the model loaded sooner" } else { "it has the model in memory" }
                .to_owned(),
        ),
        (next.evict - best.evict, "less has to leave its memory that others want".to_owned()),
        (next.others - best.others, "others lose less by it".to_owned()),
        (
            next.prefill - best.prefill,
            match best.cached > next.cached {
                true => format!("it has {} more tokens of the prompt cached", best.cached - next.cached),
                false => "it reads prompts faster".to_owned(),
            },
        ),
    ];
    let most = gains.into_iter().max_by(|(a, _), (b, _)| a.total_cmp(b));
    let because = most.map(|(_, because)| because).unwrap_or_default();
    format!(
        "{name} costs {:.3} s and {other} {:.3} s, above all because {because}.",
        best.total(),
        next.total()
    )
}

fn cost(terms: &Terms) -> Cost {
    #[expect(clippy::cast_possible_truncation, reason = "a cast saturates")]
    let ms = |seconds: f64| (seconds * 1000.0).round() as i64;
    Cost {
        total_ms: ms(terms.total()),
        wait_ms: ms(terms.wait),
        load_ms: ms(terms.load),
        evict_ms: ms(terms.evict),
        others_ms: ms(terms.others),
        prefill_ms: ms(terms.prefill),
        cached_tokens: terms.cached,
    }
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
