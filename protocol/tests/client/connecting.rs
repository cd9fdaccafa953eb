//! Connections that do not come about, and why.

use super::*;

/// What the client makes of a daemon that answers the handshake with `payload`.
async fn greeted_with(payload: Vec<u8>) -> ClientError {
    let (ours, theirs) = duplex(64 << 10);
    let (r, w) = split(ours);
    let (_keep, mut w2) = split(theirs);
    frame::write(&mut w2, &frame::seal_bytes(&payload).unwrap()).await.unwrap();
    Client::over(r, w, "aivonx 0.1.0").await.unwrap_err()
}

#[tokio::test]
async fn another_version_is_named_on_both_sides() {
    let mut later = MAGIC.to_vec();
    later.extend_from_slice(&[9, 0, 13]);
    later.extend_from_slice(b"aivonxd 3.0.0");
    later.extend_from_slice(b"whatever comes in version 9");
    let error = greeted_with(later).await;
    assert!(matches!(error, ClientError::Version(_)));
    let text = error.to_string();
    assert!(text.contains("aivonxd 3.0.0 speaks version 9"), "{text}");
    assert!(text.contains("aivonx 0.1.0 speaks version 1"), "{text}");

    let mut hello = MAGIC.to_vec();
    hello.extend_from_slice(&[9, 0, 12]);
    hello.extend_from_slice(b"aivonx 3.0.0");
    let framed = frame::seal_bytes(&hello).unwrap();
    let mut reader = FrameReader::new(&framed[..], MAX_HANDSHAKE, None);
    let error = handshake::receive(&mut reader, DAEMON).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("aivonx 3.0.0 speaks version 9"), "{text}");
    assert!(text.contains("aivonxd 0.1.0 speaks version 1"), "{text}");
    assert!(matches!(handshake::refusal_for(&error), Some(handshake::Answer::Refused(_))));
}

#[tokio::test]
async fn a_stranger_is_not_taken_for_the_daemon() {
    let error = greeted_with(b"HTTP/1.1 400 Bad Request\r\n".to_vec()).await;
    assert!(matches!(error, ClientError::Version(_)));
    assert!(error.to_string().contains("is not aivonxd"), "{error}");
}

#[tokio::test]
async fn a_refused_connection_says_why() {
    let refused =
        handshake::Answer::Refused(Fault::new(FaultKind::Unavailable, "64 connections are open already"));
    let error = greeted_with(handshake::answer_bytes(DAEMON, &refused).unwrap()).await;
    assert!(matches!(error, ClientError::Fault(Fault { kind: FaultKind::Unavailable, .. })), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_keeps_silent_is_unreachable() {
    let (ours, _theirs) = duplex(1 << 10);
    let (r, w) = split(ours);
    assert!(matches!(Client::over(r, w, "t").await, Err(ClientError::Unreachable(_))));
}

#[tokio::test]
async fn connecting_tells_the_reasons_apart() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = Client::connect(&dir.path().join("none.sock"), "t").await.unwrap_err();
    assert!(matches!(nowhere, ClientError::Unreachable(_)));
    assert!(nowhere.to_string().contains("--socket"), "{nowhere}");

    let stale = dir.path().join("stale.sock");
    drop(tokio::net::UnixListener::bind(&stale).unwrap());
    let stale = Client::connect(&stale, "t").await.unwrap_err();
    assert!(stale.to_string().contains("not running"), "{stale}");

    let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let denied = ClientError::connecting(Path::new("/run/a\u{1b}.sock"), &denied);
    assert!(matches!(denied, ClientError::Denied(_)));
    assert!(denied.to_string().contains("/run/a\\u{1b}.sock"), "{denied}");
}
