//! Tests of loading and unloading.

use aivonx_protocol::{
    Fault, FaultKind,
    job::{Job, JobKind, JobState},
    node::AdminState,
};
use serde_json::json;

use crate::{
    FleetError, RoutingRules, Want,
    service::tests::{ALL, Rig, new},
    testing::FakeNode,
};

const GENERATE: &str = "POST /api/generate";
const EMBED: &str = "POST /api/embed";

async fn ended(rig: &Rig, job: Result<Job, FleetError>) -> Job {
    let mut steps = rig.fleet.jobs().follow(ALL, &job.unwrap().id).unwrap();
    steps.wait_for(|job| job.state != JobState::Running).await.unwrap().clone()
}

fn bodies(node: &FakeNode, line: &str) -> Vec<serde_json::Value> {
    node.asked(line).iter().map(|asked| serde_json::from_slice(&asked.body).unwrap()).collect()
}

fn holds(node: &FakeNode, model: &str) {
    node.answer("GET /api/ps", 200, &format!(r#"{{"models":[{{"name":"{model}","size_vram":7}}]}}"#));
}

#[tokio::test]
async fn a_model_is_loaded_and_unloaded_where_it_is() {
    let rig = Rig::new().await;
    let (a, b, other) = (
        FakeNode::ollama(&["m:latest"]).await,
        FakeNode::ollama(&["m:latest"]).await,
        FakeNode::ollama(&["x:latest"]).await,
    );
    for (name, node) in [("a", &a), ("b", &b), ("other", &other)] {
        rig.add(name, node).await;
        node.answer(GENERATE, 200, r#"{"done":true,"done_reason":"load"}"#);
    }
    holds(&a, "m:latest");
    holds(&b, "m:latest");
    let job = ended(&rig, rig.fleet.load_model(ALL, "m", None, Some(json!("30m")))).await;
    assert_eq!((job.kind, job.state, &*job.subject), (JobKind::Load, JobState::Done, "m"));
    assert_eq!((job.completed, job.total, job.targets.len()), (2, 2, 2));
    assert_eq!(bodies(&a, GENERATE), [json!({"model": "m", "stream": false, "keep_alive": "30m"})]);
    assert_eq!(bodies(&b, GENERATE).len(), 1);
    assert!(bodies(&other, GENERATE).is_empty(), "it does not have it");
    let node = rig.fleet.show(ALL, "a").unwrap();
    assert_eq!((&node.loaded[..], node.vram_bytes), (&["m:latest".to_owned()][..], Some(7)));
    assert_eq!(rig.fleet.show(ALL, "other").unwrap().vram_bytes, Some(0));

    a.answer("GET /api/ps", 200, r#"{"models":[]}"#);
    let job = ended(&rig, rig.fleet.unload_model(ALL, "m:latest", Some("a"))).await;
    assert_eq!((job.kind, job.state, job.targets.len()), (JobKind::Unload, JobState::Done, 1));
    assert_eq!(bodies(&a, GENERATE)[1]["keep_alive"], 0);
    assert!(rig.fleet.show(ALL, "a").unwrap().loaded.is_empty(), "the catalogue has it right by then");
    // Without a node, the job is for those that hold the model.
    b.answer("GET /api/ps", 200, r#"{"models":[]}"#);
    let job = ended(&rig, rig.fleet.unload_model(ALL, "m", None)).await;
    assert_eq!(job.targets.iter().map(|t| &*t.node).collect::<Vec<_>>(), ["b"]);
}

#[tokio::test]
async fn a_model_that_only_embeds_is_loaded_in_its_own_way() {
    let rig = Rig::new().await;
    let node = FakeNode::ollama(&["e:latest"]).await;
    rig.add("a", &node).await;
    node.answer(GENERATE, 400, r#"{"error":"\"e\" does not support generate"}"#);
    node.answer(EMBED, 200, r#"{"model":"e","embeddings":[]}"#);
    let job = ended(&rig, rig.fleet.load_model(ALL, "e", Some("a"), None)).await;
    assert_eq!(job.state, JobState::Done, "{job:?}");
    assert_eq!(bodies(&node, EMBED), [json!({"model": "e", "input": []})]);
}

#[tokio::test]
async fn a_node_that_refuses_or_cannot_says_so() {
    let rig = Rig::new().await;
    let (node, plain) = (FakeNode::ollama(&["m:latest"]).await, FakeNode::openai(&["m"]).await);
    rig.add("a", &node).await;
    rig.add("plain", &plain).await;
    node.answer(GENERATE, 500, r#"{"error":"model requires more system memory than is available"}"#);
    let job = ended(&rig, rig.fleet.load_model(ALL, "m", Some("a"), None)).await;
    assert_eq!(job.state, JobState::Failed);
    assert!(job.targets[0].error.as_deref().unwrap().contains("more system memory"), "{job:?}");
    assert_eq!((job.completed, job.total), (0, 1));

    let fault = |result: Result<Job, FleetError>| {
        let fault = Fault::from(result.unwrap_err());
        (fault.kind, fault.field.clone().unwrap_or_default(), fault.to_string())
    };
    let (kind, field, text) = fault(rig.fleet.load_model(ALL, "m", Some("plain"), None));
    assert!((kind, &*field) == (FaultKind::Invalid, "node") && text.contains("OpenAI API alone"), "{text}");
    let (kind, _, text) = fault(rig.fleet.load_model(ALL, "n", None, None));
    assert!(kind == FaultKind::NotFound && text.contains("no node has the model 'n'"), "{text}");
    assert_eq!(fault(rig.fleet.load_model(ALL, "m", Some("none"), None)).0, FaultKind::NotFound);
    for nothing in [json!(0), json!("0s"), json!("0h0m")] {
        let (kind, field, text) = fault(rig.fleet.load_model(ALL, "m", None, Some(nothing)));
        assert!((kind, &*field) == (FaultKind::Invalid, "keep_alive") && text.contains("unload"), "{text}");
    }
    let (kind, _, text) = fault(rig.fleet.unload_model(ALL, "m", None));
    assert!(kind == FaultKind::NotFound && text.contains("in memory"), "{text}");
    rig.fleet.set_state(ALL, "a", None, AdminState::Draining).await.unwrap();
    let (kind, _, text) = fault(rig.fleet.load_model(ALL, "m", None, None));
    assert!(kind == FaultKind::Unavailable && text.contains("no active node"), "{text}");
}

#[tokio::test]
async fn loading_that_takes_long_can_be_cancelled() {
    let rig = Rig::new().await;
    let node = FakeNode::ollama(&["m:latest"]).await;
    rig.add("a", &node).await;
    node.be_silent(GENERATE);
    let job = rig.fleet.load_model(ALL, "m", None, Some(json!(-1))).unwrap();
    let again = rig.fleet.load_model(ALL, "m:latest", Some("a"), Some(json!(-1))).unwrap();
    assert_eq!(again.id, job.id, "the same is not done twice at once");
    assert!(rig.fleet.jobs().lines(ALL, &job.id, true).await.is_err(), "it is no pull");
    let ended = rig.fleet.jobs().cancel(ALL, &job.id).await.unwrap();
    assert_eq!((ended.state, ended.targets[0].state), (JobState::Cancelled, JobState::Cancelled));
}

#[tokio::test]
async fn a_probe_tells_what_is_there_and_changes_nothing() {
    let rig = Rig::new().await;
    let (node, other) = (FakeNode::ollama(&["b:latest", "a:latest"]).await, FakeNode::bare().await);
    let probed = rig.fleet.probe(ALL, &new("", &node.url())).await.unwrap();
    assert!(probed.healthy && probed.latency_ms.is_some(), "{probed:?}");
    assert_eq!(
        (probed.version.as_deref(), &probed.models[..]),
        (Some("0.14.0"), &["a:latest".to_owned(), "b:latest".into()][..])
    );
    let probed = rig.fleet.probe(ALL, &new("", &other.url())).await.unwrap();
    assert!(!probed.healthy && probed.finding.contains("404"), "{probed:?}");
    assert!(rig.fleet.probe(ALL, &new("", "ftp://x")).await.is_err());
    assert!(rig.fleet.probe(ALL, &new("", "http://169.254.169.254")).await.is_err(), "not even asked");
    assert!(rig.fleet.list(ALL).is_empty());
}

#[tokio::test]
async fn a_stored_credential_is_sent_to_no_other_address() {
    use aivonx_protocol::{
        WireSecret,
        node::{Credential, NewNode, NodeChange},
    };
    let rig = Rig::new().await;
    let (node, other) = (FakeNode::ollama(&[]).await, FakeNode::ollama(&[]).await);
    let bearer = || Credential::Bearer(WireSecret::new("t".into()));
    rig.fleet.add(ALL, NewNode { credential: bearer(), ..new("a", &node.url()) }).await.unwrap();
    let same = rig.fleet.probe_change(ALL, "a", &NodeChange::default()).await.unwrap();
    assert!(same.healthy);
    assert!(node.asked("GET /api/version").iter().all(|asked| asked.headers.contains_key("authorization")));
    let moved = NodeChange { url: Some(other.url()), ..NodeChange::default() };
    let fault = Fault::from(rig.fleet.probe_change(ALL, "a", &moved).await.unwrap_err());
    assert_eq!(fault.field.as_deref(), Some("credential"));
    assert!(other.asked("GET /api/version").is_empty());
    let given = NodeChange { credential: Some(bearer()), ..moved };
    assert!(rig.fleet.probe_change(ALL, "a", &given).await.unwrap().healthy);
    assert_eq!(rig.fleet.show(ALL, "a").unwrap().url, node.url());
}

#[tokio::test]
async fn what_changes_all_the_time_is_told_once_when_it_did() {
    use aivonx_protocol::Event;

    use crate::{Lease, RoutingRules, Want};
    let rig = Rig::new().await;
    let node = FakeNode::ollama(&["m:latest"]).await;
    rig.add("a", &node).await;
    let registry = &rig.fleet.checker.registry;
    let want = Want {
        overflow: crate::Overflow { after: 0.0, otherwise: None },
        model: Some("m"),
        granted: false,
        ollama: Some((0, 0, 0)),
        openai: false,
        api: 0,
        eligible: &RoutingRules::ALL,
    };
    let mut events = rig.fleet.changes();
    let first: Lease = rig.fleet.hot().load().choose(want, &[]).unwrap();
    // The daemon's own timer or this one, whichever is first.
    registry.look(1);
    let Event::Node(told) = events.recv().await.unwrap().event else { panic!() };
    assert_eq!(told.active_requests, 1);
    assert!(told.requests_per_second > 0.0, "{told:?}");
    drop(first);
    registry.look(1);
    let mut last = None;
    while let Ok(told) = events.try_recv() {
        last = Some(told);
    }
    let Some(Event::Node(told)) = last.map(|told| told.event) else { panic!() };
    assert_eq!(told.active_requests, 0);
}

#[tokio::test]
async fn what_a_node_holds_is_known_from_the_first_look_on() {
    let load = |rig: &Rig| {
        let want = Want {
            overflow: crate::Overflow { after: 0.0, otherwise: None },
            model: Some("m"),
            granted: false,
            ollama: Some((0, 0, 0)),
            openai: true,
            api: 0,
            eligible: &RoutingRules::ALL,
        };
        rig.fleet.hot().load().choose(want, &[]).unwrap().predicted().unwrap().load
    };
    let rig = Rig::new().await;
    let node = FakeNode::ollama(&["m:latest"]).await;
    holds(&node, "m:latest");
    rig.add("a", &node).await;
    assert!(load(&rig).abs() < f64::EPSILON, "{}", load(&rig));
    let rig = rig.restart().await;
    assert!(load(&rig).abs() < f64::EPSILON, "{}", load(&rig));
}
