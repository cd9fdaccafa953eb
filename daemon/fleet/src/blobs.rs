//! Blobs: the files that a model is made of, which are brought to a node before it is made.

use std::{
    fmt, io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use aivonx_protocol::audit::HexBytes;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    AbortOnDrop, Fleet,
    client::{CallError, Session, collect, head},
    contact::Contact,
    dial::dial,
    error::FleetError,
    node_scope::NodeScope,
    pull::refusal,
    sanitize::shown,
};

/// How long a node may take to look for a blob.
const LOOK: Duration = Duration::from_secs(10);

/// Largest answer to an upload.
const ANSWER: usize = 64 << 10;

/// The SHA-256 of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(HexBytes<32>);

impl Digest {
    /// Reads `sha256:` or `sha256-` and 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256").and_then(|rest| rest.strip_prefix([':', '-']))?;
        hex.parse().ok().map(Self)
    }

    fn is_of(&self, hash: Sha256) -> bool {
        self.0 == HexBytes(hash.finalize().into())
    }

    fn path(&self) -> String {
        format!("/api/blobs/{self}")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

/// What a file is by its first bytes, as far as models are made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gguf,
    Safetensors,
    Other,
}

impl Kind {
    /// Bytes that say it.
    const FIRST: usize = 9;

    fn of_bytes(first: &[u8]) -> Self {
        match first {
            [b'G', b'G', b'U', b'F', ..] => Self::Gguf,
            // The length of a head in JSON, which no model needs more than 256 MiB for, and its beginning.
            [_, _, _, 0..=15, 0, 0, 0, 0, b'{', ..] => Self::Safetensors,
            _ => Self::Other,
        }
    }

    /// The kind that a file of this name says it is, if it is another one.
    pub(super) fn contradicts(self, name: &str) -> Option<&'static str> {
        let (_, end) = name.rsplit_once('.')?;
        let (kind, called) = match &*end.to_ascii_lowercase() {
            "gguf" => (Self::Gguf, "GGUF"),
            "safetensors" => (Self::Safetensors, "safetensors"),
            _ => return None,
        };
        (kind != self).then_some(called)
    }
}

/// What came of an upload.
#[derive(Debug)]
pub enum Uploaded {
    /// The node has it, and answered so.
    Kept {
        /// The node's name.
        node: String,
        /// 201, or 200 if it had it before.
        status: StatusCode,
    },
    /// What was sent has another digest, and no node was given the end of it.
    Differs,
    /// The node refused it, or the connection broke.
    Failed {
        /// The node's name.
        node: String,
        /// Why. Untrusted text.
        why: String,
    },
}

impl Fleet {
    /// Whether a node of the caller's own has the blob; the request came with the values `before` of `Via`.
    ///
    /// # Errors
    /// There is no node that could have it.
    pub async fn has_blob(
        &self,
        before: Vec<HeaderValue>,
        realm: impl Into<NodeScope>,
        digest: &Digest,
    ) -> Result<bool, FleetError> {
        let targets = self.jobs().targets(&realm.into(), &[])?;
        Ok(!self.having_blob(&before, targets, digest).await.is_empty())
    }

    /// Those of `nodes` that have the blob.
    pub(super) async fn having_blob(
        &self,
        before: &[HeaderValue],
        nodes: Vec<Contact>,
        digest: &Digest,
    ) -> Vec<Contact> {
        let mut all = JoinSet::new();
        for node in nodes {
            let (connect, before, path) = (self.checker.connect, before.to_vec(), digest.path());
            all.spawn(async move {
                let mut session = Session::new(&node.at.endpoint, connect).after(&before);
                let sent = session.whole(Method::HEAD, &path, None);
                let answer = tokio::time::timeout(LOOK, sent).await;
                drop(session);
                matches!(answer, Ok(Ok((StatusCode::OK, ..)))).then_some(node)
            });
        }
        let mut having: Vec<Contact> = all.join_all().await.into_iter().flatten().collect();
        having.sort_by(|a, b| a.name.cmp(&b.name));
        having
    }

    /// Whether the caller's organization uploaded the blob, or else the fleet, since the daemon began.
    pub fn has_uploaded(&self, realm: impl Into<NodeScope>, digest: &Digest) -> bool {
        self.jobs().kind_of(&realm.into(), digest).is_some()
    }

    /// Passes a blob on to a node of the caller's own, piece by piece: `None` is its end. A sender that is dropped
    /// before the end breaks the upload off.
    ///
    /// # Errors
    /// There is no node for it.
    pub async fn upload_blob(
        &self,
        before: Vec<HeaderValue>,
        realm: impl Into<NodeScope>,
        digest: Digest,
        length: Option<u64>,
        pieces: mpsc::Receiver<Option<Bytes>>,
    ) -> Result<Uploaded, FleetError> {
        let realm = realm.into();
        let node = self.jobs().upload_to(&realm)?;
        // It would answer without reading it, and only who sends all of it shows to have it.
        let has = !self.having_blob(&before, vec![node.clone()], &digest).await.is_empty();
        let differs = Arc::new(AtomicBool::new(false));
        let path = digest.path();
        let kind = Arc::<OnceLock<Kind>>::default();
        let upload = Upload {
            first: Vec::new(),
            kind: kind.clone(),
            pieces,
            hash: Sha256::new(),
            held: None,
            digest,
            length,
            differs: differs.clone(),
            over: false,
        };
        let sent = match &node.at.unusable {
            Some(why) => Err(why.clone()),
            None if has => {
                let read = upload.collect().await.map_err(|error| error.to_string());
                read.map(|_| (StatusCode::OK, Bytes::new()))
            }
            None => {
                send(&node, self.checker.connect, &path, &before, upload).await.map_err(|e| e.to_string())
            }
        };
        let failed = |why: String| Uploaded::Failed { node: node.name.clone(), why: shown(why) };
        Ok(match sent {
            _ if differs.load(Ordering::Acquire) => Uploaded::Differs,
            Ok((status @ (StatusCode::OK | StatusCode::CREATED), _)) => {
                if let Some(kind) = kind.get() {
                    self.jobs().is_of_kind(&realm, digest, *kind);
                }
                Uploaded::Kept { node: node.name.clone(), status }
            }
            Ok((status, body)) => failed(refusal(status, &body)),
            Err(why) => failed(why),
        })
    }
}

async fn send(
    node: &Contact,
    connect: Duration,
    path: &str,
    before: &[HeaderValue],
    upload: Upload,
) -> Result<(StatusCode, Bytes), CallError> {
    let stream = dial(&node.at.endpoint, connect).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the request, whose error says what became of it.
    let _driver = AbortOnDrop(tokio::spawn(async move { drop(connection.await) }));
    let mut request = head(&node.at.endpoint, Method::POST, path, None).map(|_| upload);
    super::client::stamp(&mut request, before);
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    Ok((status, collect(answer.into_body(), ANSWER).await?))
}

/// A blob on its way. Its last piece is held back until the digest is known to be right, so that a node never takes
/// another one for whole.
struct Upload {
    pieces: mpsc::Receiver<Option<Bytes>>,
    hash: Sha256,
    held: Option<Bytes>,
    digest: Digest,
    length: Option<u64>,
    differs: Arc<AtomicBool>,
    /// Its first bytes, and what they say.
    first: Vec<u8>,
    kind: Arc<OnceLock<Kind>>,
    over: bool,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        loop {
            if this.over {
                return Poll::Ready(None);
            }
            match ready!(this.pieces.poll_recv(cx)) {
                Some(Some(piece)) => {
                    this.hash.update(&piece);
                    let more = Kind::FIRST.saturating_sub(this.first.len()).min(piece.len());
                    this.first.extend_from_slice(&piece[..more]);
                    if let Some(before) = this.held.replace(piece) {
                        return Poll::Ready(Some(Ok(Frame::data(before))));
                    }
                }
                Some(None) => {
                    if !this.digest.is_of(std::mem::take(&mut this.hash)) {
                        this.differs.store(true, Ordering::Release);
                        return Poll::Ready(Some(Err(io::ErrorKind::InvalidData.into())));
                    }
                    this.over = true;
                    let _ = this.kind.set(Kind::of_bytes(&this.first));
                    return Poll::Ready(this.held.take().map(|last| Ok(Frame::data(last))));
                }
                // The client has left.
                None => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn files_are_what_their_first_bytes_say() {
        for (first, kind) in [
            (&b"GGUF\x03\0\0\0\0"[..], Kind::Gguf),
            (b"\x10\x27\0\0\0\0\0\0{", Kind::Safetensors),
            (b"\x89PNG\r\n\x1a\n\0", Kind::Other),
            (b"{}", Kind::Other),
        ] {
            assert_eq!(Kind::of_bytes(first), kind);
        }
        assert_eq!(Kind::Other.contradicts("a.GGUF"), Some("GGUF"));
        assert_eq!(Kind::Gguf.contradicts("model.safetensors"), Some("safetensors"));
        assert!(
            Kind::Gguf.contradicts("a.gguf").is_none() && Kind::Other.contradicts("config.json").is_none()
        );
    }

    #[test]
    fn digests_are_written_in_one_way() {
        for text in [format!("sha256:{EMPTY}"), format!("sha256-{}", EMPTY.to_uppercase())] {
            let digest = Digest::parse(&text).unwrap();
            assert_eq!(digest.to_string(), format!("sha256:{EMPTY}"));
            assert!(digest.is_of(Sha256::new()) && !digest.is_of(Sha256::new().chain_update("x")));
        }
        for text in
            ["", "sha256:", "sha256:00", "md5:x", &format!("sha256/{EMPTY}"), &format!("sha256:{EMPTY}0")]
        {
            assert!(Digest::parse(text).is_none(), "{text}");
        }
    }
}
