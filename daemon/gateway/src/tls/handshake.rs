//! The beginning of a TLS connection.

use rustls::server::Acceptor;
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use super::{Tls, acme, clients};
use crate::{conn::HttpVersion, headers::ForBrowsers, transport::ClientSocket};

/// What a handshake begins with (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;

/// Most plain text that waits to be encrypted: what is in here nobody knows to be unread.
const BUFFER: usize = 16 << 10;

/// What is answered to a client that took the port for one without TLS.
const PLAIN: &str = "This port speaks HTTPS: write https:// in the URL.\n";

/// What a handshake came to.
pub(crate) struct Agreed {
    pub(crate) stream: TlsStream<ClientSocket>,
    pub(crate) version: HttpVersion,
    /// Names of the client's certificate.
    pub(crate) names: Box<[String]>,
}

/// Agrees with the client on keys and on the HTTP version. None if nothing came of it. The deadline is the ticker's.
pub(crate) async fn handshake(tls: &Tls, mut socket: ClientSocket, browsers: &ForBrowsers) -> Option<Agreed> {
    let first = socket.peek().await?;
    if first != HANDSHAKE {
        if first.is_ascii_uppercase() {
            // Best effort.
            let _ = socket.write_all(&browsers.answer(false, "400 Bad Request", PLAIN)).await;
            let _ = socket.shutdown().await;
        }
        return None;
    }
    let accepted = async {
        let begun = LazyConfigAcceptor::new(Acceptor::default(), socket).await?;
        let config = tls.config(&begun.client_hello());
        begun.into_stream(config).await
    };
    let failed = |error: &std::io::Error| tracing::debug!(%error, "a TLS handshake failed");
    let mut stream = accepted.await.inspect_err(failed).ok()?;
    let (_, session) = stream.get_mut();
    session.set_buffer_limit(Some(BUFFER));
    let version = match session.alpn_protocol() {
        Some(b"h2") => HttpVersion::Two,
        // It has seen the certificate, and that is all it wants.
        Some(acme::PROTOCOL) => {
            let _ = stream.shutdown().await;
            return None;
        }
        _ => HttpVersion::One,
    };
    let shown = session.peer_certificates().and_then(|chain| chain.first());
    let names = shown.map(clients::names).unwrap_or_default();
    Some(Agreed { stream, version, names })
}
