//! Tests of jobs.

use aivonx_protocol::{
    Fault, FaultKind,
    job::{Job, JobKind, JobState},
};
use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::Jobs;
use crate::{
    Ended,
    service::tests::{ALL, Rig, new},
    testing::FakeNode,
};

async fn line(lines: &mut mpsc::Receiver<Bytes>) -> String {
    String::from_utf8(lines.recv().await.expect("the job goes on").to_vec()).unwrap().trim_end().to_owned()
}

async fn rest(mut lines: mpsc::Receiver<Bytes>) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(line) = lines.recv().await {
        all.push(String::from_utf8(line.to_vec()).unwrap().trim_end().to_owned());
    }
    all
}

async fn ended(jobs: &Jobs, id: &str) -> Job {
    jobs.follow(ALL, id).unwrap().wait_for(|job| job.state != JobState::Running).await.unwrap().clone()
}

async fn until(steps: &mut watch::Receiver<Job>, what: impl FnMut(&Job) -> bool) {
    steps.wait_for(what).await.unwrap();
}

const LAYER: &str = r#"{"status":"pulling abc","digest":"sha256:abc","total":100"#;

#[tokio::test]
async fn progress_of_two_nodes_is_told_as_one() {
    let rig = Rig::new().await;
    let (a, b) = (FakeNode::ollama(&[]).await, FakeNode::ollama(&[]).await);
    rig.add("a", &a).await;
    rig.add("b", &b).await;
    let (to_a, to_b) = (a.next_pull(), b.next_pull());
    let jobs = rig.fleet.jobs();
    let job = jobs.pull(ALL, "m", &[], false).await.unwrap();
    assert_eq!((job.state, &*job.subject, job.targets.len()), (JobState::Running, "m", 2));
    let mut lines = jobs.lines(ALL, &job.id, true).await.unwrap();
    let mut steps = jobs.follow(ALL, &job.id).unwrap();

    to_a.send(r#"{"status":"pulling manifest"}"#.into()).unwrap();
    assert_eq!(line(&mut lines).await, r#"{"status":"pulling manifest"}"#);
    to_a.send(format!("{LAYER},\"completed\":70}}")).unwrap();
    assert_eq!(line(&mut lines).await, format!("{LAYER}}}"));
    to_b.send(r#"{"status":"pulling manifest"}"#.into()).unwrap();
    to_b.send(format!("{LAYER},\"completed\":30}}")).unwrap();
    assert_eq!(line(&mut lines).await, format!("{LAYER},\"completed\":30}}"));
    until(&mut steps, |job| job.completed == 30 && job.total == 100).await;
    assert_eq!(jobs.show(ALL, &job.id).unwrap().targets[0].completed, 70);

    let late = jobs.lines(ALL, &job.id, true).await.unwrap();
    a.become_ollama(&["m:latest"]);
    to_a.send(r#"{"status":"success"}"#.into()).unwrap();
    until(&mut steps, |job| job.targets[0].state == JobState::Done).await;
    assert_eq!(rig.fleet.show(ALL, "a").unwrap().models, ["m:latest"], "in the catalogue before it is told");
    b.become_ollama(&["m:latest"]);
    to_b.send(r#"{"status":"success"}"#.into()).unwrap();

    let told = rest(lines).await;
    assert_eq!(told.last().unwrap(), r#"{"status":"success"}"#);
    assert!(told.contains(&format!("{LAYER},\"completed\":100}}")), "{told:?}");
    let late = rest(late).await;
    assert_eq!(
        late[..2],
        [r#"{"status":"pulling manifest"}"#.to_owned(), format!("{LAYER},\"completed\":30}}")]
    );
    assert_eq!(late.last().unwrap(), r#"{"status":"success"}"#);
    let job = ended(jobs, &job.id).await;
    assert_eq!((job.state, job.completed, job.total), (JobState::Done, 100, 100));
    assert!(job.ended.is_some());
    assert_eq!(
        rest(jobs.lines(ALL, &job.id, true).await.unwrap()).await.last().unwrap(),
        r#"{"status":"success"}"#
    );
    let body = a.asked("POST /api/pull")[0].body.clone();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body, serde_json::json!({"model": "m", "name": "m", "insecure": false, "stream": true}));
}

#[tokio::test]
async fn the_same_pull_is_joined_and_another_is_not() {
    let rig = Rig::new().await;
    let (a, b) = (FakeNode::ollama(&[]).await, FakeNode::ollama(&[]).await);
    rig.add("a", &a).await;
    rig.add("b", &b).await;
    let _held = [a.next_pull(), b.next_pull(), a.next_pull(), a.next_pull()];
    let jobs = rig.fleet.jobs();
    let first = jobs.pull(ALL, "m", &[], false).await.unwrap();
    let nodes = ["b".to_owned(), "a".to_owned(), "a".to_owned()];
    assert_eq!(jobs.pull(ALL, "library/M:latest", &nodes, false).await.unwrap().id, first.id);
    let other = jobs.pull(ALL, "m", &["a".to_owned()], false).await.unwrap();
    assert_ne!(other.id, first.id);
    assert_ne!(jobs.pull(ALL, "n", &["a".to_owned()], false).await.unwrap().id, other.id);
    assert_eq!(jobs.list(ALL).len(), 3);
    assert_eq!(jobs.list(ALL)[2].id, first.id, "newest first");
    rig.fleet.stop().await;
    assert!(jobs.list(ALL).iter().all(|job| job.state == JobState::Cancelled));
    assert_eq!(
        jobs.pull(ALL, "m", &[], false).await.map_err(Fault::from).unwrap_err().kind,
        FaultKind::Unavailable
    );
}

#[tokio::test]
async fn a_job_outlives_its_readers_and_ends_by_cancel_with_its_connections() {
    let rig = Rig::new().await;
    let node = FakeNode::ollama(&[]).await;
    rig.add("a", &node).await;
    let to_node = node.next_pull();
    let jobs = rig.fleet.jobs();
    let job = jobs.pull(ALL, "m", &[], false).await.unwrap();
    let mut lines = jobs.lines(ALL, &job.id, true).await.unwrap();
    to_node.send(r#"{"status":"pulling manifest"}"#.into()).unwrap();
    line(&mut lines).await;
    drop(lines);
    to_node.send(format!("{LAYER},\"completed\":50}}")).unwrap();
    let mut steps = jobs.follow(ALL, &job.id).unwrap();
    until(&mut steps, |job| job.completed == 50).await;

    let lines = jobs.lines(ALL, &job.id, true).await.unwrap();
    let cancelled = jobs.cancel(ALL, &job.id).await.unwrap();
    assert_eq!(cancelled.state, JobState::Cancelled);
    assert_eq!(rest(lines).await.last().unwrap(), r#"{"error":"cancelled"}"#);
    // The node notices that its client has gone.
    to_node.closed().await;
    assert_eq!(
        jobs.cancel(ALL, &job.id).await.unwrap().ended,
        cancelled.ended,
        "once ended it stays as it is"
    );
    assert_eq!(jobs.cancel(ALL, "nope").await.map_err(Fault::from).unwrap_err().kind, FaultKind::NotFound);
}

#[tokio::test]
async fn a_slow_reader_holds_up_nobody_and_still_hears_the_end() {
    let rig = Rig::new().await;
    let node = FakeNode::ollama(&[]).await;
    rig.add("a", &node).await;
    let to_node = node.next_pull();
    let jobs = rig.fleet.jobs();
    let job = jobs.pull(ALL, "m", &[], false).await.unwrap();
    let slow = jobs.lines(ALL, &job.id, true).await.unwrap();
    for completed in 1..=5000 {
        to_node
            .send(format!(r#"{{"status":"pulling x","digest":"x","total":5000,"completed":{completed}}}"#))
            .unwrap();
    }
    to_node.send(r#"{"status":"success"}"#.into()).unwrap();
    assert_eq!(ended(jobs, &job.id).await.state, JobState::Done);
    let told = rest(slow).await;
    assert!(told.len() < 5000);
    let full = r#"{"status":"pulling x","digest":"x","total":5000,"completed":5000}"#;
    assert_eq!(told[told.len() - 2..], [full, r#"{"status":"success"}"#]);
}

#[tokio::test]
async fn failures_are_told_in_the_nodes_own_words() {
    let rig = Rig::new().await;
    let (a, b) = (FakeNode::ollama(&[]).await, FakeNode::ollama(&[]).await);
    rig.add("a", &a).await;
    let jobs = rig.fleet.jobs();
    let failed = async |nodes: &[String]| {
        let job = jobs.pull(ALL, "m", nodes, false).await.unwrap();
        let lines = rest(jobs.lines(ALL, &job.id, true).await.unwrap()).await;
        assert_eq!(ended(jobs, &job.id).await.state, JobState::Failed);
        lines.last().unwrap().clone()
    };
    let to_a = a.next_pull();
    to_a.send(r#"{"status":"pulling manifest"}"#.into()).unwrap();
    to_a.send(r#"{"error":"pull model manifest: file does not exist"}"#.into()).unwrap();
    assert_eq!(failed(&[]).await, r#"{"error":"pull model manifest: file does not exist"}"#);
    a.answer("POST /api/pull", 400, r#"{"error":"invalid model name"}"#);
    assert_eq!(failed(&[]).await, r#"{"error":"invalid model name"}"#);
    a.answer("POST /api/pull", 500, "oops");
    assert!(failed(&[]).await.contains("answered 500"));
    a.answer("POST /api/pull", 200, "garbage");
    assert!(failed(&[]).await.contains("not the progress of a pull"));
    a.answer("POST /api/pull", 200, "");
    assert!(failed(&[]).await.contains("ended before the pull was complete"));

    rig.add("b", &b).await;
    b.answer("POST /api/pull", 200, r#"{"status":"success"}"#);
    assert!(failed(&[]).await.starts_with(r#"{"error":"a: the node's answer"#));

    let removed = b.next_pull();
    let job = jobs.pull(ALL, "m", &["b".to_owned()], false).await.unwrap();
    removed.send(r#"{"status":"pulling manifest"}"#.into()).unwrap();
    let mut steps = jobs.follow(ALL, &job.id).unwrap();
    until(&mut steps, |job| job.targets[0].status == "pulling manifest").await;
    rig.fleet.remove(ALL, "b", None).await.unwrap();
    assert_eq!(ended(jobs, &job.id).await.targets[0].error.as_deref(), Some("the node was removed"));
}

/// A node's words are for everyone who may see the job: they show no more of a credential than the log does.
#[tokio::test]
async fn credentials_in_a_nodes_words_are_masked() {
    let rig = Rig::new().await;
    let node = FakeNode::ollama(&[]).await;
    rig.add("a", &node).await;
    let jobs = rig.fleet.jobs();
    for (said, shown) in [
        ("GET https://me:hush@hub/x: denied", "GET https://[REDACTED]@hub/x: denied"),
        ("sent Bearer hush-hush-hush", "sent Bearer [REDACTED]"),
        (r#"hub said {"password":"hush"}"#, r#"hub said {"password":"[REDACTED]"}"#),
        (concat!("token hf", "_hushhushhushhushhush is not valid"), "token [REDACTED] is not valid"),
    ] {
        let to_node = node.next_pull();
        let job = jobs.pull(ALL, "m", &[], false).await.unwrap();
        let lines = jobs.lines(ALL, &job.id, true).await.unwrap();
        to_node.send(serde_json::json!({"status": said}).to_string()).unwrap();
        to_node.send(serde_json::json!({"error": said}).to_string()).unwrap();
        let job = ended(jobs, &job.id).await;
        let target = &job.targets[0];
        assert_eq!((target.status.as_str(), target.error.as_deref()), (shown, Some(shown)));
        let told = rest(lines).await;
        assert_eq!(told.last().unwrap(), &serde_json::json!({"error": shown}).to_string());
        assert!(told.iter().all(|line| !line.contains("hush")), "{told:?}");
    }
    node.answer("POST /api/pull", 200, r#"{"total":"Bearer hush-hush-hush"}"#);
    let job = jobs.pull(ALL, "m", &[], false).await.unwrap();
    let error = ended(jobs, &job.id).await.targets[0].error.clone().unwrap();
    assert!(error.contains("Bearer [REDACTED]"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_pulled_is_refused() {
    let rig = Rig::new().await;
    let jobs = rig.fleet.jobs();
    let fault = jobs.pull(ALL, "m", &[], false).await.map_err(Fault::from).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unavailable, "{fault}");
    rig.add("vllm", &FakeNode::openai(&["M"]).await).await;
    assert_eq!(
        jobs.pull(ALL, "m", &[], false).await.map_err(Fault::from).unwrap_err().kind,
        FaultKind::Unavailable
    );
    let fault = jobs.pull(ALL, "m", &["vllm".to_owned()], false).await.map_err(Fault::from).unwrap_err();
    assert!(fault.kind == FaultKind::Invalid && fault.to_string().contains("OpenAI"), "{fault}");
    assert_eq!(
        jobs.pull(ALL, "m", &["x".to_owned()], false).await.map_err(Fault::from).unwrap_err().kind,
        FaultKind::NotFound
    );
    for model in ["", "a b", "a\nb"] {
        assert_eq!(
            jobs.pull(ALL, model, &[], false).await.map_err(Fault::from).unwrap_err().field.as_deref(),
            Some("model")
        );
    }
    rig.fleet.add(ALL, new("off", "http://127.0.0.1:9")).await.unwrap();
    rig.fleet.set_state(ALL, "off", None, aivonx_protocol::node::AdminState::Disabled).await.unwrap();
    let fault = jobs.pull(ALL, "m", &["off".to_owned()], false).await.map_err(Fault::from).unwrap_err();
    assert!(fault.to_string().contains("aivonx node enable off"), "{fault}");
}

#[tokio::test]
async fn a_job_of_another_part_is_one_among_the_jobs() {
    let rig = Rig::new().await;
    let jobs = rig.fleet.jobs();
    let job = jobs
        .begin(ALL, JobKind::Rotate, "keys", async |task| {
            task.progress(&[("a", 1, 2)]);
            while !task.is_cancelled() {
                tokio::task::yield_now().await;
            }
            Ended::Cancelled
        })
        .unwrap();
    let again =
        jobs.begin(ALL, JobKind::Rotate, "keys", async |_| Ended::Done).map_err(Fault::from).unwrap_err();
    assert!(again.kind == FaultKind::Conflict && again.to_string().contains(&job.id), "{again}");
    let mut steps = jobs.follow(ALL, &job.id).unwrap();
    until(&mut steps, |job| job.completed == 1 && job.total == 2).await;
    assert_eq!(
        jobs.lines(ALL, &job.id, true).await.map_err(Fault::from).unwrap_err().kind,
        FaultKind::NotFound,
        "that is for pulls"
    );
    assert_eq!(jobs.cancel(ALL, &job.id).await.unwrap().state, JobState::Cancelled);

    let panics = jobs.begin(ALL, JobKind::Rotate, "keys", async |_| panic!("a mistake")).unwrap();
    let job = ended(jobs, &panics.id).await;
    assert!(job.state == JobState::Failed && job.targets[0].error.is_some(), "{job:?}");
    rig.fleet.stop().await;
    let late =
        jobs.begin(ALL, JobKind::Rotate, "keys", async |_| Ended::Done).map_err(Fault::from).unwrap_err();
    assert_eq!(late.kind, FaultKind::Unavailable);
}
