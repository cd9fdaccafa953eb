//! Adding a node.

use aivonx_domain::TenantScope;
use aivonx_domain::now;
use aivonx_protocol::node::{AdminState, Credential, NewNode, NodeKind, Pool, Probe, Probed};
use aivonx_store::{StoreError, node::NodeRecord};

use futures_util::future::join_all;

use super::{
    Fleet,
    address::NodeUrl,
    bounds::Bounds,
    client::CallError,
    dial,
    dial_error::DialError,
    entry::Prepared,
    error::FleetError,
    health::Finding,
    probe::{Found, ProbeError},
    record,
};

pub(super) async fn add(
    fleet: &Fleet,
    reach: &TenantScope,
    new: NewNode,
    id: String,
    whatever: bool,
) -> Result<Probe, FleetError> {
    let organization = owner(fleet, reach, new.organization.as_deref()).await?;
    let name = fleet.full_name(reach, &new.name).await?;
    record::check_labels(&new.labels)?;
    let placed = *reach != TenantScope::All;
    let (url, at) = prepare(fleet, reach, &id, &new).await?;
    let outcome = fleet.checker.ask(&at, new.kind).await;
    let kind = kind_of(&new, &url, &outcome, whatever)?;
    let mut finding = Finding::of(&outcome);

    let record = NodeRecord {
        credential: record::seal(&fleet.vault, &id, &new.credential)?,
        id: id.clone(),
        name,
        url: url.text.clone(),
        kind,
        kind_assumed: new.kind.is_none() && outcome.is_err(),
        admin_state: AdminState::Enabled,
        max_parallel: new.max_parallel,
        labels: new.labels.clone(),
        ca_pem: new.ca_pem.clone(),
        server_name: new.server_name.clone(),
        forced: new.force,
        organization,
        created: now(),
        revision: 1,
    };
    {
        let _turn = fleet.edit().await;
        fresh(fleet, reach, &record).await?;
        let record = insert(fleet, record, &new.credential, placed).await?;
        tracing::info!(event = "node_added", node = %record.name, organization = record.organization.as_deref(),
            url = %record.url, "node added");
        fleet.checker.registry.apply(record, at, Some(outcome.map_err(|e| e.to_string())));
        fleet.keep_checking(&id);
    }
    let node = fleet.view(reach, &id)?;
    if node.pool == Pool::Standby {
        finding.text = standby(&finding.text, &url);
    }
    Ok(Probe { node, finding: finding.text, healthy: finding.healthy })
}

/// Asks the server what it is, and leaves it at that.
pub(super) async fn probe(fleet: &Fleet, reach: &TenantScope, new: &NewNode) -> Result<Probed, FleetError> {
    owner(fleet, reach, new.organization.as_deref()).await?;
    let (url, at) = prepare(fleet, reach, "", new).await?;
    probed(&url, fleet.checker.ask(&at, new.kind).await)
}

/// What was found, for those who only wanted to know.
pub(super) fn probed(url: &NodeUrl, outcome: Result<Found, ProbeError>) -> Result<Probed, FleetError> {
    if let Some(refused) = refused(url, &outcome) {
        return Err(refused);
    }
    let Finding { healthy, text: finding } = Finding::of(&outcome);
    let nothing = Probed {
        healthy,
        finding,
        kind: None,
        version: None,
        models: Vec::new(),
        loaded: Vec::new(),
        latency_ms: None,
    };
    let Ok(Found { kind, sight, round_trip }) = outcome else { return Ok(nothing) };
    let mut models: Vec<String> = sight.models.iter().map(|model| model.name.to_string()).collect();
    models.sort_unstable();
    Ok(Probed {
        kind: Some(kind),
        version: sight.version.map(String::from),
        models,
        loaded: sight.loaded.iter().map(|model| model.name.to_string()).collect(),
        latency_ms: Some(round_trip.as_secs_f64() * 1000.0),
        ..nothing
    })
}

/// Why the server must not be asked, if that is what came of asking it.
pub(super) fn refused<T>(url: &NodeUrl, outcome: &Result<T, ProbeError>) -> Option<FleetError> {
    match outcome {
        Err(ProbeError::Call(CallError::Dial(error))) => FleetError::of_dial(url, error),
        _ => None,
    }
}

/// Where to connect to, if the caller may have the gateway connect there.
async fn prepare(
    fleet: &Fleet,
    reach: &TenantScope,
    id: &str,
    new: &NewNode,
) -> Result<(NodeUrl, Prepared), FleetError> {
    if new.force && *reach != TenantScope::All {
        return Err(FleetError::FleetWide("adding a node with --force"));
    }
    let url = NodeUrl::parse(&new.url)?;
    record::check_address(&url, new.force)?;
    let (ca, server_name) = (new.ca_pem.as_deref(), new.server_name.as_deref());
    let bounds = fleet.bounds(id, reach.organization()).await?;
    let at = record::prepare(&url, ca, server_name, &new.credential, new.force, bounds)?;
    admit(fleet, &url, &at).await?;
    Ok((url, at))
}

/// Refuses addresses that must not be connected to, before any connection: the answer does not reveal what listens
/// there.
pub(super) async fn admit(fleet: &Fleet, url: &NodeUrl, at: &Prepared) -> Result<(), FleetError> {
    let confined = at.endpoint.bounds.as_ref().is_some_and(Bounds::confine);
    let within = fleet.checker.connect;
    if confined {
        // Nodes that are not checked are known by their names alone until they are looked up.
        let others = fleet.hot().load().nodes.clone();
        let unknown =
            others.iter().filter(|node| node.endpoint.port == url.port && !node.endpoint.is_found());
        let all = join_all(unknown.map(|node| dial::resolve(&node.endpoint)));
        let _ = tokio::time::timeout(within, all).await;
    }
    let error = match tokio::time::timeout(within, dial::resolve(&at.endpoint)).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => error,
        Err(_) => DialError::TimedOut(within),
    };
    match FleetError::of_dial(url, &error) {
        Some(refused) => Err(refused),
        // Nor do they learn which names there are.
        None if confined => Err(FleetError::Closed { url: url.text.clone() }),
        None => Ok(()),
    }
}

/// The id of the organization that a new node is for. One of those who belong to an organization is for that
/// alone, whether they say so or not.
async fn owner(
    fleet: &Fleet,
    reach: &TenantScope,
    wanted: Option<&str>,
) -> Result<Option<String>, FleetError> {
    match (wanted, reach) {
        (Some(wanted), _) => fleet.organization(reach, wanted).await.map(Some),
        (None, TenantScope::All) => Ok(None),
        (None, TenantScope::Organization(own)) => Ok(Some(own.clone())),
        (None, TenantScope::User { .. }) => Err(FleetError::FleetWide("adding a node")),
    }
}

/// Refuses a node with the URL of another one. For callers bound to an organization this is not checked: such an
/// address is out of bounds for them anyway.
pub(super) async fn fresh(fleet: &Fleet, reach: &TenantScope, node: &NodeRecord) -> Result<(), FleetError> {
    if *reach != TenantScope::All {
        return Ok(());
    }
    let nodes = fleet.store.nodes().list().await?;
    match nodes.into_iter().find(|other| other.url == node.url && other.id != node.id) {
        Some(other) => Err(FleetError::Taken { url: other.url, node: other.name }),
        None => Ok(()),
    }
}

/// Stores the record, with its credential sealed again if the keys were rotated since.
async fn insert(
    fleet: &Fleet,
    mut record: NodeRecord,
    credential: &Credential,
    placed: bool,
) -> Result<NodeRecord, FleetError> {
    match fleet.store.nodes().place(record.clone(), placed).await {
        Err(StoreError::StaleSeal { .. }) => {
            record.credential = record::seal(&fleet.vault, &record.id, credential)?;
            Ok(fleet.store.nodes().place(record, placed).await?)
        }
        done => Ok(done?),
    }
}

/// The node's kind: as found, as given, or, for one that does not answer or only starts, Ollama until a check finds
/// otherwise. With `whatever` so for one that answers something else, too.
fn kind_of(
    new: &NewNode,
    url: &NodeUrl,
    outcome: &Result<Found, ProbeError>,
    whatever: bool,
) -> Result<NodeKind, FleetError> {
    if let Some(refused) = refused(url, outcome) {
        return Err(refused);
    }
    match outcome {
        Ok(found) => Ok(found.kind),
        Err(error) => match new.kind {
            Some(kind) => Ok(kind),
            None if error.unreachable() || error.is_starting() || error.is_odd() || new.force || whatever => {
                Ok(NodeKind::Ollama)
            }
            None => Err(FleetError::NotANode {
                url: url.text.clone(),
                why: error.to_string(),
                credential: error.wants_credential(),
            }),
        },
    }
}

fn standby(why: &str, url: &NodeUrl) -> String {
    let port = if url.port == 80 { " (Ollama listens on port 11434 unless told otherwise)" } else { "" };
    format!("{why}{port}; added as standby, and taken in as soon as it answers")
}
