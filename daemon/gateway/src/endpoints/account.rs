//! The account API: JSON in and out, carried out on the control plane, where passwords are hashed and the store is
//! read. What is done stands in [`aivonx_identity`].

use std::sync::Arc;

use aivonx_domain::now;
use aivonx_identity::{
    AccountError, Actor, Blocks, Caller, Identity, RequiredActions, Source, access_token::Tokens,
};
use aivonx_limits::{Exceeded, Limits};
use aivonx_protocol::{
    Fault, FaultKind, Reply, WireSecret,
    key::{self, KeyScope, NewKey},
    limit::LimitName,
    operation::Operation,
    user::Role,
};
use aivonx_wire::api::route::{Account, Route};
use bytes::Bytes;
use http::{Method, StatusCode, header};
use hyper::body::Incoming;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    change::{self, Change},
    manage::STOPPED,
};
use crate::{
    answer::{self, Answer},
    authenticate::denied,
    body,
    conn::ConnContext,
    deadline::InFlight,
    error_response::Refusal,
    exchange::Exchange,
    fields::Fields,
    limit,
};

/// Largest body, after decoding: a password of 1024 bytes, each escaped, and room around it.
const BODY: u64 = 16 << 10;

/// What is asked.
pub(crate) struct Asked<'r> {
    pub(crate) what: Account,
    pub(crate) method: Method,
    pub(crate) route: &'static Route,
    pub(crate) parameter: Option<&'r str>,
    pub(crate) caller: Caller,
}

/// What it takes to carry a request out.
struct Request {
    what: Account,
    read: bool,
    via: String,
    parameter: Option<String>,
    actor: Option<Actor>,
    source: Source,
    body: Zeroizing<Vec<u8>>,
}

/// A status, and a body that may be empty.
type Done = (StatusCode, Option<Value>);

pub(crate) async fn answer(
    cx: &ConnContext,
    exchange: &mut Exchange,
    asked: Asked<'_>,
    fields: &Fields<'_>,
    incoming: &mut Incoming,
) -> Result<Answer, Refusal> {
    let shared = &cx.worker.shared;
    // Before anything is read: a flood must not cost a hash each. At the control socket only local users log in.
    if let Some(limit) = at_the_door(asked.what) {
        let counted = shared.limits.throttle_address(limit, cx.client);
        counted.map_err(|exceeded| limit::refuse(exchange, &asked.caller, exceeded))?;
    }
    let flight = cx.worker.watch(InFlight::new(cx.transport(), exchange.begun()));
    let sender = body::Sender { caller: &asked.caller, route: asked.route };
    let collected = body::collect_within(exchange, &flight, fields, sender, incoming, BODY).await?;
    // The deadline was the body's: a password takes as long as it takes.
    drop(flight);
    exchange.record.bytes_in = collected.bytes;
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(collected.bytes).unwrap_or(0)));
    collected.segments.iter().for_each(|segment| text.extend_from_slice(segment));
    let source = change::source(cx, exchange, fields);
    let request = Request {
        what: asked.what,
        read: asked.method == Method::GET || asked.method == Method::HEAD,
        via: change::via(&asked.method, asked.route),
        parameter: asked.parameter.map(str::to_owned),
        actor: asked.caller.actor(source.clone()),
        source,
        body: text,
    };
    let work = carry_out(shared.identity.clone(), shared.limits.clone(), shared.blocks.clone(), request);
    // Carried to its end even if the client leaves: failures are counted, and no change stays half done.
    let done = shared.control.spawn(work).await.map_err(|_| STOPPED)?;
    if matches!(done, Err(Failed::Account(AccountError::OtpRequired))) && asked.what == Account::Login {
        shared.limits.login_goes_on(cx.client);
    }
    let (status, body) = done.map_err(|failed| match failed {
        Failed::Account(error) => error.into(),
        Failed::Exceeded(exceeded) => limit::refuse(exchange, &asked.caller, *exceeded),
        Failed::Blocked(user) => {
            let snapshot = shared.identity.hot().load();
            exchange.record.subject = snapshot.user(&user).map(|user| user.subject.clone());
            denied(cx, exchange, asked.route, fields, &Refusal::Blocked);
            Refusal::Blocked
        }
    })?;
    let body = body.map_or_else(Bytes::new, |value| value.to_string().into());
    let mut answer = answer::json(status, body);
    if status == StatusCode::NO_CONTENT {
        answer.headers_mut().remove(header::CONTENT_TYPE);
    }
    Ok(answer)
}

/// The limit that counts attempts by address, successful or not.
fn at_the_door(what: Account) -> Option<LimitName> {
    match what {
        Account::Login => Some(LimitName::LoginHour),
        Account::PasswordReset => Some(LimitName::ResetHour),
        _ => None,
    }
}

/// Why a request is not carried out.
enum Failed {
    Account(AccountError),
    Exceeded(Box<Exceeded>),
    /// The user with this id is blocked.
    Blocked(String),
}

impl From<AccountError> for Failed {
    fn from(error: AccountError) -> Self {
        Self::Account(error)
    }
}

impl From<Exceeded> for Failed {
    fn from(exceeded: Exceeded) -> Self {
        Self::Exceeded(Box::new(exceeded))
    }
}

/// Passes a user who is not blocked.
fn admit(blocks: &Blocks, user: &str) -> Result<(), Failed> {
    if blocks.hot().user(user, now()) { Err(Failed::Blocked(user.to_owned())) } else { Ok(()) }
}

/// Counts a token operation: for the user whose refresh token it is, else for the address. Nobody is kept from
/// ending a session; nothing else is for those who are blocked.
async fn count_token(
    identity: &Identity,
    limits: &Limits,
    blocks: &Blocks,
    token: &WireSecret,
    request: &Request,
) -> Result<(), Failed> {
    let Source::Http { address, .. } = &request.source else { return Ok(()) };
    let Some((user, family)) = identity.refresh_family(token).await? else {
        return Ok(limits.throttle_address(LimitName::TokenHour, *address)?);
    };
    if request.what == Account::Logout {
        return Ok(());
    }
    admit(blocks, &user.id)?;
    let organization = user.organization.as_ref().map(|organization| &organization.level);
    limits.throttle(Some([organization, Some(&user.level), None]), *address).await?;
    match user.level.caps.of(LimitName::TokenHour) {
        Some(cap) => Ok(limits.throttle_family(&user.id, cap, &family)?),
        None => Ok(()),
    }
}

async fn carry_out(
    identity: Arc<Identity>,
    limits: Arc<Limits>,
    blocks: Arc<Blocks>,
    request: Request,
) -> Result<Done, Failed> {
    let Request { source, via, .. } = &request;
    match request.what {
        Account::Login => {
            let Login { username, password, otp } = request.body(LOGIN)?;
            let proven = identity.authenticate(&username, &password, otp.as_ref(), source, via).await?;
            // Not before: nobody else learns who is blocked.
            admit(&blocks, &proven.user.id)?;
            let tokens = identity.http_login(proven, source).await?;
            Ok((StatusCode::OK, Some(tokens_json(&tokens))))
        }
        Account::Refresh => {
            let Refresh { refresh } = request.body(REFRESH)?;
            count_token(&identity, &limits, &blocks, &refresh, &request).await?;
            let tokens = identity.http_refresh(&refresh, source, via).await?;
            Ok((StatusCode::OK, Some(tokens_json(&tokens))))
        }
        Account::Logout => {
            match &request.actor {
                Some(actor) => identity.http_logout(actor, via).await?,
                None if request.body.is_empty() => return Err(AccountError::NoToken.into()),
                None => {
                    let Refresh { refresh } = request.body(REFRESH)?;
                    count_token(&identity, &limits, &blocks, &refresh, &request).await?;
                    identity.http_logout_with(&refresh, source, via).await?;
                }
            }
            Ok((StatusCode::NO_CONTENT, None))
        }
        Account::PasswordReset => {
            let Reset { username, code, password } = request.body(RESET)?;
            if let Some(user) = identity.reset_holder(&username, &code).await? {
                admit(&blocks, &user.id)?;
            }
            identity.redeem_reset(&username, &code, &password, source, via).await?;
            Ok((StatusCode::NO_CONTENT, None))
        }
        Account::Me => {
            let (user, slug, owed) = identity.profile(request.actor()?).await?;
            let mut me = json!({
                "id": user.id,
                "name": user.name,
                "display_name": user.display_name,
                "email": user.email,
                "role": user.role,
                "organization": slug,
                "totp": user.totp.as_ref().is_some_and(|totp| totp.confirmed),
                "backup_codes": user.backup_codes.len(),
                "last_login": user.last_login,
                "created": user.created,
            });
            owe(&mut me, owed);
            Ok((StatusCode::OK, Some(me)))
        }
        Account::Password => {
            let Password { old, new } = request.body(PASSWORD)?;
            let actor = request.actor()?;
            identity.change_password(actor, &old, &new, via).await?;
            Ok((StatusCode::OK, Some(renewed(&identity, actor).await?)))
        }
        Account::Totp => Ok(totp(&identity, &request).await?),
        Account::Keys | Account::Key => {
            let actor = request.actor()?;
            identity.owes_nothing(actor).await?;
            keys(&identity, &request, actor).await
        }
    }
}

async fn totp(identity: &Identity, request: &Request) -> Result<Done, AccountError> {
    let (actor, via) = (request.actor()?, &request.via);
    let mut done = match request.body(TOTP)? {
        Totp::Begin { password } => {
            let offer = identity.totp_begin(actor, &password, via).await?;
            let offer = json!({ "secret": offer.secret.expose(), "uri": offer.uri.expose() });
            return Ok((StatusCode::OK, Some(offer)));
        }
        Totp::Confirm { code } => codes_json(&identity.totp_confirm(actor, &code, via).await?),
        Totp::Disable { password, code } => {
            identity.totp_disable(actor, &password, &code, via).await?;
            return Ok((StatusCode::NO_CONTENT, None));
        }
        Totp::Codes { password, code } => {
            let codes = identity.backup_codes(actor, &password, &code, via).await?;
            return Ok((StatusCode::OK, Some(codes_json(&codes))));
        }
    };
    // The token in use may open nothing but this; the user owes less now.
    if let (Value::Object(done), Value::Object(renewed)) = (&mut done, renewed(identity, actor).await?) {
        done.extend(renewed);
    }
    Ok((StatusCode::OK, Some(done)))
}

async fn keys(identity: &Arc<Identity>, request: &Request, actor: &Actor) -> Result<Done, Failed> {
    // With the rights of a member for every role: this is about the caller's own keys alone.
    let own = Actor { role: Role::Member, ..actor.clone() };
    if request.what == Account::Key {
        let id = request.parameter.as_deref().unwrap_or_default();
        let change = request.change(identity, key::Revoke { organization: None, key: id.to_owned() });
        let revoked = identity.revoke_key(&own, None, id).await;
        let ended = revoked.as_ref().map(|key| Some(Reply::Key(Box::new(key.clone()))));
        change.ended(ended).await.and(revoked).map_err(AccountError::from)?;
        return Ok((StatusCode::NO_CONTENT, None));
    }
    if request.read {
        let keys = identity.keys(&own, None, None, false).await.map_err(AccountError::from)?;
        return Ok((StatusCode::OK, Some(json!({ "keys": keys }))));
    }
    let NewOwnKey { name, scopes, models, networks, expires } = request.body(KEY)?;
    let new =
        NewKey { name, organization: None, user: actor.user.clone(), scopes, models, networks, expires };
    let change = request.change(identity, key::Create(Box::new(new.clone())));
    if let Err(exceeded) = identity.count_own_key(actor) {
        let refused = Fault::new(FaultKind::Unavailable, exceeded.to_string());
        change.ended(Err(&refused)).await.map_err(AccountError::from)?;
        return Err(exceeded.into());
    }
    // With all of its rights: a key may do what its user may.
    let made = identity.create_key(actor, new).await;
    let ended = made.as_ref().map(|made| Some(Reply::Key(Box::new(made.key.clone()))));
    let made = change.ended(ended).await.and(made).map_err(AccountError::from)?;
    let mut json = json!(made.key);
    json["secret"] = made.secret.expose().into();
    Ok((StatusCode::CREATED, Some(json)))
}

/// An access token in place of the one in use.
async fn renewed(identity: &Identity, actor: &Actor) -> Result<Value, AccountError> {
    let (access, owed) = identity.access_token(actor).await?;
    let mut json = json!({
        "access": access.expose(),
        "expires_in": aivonx_identity::access_token::ACCESS_SECONDS,
    });
    owe(&mut json, owed);
    Ok(json)
}

fn tokens_json(tokens: &Tokens) -> Value {
    let mut json = json!({
        "access": tokens.access.expose(),
        "refresh": tokens.refresh.expose(),
        "expires_in": tokens.expires_in,
    });
    owe(&mut json, tokens.owed);
    json
}

fn owe(json: &mut Value, owed: RequiredActions) {
    json["must_change_password"] = owed.password.into();
    json["must_enrol"] = owed.enrol.into();
}

fn codes_json(codes: &[WireSecret]) -> Value {
    let codes: Vec<&str> = codes.iter().map(WireSecret::expose).collect();
    json!({ "backup_codes": codes })
}

impl Request {
    /// What is to be recorded of it, by what it asks in the words of the control socket.
    fn change(&self, identity: &Arc<Identity>, asked: impl Operation) -> Change {
        // Not reached without a user.
        let actor = self.actor.clone().unwrap_or_else(|| Caller::Anonymous(None).acting(self.source.clone()));
        Change::new(identity, actor, self.via.clone(), asked)
    }

    /// Who acts; a route that needs a user is not reached without one.
    fn actor(&self) -> Result<&Actor, AccountError> {
        self.actor.as_ref().ok_or(AccountError::NoToken)
    }

    /// The body. The error leaves out the parser's detail, which might contain a password.
    fn body<T: DeserializeOwned>(&self, example: &str) -> Result<T, AccountError> {
        let wrong = |_| AccountError::Invalid(format!("the body must be JSON of this form: {example}"));
        serde_json::from_slice(&self.body).map_err(wrong)
    }
}

/// The JSON that a route of the account takes, by example; `None` where it takes none.
#[must_use]
pub fn form(what: Account) -> Option<&'static str> {
    match what {
        Account::Login => Some(LOGIN),
        Account::Refresh | Account::Logout => Some(REFRESH),
        Account::PasswordReset => Some(RESET),
        Account::Password => Some(PASSWORD),
        Account::Totp => Some(TOTP),
        Account::Keys => Some(KEY),
        Account::Me | Account::Key => None,
    }
}

const LOGIN: &str = r#"{"username":"...","password":"...","otp":"..."}, otp only where it is asked for"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    username: String,
    password: WireSecret,
    otp: Option<WireSecret>,
}

const REFRESH: &str = r#"{"refresh":"..."}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refresh {
    refresh: WireSecret,
}

const RESET: &str = r#"{"username":"...","code":"...","password":"..."}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    username: String,
    code: WireSecret,
    password: WireSecret,
}

const PASSWORD: &str = r#"{"old":"...","new":"..."}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Password {
    old: WireSecret,
    new: WireSecret,
}

const TOTP: &str = r#"{"action":"begin","password":"..."}, {"action":"confirm","code":"..."}, or {"action":"disable"|"codes","password":"...","code":"..."}"#;

#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "lowercase", deny_unknown_fields)]
enum Totp {
    Begin { password: WireSecret },
    Confirm { code: WireSecret },
    Disable { password: WireSecret, code: WireSecret },
    Codes { password: WireSecret, code: WireSecret },
}

const KEY: &str =
    r#"{"name":"...","scopes":["infer"],"models":[],"networks":[],"expires":null}; only name is needed"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewOwnKey {
    name: String,
    #[serde(default = "infer")]
    scopes: Vec<KeyScope>,
    #[serde(default)]
    models: Vec<String>,
    #[serde(default)]
    networks: Vec<String>,
    expires: Option<u64>,
}

fn infer() -> Vec<KeyScope> {
    vec![KeyScope::Infer]
}
