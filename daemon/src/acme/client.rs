//! The HTTP client with which the authority is asked: few requests, each on a connection of its own.

use std::{
    error::Error as StdError,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aivonx_fleet::{AbortOnDrop, Endpoint, address::NodeUrl, dial::dial};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};

/// Longest time for a connection, and for an answer.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(30);

/// Longest time that is stayed away for, seconds.
const LONGEST: u64 = 7 * 24 * 3600;

/// Largest answer, bytes: a chain of certificates is a few KiB.
const LARGEST: usize = 1 << 20;

/// Asks over HTTPS alone.
#[derive(Debug, Clone)]
pub(super) struct Client {
    /// Who signs the certificate of the directory, in PEM; None: whom the system trusts.
    root: Option<Arc<str>>,
    /// For how many seconds the last answer that refused something asked to be left alone.
    leave_alone: Arc<AtomicU64>,
}

type Failure = Box<dyn StdError + Send + Sync>;

impl Client {
    pub(super) fn new(root: Option<String>) -> Self {
        Self { root: root.map(Into::into), leave_alone: Arc::default() }
    }

    /// What `Retry-After` of the last refusal said, once.
    pub(super) fn leave_alone(&self) -> Duration {
        Duration::from_secs(self.leave_alone.swap(0, Ordering::Relaxed))
    }

    async fn ask(self, request: Request<BodyWrapper<Bytes>>) -> Result<Response<Full<Bytes>>, Failure> {
        let (mut head, body) = request.into_parts();
        let authority = head.uri.authority().ok_or("the authority names a URL without a host")?.clone();
        if head.uri.scheme_str() != Some("https") {
            return Err(format!("the authority names {}, which is not https", head.uri).into());
        }
        let url = NodeUrl::parse(&format!("https://{authority}"))?;
        let endpoint = Endpoint::trusting(&url, self.root.as_deref())?;
        head.headers.insert(header::HOST, endpoint.authority.clone());
        head.uri = head.uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
        let stream = dial(&endpoint, CONNECT).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // An error of the connection reaches the answer.
        let _driver = AbortOnDrop(tokio::spawn(async move { drop(connection.await) }));
        let answer = async {
            let (head, body) = sender.send_request(Request::from_parts(head, body)).await?.into_parts();
            let body = Limited::new(body, LARGEST).collect().await?.to_bytes();
            Ok::<_, Failure>(Response::from_parts(head, Full::new(body)))
        };
        let answer = tokio::time::timeout(ANSWER, answer).await.map_err(|_| "no answer came in time")??;
        if !answer.status().is_success() {
            let after = answer.headers().get(header::RETRY_AFTER).and_then(|after| after.to_str().ok());
            let seconds = after.and_then(|after| after.trim().parse().ok()).unwrap_or(0_u64);
            self.leave_alone.store(seconds.min(LONGEST), Ordering::Relaxed);
        }
        Ok(answer)
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let (client, host) = (self.clone(), request.uri().authority().map(ToString::to_string));
        Box::pin(async move {
            let answer = client.ask(request).await.map_err(|error| {
                let host = host.unwrap_or_default();
                Error::Other(format!("{host} could not be asked: {error}").into())
            });
            answer.map(BytesResponse::from)
        })
    }
}
