//! Tests of isolation: what one organization's people see and do of another's.

use std::collections::BTreeMap;

use aivonx_domain::TenantScope;
use aivonx_protocol::{
    Event, Fault, FaultKind,
    job::JobKind,
    node::{AdminState, NewNode, NodeChange, TraitsChange},
    organization::NodeAccess,
    strategy::Strategy,
};
use aivonx_store::{ModelAccessRecord, OrganizationRecord};
use futures_util::{FutureExt as _, StreamExt as _};

use crate::{
    Ended, FleetError, NewPlacement, RoutingRules,
    service::tests::{ALL, Rig, new},
    testing::FakeNode,
};

/// A node of each of two organizations and a shared one, each with `m` and a model of its own name.
struct Two {
    rig: Rig,
    acme: TenantScope,
    other: TenantScope,
    nodes: BTreeMap<&'static str, FakeNode>,
}

async fn organization(rig: &Rig, slug: &str, nodes: NodeAccess) -> TenantScope {
    let record = OrganizationRecord { nodes, cloud_models: true, ..OrganizationRecord::new(slug) };
    TenantScope::Organization(rig.store.organizations().insert(record).await.unwrap().id)
}

impl Two {
    async fn new() -> Self {
        let rig = Rig::new().await;
        let acme = organization(&rig, "acme", NodeAccess::Exclusive).await;
        let other = organization(&rig, "other", NodeAccess::Shared).await;
        let mut nodes = BTreeMap::new();
        for (name, owner) in [("anvil", Some("acme")), ("osprey", Some("other")), ("commons", None)] {
            let model = format!("{}-model", owner.unwrap_or("shared"));
            let node = FakeNode::ollama(&["m:latest", &format!("{model}:latest")]).await;
            let new = NewNode { organization: owner.map(str::to_owned), ..new(name, &node.url()) };
            rig.fleet.add(ALL, new).await.unwrap();
            nodes.insert(name, node);
        }
        Self { rig, acme, other, nodes }
    }

    fn member(&self) -> TenantScope {
        TenantScope::User { organization: self.acme.organization().map(str::to_owned), user: "u".into() }
    }

    fn names(&self, reach: &TenantScope) -> Vec<String> {
        self.rig.fleet.list(reach).into_iter().map(|node| node.name).collect()
    }

    fn models(&self, reach: &TenantScope) -> Vec<String> {
        let models = self.rig.fleet.models(reach);
        let line = |m: aivonx_protocol::model::Model| {
            let nodes: Vec<String> = m.nodes.into_iter().map(|on| on.node).collect();
            format!("{} on {}", m.name, nodes.join(","))
        };
        models.into_iter().map(line).collect()
    }
}

/// That `foreign` is answered as `missing` is, but for the name, and is known to be foreign.
fn same<T: std::fmt::Debug>(
    (foreign, asked): (Result<T, FleetError>, &str),
    (missing, nothing): (Result<T, FleetError>, &str),
) {
    let (foreign, missing) = (foreign.unwrap_err(), missing.unwrap_err());
    assert_eq!(foreign.foreign().map(|(_, asked)| asked), Some(asked));
    assert_eq!(missing.foreign(), None);
    let (foreign, missing) = (Fault::from(foreign), Fault::from(missing));
    assert_eq!(foreign.kind, FaultKind::NotFound);
    assert_eq!(format!("{foreign:?}").replace(asked, "X"), format!("{missing:?}").replace(nothing, "X"));
}

#[tokio::test]
async fn nodes_are_listed_and_shown_to_those_they_belong_to() {
    let two = Two::new().await;
    assert_eq!(two.names(ALL), ["anvil", "commons", "osprey"]);
    assert_eq!(two.names(&two.acme), ["anvil"]);
    assert_eq!(two.names(&two.other), ["osprey"]);
    assert!(two.names(&two.member()).is_empty());
    let shown = two.rig.fleet.show(&two.acme, "anvil").unwrap();
    assert_eq!(shown.organization.as_deref(), Some("acme"));
    let id = |name| two.rig.fleet.show(ALL, name).unwrap().id;
    for foreign in ["osprey", "commons", &id("osprey"), &id("commons")] {
        let show = |node| two.rig.fleet.show(&two.acme, node);
        same((show(foreign), foreign), (show("zzzz"), "zzzz"));
    }
    // A name like another's is not hinted at.
    let fault = Fault::from(two.rig.fleet.show(&two.acme, "ospray").unwrap_err());
    assert!(!fault.to_string().contains("osprey"), "{fault}");
}

#[tokio::test]
async fn nodes_are_changed_by_those_they_belong_to() {
    let two = Two::new().await;
    let (fleet, acme) = (&two.rig.fleet, &two.acme);
    let change = || NodeChange { max_parallel: Some(7), ..NodeChange::default() };
    for foreign in ["osprey", "commons"] {
        let none = ("zzzz", "zzzz");
        same(
            (fleet.set(acme, foreign, None, change()).await, foreign),
            (fleet.set(acme, none.0, None, change()).await, none.1),
        );
        same(
            (fleet.set_state(acme, foreign, None, AdminState::Disabled).await, foreign),
            (fleet.set_state(acme, none.0, None, AdminState::Disabled).await, none.1),
        );
        same(
            (fleet.remove(acme, foreign, None).await, foreign),
            (fleet.remove(acme, "zzzz", None).await, "zzzz"),
        );
        same((fleet.check(acme, foreign).await, foreign), (fleet.check(acme, "zzzz").await, "zzzz"));
        let untouched = fleet.show(ALL, foreign).unwrap();
        assert_eq!((untouched.revision, untouched.admin_state), (1, AdminState::Enabled));
    }
    assert_eq!(fleet.set(acme, "anvil", None, change()).await.unwrap().max_parallel, 7);
    fleet.set_state(acme, "anvil", None, AdminState::Draining).await.unwrap();
    assert!(fleet.check(acme, "anvil").await.unwrap().healthy);
    let refused = fleet.set_strategy(acme, Strategy::LowestLatency).await.map_err(Fault::from).unwrap_err();
    assert_eq!(refused.kind, FaultKind::NotPermitted);
    fleet.remove(acme, "anvil", None).await.unwrap();
    assert_eq!(two.names(ALL).len(), 2);
}

#[tokio::test]
async fn only_the_fleets_people_assign_nodes_and_others_add_them_for_themselves() {
    let two = Two::new().await;
    let (fleet, acme) = (&two.rig.fleet, &two.acme);
    for organization in [None, Some("acme".into()), Some("other".into())] {
        let change = NodeChange { organization: Some(organization), ..NodeChange::default() };
        let fault = Fault::from(fleet.set(acme, "anvil", None, change).await.unwrap_err());
        assert_eq!(fault.kind, FaultKind::NotPermitted, "{fault}");
    }
    let networks = vec!["127.0.0.0/8".into()];
    two.rig.store.placements().set_networks(acme.organization().unwrap(), networks).await.unwrap();
    let (node, node2) = (FakeNode::ollama(&["m:latest"]).await, FakeNode::ollama(&["m:latest"]).await);
    let add_at = async |node: &FakeNode, name: &str, organization: Option<&str>, force: bool| {
        let organization = organization.map(str::to_owned);
        fleet.add(acme, NewNode { organization, force, ..new(name, &node.url()) }).await
    };
    let add = async |name: &str, organization, force| add_at(&node, name, organization, force).await;
    let own = add("mine", None, false).await.unwrap();
    assert_eq!(own.node.organization.as_deref(), Some("acme"));
    let named = add_at(&node2, "mine2", Some("acme"), false).await.unwrap();
    assert_eq!(named.node.organization.as_deref(), Some("acme"));
    same((add("x", Some("other"), false).await, "other"), (add("x", Some("zzzz"), false).await, "zzzz"));
    assert_eq!(Fault::from(add("x", None, true).await.unwrap_err()).kind, FaultKind::NotPermitted);
    let member = fleet.add(&two.member(), new("x", &node.url())).await.map_err(Fault::from).unwrap_err();
    assert_eq!(member.kind, FaultKind::NotPermitted);

    let to_other = NodeChange { organization: Some(Some("other".into())), ..NodeChange::default() };
    let moved = fleet.set(ALL, "acme.mine", None, to_other).await.unwrap();
    assert_eq!(moved.organization.as_deref(), Some("other"));
    assert!(fleet.show(acme, "mine").is_err() && fleet.show(&two.other, "acme.mine").is_ok());
    let free = NodeChange { organization: Some(None), ..NodeChange::default() };
    assert_eq!(fleet.set(ALL, "acme.mine", None, free).await.unwrap().organization, None);
    assert!(fleet.show(&two.other, "acme.mine").is_err());
    let nowhere = NodeChange { organization: Some(Some("zzzz".into())), ..NodeChange::default() };
    assert_eq!(
        Fault::from(fleet.set(ALL, "acme.mine", None, nowhere).await.unwrap_err()).kind,
        FaultKind::NotFound
    );
}

#[tokio::test]
async fn a_watch_tells_of_own_nodes_alone_and_of_a_new_name_of_their_owner() {
    let two = Two::new().await;
    let fleet = &two.rig.fleet;
    let mut events = std::pin::pin!(fleet.watch(&two.acme));
    assert!(matches!(events.next().await, Some(Event::Node(node)) if node.name == "anvil"));
    for node in ["osprey", "commons"] {
        fleet.set_state(ALL, node, None, AdminState::Draining).await.unwrap();
        fleet.remove(ALL, node, None).await.unwrap();
    }
    assert!(events.next().now_or_never().is_none());
    let id = two.acme.organization().unwrap();
    two.rig.store.organizations().update(ALL, id, None, |record| record.slug = "apex".into()).await.unwrap();
    let told = events.next().await;
    assert!(matches!(told, Some(Event::Node(node)) if node.organization.as_deref() == Some("apex")));
    let to_other = NodeChange { organization: Some(Some("other".into())), ..NodeChange::default() };
    fleet.set(ALL, "anvil", None, to_other).await.unwrap();
    assert!(matches!(events.next().await, Some(Event::NodeRemoved(_))));
    fleet.set_state(ALL, "anvil", None, AdminState::Draining).await.unwrap();
    assert!(events.next().now_or_never().is_none());
}

#[tokio::test]
async fn models_are_those_one_may_use_and_nodes_those_one_has() {
    let two = Two::new().await;
    let all = ["acme-model:latest on anvil", "m:latest on anvil,commons,osprey"];
    assert_eq!(two.models(ALL)[..2], all);
    assert_eq!(two.models(&two.acme), ["acme-model:latest on anvil", "m:latest on anvil"]);
    let shared = ["m:latest on osprey", "other-model:latest on osprey", "shared-model:latest on "];
    assert_eq!(two.models(&two.other), shared, "it may use shared nodes, which are not its own");
    assert_eq!(two.models(&two.member()), ["acme-model:latest on ", "m:latest on "]);
    let nobody = TenantScope::User { organization: None, user: "u".into() };
    assert_eq!(two.models(&nobody), ["m:latest on ", "shared-model:latest on "]);

    let fleet = &two.rig.fleet;
    assert_eq!(fleet.model(&two.acme, "m").unwrap().nodes.len(), 1);
    for foreign in ["other-model", "shared-model"] {
        let fault = Fault::from(fleet.model(&two.acme, foreign).unwrap_err());
        assert_eq!(fault.kind, FaultKind::NotFound);
        assert!(!fault.to_string().contains(&format!("{foreign}:latest")), "{fault}");
    }

    // What an organization may not use elsewhere it still sees on its own node.
    let id = two.other.organization().unwrap();
    let only = |record: &mut OrganizationRecord| record.models = vec!["nothing".into()];
    two.rig.store.organizations().update(ALL, id, None, only).await.unwrap();
    while two.models(&two.other).len() != 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(two.models(&two.other), ["m:latest on osprey", "other-model:latest on osprey"]);
}

#[tokio::test]
async fn models_that_are_for_others_are_not_seen() {
    let two = Two::new().await;
    let acme = two.acme.organization().unwrap().to_owned();
    let record = move |_| {
        Some(ModelAccessRecord { model: "shared*".into(), only: vec![acme], ..ModelAccessRecord::default() })
    };
    two.rig.store.model_access().alter("shared*", record).await.unwrap();
    while two.models(&two.other).len() != 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(two.models(&two.other), ["m:latest on osprey", "other-model:latest on osprey"]);
    assert!(two.rig.fleet.model(&two.other, "shared-model").is_err());
    let nobody = TenantScope::User { organization: None, user: "u".into() };
    assert_eq!(two.models(&nobody), ["m:latest on "]);
    assert!(two.models(ALL).contains(&"shared-model:latest on commons".to_owned()));
    two.rig.store.model_access().alter("shared*", |_| None).await.unwrap();
    while two.models(&nobody).len() != 2 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn models_are_pulled_to_and_removed_from_own_nodes_alone() {
    let two = Two::new().await;
    let (fleet, acme) = (&two.rig.fleet, &two.acme);
    for node in two.nodes.values() {
        node.answer("POST /api/pull", 200, r#"{"status":"success"}"#);
        node.answer("DELETE /api/delete", 200, "");
    }
    let targets =
        |job: aivonx_protocol::job::Job| job.targets.into_iter().map(|t| t.node).collect::<Vec<_>>();
    let jobs = fleet.jobs();
    assert_eq!(targets(jobs.pull(acme, "m", &[], false).await.unwrap()), ["anvil"]);
    // A client of an organization: its own nodes, even where only shared ones serve it.
    let id = two.other.organization().unwrap();
    let client = RoutingRules::of(id, &NodeAccess::Shared, &[], true);
    assert_eq!(targets(jobs.pull(&client, "m", &[], false).await.unwrap()), ["osprey"]);
    assert_eq!(targets(jobs.pull(&RoutingRules::SHARED, "m", &[], false).await.unwrap()), ["commons"]);
    assert_eq!(targets(jobs.pull(&RoutingRules::ALL, "m", &[], false).await.unwrap()).len(), 3);
    for foreign in ["osprey", "commons"] {
        let pull = async |node: &str| jobs.pull(acme, "m", &[node.to_owned()], false).await;
        same((pull(foreign).await, foreign), (pull("zzzz").await, "zzzz"));
        let remove = async |node: &str| fleet.remove_model(acme, "m", Some(node)).await;
        same((remove(foreign).await, foreign), (remove("zzzz").await, "zzzz"));
    }
    let mixed = ["anvil".to_owned(), "osprey".to_owned()];
    assert!(jobs.pull(acme, "n", &mixed, false).await.is_err(), "all or nothing");

    assert_eq!(fleet.remove_model(acme, "m", None).await.unwrap().removed, ["anvil"]);
    assert!(fleet.remove_model(acme, "other-model", None).await.is_err());
    assert!(fleet.remove_model(&two.member(), "m", None).await.is_err());
    assert_eq!(fleet.remove_model(&RoutingRules::SHARED, "m", None).await.unwrap().removed, ["commons"]);
    assert!(two.nodes["osprey"].asked("DELETE /api/delete").is_empty());
}

#[tokio::test]
async fn jobs_are_those_of_ones_organization() {
    let two = Two::new().await;
    let (acme, other) = (&two.acme, &two.other);
    let jobs = two.rig.fleet.jobs();
    let _held: Vec<_> = two.nodes.values().flat_map(|node| [node.next_pull(), node.next_pull()]).collect();
    let node = ["anvil".to_owned()];
    let own = jobs.pull(acme, "m", &node, false).await.unwrap();
    let foreign = jobs.pull(other, "m", &[], false).await.unwrap();
    let fleets = jobs.pull(ALL, "m", &node, false).await.unwrap();
    assert_ne!(fleets.id, own.id, "the same pull for another is another job");
    let task = jobs.begin(ALL, JobKind::Rotate, "keys", async |_| Ended::Done).unwrap();

    let ids = |reach| jobs.list(reach).into_iter().map(|job| job.id).collect::<Vec<_>>();
    assert_eq!(ids(acme), [own.id.as_str()]);
    assert_eq!(ids(other), [foreign.id.as_str()]);
    assert_eq!(ids(ALL).len(), 4);
    assert!(ids(&two.member()).is_empty());
    for id in [&foreign.id, &fleets.id, &task.id] {
        same((jobs.show(acme, id), id), (jobs.show(acme, "zzzz"), "zzzz"));
        same((jobs.follow(acme, id), id), (jobs.follow(acme, "zzzz"), "zzzz"));
        same((jobs.cancel(acme, id).await, id), (jobs.cancel(acme, "zzzz").await, "zzzz"));
        same((jobs.lines(acme, id, true).await, id), (jobs.lines(acme, "zzzz", true).await, "zzzz"));
    }
    assert_eq!(jobs.show(ALL, &foreign.id).unwrap().state, aivonx_protocol::job::JobState::Running);
    assert!(jobs.follow(acme, &own.id).is_ok() && jobs.cancel(acme, &own.id).await.is_ok());
}

#[tokio::test]
async fn one_organization_takes_neither_the_places_of_others_nor_their_history() {
    let two = Two::new().await;
    let jobs = two.rig.fleet.jobs();
    let shared = &two.nodes["osprey"];
    let kept = jobs.begin(ALL, JobKind::Rotate, "keys", async |_| Ended::Done).unwrap();
    let _held: Vec<_> = (0..16).map(|_| shared.next_pull()).collect();
    for n in 0..16 {
        jobs.pull(&two.other, &format!("m{n}"), &[], false).await.unwrap();
    }
    let full = Fault::from(jobs.pull(&two.other, "m16", &[], false).await.unwrap_err());
    assert_eq!(full.kind, FaultKind::Unavailable);
    assert!(jobs.pull(&two.acme, "m", &[], false).await.is_ok());
    for job in jobs.list(&two.other) {
        jobs.cancel(&two.other, &job.id).await.unwrap();
    }
    for n in 0..120 {
        let job = jobs.pull(&two.other, &format!("n{n}"), &[], false).await.unwrap();
        jobs.cancel(&two.other, &job.id).await.unwrap();
    }
    assert!(jobs.list(&two.other).len() <= 101);
    assert!(jobs.show(ALL, &kept.id).is_ok());
}

#[tokio::test]
async fn what_is_kept_loaded_is_removed_by_its_owner_by_the_fleet_and_with_its_owner() {
    let two = Two::new().await;
    let fleet = &two.rig.fleet;
    let place = async |reach: &TenantScope| {
        let new = NewPlacement { model: "m".into(), copies: 1, on: None, pin: false, pull: false };
        fleet.place_model(reach, new).await.unwrap();
    };
    let owners = async || -> Vec<Option<String>> {
        fleet.placements(ALL).await.unwrap().into_iter().map(|placement| placement.organization).collect()
    };
    let refused =
        async |reach: &TenantScope| fleet.unplace_model(reach, "m:latest").await.unwrap_err().to_string();
    place(&two.acme).await;
    assert!(refused(&two.other).await.contains("is not kept loaded"));
    fleet.unplace_model(ALL, "m").await.unwrap();
    assert!(owners().await.is_empty());
    place(&two.acme).await;
    place(&two.other).await;
    let told = refused(ALL).await;
    assert!(
        told.contains("several organizations") && told.contains("acme") && told.contains("other"),
        "{told}"
    );
    // By its id it is that one and no other.
    place(ALL).await;
    let kept = fleet.placements(ALL).await.unwrap();
    let acmes = &kept.iter().find(|one| one.organization.as_deref() == Some("acme")).unwrap().id;
    assert!(fleet.unplace_model(&two.other, acmes).await.is_err(), "it is not within reach");
    fleet.unplace_model(ALL, acmes).await.unwrap();
    assert!(!owners().await.contains(&Some("acme".into())) && owners().await.len() == 2);
    place(&two.acme).await;
    // The fleet's own comes first.
    place(ALL).await;
    fleet.unplace_model(ALL, "m").await.unwrap();
    assert!(owners().await.iter().all(Option::is_some));
    let acme = two.acme.organization().unwrap();
    two.rig.store.organizations().remove_with_contents(ALL, acme, None).await.unwrap();
    assert_eq!(owners().await, [Some("other".to_owned())]);
}

#[tokio::test]
async fn what_is_said_of_a_node_goes_with_it() {
    let two = Two::new().await;
    let change = TraitsChange { models_at_once: Some(Some(3)), ..TraitsChange::default() };
    two.rig.fleet.set_traits(ALL, "commons", &change).await.unwrap();
    assert_eq!(two.rig.store.node_traits().list(ALL).await.unwrap().len(), 1);
    two.rig.fleet.remove(ALL, "commons", None).await.unwrap();
    assert!(two.rig.store.node_traits().list(ALL).await.unwrap().is_empty());
}
