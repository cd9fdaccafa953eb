//! Changing a node.

use aivonx_domain::TenantScope;
use aivonx_protocol::{
    Untrusted,
    node::{AdminState, Credential, Node, NodeChange, Probed},
};
use aivonx_store::{StoreError, node::NodeRecord};

use super::{
    Fleet,
    add::{admit, fresh, probed, refused},
    address::NodeUrl,
    entry::Prepared,
    error::FleetError,
    record, simulated,
};

/// How often a change that named no revision is tried again when another came first.
const TRIES: usize = 3;

pub(super) async fn set(
    fleet: &Fleet,
    reach: &TenantScope,
    node: &str,
    revision: Option<u64>,
    change: NodeChange,
) -> Result<Node, FleetError> {
    let id = permitted(fleet, reach, node, &change)?;
    for _ in 1..TRIES {
        match try_set(fleet, reach, &id, revision, &change).await {
            Err(FleetError::Store(StoreError::Conflict { .. })) if revision.is_none() => {}
            // The keys were rotated under it: nobody's fault, and sealed again it is fine.
            Err(FleetError::Store(StoreError::StaleSeal { .. })) => {}
            done => return done,
        }
    }
    try_set(fleet, reach, &id, revision, &change).await
}

/// The node's id, if the caller may change it so.
fn permitted(
    fleet: &Fleet,
    reach: &TenantScope,
    node: &str,
    change: &NodeChange,
) -> Result<String, FleetError> {
    let id = fleet.checker.registry.resolve(&reach.into(), node)?;
    if *reach != TenantScope::All && change.organization.is_some() {
        return Err(FleetError::FleetWide("assigning nodes to organizations"));
    }
    if *reach != TenantScope::All && change.force {
        return Err(FleetError::FleetWide("changing a node with --force"));
    }
    Ok(id)
}

/// Asks the node what it is, as if it were changed so.
pub(super) async fn probe(
    fleet: &Fleet,
    reach: &TenantScope,
    node: &str,
    change: &NodeChange,
) -> Result<Probed, FleetError> {
    let id = permitted(fleet, reach, node, change)?;
    let old = fleet.store.nodes().within().get(reach, &id).await?.ok_or_else(|| FleetError::gone(&id))?;
    let (new, credential) = changed(fleet, reach, &old, change).await?;
    let (url, at) = prepare(fleet, reach, (&old, &new), change, &credential).await?;
    probed(&url, fleet.checker.ask(&at, (!new.kind_assumed).then_some(new.kind)).await)
}

async fn try_set(
    fleet: &Fleet,
    reach: &TenantScope,
    id: &str,
    revision: Option<u64>,
    change: &NodeChange,
) -> Result<Node, FleetError> {
    simulated::check_change(id, change)?;
    let old = fleet.store.nodes().within().get(reach, id).await?.ok_or_else(|| FleetError::gone(id))?;
    if let Some(expected) = revision
        && expected != old.revision
    {
        let (id, found) = (old.id, old.revision);
        return Err(StoreError::Conflict { noun: "node", id, expected, found }.into());
    }
    let (mut new, credential) = changed(fleet, reach, &old, change).await?;
    if let Some(organization) = &change.organization {
        new.organization = match organization {
            Some(wanted) => Some(fleet.organization(reach, wanted).await?),
            None => None,
        };
    }
    let (url, at) = prepare(fleet, reach, (&old, &new), change, &credential).await?;

    // Asked before anything changes, so that a node that moves and answers does not miss a request.
    let moves = new.url != old.url
        || new.kind != old.kind
        || new.ca_pem != old.ca_pem
        || new.server_name != old.server_name
        || new.forced != old.forced
        || change.credential.is_some();
    let outcome = if moves && new.admin_state != AdminState::Disabled {
        let asked = fleet.checker.ask(&at, (!new.kind_assumed).then_some(new.kind)).await;
        if let Some(refused) = refused(&url, &asked) {
            return Err(refused);
        }
        Some(asked.map_err(|e| e.to_string()))
    } else {
        None
    };

    let placed = (new.url != old.url).then_some(*reach != TenantScope::All);
    let moved_from = (new.organization != old.organization).then_some(old.organization);
    let _turn = fleet.edit().await;
    if placed.is_some() {
        fresh(fleet, reach, &new).await?;
    }
    let expected = Some(old.revision);
    let same_credential = change.credential.is_none();
    let update = move |record: &mut NodeRecord| {
        // A rotation of the keys may have sealed it anew since it was read, which raises no revision.
        let credential = if same_credential { record.credential.clone() } else { new.credential.clone() };
        *record = NodeRecord { credential, ..new };
    };
    let record = fleet.store.nodes().move_to(reach, id, expected, placed, update).await?;
    tracing::info!(event = "node_changed", node = %record.name, organization = record.organization.as_deref(),
        revision = record.revision, "node changed");
    if let Some(Some(before)) = moved_from {
        // Those to whom it was assigned hear that it is gone, not whose it is now.
        tracing::info!(event = "node_changed", node = %record.name, organization = %before, "node assigned elsewhere");
    }
    fleet.checker.registry.apply(record, at, outcome);
    fleet.view(reach, id)
}

/// Where to connect to after the change from the one record to the other, if the caller may have the gateway connect
/// there.
async fn prepare(
    fleet: &Fleet,
    reach: &TenantScope,
    (old, new): (&NodeRecord, &NodeRecord),
    change: &NodeChange,
    credential: &Credential,
) -> Result<(NodeUrl, Prepared), FleetError> {
    let url = NodeUrl::parse(&new.url)?;
    if change.url.is_some() {
        record::check_address(&url, new.forced)?;
    }
    let kept = change.credential.is_none() && *credential != Credential::None;
    if kept && !NodeUrl::parse(&old.url).is_ok_and(|old| old.is_same_server(&url)) {
        let message = format!("the credential of {} is sent to its own address alone", old.name);
        let fix = "give it again for another address, or leave it out there with --no-credential";
        return Err(FleetError::field("credential", message, fix));
    }
    let moved = new.url != old.url;
    let bounds =
        if moved { fleet.bounds(&old.id, reach.organization()).await? } else { fleet.bounds_of(new).await? };
    let (ca, server_name) = (new.ca_pem.as_deref(), new.server_name.as_deref());
    let at = record::prepare(&url, ca, server_name, credential, new.forced, bounds)?;
    if moved {
        admit(fleet, &url, &at).await?;
    }
    Ok((url, at))
}

/// The record with the change made, and the credential in clear.
async fn changed(
    fleet: &Fleet,
    reach: &TenantScope,
    old: &NodeRecord,
    change: &NodeChange,
) -> Result<(NodeRecord, Credential), FleetError> {
    let mut new = old.clone();
    if let Some(name) = change.name.as_deref().filter(|name| *name != old.name) {
        new.name = fleet.full_name(reach, name).await?;
    }
    if let Some(url) = &change.url {
        new.url = NodeUrl::parse(url)?.text;
        new.forced = change.force;
    }
    new.forced |= change.force;
    new.kind = change.kind.unwrap_or(old.kind);
    new.kind_assumed &= change.kind.is_none();
    if let Some(ca) = &change.ca_pem {
        new.ca_pem.clone_from(ca);
    }
    if let Some(server_name) = &change.server_name {
        new.server_name.clone_from(server_name);
    }
    new.max_parallel = change.max_parallel.unwrap_or(old.max_parallel);
    for (key, value) in &change.labels {
        match value {
            Some(value) => new.labels.insert(key.clone(), value.clone()),
            None => new.labels.remove(key),
        };
    }
    record::check_labels(&new.labels)?;
    let credential = match &change.credential {
        Some(credential) => {
            new.credential = record::seal(&fleet.vault, &old.id, credential)?;
            credential.clone()
        }
        None => record::unseal(&fleet.vault, old)?,
    };
    Ok((new, credential))
}

pub(super) async fn set_state(
    fleet: &Fleet,
    reach: &TenantScope,
    node: &str,
    revision: Option<u64>,
    state: AdminState,
) -> Result<Node, FleetError> {
    let id = fleet.checker.registry.resolve(&reach.into(), node)?;
    let was = fleet.view(reach, &id)?.admin_state;
    {
        let _turn = fleet.edit().await;
        let record =
            fleet.store.nodes().within().update(reach, &id, revision, move |r| r.admin_state = state).await?;
        let active = fleet.checker.registry.contact(&id).map_or(0, |node| node.live.active());
        tracing::info!(event = "node_state", node = %Untrusted::new(&record.name), organization = record.organization.as_deref(), state = ?state,
            active_requests = active, "node state set");
        let at = fleet.restore(&record).await?;
        fleet.checker.registry.apply(record, at, None);
    }
    if was == AdminState::Disabled && state != AdminState::Disabled {
        fleet.checker.check(&id).await;
    }
    fleet.view(reach, &id)
}
