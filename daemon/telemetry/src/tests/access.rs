use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use aivonx_config::LogFormat;
use aivonx_domain::Findings;
use aivonx_domain::access::{AccessRecord, Outcome};
use aivonx_protocol::log::{Level, LogFilter};
use tokio::sync::watch;
use tracing::instrument::WithSubscriber;
use uuid::Uuid;

use super::{
    super::{
        access_queue::{WAITING_MAX, channel},
        sink,
    },
    LONG, Rig,
};
use crate::LogScope;

pub(super) fn record() -> AccessRecord {
    AccessRecord {
        request_id: Uuid::from_u128(7),
        client_request_id: Some("mine".into()),
        subject: None,
        client: [10, 0, 0, 9].into(),
        method: http::Method::POST,
        route: "/api/chat",
        model: Some("llama3.2:latest".into()),
        served: None,
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
        estimated: false,
        cost: 0,
        limit: None,
        findings: Findings::default(),
        answer_findings: Findings::default(),
        queued: None,
        predicted: Some(Duration::from_millis(5)),
        first_byte: Some(Duration::from_millis(3)),
        duration: Duration::from_millis(12),
    }
}

#[tokio::test]
async fn a_request_is_one_event() {
    let rig = Rig::new("info", LogFormat::Human);
    let (access, queue) = channel();
    let outlet = rig.outlet(&access);
    let metrics = outlet.metrics.clone();
    let stop = watch::Sender::new(false);
    let failed = AccessRecord {
        outcome: Outcome::Broken,
        error: Some(format!("reset by \u{1b}[2J Bearer MARKED-SECRET {}", "x".repeat(2000)).into()),
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
    let task = sink::drain(access, queue, outlet, stop.subscribe());
    tokio::time::timeout(LONG, task.with_subscriber(rig.dispatch.clone())).await.unwrap();
    assert!(rig.queue.flush(LONG));

    let events = rig.hub.recent(&LogScope::Everyone, &LogFilter::default(), 10).unwrap().events;
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
         bytes_out=2000 prompt_tokens=11 output_tokens=22 predicted_ms=5 first_byte_ms=3 duration_ms=12"
    );
    let error = &events[1].fields.last().unwrap().1;
    assert!(error.starts_with("reset by \u{1b}[2J Bearer [REDACTED] x"), "{error}");
    assert!(error.chars().count() < 512);
    assert_eq!(metrics.requests_total(), 3);
    // What the message has said is not said again to people.
    let text = rig.lines.lock().unwrap().clone();
    assert!(text.contains("gpu1 12ms request_id="), "{text}");
    assert!(!text.contains(" route="), "{text}");
    assert!(text.contains("error=\"reset by \\u{1b}[2J Bearer [REDACTED] x"), "{text}");
}

#[tokio::test]
async fn too_many_requests_are_dropped_counted_and_said() {
    let rig = Rig::new("info", LogFormat::Human);
    let (access, queue) = channel();
    let outlet = rig.outlet(&access);
    let metrics = outlet.metrics.clone();
    rig.level.set(aivonx_config::level::parse("info,access=off").unwrap());
    for _ in 0..WAITING_MAX / 1024 {
        access.push(vec![record(); 1024]);
    }
    access.push(vec![record(); 5]);
    assert_eq!(access.dropped(), 5);
    let stop = watch::Sender::new(true);
    let task = sink::drain(access.clone(), queue, outlet, stop.subscribe());
    tokio::time::timeout(LONG, task.with_subscriber(rig.dispatch.clone())).await.unwrap();
    assert_eq!(metrics.requests_total(), WAITING_MAX as u64);
    let events = rig.hub.recent(&LogScope::Everyone, &LogFilter::default(), 10).unwrap().events;
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
    const EACH: u32 = 4000;
    let cases = [
        ("hub and human line", "info", LogFormat::Human),
        ("hub and JSON line", "info", LogFormat::Json),
        ("metrics alone", "info,access=off", LogFormat::Human),
    ];
    for (name, level, format) in cases {
        let rig = Rig::new(level, format);
        let mut best = [Duration::MAX; 2];
        // Long enough to turn the hub's ring, so that what is dropped there is paid for.
        for _ in 0..20 {
            let (access, queue) = channel();
            let outlet = rig.outlet(&access);
            let stop = watch::Sender::new(true);
            for _ in 0..EACH / 400 {
                access.push((0..400).map(|_| record()).collect());
            }
            let begin = Instant::now();
            sink::drain(access.clone(), queue, outlet, stop.subscribe()).await;
            let taken = begin.elapsed() / EACH;
            assert!(rig.queue.flush(LONG));
            rig.lines.lock().unwrap().clear();
            best = [best[0].min(taken), best[1].min(begin.elapsed() / EACH)];
        }
        let lost = rig.queue.losses().queue.load(Ordering::Relaxed);
        eprintln!(
            "{name}: {:?} a record on the control plane, {:?} until written, {lost} lost",
            best[0], best[1]
        );
    }
}
