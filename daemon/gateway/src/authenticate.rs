//! Who a request is from, and whether they may ask it.
//!
//! Any field is taken in which one of the three ecosystems sends a credential: `Authorization` with the schemes
//! `Bearer`, `Api-Key`, `Token` or, as the password, `Basic`, `x-api-key` or `api-key`; of a page's script that opens a
//! websocket, which can set none of them, among its subprotocols. Where there is none, the client's certificate may
//! stand for a key.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use super::{
    conn::ConnContext,
    error_response::Refusal,
    exchange::Exchange,
    fields::{Field, Fields},
    limit,
    socket::keys_of_protocols,
};
use aivonx_config::AccessMode;
use aivonx_domain::now;
use aivonx_fleet::RoutingRules;
use aivonx_identity::{
    AccountError, Caller, NotKnown, RequiredActions, Snapshot, api_key,
    jwt::{self, Claims, JwtError, Verifiers},
};
use aivonx_ledgers::audit;
use aivonx_protocol::audit::{Action as Audited, Outcome};
use aivonx_protocol::{key::KeyScope, limit::LimitName, route::RouteRule};
use aivonx_wire::api::route::{Action, Forward, Local, Need, Route};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;

/// Schemes of `Authorization` that carry a key or token.
const SCHEMES: [&str; 3] = ["bearer", "api-key", "token"];

/// What the audit log calls somebody whose credential was refused. Addresses are banned by it, so it is no name that a
/// user or key can have.
pub const REFUSED: &str = "unknown credential";

/// What it calls somebody else who is not known.
pub(super) const ANONYMOUS: &str = "anonymous";

/// Why a known caller may not ask something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Forbidden {
    #[error("this needs a credential with the scope {0}")]
    Scope(KeyScope),
    #[error(
        "this is told to credentials with the scope admin:read, and on a listener with diagnostics = true"
    )]
    Diagnostics,
    #[error(
        "models are not managed here without a key; set access.allow_model_management = true, or use 'aivonx model'"
    )]
    Management,
    #[error(
        "choosing a node with X-Aivonx-Node needs a credential with the scope nodes:choose; leave the field out"
    )]
    Choosing,
}

/// Whether a request comes without any.
pub(super) fn has_no_credential(route: &Route, fields: &Fields<'_>) -> bool {
    ![Field::Authorization, Field::ApiKey, Field::AzureKey].into_iter().any(|field| fields.has(field))
        && of_socket(takes_protocols(route), fields).next().is_none()
}

/// Who asks. Puts them into the record.
pub(super) fn caller(
    cx: &ConnContext,
    exchange: &mut Exchange,
    route: &Route,
    fields: &Fields<'_>,
) -> Result<Caller, Refusal> {
    let shared = &cx.worker.shared;
    let snapshot = shared.identity.hot().load();
    if shared.awaits_setup && !snapshot.is_set_up() && !matches!(route.action, Action::Local(Local::Health)) {
        return Err(Refusal::NotSetUp);
    }
    let rule = cx.listener.rule(route);
    let mode = match rule {
        Some(RouteRule::Key | RouteRule::Scope(_)) => AccessMode::Required,
        Some(RouteRule::Anonymous) if exchange.access == AccessMode::Required => AccessMode::Optional,
        _ => exchange.access,
    };
    let anonymous = || Caller::Anonymous(snapshot.anybody().cloned());
    // Credentials are ignored: the answer does not depend on the caller, or the body proves who that is.
    let is_free = route.need() == Need::Nothing
        || (cx.listener.diagnostics && route.need() == Need::Scope(KeyScope::AdminRead));
    let proves = matches!(route.action, Action::Account(_));
    if is_free && (proves || matches!(rule, None | Some(RouteRule::Anonymous))) {
        return Ok(anonymous());
    }
    let user = matches!(route.need(), Need::User | Need::UserOrBody);
    let known = match credential(takes_protocols(route), fields) {
        Ok(None) if user => return Ok(anonymous()),
        Ok(None) => match Caller::of_certificate(&snapshot, cx.state.names(), cx.client, now) {
            Some(known) => known,
            None if mode == AccessMode::Required => return Err(Refusal::Unauthenticated),
            None => return Ok(anonymous()),
        },
        Ok(Some(secret)) => identify(cx, &snapshot, &secret),
        Err(error) => Err(error),
    };
    match known {
        Ok(caller) => {
            exchange.record.subject = caller.subject().cloned();
            let blocked = shared.blocks.hot();
            if !blocked.is_empty() && blocked.caller(&caller, now()) {
                denied(cx, exchange, route, fields, &Refusal::Blocked);
                return Err(Refusal::Blocked);
            }
            Ok(caller)
        }
        // Clients that must send something send a placeholder to a gateway that asks for nothing. A credential that was
        // shut off is none: its holder would get past blocks, and past what its organization has searched.
        Err(error) if mode == AccessMode::Open && !user && !error.is_shut_off() => Ok(anonymous()),
        Err(error) => {
            // One that has expired was good: its client only has to refresh it.
            let guessed = error != NotKnown::Token(JwtError::Expired);
            let nobody = if guessed { REFUSED } else { ANONYMOUS };
            note_denied(cx, entry(cx, exchange, route, fields, Audited::Denied, nobody), &error);
            exchange.record.error = Some(error.to_string().into());
            if guessed {
                let counted = shared.limits.throttle_address(LimitName::RefusedHour, cx.client);
                counted.map_err(|exceeded| limit::refuse(exchange, &Caller::Anonymous(None), exceeded))?;
            }
            Err(match error {
                NotKnown::Several if !user => Refusal::SeveralCredentials,
                _ if !user => Refusal::Unauthenticated,
                NotKnown::Token(JwtError::Expired) => AccountError::TokenExpired.into(),
                _ => AccountError::TokenInvalid.into(),
            })
        }
    }
}

/// Counts and records that a request was refused.
pub(super) fn denied(
    cx: &ConnContext,
    exchange: &Exchange,
    route: &Route,
    fields: &Fields<'_>,
    reason: &dyn std::fmt::Display,
) {
    note_denied(cx, entry(cx, exchange, route, fields, Audited::Denied, ANONYMOUS), reason);
}

fn note_denied(cx: &ConnContext, entry: audit::Entry, reason: &dyn std::fmt::Display) {
    let identity = &cx.worker.shared.identity;
    identity.counters.denials.fetch_add(1, Ordering::Relaxed);
    identity.audit.note(entry.outcome(Outcome::Denied).detail("reason", reason));
}

/// An entry of the audit log about a request, by the one its credential is of, or else by `nobody`.
pub(super) fn entry(
    cx: &ConnContext,
    exchange: &Exchange,
    route: &Route,
    fields: &Fields<'_>,
    action: Audited,
    nobody: &str,
) -> audit::Entry {
    let subject = exchange.record.subject.as_deref();
    let known = subject.and_then(|subject| subject.user.as_ref().or(subject.key.as_ref()));
    let (id, name) = known.map_or((None, nobody), |(id, name)| (Some(id.to_string()), &**name));
    let organization = subject.and_then(|subject| subject.organization.as_ref()).map(|(id, _)| &**id);
    let user_agent = fields.get(Field::UserAgent).and_then(|value| value.to_str().ok());
    audit::Entry::new(action)
        .actor(audit::Who::http(id, name, cx.client, user_agent))
        .organization(organization)
        .via(format!("{} {}", exchange.record.method, route.pattern))
        .request_id(exchange.id())
}

/// Whether `caller` may ask `route` here.
pub(super) fn authorize(
    cx: &ConnContext,
    exchange: &Exchange,
    caller: &Caller,
    route: &Route,
    fields: &Fields<'_>,
) -> Result<(), Refusal> {
    let rule = cx.listener.rule(route);
    let scope = match (route.need(), caller) {
        (Need::Scope(_) | Need::Nothing, _) if rule == Some(RouteRule::Anonymous) => return Ok(()),
        (Need::Scope(needed), _) => match rule {
            Some(RouteRule::Scope(scope)) => scope,
            _ => needed,
        },
        (Need::Nothing, _) => match rule {
            Some(RouteRule::Scope(scope)) => scope,
            _ => return Ok(()),
        },
        (Need::UserOrBody, _) | (Need::User, Caller::User { .. }) => return Ok(()),
        (Need::User, Caller::Anonymous(_)) => return Err(AccountError::NoToken.into()),
        (Need::User, Caller::Key(_)) => return Err(AccountError::NoAccount.into()),
    };
    let granted = match (caller, scope) {
        (_, KeyScope::AdminRead) if cx.listener.diagnostics && rule.is_none() => true,
        // The access mode let them in.
        (Caller::Anonymous(_), KeyScope::Infer | KeyScope::ModelsRead) => true,
        (Caller::Anonymous(_), KeyScope::ModelsWrite) => exchange.settings.allow_model_management,
        (Caller::Anonymous(_), KeyScope::AdminRead | KeyScope::NodesChoose) => false,
        (caller, scope) => caller.may(scope),
    };
    if granted {
        return Ok(());
    }
    if let Caller::User { user, .. } = caller {
        let owed = match user.owed(cx.worker.shared.identity.demands_two_factor()) {
            RequiredActions { password: true, .. } => Some(AccountError::MustChangePassword),
            RequiredActions { enrol: true, .. } => Some(AccountError::MustEnrol),
            RequiredActions { .. } => None,
        };
        if let Some(error) = owed {
            denied(cx, exchange, route, fields, &error);
            return Err(error.into());
        }
    }
    let why = match (caller, scope) {
        (_, KeyScope::AdminRead) if rule.is_none() => Forbidden::Diagnostics,
        (Caller::Anonymous(_), KeyScope::ModelsWrite) => Forbidden::Management,
        (_, scope) => Forbidden::Scope(scope),
    };
    denied(cx, exchange, route, fields, &why);
    Err(Refusal::Forbidden(why))
}

/// Most nodes that are named to a client which chose none of them.
const OTHERS: usize = 8;

/// What of the fleet a request may use that names the node that is to serve it; None if it names none.
pub(super) fn chosen_node(
    cx: &ConnContext,
    exchange: &Exchange,
    caller: &Caller,
    route: &Route,
    fields: &Fields<'_>,
) -> Result<Option<RoutingRules>, Refusal> {
    let is_of_nodes = match route.action {
        Action::Local(what) => {
            matches!(what, Local::Tags | Local::Ps | Local::Models | Local::Model | Local::Version)
        }
        Action::Account(_) | Action::OwnUsage | Action::Never(_) => false,
        _ => true,
    };
    let Some(name) = fields.get(Field::Node).filter(|_| is_of_nodes) else { return Ok(None) };
    if !caller.may(KeyScope::NodesChoose) {
        let why = Forbidden::Choosing;
        denied(cx, exchange, route, fields, &why);
        return Err(why.into());
    }
    if fields.all(Field::Node).any(|other| other != name) {
        return Err(Refusal::SeveralNodes);
    }
    let eligible = caller.eligible();
    let snapshot = cx.worker.shared.hot.load();
    let node = snapshot.nodes.iter().find(|node| node.heading == *name && eligible.admits(node));
    let unknown = || {
        let others = snapshot.nodes.iter().filter(|node| eligible.admits(node)).take(OTHERS);
        let others = others.map(|node| node.name.to_string()).collect();
        Refusal::NoSuchNode { name: String::from_utf8_lossy(name.as_bytes()).into_owned(), others }
    };
    node.map(|node| Some(eligible.only(&node.id))).ok_or_else(unknown)
}

fn identify(cx: &ConnContext, snapshot: &Snapshot, secret: &str) -> Result<Caller, NotKnown> {
    let shared = &cx.worker.shared;
    let now = now();
    if api_key::looks_like(secret) {
        let (caller, renewal) = Caller::of_key(snapshot, secret, cx.client, now)?;
        if let Some(renewal) = renewal {
            shared.identity.renewal(renewal);
        }
        return Ok(caller);
    }
    if !jwt::looks_like(secret) {
        return Err(NotKnown::Foreign);
    }
    let known = cx.worker.tokens.borrow().get(snapshot, secret);
    let claims = match known {
        Some(claims) => claims,
        None => {
            let claims = Arc::new(Caller::read_token(snapshot, secret, shared.identity.daemon_id(), now)?);
            cx.worker.tokens.borrow_mut().keep(snapshot, secret, claims.clone());
            claims
        }
    };
    Caller::of_claims(snapshot, &claims, shared.identity.demands_two_factor(), now)
}

/// The credential of a request. Two different ones are as good as a wrong one: which of them counts would be
/// anybody's guess.
fn credential<'h>(socket: bool, fields: &Fields<'h>) -> Result<Option<Cow<'h, str>>, NotKnown> {
    let mut found: Option<Cow<'h, str>> = None;
    let mut add = |secret| match found.replace(secret) {
        Some(other) if found.as_ref() != Some(&other) => Err(NotKnown::Several),
        _ => Ok(()),
    };
    for value in fields.all(Field::Authorization) {
        add(of_scheme(text(value)?)?)?;
    }
    for value in fields.all(Field::ApiKey).chain(fields.all(Field::AzureKey)) {
        add(text(value)?.into())?;
    }
    for key in of_socket(socket, fields) {
        add(key.into())?;
    }
    Ok(found)
}

fn text(value: &HeaderValue) -> Result<&str, NotKnown> {
    value.to_str().map(str::trim).map_err(|_| NotKnown::Foreign)
}

/// The secret in a value of `Authorization`.
fn of_scheme(text: &str) -> Result<Cow<'_, str>, NotKnown> {
    let (scheme, rest) = text.split_once(' ').ok_or(NotKnown::Foreign)?;
    if scheme.eq_ignore_ascii_case("basic") {
        Ok(password(rest.trim()).ok_or(NotKnown::Foreign)?.into())
    } else if SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        Ok(rest.trim().into())
    } else {
        Err(NotKnown::Foreign)
    }
}

/// Whether a key may stand among the subprotocols of a request for `route`.
fn takes_protocols(route: &Route) -> bool {
    matches!(route.action, Action::Forward(Forward { socket: true, .. }))
}

/// The keys that a page's script has sent with the handshake of a `socket`.
fn of_socket<'h>(socket: bool, fields: &Fields<'h>) -> impl Iterator<Item = &'h str> {
    let values = fields.all(Field::SocketProtocol).filter(move |_| socket);
    values.filter_map(|value| value.to_str().ok()).flat_map(keys_of_protocols)
}

/// The password of `user:password` in base64 (RFC 7617, 2), which is where tools that know nothing else put a key.
fn password(encoded: &str) -> Option<String> {
    let mut text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let at = text.find(':')?;
    Some(text.split_off(at + 1)).filter(|password| !password.is_empty())
}

/// Most tokens remembered by one thread.
const TOKENS: usize = 1024;

/// Tokens whose signature this thread has checked: a check costs as much as the rest of a request.
#[derive(Default)]
pub(super) struct Tokens {
    /// The keys they were checked with; others make them all strangers.
    verifiers: Option<Arc<Verifiers>>,
    claims: HashMap<Box<str>, Arc<Claims>>,
}

impl Tokens {
    fn get(&self, snapshot: &Snapshot, token: &str) -> Option<Arc<Claims>> {
        let same = self.verifiers.as_ref().is_some_and(|v| Arc::ptr_eq(v, &snapshot.material.verifiers));
        if same { self.claims.get(token).cloned() } else { None }
    }

    fn keep(&mut self, snapshot: &Snapshot, token: &str, claims: Arc<Claims>) {
        let verifiers = &snapshot.material.verifiers;
        if !self.verifiers.as_ref().is_some_and(|v| Arc::ptr_eq(v, verifiers)) || self.claims.len() >= TOKENS
        {
            self.claims.clear();
            self.verifiers = Some(verifiers.clone());
        }
        self.claims.insert(token.into(), claims);
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{Cow, Fields, NotKnown, credential};

    fn of(fields: &[(&'static str, &'static str)]) -> Result<Option<String>, NotKnown> {
        on(false, fields)
    }

    fn on(socket: bool, fields: &[(&'static str, &'static str)]) -> Result<Option<String>, NotKnown> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        credential(socket, &Fields::read(&headers)).map(|found| found.map(Cow::into_owned))
    }

    #[test]
    fn every_ecosystems_field_is_taken() {
        for field in [
            ("authorization", "Bearer k"),
            ("authorization", "bearer  k"),
            ("authorization", "Api-Key k"),
            ("authorization", "Token k"),
            ("x-api-key", "k"),
            // As clients of Azure's OpenAI send it.
            ("api-key", "k"),
            // `me:k` and `:k`
            ("authorization", "Basic bWU6aw=="),
            ("authorization", "basic Oms="),
        ] {
            assert_eq!(of(&[field]), Ok(Some("k".into())), "{field:?}");
        }
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[("authorization", "Bearer k"), ("x-api-key", "k")]), Ok(Some("k".into())));
    }

    #[test]
    fn what_is_ambiguous_or_foreign_is_no_credential() {
        for (fields, error) in [
            (&[("authorization", "Bearer k"), ("x-api-key", "other")][..], NotKnown::Several),
            (&[("api-key", "k"), ("x-api-key", "other")], NotKnown::Several),
            (&[("authorization", "Bearer k"), ("authorization", "Bearer other")], NotKnown::Several),
            (&[("authorization", "Basic azo=")], NotKnown::Foreign),
            (&[("authorization", "Basic k")], NotKnown::Foreign),
            (&[("authorization", "k")], NotKnown::Foreign),
        ] {
            assert_eq!(of(fields), Err(error), "{fields:?}");
        }
    }

    #[test]
    fn a_key_among_subprotocols_is_one_of_a_websocket_only() {
        let protocols = ("sec-websocket-protocol", "realtime, openai-insecure-api-key.k");
        assert_eq!(of(&[protocols]), Ok(None));
        assert_eq!(on(true, &[protocols]), Ok(Some("k".into())));
        assert_eq!(on(true, &[protocols, ("x-api-key", "k")]), Ok(Some("k".into())));
        for other in
            [("authorization", "Bearer other"), ("sec-websocket-protocol", "openai-insecure-api-key.other")]
        {
            assert_eq!(on(true, &[protocols, other]), Err(NotKnown::Several), "{other:?}");
        }
    }
}
