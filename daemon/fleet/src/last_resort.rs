//! What is left when health checks found every node down that could serve a request: one of these, rather than nothing.

use std::sync::Arc;

use aivonx_domain::model_name;
use aivonx_protocol::node::{AdminState, Pool};

use super::{Lease, Node, Snapshot, Want, scheduler::serves};

impl Snapshot {
    /// A place on a node that is down, not among `tried` and could serve `want`: the one with the fewest requests.
    #[must_use]
    pub fn last_resort(&self, want: Want<'_>, tried: &[Arc<Node>]) -> Option<Lease> {
        let model = want.model?;
        let eligible = want.eligible;
        model_name::with_normal(model, |normal| {
            if !want.granted && !eligible.allows_normal(normal) {
                return None;
            }
            let entries = [self.ollama.get(normal), self.openai.get(model)].into_iter().flatten();
            let nodes = entries.flat_map(|entry| {
                let here = |at: &&u16| eligible.cloud() || !entry.cloud.contains(at);
                entry.nodes.iter().filter(here).filter_map(|at| self.nodes.get(usize::from(*at)))
            });
            let mut down: Vec<_> = nodes
                .filter(|node| node.pool == Pool::Standby && node.admin_state == AdminState::Enabled)
                .filter(|node| serves(node, want) && eligible.admits(node))
                .filter(|node| !tried.iter().any(|tried| tried.id == node.id))
                .collect();
            down.sort_by_key(|node| (node.live.standing(normal), node.live.active()));
            down.into_iter().find_map(Lease::take)
        })
    }
}

#[cfg(test)]
mod tests {
    use aivonx_scheduler::ModelId;

    use super::*;
    use crate::{RoutingRules, snapshot::ModelEntry, testing::node};

    #[test]
    fn only_what_is_down_and_enabled_and_may_serve_is_a_last_resort() {
        let down = |name| Node { pool: Pool::Standby, ..node(name) };
        let nodes = [
            node("up"),
            down("down"),
            Node { admin_state: AdminState::Draining, ..down("draining") },
            Node { organization: Some("acme".into()), ..down("foreign") },
            down("cloud"),
        ];
        let entry = ModelEntry {
            name: "m:latest".into(),
            number: ModelId(0),
            strategy: None,
            nodes: (0..5).collect(),
            cloud: vec![4],
        };
        let mut snapshot = Snapshot::of_nodes(nodes);
        snapshot.ollama.insert("m:latest".into(), entry);
        let eligible = RoutingRules::SHARED.without_cloud();
        let want = |model| Want {
            overflow: crate::Overflow { after: 0.0, otherwise: None },
            model: Some(model),
            granted: false,
            ollama: Some((0, 0, 0)),
            openai: true,
            api: 0,
            eligible: &eligible,
        };
        let lease = snapshot.last_resort(want("m"), &[]).unwrap();
        assert_eq!(&*lease.node().name, "down");
        assert!(snapshot.last_resort(want("m"), &[lease.node().clone()]).is_none());
        assert!(snapshot.last_resort(want("n"), &[]).is_none());
    }
}
