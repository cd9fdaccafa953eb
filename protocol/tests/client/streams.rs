//! Streams of events: their window, their end, and what else goes on meanwhile.

use super::*;
use aivonx_protocol::{daemon, log, node};

#[tokio::test]
async fn a_dropped_call_and_a_dropped_stream_are_cancelled() {
    let (client, mut fake) = pair().await;
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.ask(daemon::GetStatus).await }
    });
    let (id, _) = fake.call().await;
    call.abort();
    assert_eq!(fake.next().await, Some(ClientFrame::Cancel { id }));

    let stream = client.follow(node::Watch).await.unwrap();
    let (id, _) = fake.call().await;
    drop(stream);
    assert_eq!(fake.next().await, Some(ClientFrame::Cancel { id }));

    // What still comes for it disturbs nobody.
    fake.event(id, 1).await;
    fake.send(&ServerFrame::End { id, result: Ok(()) }).await;
    let server = async {
        let (id, _) = fake.call().await;
        fake.send(&ServerFrame::Reply { id, result: Ok(Reply::Done(())) }).await;
    };
    let (done, ()) = tokio::join!(client.ask(node::Remove { node: "a".into(), revision: None }), server);
    done.unwrap();
}

#[tokio::test]
async fn a_slow_reader_of_a_stream_holds_up_nobody_else() {
    let (client, mut fake) = pair().await;
    let mut stream = client.follow(log::Follow { filter: LogFilter::default(), lines: 0 }).await.unwrap();
    let (follow, _) = fake.call().await;
    for n in 0..u64::from(STREAM_WINDOW) {
        fake.event(follow, n).await;
    }
    // The window is used up, and nobody has read: other requests go on.
    let server = async {
        let (id, _) = fake.call().await;
        fake.send(&ServerFrame::Reply { id, result: Ok(Reply::Done(())) }).await;
    };
    let (done, ()) = tokio::join!(client.ask(node::Remove { node: "a".into(), revision: None }), server);
    done.unwrap();
    for n in 0..u64::from(STREAM_WINDOW) {
        assert_eq!(stream.next().await.unwrap().unwrap(), Event::LogMissed(n));
    }
    let half = ClientFrame::Grant { id: follow, events: STREAM_WINDOW / 2 };
    assert_eq!(fake.next().await, Some(half.clone()));
    assert_eq!(fake.next().await, Some(half));
}

#[tokio::test]
async fn a_daemon_that_overruns_the_window_loses_that_stream() {
    let (client, mut fake) = pair().await;
    let mut stream = client.follow(log::Follow { filter: LogFilter::default(), lines: 0 }).await.unwrap();
    let (id, _) = fake.call().await;
    for n in 0..=u64::from(STREAM_WINDOW) {
        fake.event(id, n).await;
    }
    assert_eq!(fake.next().await, Some(ClientFrame::Cancel { id }));
    for _ in 0..STREAM_WINDOW {
        assert!(stream.next().await.unwrap().is_ok());
    }
    assert!(matches!(stream.next().await, Some(Err(ClientError::Protocol(_)))));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_stream_that_is_refused_says_why_even_when_it_is_full() {
    let (client, mut fake) = pair().await;
    let mut stream = client.follow(log::Follow { filter: LogFilter::default(), lines: 0 }).await.unwrap();
    let (id, _) = fake.call().await;
    for n in 0..u64::from(STREAM_WINDOW) {
        fake.event(id, n).await;
    }
    let fault = Fault::new(FaultKind::Unavailable, "shutting down");
    fake.send(&ServerFrame::End { id, result: Err(fault.clone()) }).await;
    drop(fake);
    for _ in 0..STREAM_WINDOW {
        assert!(stream.next().await.unwrap().is_ok());
    }
    match stream.next().await {
        Some(Err(ClientError::Fault(seen))) => assert_eq!(seen, fault),
        other => panic!("{other:?}"),
    }
}
