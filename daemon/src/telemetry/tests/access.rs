use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use aivonx_protocol::log::{Level, LogFilter};
use tokio::sync::watch;
use tracing::instrument::WithSubscriber;
use uuid::Uuid;

use super::{
    super::{
        access::{AccessRecord, Outcome},
        metrics::Metrics,
        pipe::Losses,
        sink::{self, WAITING_MAX},
    },
    LONG, Rig,
};
use crate::config::LogFormat;

pub(super) fn record() -> AccessRecord {
    AccessRecord {
        request_id: Uuid::from_u128(7),
        client_request_id: Some("mine".into()),
        client: [10, 0, 0, 9].into(),
        method: "POST".into(),
        route: "/api/chat",
        model: Some("llama3.2:latest".into()),
        node: Some("gpu1".into()),
        status: 200,
        outcome: Outcome::Complete,
        error: None,
        retries: 0,
        bytes_in: 100,
        bytes_out: 2000,
        chunks: 9,
        prompt_tokens: Some(11),
        output_tokens: Some(22),
        first_byte: Some(Duration::from_millis(3)),
        duration: Duration::from_millis(12),
    }
}

#[tokio::test]
async fn a_request_is_one_event() {
    let rig = Rig::new("info", LogFormat::Human);
    let (access, queue) = sink::channel();
    let metrics = Arc::new(Metrics::new(Arc::new(Losses::default()), access.clone()));
    let stop = watch::Sender::new(false);
    let failed = AccessRecord {
        outcome: Outcome::Broken,
        error: Some(format!("reset by \u{1b}[2J{}", "x".repeat(2000)).into()),
        client_request_id: None,
        retries: 1,
        duration: Duration::from_micros(1_250),
        ..record()
    };
    let refused = AccessRecord {
        outcome: Outcome::Refused,
        model: None,
        node: None,
        status: 404,
        route: "unknown",
        duration: Duration::from_millis(12_345),
        ..record()
    };
    access.push(vec![record(), failed]);
    access.push(vec![refused]);
    stop.send_replace(true);
    let task = sink::drain(access, queue, metrics.clone(), stop.subscribe());
    tokio::time::timeout(LONG, task.with_subscriber(rig.dispatch.clone())).await.unwrap();
    assert!(rig.pipe.flush(LONG));

    let events = rig.hub.recent(&LogFilter::default(), 10).unwrap().events;
    let messages: Vec<_> = events.iter().map(|e| (e.level, &*e.message)).collect();
    assert_eq!(
        messages,
        [
            (Level::Info, "POST /api/chat 200 llama3.2:latest gpu1 12ms"),
            (Level::Warn, "POST /api/chat 200 llama3.2:latest gpu1 1.2ms broken"),
            (Level::Info, "POST unknown 404 12.3s"),
        ]
    );
    assert!(events.iter().all(|e| e.target == "access"));
    let fields: Vec<_> = events[0].fields.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(
        fields.join(" "),
        "request_id=00000000-0000-0000-0000-000000000007 client_request_id=mine client=10.0.0.9 method=POST \
         route=/api/chat model=llama3.2:latest node=gpu1 status=200 outcome=complete retries=0 bytes_in=100 \
         bytes_out=2000 prompt_tokens=11 output_tokens=22 first_byte_ms=3 duration_ms=12"
    );
    let error = &events[1].fields.last().unwrap().1;
    assert_eq!(error.chars().count(), 512);
    assert_eq!(metrics.requests_total(), 3);
    // What the message has said is not said again to people.
    let text = rig.lines.lock().unwrap().clone();
    assert!(text.contains("gpu1 12ms request_id="), "{text}");
    assert!(!text.contains(" route="), "{text}");
    assert!(text.contains("error=\"reset by \\u{1b}[2J"), "{text}");
}

#[tokio::test]
async fn too_many_requests_are_dropped_counted_and_said() {
    let rig = Rig::new("info", LogFormat::Human);
    let (access, queue) = sink::channel();
    let metrics = Arc::new(Metrics::new(Arc::new(Losses::default()), access.clone()));
    rig.level.set(super::super::level::parse("info,access=off").unwrap());
    for _ in 0..WAITING_MAX / 1024 {
        access.push(vec![record(); 1024]);
    }
    access.push(vec![record(); 5]);
    assert_eq!(access.dropped(), 5);
    let stop = watch::Sender::new(true);
    let task = sink::drain(access.clone(), queue, metrics.clone(), stop.subscribe());
    tokio::time::timeout(LONG, task.with_subscriber(rig.dispatch.clone())).await.unwrap();
    assert_eq!(metrics.requests_total(), WAITING_MAX as u64);
    let events = rig.hub.recent(&LogFilter::default(), 10).unwrap().events;
    assert_eq!(events.len(), 1);
    assert!(events[0].message.starts_with("5 requests were not logged or counted"));
    // With nobody left to take them, records are dropped, not kept.
    access.push(vec![record()]);
    assert_eq!(access.dropped(), 6);
}

/// `cargo test --release -p aivonx-daemon --lib cost_per_record -- --ignored --nocapture`
#[tokio::test]
#[ignore = "a measurement"]
async fn cost_per_record() {
    const ROUNDS: u32 = 100;
    for (name, level) in [("event, hub and human line", "info"), ("metrics alone", "info,access=off")] {
        let rig = Rig::new(level, LogFormat::Human);
        let (access, queue) = sink::channel();
        let metrics = Arc::new(Metrics::new(Arc::new(Losses::default()), access.clone()));
        let stop = watch::Sender::new(true);
        for _ in 0..ROUNDS {
            access.push(vec![record(); 400]);
        }
        let begin = Instant::now();
        let task = sink::drain(access.clone(), queue, metrics, stop.subscribe());
        task.with_subscriber(rig.dispatch.clone()).await;
        let each = begin.elapsed() / (ROUNDS * 400);
        assert!(rig.pipe.flush(LONG));
        let written = begin.elapsed() / (ROUNDS * 400);
        let lost = rig.pipe.losses().queue.load(Ordering::Relaxed);
        eprintln!("{name}: {each:?} a record on the control plane, {written:?} until written, {lost} lost");
    }
}
