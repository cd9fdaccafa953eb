//! Whether others can take over from a node.

use std::{borrow::Cow, collections::HashMap};

use aivonx_domain::model_name::normalize;
use aivonx_protocol::node::{AdminState, NodeKind, Pool};

use super::{Node, RoutingRules, catalogue::Known};

/// Whether each of the node's models is served by another of `known` too, to each of `callers`.
pub(super) fn is_spare(node: &Node, known: &[Known], callers: &[RoutingRules]) -> bool {
    let Some((_, Some(sight))) = known.iter().find(|(at, _)| at.id == node.id) else { return true };
    let mut others: HashMap<Cow<'_, str>, Vec<&Node>> = HashMap::new();
    for (other, sight) in known {
        let serves = other.id != node.id
            && other.pool == Pool::Active
            && other.admin_state == AdminState::Enabled
            // What has the API of Ollama has OpenAI's as well.
            && (other.kind == node.kind || other.kind == NodeKind::Ollama);
        let models = sight.iter().filter(|_| serves).flat_map(|sight| &sight.models);
        models.for_each(|model| others.entry(normalize(&model.name)).or_default().push(other));
    }
    sight.models.iter().all(|model| {
        let normal = normalize(&model.name);
        let others = others.get(&normal).map_or(&[][..], Vec::as_slice);
        callers
            .iter()
            .filter(|caller| caller.allows_normal(&normal))
            .all(|caller| others.iter().any(|other| caller.admits(other)))
    })
}

#[cfg(test)]
#[path = "spare_tests.rs"]
mod tests;
