//! Nodes that a process of the daemon's own simulates (`aivonxd dev --simulate`). They are kept like others while it runs, so
//! that everything that can be done with a node can be done with them; the next start forgets them.
//!
//! They are known by their id: a UUID of version 8, which nobody else is given. The records need no field for it,
//! and nothing a caller may change can make a real node one of these or the other way round.

use aivonx_domain::TenantScope;
use aivonx_protocol::node::{NewNode, NodeChange, Probe};
use aivonx_store::{Store, StoreError};
use uuid::{Builder, Uuid};

use super::{Fleet, add, error::FleetError};

/// An id for a simulated node.
fn new_id() -> String {
    // Version 7 below: unique, and in the order of making.
    Builder::from_custom_bytes(Uuid::now_v7().into_bytes()).into_uuid().to_string()
}

/// Whether a node of this id is simulated.
pub(super) fn is_simulated(id: &str) -> bool {
    Uuid::parse_str(id).is_ok_and(|id| id.get_version_num() == 8)
}

impl Fleet {
    /// Adds a node that is simulated for this process; it is gone after the next start.
    ///
    /// # Errors
    /// As of [`Fleet::add`].
    pub async fn add_simulated(&self, new: NewNode) -> Result<Probe, FleetError> {
        add::add(self, &TenantScope::All, new, new_id(), false).await
    }
}

/// Forgets the nodes that were simulated for an earlier process: behind their ports is nobody, or somebody else by now.
pub(super) async fn forget_all(store: &Store) -> Result<(), StoreError> {
    for node in store.nodes().list().await? {
        if is_simulated(&node.id) {
            store.nodes().remove(&node.id, None).await?;
            tracing::info!(event = "node_removed", node = %node.name, "the node was simulated and is no more");
        }
    }
    Ok(())
}

/// Refuses what would point a simulated node elsewhere: it would vanish with the next start.
pub(super) fn check_change(id: &str, change: &NodeChange) -> Result<(), FleetError> {
    if !is_simulated(id) {
        return Ok(());
    }
    let fields = [
        ("url", change.url.is_some()),
        ("kind", change.kind.is_some()),
        ("credential", change.credential.is_some()),
        ("ca", change.ca_pem.is_some()),
        ("server-name", change.server_name.is_some()),
    ];
    match fields.into_iter().find(|(_, changes)| *changes) {
        None => Ok(()),
        Some((field, _)) => Err(FleetError::field(
            field,
            format!("{field} of a simulated node is the gateway's own"),
            "add a real server as a node of its own",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_simulated_nodes_from_others() {
        let (a, b) = (new_id(), new_id());
        assert!(is_simulated(&a) && is_simulated(&b) && a != b, "{a} {b}");
        for other in [Uuid::now_v7().to_string(), Uuid::new_v4().to_string(), String::new(), "gpu1".into()] {
            assert!(!is_simulated(&other), "{other}");
        }
    }

    #[test]
    fn a_simulated_node_stays_where_it_is() {
        let id = new_id();
        let moved = NodeChange { url: Some("http://10.0.0.5:11434".into()), ..NodeChange::default() };
        let fault = aivonx_protocol::Fault::from(check_change(&id, &moved).unwrap_err());
        assert!(fault.message.contains("url of a simulated node"), "{fault}");
        let renamed = NodeChange { name: Some("a".into()), max_parallel: Some(3), ..NodeChange::default() };
        assert!(check_change(&id, &renamed).is_ok());
        assert!(check_change(&Uuid::now_v7().to_string(), &moved).is_ok());
    }
}
