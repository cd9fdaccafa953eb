//! A directory of certificates that speaks ACME (RFC 8555, 9773), as pebble does: it is strict, and it can be told to
//! go wrong.

mod jws;
mod look;

use std::{
    collections::HashSet,
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, IsCa, KeyPair,
};
use rustls::{ServerConfig, crypto::ring};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};
use tokio_rustls::TlsAcceptor;

use self::jws::Jwk;
use crate::within;

/// Where nobody listens.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// What the directory does at its next requests.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// So many nonces are refused.
    pub bad_nonces: u32,
    /// So many orders are refused, and how long to stay away.
    pub rate_limited: u32,
    /// Seconds in the `Retry-After` of those.
    pub retry_after: u64,
    /// For how long a certificate is good.
    pub lifetime: Duration,
    /// The window in which to renew, as parts of the lifetime; None: it has no renewal information.
    pub window: Option<(f64, f64)>,
    /// For it no name leads anywhere.
    pub leads_nowhere: bool,
    /// It has forgotten all accounts.
    pub forgets_accounts: bool,
}

struct Order {
    names: Vec<String>,
    proved: HashSet<String>,
    failed: Option<String>,
    replaces: Option<String>,
    chain: Option<String>,
}

#[derive(Default)]
struct State {
    plan: Plan,
    nonces: HashSet<String>,
    accounts: Vec<Jwk>,
    orders: Vec<Order>,
    issued: Vec<(SystemTime, Duration)>,
    asked: Vec<String>,
}

/// A running directory. It ends with the runtime.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    address: SocketAddr,
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// Where every name leads, over HTTPS and plain.
    leads: watch::Sender<Option<(SocketAddr, SocketAddr)>>,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

/// A refusal: status, type, detail, seconds of `Retry-After`.
struct Problem(u16, &'static str, String, Option<u64>);

type Answer = Result<(u16, Option<String>, Value), Problem>;

impl Directory {
    /// Starts one whose certificates last for so long.
    pub async fn start(plan: Plan) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a root");
        let key = KeyPair::generate().expect("a key");
        let own = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let own = own.signed_by(&key, &issuer).expect("a certificate");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_no_client_auth()
            .with_single_cert(vec![own.der().clone()], key.into())
            .expect("they belong together");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (changed, _) = watch::channel(());
        let state = Mutex::new(State { plan, ..State::default() });
        let (leads, _) = watch::channel(None);
        let directory = Self(Arc::new(Inner { address, issuer, leads, state, changed }));
        let (acceptor, served) = (TlsAcceptor::from(Arc::new(config)), directory.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, directory) = (acceptor.clone(), served.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(|request| {
                        let directory = directory.clone();
                        async move { Ok::<_, hyper::Error>(directory.serve(request).await) }
                    });
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
                });
            }
        });
        directory
    }

    /// The configuration that uses it.
    #[must_use]
    pub fn config(&self, root: &Path) -> String {
        std::fs::write(root, self.root()).expect("a directory of our own");
        format!(
            "[acme]\ndirectory = \"{}\"\nroot = {root:?}\naccept_terms = true\ncontact = [\"a@example.org\"]\n",
            self.url("directory")
        )
    }

    /// The certificate that signs all, in PEM.
    #[must_use]
    pub fn root(&self) -> String {
        self.0.issuer.pem()
    }

    /// Has every name lead to these listeners. Until that is known nothing is looked for.
    pub fn leads_to(&self, https: SocketAddr, plain: SocketAddr) {
        self.0.leads.send_replace(Some((https, plain)));
    }

    /// Changes what it does.
    pub fn plan(&self, change: impl FnOnce(&mut Plan)) {
        change(&mut self.state().plan);
    }

    /// How many certificates were issued.
    #[must_use]
    pub fn issued(&self) -> usize {
        self.state().issued.len()
    }

    /// The paths that were asked for.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    /// How many accounts were made.
    #[must_use]
    pub fn accounts(&self) -> usize {
        self.state().accounts.len()
    }

    /// What the orders said to replace.
    #[must_use]
    pub fn replaced(&self) -> Vec<String> {
        self.state().orders.iter().filter_map(|order| order.replaces.clone()).collect()
    }

    /// Waits until `condition` holds of it.
    pub async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let mut changed = self.0.changed.subscribe();
        within(what, async {
            while !condition(self) {
                changed.changed().await.expect("it is kept");
            }
        })
        .await;
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}/{path}", self.0.address.port())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nonce(&self) -> String {
        let nonce = format!("{:032x}", rand::random::<u128>());
        self.state().nonces.insert(nonce.clone());
        nonce
    }

    async fn serve(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (method, path) =
            (request.method().clone(), request.uri().path().trim_start_matches('/').to_owned());
        self.state().asked.push(path.clone());
        let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let answer = match (&method, path.split('/').next().unwrap_or_default()) {
            (&Method::GET, "directory") => Ok((200, None, self.directory())),
            (&Method::HEAD | &Method::GET, "nonce") => Ok((200, None, Value::Null)),
            (&Method::GET, "ari") => self.renewal_info(),
            (&Method::POST, _) => self.post(&path, &body).await,
            _ => Err(Problem(404, "malformed", "there is nothing here".into(), None)),
        };
        let mut response = Response::builder().header("Replay-Nonce", self.nonce());
        let (status, kind, body) = match answer {
            Ok((status, location, Value::String(pem))) => {
                assert!(location.is_none());
                (status, "application/pem-certificate-chain", pem)
            }
            Ok((status, location, body)) => {
                if let Some(location) = location {
                    response = response.header("Location", location);
                }
                (status, "application/json", body.to_string())
            }
            Err(Problem(status, kind, detail, after)) => {
                if let Some(after) = after {
                    response = response.header("Retry-After", after);
                }
                let kind = format!("urn:ietf:params:acme:error:{kind}");
                (
                    status,
                    "application/problem+json",
                    json!({"type": kind, "detail": detail, "status": status}).to_string(),
                )
            }
        };
        if path.starts_with("ari") {
            response = response.header("Retry-After", 1);
        }
        self.0.changed.send_replace(());
        response
            .status(status)
            .header("Content-Type", kind)
            .body(Full::from(body))
            .expect("it is well formed")
    }

    fn directory(&self) -> Value {
        let mut all = json!({
            "newNonce": self.url("nonce"), "newAccount": self.url("account"), "newOrder": self.url("order"),
            "revokeCert": self.url("revoke"), "keyChange": self.url("rollover"), "meta": {"termsOfService": "data:,be kind"}
        });
        if self.state().plan.window.is_some() {
            all["renewalInfo"] = self.url("ari").into();
        }
        all
    }

    fn renewal_info(&self) -> Answer {
        let state = self.state();
        let (Some((start, end)), Some((from, lifetime))) = (state.plan.window, state.issued.last()) else {
            return Err(Problem(404, "malformed", "there is no such certificate".into(), None));
        };
        let at = |part: f64| jws::rfc3339(*from + lifetime.mul_f64(part));
        Ok((200, None, json!({"suggestedWindow": {"start": at(start), "end": at(end)}})))
    }

    async fn post(&self, path: &str, body: &[u8]) -> Answer {
        let signed = jws::open(body, &self.url(path))?;
        {
            let mut state = self.state();
            let known = state.nonces.remove(&signed.nonce);
            if state.plan.bad_nonces > 0 || !known {
                state.plan.bad_nonces = state.plan.bad_nonces.saturating_sub(1);
                return Err(Problem(400, "badNonce", "the nonce is not one of mine".into(), None));
            }
        }
        if path == "account" {
            let key = signed.key.ok_or_else(|| jws::malformed("a new account has a key of its own"))?;
            return self.new_account(key, &signed.payload);
        }
        let key = {
            let state = self.state();
            let at =
                signed.kid.as_deref().and_then(|kid| kid.rsplit('/').next()).and_then(|at| at.parse().ok());
            let known =
                at.and_then(|at: usize| state.accounts.get(at)).filter(|_| !state.plan.forgets_accounts);
            known.cloned().ok_or_else(|| Problem(400, "accountDoesNotExist", "who are you".into(), None))?
        };
        signed.verify(&key)?;
        let (what, at) = path.split_once('/').unwrap_or((path, "0"));
        let (at, name) = at.split_once('/').unwrap_or((at, ""));
        let at: usize = at.parse().map_err(|_| jws::malformed("there is no such order"))?;
        match what {
            "order" if path == "order" => self.new_order(&signed.payload),
            "order" => Ok((200, None, self.order(at))),
            "authz" => Ok((200, None, self.authorization(at, name))),
            "http-01" | "tls-alpn-01" => self.look(what, at, name, &key).await,
            "finalize" => self.finalize(at, &signed.payload),
            "cert" => Ok((200, None, self.state().orders[at].chain.clone().unwrap_or_default().into())),
            _ => Err(Problem(404, "malformed", "there is nothing here".into(), None)),
        }
    }

    fn new_account(&self, key: Jwk, payload: &Value) -> Answer {
        if payload["termsOfServiceAgreed"] != true || payload["contact"] != json!(["mailto:a@example.org"]) {
            return Err(Problem(403, "userActionRequired", "you do not agree".into(), None));
        }
        let mut state = self.state();
        state.plan.forgets_accounts = false;
        state.accounts.push(key);
        let at = state.accounts.len() - 1;
        Ok((201, Some(self.url(&format!("account/{at}"))), json!({"status": "valid"})))
    }

    fn new_order(&self, payload: &Value) -> Answer {
        let mut state = self.state();
        if state.plan.rate_limited > 0 {
            state.plan.rate_limited -= 1;
            let after = state.plan.retry_after;
            return Err(Problem(429, "rateLimited", "too many orders of yours".into(), Some(after)));
        }
        let names = payload["identifiers"].as_array().into_iter().flatten();
        let names = names.filter_map(|name| Some(name["value"].as_str()?.to_owned())).collect();
        let replaces = payload["replaces"].as_str().map(str::to_owned);
        state.orders.push(Order { names, proved: HashSet::new(), failed: None, replaces, chain: None });
        let at = state.orders.len() - 1;
        drop(state);
        Ok((201, Some(self.url(&format!("order/{at}"))), self.order(at)))
    }

    fn order(&self, at: usize) -> Value {
        let state = self.state();
        let order = &state.orders[at];
        let status = match (&order.chain, &order.failed) {
            (_, Some(_)) => "invalid",
            (Some(_), _) => "valid",
            (None, _) if order.names.iter().all(|name| order.proved.contains(name)) => "ready",
            _ => "pending",
        };
        let authorizations: Vec<_> =
            order.names.iter().map(|name| self.url(&format!("authz/{at}/{name}"))).collect();
        let names: Vec<_> = order.names.iter().map(|name| json!({"type": "dns", "value": name})).collect();
        let mut shown = json!({
            "status": status, "identifiers": names, "authorizations": authorizations,
            "finalize": self.url(&format!("finalize/{at}"))
        });
        if let Some(replaces) = &order.replaces {
            shown["replaces"] = replaces.clone().into();
        }
        if order.chain.is_some() {
            shown["certificate"] = self.url(&format!("cert/{at}")).into();
        }
        shown
    }

    fn authorization(&self, at: usize, name: &str) -> Value {
        let state = self.state();
        let order = &state.orders[at];
        let status = match &order.failed {
            Some(_) => "invalid",
            None if order.proved.contains(name) => "valid",
            None => "pending",
        };
        let challenge = |kind: &str| {
            let mut challenge = json!({
                "type": kind, "url": self.url(&format!("{kind}/{at}/{name}")), "status": status, "token": token(at, name)
            });
            if let Some(why) = &order.failed {
                challenge["error"] =
                    json!({"type": "urn:ietf:params:acme:error:unauthorized", "detail": why, "status": 403});
            }
            challenge
        };
        json!({
            "status": status, "identifier": {"type": "dns", "value": name},
            "challenges": [challenge("http-01"), challenge("tls-alpn-01")]
        })
    }

    /// Looks for a proof.
    async fn look(&self, kind: &str, at: usize, name: &str, key: &Jwk) -> Answer {
        let mut leads = self.0.leads.subscribe();
        let known = *leads.wait_for(Option::is_some).await.expect("it is kept");
        let (https, plain) = match self.state().plan.leads_nowhere {
            true => (NOBODY, NOBODY),
            false => known.expect("it was waited for"),
        };
        let token = token(at, name);
        let expected = format!("{token}.{}", key.thumbprint());
        let found = match kind {
            "http-01" => look::http(plain, name, &token, &expected).await,
            _ => look::tls(https, name, &expected).await,
        };
        let mut state = self.state();
        match found {
            Ok(()) => drop(state.orders[at].proved.insert(name.to_owned())),
            Err(why) => state.orders[at].failed = Some(why),
        }
        drop(state);
        let challenges = self.authorization(at, name)["challenges"].clone();
        let mut own = challenges.as_array().into_iter().flatten().filter(|one| one["type"] == kind);
        // As pebble: what comes of it is seen at the order.
        let mut shown = own.next().cloned().unwrap_or_default();
        shown["status"] = "processing".into();
        shown.as_object_mut().map(|shown| shown.remove("error"));
        Ok((200, None, shown))
    }

    fn finalize(&self, at: usize, payload: &Value) -> Answer {
        if self.order(at)["status"] != "ready" {
            return Err(Problem(403, "orderNotReady", "prove it first".into(), None));
        }
        let bad = |why: String| Problem(400, "badCSR", why, None);
        let csr =
            BASE64.decode(payload["csr"].as_str().unwrap_or_default()).map_err(|e| bad(e.to_string()))?;
        let mut csr =
            CertificateSigningRequestParams::from_der(&csr.into()).map_err(|e| bad(e.to_string()))?;
        let mut state = self.state();
        let (now, lifetime) = (SystemTime::now(), state.plan.lifetime);
        csr.params.not_before = now.into();
        csr.params.not_after = (now + lifetime).into();
        csr.params.use_authority_key_identifier_extension = true;
        let issued = csr.signed_by(&self.0.issuer).map_err(|e| bad(e.to_string()))?;
        let mut chain = issued.pem();
        write!(chain, "{}", self.0.issuer.pem()).expect("a string");
        state.orders[at].chain = Some(chain);
        state.issued.push((now, lifetime));
        drop(state);
        Ok((200, None, self.order(at)))
    }
}

fn token(at: usize, name: &str) -> String {
    BASE64.encode(format!("{at}-{name}-of-the-order"))
}
