//! `aivonx connect`: a forwarder on loopback that adds a key to every request.
//!
//! Every process that can reach the listener can use the key. So it binds loopback only, and refuses requests that a
//! web page could have made.

mod answer;
mod exchange;
mod guard;
mod upstream;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Mutex};

pub use self::upstream::{Upstream, UpstreamError};
use self::{exchange::Exchange, upstream::Line};

/// How long a client may take for a request's head.
const HEAD: Duration = Duration::from_secs(30);

/// Serves `listener` until the task is dropped. `key` becomes `Authorization: Bearer KEY`.
pub async fn serve(listener: TcpListener, upstream: Arc<Upstream>, key: http::HeaderValue) {
    let exchange = Arc::new(Exchange { upstream, key });
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Out of files, mostly: those in use are given back in time.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Tokens are small and must not wait for each other.
        let _ = stream.set_nodelay(true);
        let exchange = exchange.clone();
        tokio::spawn(async move {
            // Requests of one connection come one after another: each connection has a line of its own.
            let line = Arc::new(Mutex::new(Line::default()));
            let service = service_fn(move |request| {
                let (exchange, line) = (exchange.clone(), line.clone());
                async move { Ok::<_, Infallible>(exchange.run(request, &mut *line.lock().await).await) }
            });
            // A client that breaks off or sends garbage ends its own connection; there is nobody to report the error
            // to.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Binds `address`, which must be loopback.
///
/// # Errors
/// As of bind, and [`std::io::ErrorKind::InvalidInput`] for another address.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    if !address.ip().is_loopback() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    TcpListener::bind(address).await
}
