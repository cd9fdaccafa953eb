//! Requests, streams and cancels.

use aivonx_protocol::{
    ClientError, ClientFrame, Event, Fault, FaultKind, Reply, Request, ServerFrame, daemon,
    frame::MAX_IN,
    job,
    log::{self, LogFilter},
    model, node,
    request::STREAM_WINDOW,
    wire,
};
use std::sync::atomic::Ordering;

use super::{OWN, Rig};

#[tokio::test]
async fn calls_are_answered_as_they_finish() {
    let (client, rest) = Rig::of(OWN).client().await;
    let slow = tokio::spawn({
        let client = client.clone();
        async move { client.ask(node::Check { node: "gpu1".into() }).await }
    });
    rest.arrived().await;
    client.ask(daemon::GetStatus).await.unwrap();
    assert!(!slow.is_finished());
    rest.fake.gate.add_permits(1);
    assert!(slow.await.unwrap().unwrap().healthy);
    drop(client);
    rest.ended().await.unwrap();
}

#[tokio::test]
async fn a_follow_ends_when_it_is_cancelled_and_not_before() {
    let (mut raw, rest) = Rig::of(OWN).raw().await;
    raw.call(5, "log.follow").await;
    for n in 0..u64::from(STREAM_WINDOW) {
        assert_eq!(raw.next().await, Some(ServerFrame::Event { id: 5, event: Event::LogMissed(n) }));
    }
    // Beyond the window only as far as granted.
    raw.send(&ClientFrame::Grant { id: 5, events: 2 }).await;
    for n in 0..2 {
        let event = Event::LogMissed(u64::from(STREAM_WINDOW) + n);
        assert_eq!(raw.next().await, Some(ServerFrame::Event { id: 5, event }));
    }
    raw.call(6, "daemon.status").await;
    assert!(matches!(raw.next().await, Some(ServerFrame::Reply { id: 6, result: Ok(Reply::Status(_)) })));
    raw.send(&ClientFrame::Cancel { id: 5 }).await;
    match raw.next().await {
        Some(ServerFrame::End { id: 5, result: Err(fault) }) => assert_eq!(fault.kind, FaultKind::Cancelled),
        other => panic!("{other:?}"),
    }
    rest.fake.dropped.acquire().await.unwrap().forget();
    // Nothing more of it; and its id is free again.
    raw.call(5, "daemon.status").await;
    assert!(matches!(raw.next().await, Some(ServerFrame::Reply { id: 5, result: Ok(_) })));
}

#[tokio::test]
async fn a_reader_that_does_not_take_events_makes_no_more() {
    let (client, rest) = Rig::of(OWN).client().await;
    let mut stream = client.follow(log::Follow { filter: LogFilter::default(), lines: 0 }).await.unwrap();
    stream.next().await.unwrap().unwrap();
    for _ in 0..20 {
        client.ask(daemon::GetStatus).await.unwrap();
    }
    assert!(rest.fake.produced.load(Ordering::Relaxed) <= STREAM_WINDOW as usize);
    for n in 1..1000 {
        assert_eq!(stream.next().await.unwrap().unwrap(), Event::LogMissed(n));
    }
    drop(stream);
    rest.fake.dropped.acquire().await.unwrap().forget();
}

#[tokio::test]
async fn a_stream_that_ends_by_itself_ends_in_order() {
    let (client, _rest) = Rig::of(OWN).client().await;
    let mut stream = client.follow(job::Follow { job: "j1".into() }).await.unwrap();
    for n in 0..3 {
        assert_eq!(stream.next().await.unwrap().unwrap(), Event::LogMissed(n));
    }
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_cancelled_read_stops_and_a_cancelled_change_goes_on() {
    let (mut raw, rest) = Rig::of(OWN).raw().await;
    raw.call(1, "node.check").await;
    raw.call(2, "node.show").await;
    rest.arrived().await;
    rest.arrived().await;
    raw.send(&ClientFrame::Cancel { id: 1 }).await;
    assert!(matches!(raw.next().await, Some(ServerFrame::End { id: 1, result: Err(_) })));
    raw.send(&ClientFrame::Cancel { id: 2 }).await;
    assert!(matches!(raw.next().await, Some(ServerFrame::End { id: 2, result: Err(_) })));
    rest.fake.gate.add_permits(2);
    rest.fake.passed.acquire().await.unwrap().forget();
    raw.call(3, "daemon.status").await;
    assert!(matches!(raw.next().await, Some(ServerFrame::Reply { id: 3, .. })));
    assert_eq!(rest.fake.gate.available_permits(), 1, "the read got through though it was cancelled");
}

#[tokio::test]
async fn a_change_goes_on_when_its_caller_leaves() {
    let (mut raw, rest) = Rig::of(OWN).raw().await;
    raw.call(1, "node.check").await;
    rest.arrived().await;
    drop(raw);
    rest.fake.gate.add_permits(1);
    rest.fake.passed.acquire().await.unwrap().forget();
    rest.ended().await.unwrap();
}

#[tokio::test]
async fn a_stopping_daemon_ends_streams_and_finishes_calls() {
    let (client, rest) = Rig::of(OWN).client().await;
    let mut stream = client.follow(log::Follow { filter: LogFilter::default(), lines: 0 }).await.unwrap();
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.ask(node::Show { node: "gpu1".into() }).await }
    });
    rest.arrived().await;
    rest.stop.send_replace(true);
    let end = loop {
        match stream.next().await {
            Some(Ok(_)) => {}
            other => break other,
        }
    };
    match end {
        Some(Err(ClientError::Fault(fault))) => assert!(fault.message.contains("stopping"), "{fault}"),
        other => panic!("{other:?}"),
    }
    rest.fake.gate.add_permits(1);
    assert_eq!(call.await.unwrap().unwrap().name, "gpu1");
    rest.ended().await.unwrap();
    assert!(matches!(client.ask(daemon::GetStatus).await, Err(ClientError::Closed(_))));
}

#[tokio::test]
async fn a_panic_costs_one_request_only() {
    let (client, _rest) = Rig::of(OWN).client().await;
    match client.ask(model::Show { model: "m".into() }).await {
        Err(ClientError::Fault(Fault { kind: FaultKind::Internal, .. })) => {}
        other => panic!("{other:?}"),
    }
    client.ask(daemon::GetStatus).await.unwrap();
}

#[tokio::test]
async fn an_answer_beyond_the_cap_is_a_fault() {
    let (client, _rest) = Rig::of(OWN).client().await;
    match client.ask(node::List).await {
        Err(ClientError::Fault(fault)) => assert!(fault.message.contains("does not fit"), "{fault}"),
        other => panic!("{other:?}"),
    }
    client.ask(daemon::GetStatus).await.unwrap();
}

#[tokio::test]
async fn a_request_of_a_later_version_is_answered() {
    let (mut raw, _rest) = Rig::of(OWN).raw().await;
    let call = ClientFrame::Call { id: 9, request: Request::samples().remove(0) };
    let mut bytes = wire::encode(&call, 0, MAX_IN).unwrap().to_vec();
    *bytes.last_mut().unwrap() = 77;
    raw.send_payload(&bytes).await;
    match raw.next().await {
        Some(ServerFrame::Reply { id: 9, result: Err(fault) }) => {
            assert_eq!(fault.kind, FaultKind::Unsupported);
        }
        other => panic!("{other:?}"),
    }
    raw.call(10, "daemon.status").await;
    assert!(matches!(raw.next().await, Some(ServerFrame::Reply { id: 10, result: Ok(_) })));
}

#[tokio::test(start_paused = true)]
async fn a_stranger_gets_the_status_and_nothing_else() {
    let (client, rest) = Rig::of(1000).client().await;
    client.ask(daemon::GetStatus).await.unwrap();
    match client.ask(node::Check { node: "gpu1".into() }).await {
        Err(ClientError::Fault(fault)) => assert_eq!(fault.kind, FaultKind::NotPermitted),
        other => panic!("{other:?}"),
    }
    let mut stream = client.follow(log::Follow { filter: LogFilter::default(), lines: 0 }).await.unwrap();
    match stream.next().await {
        Some(Err(ClientError::Fault(fault))) => assert_eq!(fault.kind, FaultKind::NotPermitted),
        other => panic!("{other:?}"),
    }
    assert_eq!(rest.fake.arrived.available_permits(), 0, "a handler was reached");
}
