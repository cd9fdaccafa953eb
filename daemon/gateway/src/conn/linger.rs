//! What clients still send when they have their answer.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Most that is taken of a client that still sends when it has its answer, and for how long (RFC 9112, 9.6).
const LINGER_BYTES: usize = 8 << 20;
const LINGER: Duration = Duration::from_secs(5);

/// Takes what the client still sends: a connection that is closed with bytes unread is reset, and the reset takes the
/// answer with it.
pub(super) async fn linger(stream: &mut (impl AsyncRead + Unpin)) {
    let discard = async {
        let mut some = vec![0; 16 << 10];
        let mut taken = 0;
        while taken < LINGER_BYTES
            && let Ok(n @ 1..) = stream.read(&mut some).await
        {
            taken += n;
        }
    };
    // Either way it is over.
    let _ = tokio::time::timeout(LINGER, discard).await;
}

/// Most that is taken of a stream whose answer is there: a body up to the largest that is served by default.
const REST_BYTES: u64 = 64 << 20;

/// Takes what the client still sends on a stream that has its answer: the reset that would end it (RFC 9113, 8.1) is
/// taken for the answer by many clients.
pub(crate) fn drop_rest(mut incoming: Incoming) {
    tokio::task::spawn_local(async move {
        let discard = async {
            let mut taken = 0;
            while taken < REST_BYTES
                && let Some(Ok(frame)) = incoming.frame().await
            {
                taken += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
        };
        // Either way it is over.
        let _ = tokio::time::timeout(LINGER, discard).await;
    });
}
