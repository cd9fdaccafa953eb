//! What a peer cannot do: take memory, places or time that are not its own.

use std::{path::Path, time::Duration};

use aivonx_config::Control;
use aivonx_identity::RequiredActions;
use aivonx_protocol::{
    Client, ClientError, ClientFrame, FaultKind, ServerFrame, daemon,
    frame::{self, FrameError, FrameReader, MAX_IN, MAX_OUT},
    handshake::{self, HandshakeError, MAGIC},
    request::MAX_IN_FLIGHT,
    user::Role,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::Notify,
    time::Instant,
};

use super::{
    super::{NotYet, accept, places::Room, session, session::SessionError, socket::Bound},
    AccessRule, Arc, Common, Fake, Mode, OWN, Rig, Standing,
    logins::user,
    watch,
};

#[tokio::test]
async fn an_oversized_frame_ends_the_session() {
    let (mut raw, rest) = Rig::of(OWN).raw().await;
    let len = u32::try_from(MAX_IN + 1).unwrap();
    raw.writer.write_all(&len.to_le_bytes()).await.unwrap();
    // Refused by its length alone: not a byte of it was sent.
    match rest.ended().await {
        Err(SessionError::Frame(FrameError::TooLarge { cap: MAX_IN, .. })) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(raw.next().await, None);
}

#[tokio::test]
async fn garbage_is_no_handshake() {
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[8, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8], &[0, 0, 0, 0]] {
        let mut rig = Rig::of(OWN);
        rig.stream.write_all(garbage).await.unwrap();
        let ended = rig.session.await.unwrap();
        assert!(matches!(ended, Err(SessionError::Handshake(_))), "{ended:?}");
        let mut rest = Vec::new();
        // Closed with our bytes unread, which may show as a reset.
        let _ = rig.stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "something that is no client was answered");
    }
}

#[tokio::test]
async fn another_version_is_told_both() {
    let mut rig = Rig::of(OWN);
    let mut hello = MAGIC.to_vec();
    hello.extend_from_slice(&[2, 0, 12]);
    hello.extend_from_slice(b"aivonx 9.0.0");
    hello.extend_from_slice(b"what version 2 adds");
    rig.stream.write_all(&frame::seal_bytes(&hello).unwrap()).await.unwrap();
    let text = rig.session.await.unwrap().unwrap_err().to_string();
    assert!(text.contains("aivonx 9.0.0 speaks version 2"), "{text}");
    assert!(text.contains("speaks version 1"), "{text}");
    let mut reader = FrameReader::new(rig.stream, MAX_OUT, None);
    let answer = reader.next().await.unwrap().unwrap();
    match handshake::read_answer(&answer, "aivonx 9.0.0") {
        Err(HandshakeError::Refused(fault)) => {
            assert_eq!(fault.kind, FaultKind::Unsupported);
            assert!(fault.message.contains("version 2") && fault.message.contains("version 1"), "{fault}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_shake_hands_is_dropped() {
    let rig = Rig::of(OWN);
    assert!(matches!(rig.session.await.unwrap(), Err(SessionError::HandshakeLate)));
    drop(rig.stream);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_stalls_is_dropped_and_an_idle_peer_is_not() {
    let (mut raw, rest) = Rig::of(OWN).raw().await;
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    raw.call(1, "daemon.status").await;
    assert!(matches!(raw.next().await, Some(ServerFrame::Reply { id: 1, result: Ok(_) })));
    raw.writer.write_all(&[9, 0]).await.unwrap();
    let began = Instant::now();
    assert!(matches!(rest.ended().await, Err(SessionError::Frame(FrameError::Stalled(_)))));
    assert!(began.elapsed() <= session::FRAME + Duration::from_secs(1));
    drop(raw);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_dropped() {
    let (mut raw, rest) = Rig::of(OWN).raw().await;
    let mut id = 0;
    // Answers fill the socket, then the outbox; then nothing is read any more either, long before this ends.
    while id < 1_000_000 {
        id += 1;
        let call = ClientFrame::Call { id, request: aivonx_protocol::Request::samples().remove(0) };
        let frame = frame::seal(&call, MAX_IN).unwrap();
        if raw.writer.write_all(&frame).await.is_err() {
            break;
        }
    }
    assert!(matches!(rest.ended().await, Err(SessionError::NotReading)));
}

#[tokio::test]
async fn too_many_requests_in_flight_are_refused() {
    let (mut raw, rest) = Rig::of(OWN).raw().await;
    let most = u64::try_from(MAX_IN_FLIGHT).unwrap();
    for id in 0..most {
        raw.call(id, "node.show").await;
    }
    raw.call(most, "daemon.status").await;
    match raw.next().await {
        Some(ServerFrame::Reply { id, result: Err(fault) }) => {
            assert_eq!((id, fault.kind), (most, FaultKind::Unavailable));
        }
        other => panic!("{other:?}"),
    }
    rest.fake.gate.add_permits(1);
    assert!(matches!(raw.next().await, Some(ServerFrame::Reply { result: Ok(_), .. })));
    raw.call(most + 1, "daemon.status").await;
    assert!(matches!(raw.next().await, Some(ServerFrame::Reply { result: Ok(_), .. })));
}

#[tokio::test]
async fn one_login_at_a_time() {
    let rig = Rig::of(1000);
    rig.fake.standing.send_replace(Some(Standing::Stranger));
    let (mut raw, rest) = rig.raw().await;
    raw.call(1, "account.redeem").await;
    rest.arrived().await;
    raw.call(2, "account.login").await;
    match raw.next().await {
        Some(ServerFrame::Reply { id: 2, result: Err(fault) }) => {
            assert_eq!(fault.kind, FaultKind::Unavailable);
        }
        other => panic!("{other:?}"),
    }
    rest.fake.gate.add_permits(1);
    assert!(matches!(raw.next().await, Some(ServerFrame::Reply { id: 1, .. })));
    raw.call(3, "account.login").await;
    assert!(matches!(raw.next().await, Some(ServerFrame::Reply { id: 3, result: Ok(_) })));
}

#[tokio::test]
async fn an_id_in_use_ends_the_session() {
    let (mut raw, rest) = Rig::of(OWN).raw().await;
    raw.call(1, "node.show").await;
    raw.call(1, "daemon.status").await;
    assert!(matches!(rest.ended().await, Err(SessionError::IdInUse(1))));
}

#[tokio::test]
async fn unreadable_cancels_end_the_session() {
    let (mut raw, rest) = Rig::of(OWN).raw().await;
    raw.send_payload(&[1, 5, 0]).await;
    assert!(matches!(rest.ended().await, Err(SessionError::Unreadable(_))));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_log_in_has_a_minute() {
    for session in [None, Some("over"), Some("good")] {
        let rig = Rig::of(1000);
        rig.fake.standing.send_replace(user(Role::Member, RequiredActions::default()));
        let (mut raw, rest) = rig.raw().await;
        if session.is_some() {
            raw.call(1, "account.login").await;
            raw.next().await.unwrap();
        }
        if session == Some("over") {
            rest.fake.standing.send_replace(Some(Standing::Ended("it has expired")));
        }
        // Changes of all sorts are no sign of life.
        for _ in 0..5 {
            tokio::time::sleep(session::STRANGER / 4).await;
            rest.fake.changes.send_modify(|n| *n += 1);
        }
        if session == Some("good") {
            raw.call(2, "daemon.status").await;
            assert!(matches!(raw.next().await, Some(ServerFrame::Reply { id: 2, result: Ok(_) })));
            continue;
        }
        assert_eq!(raw.next().await, None, "{session:?}");
        assert!(matches!(rest.ended().await, Err(SessionError::Stranger)));
    }
}

/// A whole daemon's end at `path`, as far as the socket goes.
fn listen(
    path: &Path,
    standing: Option<Standing>,
) -> (tokio::task::JoinHandle<std::io::Result<()>>, watch::Sender<bool>) {
    let bound = Bound::bind(&Control { socket: path.to_owned(), group: String::new(), ..Control::default() })
        .unwrap();
    let (stop, stopped) = watch::channel(false);
    let fake = Fake::default();
    fake.standing.send_replace(standing);
    let common = Common {
        serve: Arc::new(fake),
        rule: AccessRule {
            mode: Mode::Dev,
            daemon_uid: rustix::process::getuid().as_raw(),
            login_required: true,
        },
        daemon_id: "0190-daemon".into(),
        stop: stopped,
        throttle: Arc::default(),
    };
    (tokio::spawn(async move { accept(bound, common, &Notify::new()).await }), stop)
}

#[tokio::test]
async fn a_daemon_that_has_not_started_yet_says_why() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("control.sock");
    let control = Control { socket: path.clone(), group: String::new(), ..Control::default() };
    let not_yet = NotYet::tell(&control, "it waits for room".into()).unwrap();
    for _ in 0..2 {
        match Client::connect(&path, "test 1").await {
            Err(ClientError::Fault(fault)) => assert_eq!(fault.message, "it waits for room"),
            other => panic!("{other:?}"),
        }
    }
    not_yet.end().await;
    assert!(!path.exists());
    Bound::bind(&control).unwrap();
}

#[tokio::test]
async fn connections_beyond_the_bound_are_told_so() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("control.sock");
    let (accepting, stop) = listen(&path, None);
    let mut clients = Vec::new();
    for _ in 0..Room::Trusted.places() {
        clients.push(Client::connect(&path, "test 1").await.unwrap());
    }
    assert_eq!(clients[0].daemon().id, "0190-daemon");
    match Client::connect(&path, "test 1").await {
        Err(ClientError::Fault(fault)) => assert_eq!(fault.kind, FaultKind::Unavailable),
        other => panic!("{other:?}"),
    }
    // One leaves: there is room as soon as the daemon has seen it.
    clients.pop();
    loop {
        match Client::connect(&path, "test 1").await {
            Ok(client) => break clients.push(client),
            Err(ClientError::Fault(_)) => tokio::task::yield_now().await,
            Err(other) => panic!("{other:?}"),
        }
    }
    stop.send_replace(true);
    accepting.await.unwrap().unwrap();
    assert!(!path.exists(), "the socket is removed");
    assert!(matches!(clients[0].ask(daemon::GetStatus).await, Err(ClientError::Closed(_))));
}

#[tokio::test]
async fn who_does_not_log_in_gives_way_to_the_next() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("control.sock");
    let (accepting, stop) = listen(&path, Some(Standing::Stranger));
    // One that is still shaking hands, then many that have done so.
    let mut silent = tokio::net::UnixStream::connect(&path).await.unwrap();
    let mut strangers = Vec::new();
    for _ in 0..Room::Trusted.places() * 3 {
        strangers.push(Client::connect(&path, "test 1").await.unwrap());
    }
    assert!(matches!(silent.read(&mut [0]).await, Ok(0) | Err(_)), "closed");
    assert!(matches!(strangers[0].ask(daemon::GetStatus).await, Err(ClientError::Closed(_))));
    strangers.last().unwrap().ask(daemon::GetStatus).await.unwrap();
    stop.send_replace(true);
    accepting.await.unwrap().unwrap();
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Random frames after the handshake end the session in order or by a named error: the join would show a panic.
    #[test]
    fn arbitrary_frames_end_a_session_at_worst(
        payloads in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..40), 0..20),
    ) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let (mut raw, rest) = Rig::of(1000).raw().await;
            for payload in payloads {
                if frame::write(&mut raw.writer, &frame::seal_bytes(&payload).unwrap()).await.is_err() {
                    break;
                }
            }
            drop(raw);
            let _ = rest.ended().await;
        });
    }
}
