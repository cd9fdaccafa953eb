//! Limits on the data path: what a request takes of them, what it gives back, and how it is refused.

use aivonx_domain::access::{AccessRecord, Outcome};
use aivonx_identity::Caller;
use aivonx_limits::{
    Ask, Exceeded, Kind, Levels, Limits, Output, Price, Prices, Reservation, Used, Who, usd,
};
use aivonx_protocol::{Untrusted, limit::LimitName, user::Role};
use aivonx_wire::api::{
    Dialect, Peek,
    meter::BYTES_PER_TOKEN,
    peek::{PromptSize, prompt_size},
    route::{Forward, Need, Route},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::{
    answer::{self, Answer},
    aside::{self, aside},
    body::{Collected, Sender},
    conn::ConnContext,
    error_response::Refusal,
    estimate::{self, Sent},
    exchange::Exchange,
    gather::Segments,
    socket::HandshakeError,
};
use crate::policy::Plan;
use aivonx_protocol::key::KeyScope;

const X_RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RATELIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// The stock clients of OpenAI and Anthropic try again by themselves unless it says not to.
pub(super) const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Seconds worth waiting for in the middle of a program.
const WORTH_WAITING: u64 = 60;

/// Prompts above this are looked at more closely: what they carry may be images.
const ROUGH: u64 = 16 << 10;

/// Counts a request of any kind against its caller's limits.
pub(super) async fn throttle(
    cx: &ConnContext,
    exchange: &mut Exchange,
    caller: &Caller,
    route: &Route,
) -> Result<(), Refusal> {
    // Health and what is asked before there is a key is never throttled, nor what monitoring asks.
    if route.need() == Need::Nothing
        || (cx.listener.diagnostics && route.need() == Need::Scope(KeyScope::AdminRead))
    {
        return Ok(());
    }
    let levels = (!matches!(caller, Caller::Anonymous(_))).then(|| caller.levels());
    let limits = &cx.worker.shared.limits;
    limits.throttle(levels, cx.client).await.map_err(|exceeded| refuse(exchange, caller, exceeded))
}

/// Refuses a websocket, whose prompts and answers are not looked at, where their lengths are bounded: those of answers
/// if policy `bounds_output`.
pub(super) fn refuse_unbounded(
    exchange: &Exchange,
    caller: &Caller,
    bounds_output: bool,
) -> Result<(), HandshakeError> {
    if exchange.worker.shared.limits.prompt_cap(caller.levels()).is_some() {
        return Err(HandshakeError::PromptChars);
    }
    if bounds_output {
        return Err(HandshakeError::OutputMax);
    }
    Ok(())
}

/// What a request is about to ask of a node.
pub(super) struct Asks<'a> {
    pub(super) route: &'static Route,
    pub(super) forward: &'a Forward,
    pub(super) caller: &'a Caller,
    pub(super) peek: &'a Peek,
    pub(super) body: &'a Collected,
    /// What policy makes of it, if anything.
    pub(super) plan: Option<&'a Plan>,
}

impl Asks<'_> {
    /// How much output, by the client and by policy.
    fn output(&self) -> Output {
        let asked = self.peek.output_limit(self.forward);
        match self.plan.map_or(asked, |plan| plan.output_limit(asked)) {
            Some(0) => Output::Nothing,
            each => Output::UpTo {
                each,
                answers: self.peek.answers(self.forward),
                made: self.peek.made(self.forward),
            },
        }
    }

    /// A model without a price, if the request may be served by one.
    fn unpriced(&self, prices: &Prices) -> Option<String> {
        let unpriced = |model: &&str| prices.find(model).is_none();
        let found = match self.plan {
            Some(plan) => plan.candidates.iter().map(|candidate| &*candidate.model).find(unpriced),
            None => self.peek.model(self.forward.legacy_name).filter(unpriced),
        };
        found.map(str::to_owned)
    }

    /// Which model it will be is not known yet: of those that may be, the dearest.
    fn price(&self, prices: &Prices) -> Price {
        match self.plan {
            Some(plan) => {
                let each = plan.candidates.iter().map(|candidate| prices.of(&candidate.model));
                each.fold(Price::FREE, Price::max)
            }
            None => self.peek.model(self.forward.legacy_name).map_or(Price::FREE, |model| prices.of(model)),
        }
    }
}

/// Counts a request whose body is still coming in against the limits that are counted in requests: what waits for
/// its client holds a place, and memory, as one that waits for a node does.
pub(super) async fn enter(exchange: &mut Exchange, sender: Sender<'_>) -> Result<(), Refusal> {
    let Sender { caller, route } = sender;
    if !route.metered() || exchange.reservation.is_some() {
        return Ok(());
    }
    let worker = exchange.worker.clone();
    let entered = worker.shared.limits.enter(caller.levels()).await;
    exchange.reservation = Some(entered.map_err(|exceeded| refuse(exchange, caller, exceeded))?);
    Ok(())
}

/// Takes the request's share of every limit; its exchange settles it. Returns the limit of output tokens that the
/// body must carry, if any.
pub(super) async fn reserve(exchange: &mut Exchange, asks: Asks<'_>) -> Result<Option<u64>, Refusal> {
    let Asks { route, caller, peek, body, .. } = asks;
    if !route.metered() {
        return Ok(None);
    }
    let worker = exchange.worker.clone();
    let limits = &worker.shared.limits;
    let levels = caller.levels();
    // A model that no node has is 404 and not a matter of prices.
    if Limits::refuses_unpriced(levels)
        && exchange.record.model.is_some()
        && let Some(model) = asks.unpriced(limits.prices())
    {
        exchange.record.limit = Some(LimitName::SpendUnpriced);
        limits.refused_unpriced();
        return Err(Refusal::Unpriced(model));
    }
    let entered = exchange.reservation.take();
    let done = async {
        let (prompt, sent) = prompt(limits, levels, peek, body).await?;
        exchange.sent = sent;
        let ask = Ask { prompt, output: asks.output(), price: asks.price(limits.prices()) };
        limits.complete(entered, levels, &ask).await
    };
    let reservation = done.await.map_err(|exceeded| refuse(exchange, caller, exceeded))?;
    let bound = reservation.bound();
    exchange.reservation = Some(reservation);
    Ok(bound)
}

/// Tokens of the prompt, estimated, if it is not too long; and what else is known of it.
async fn prompt(
    limits: &Limits,
    levels: Levels<'_>,
    peek: &Peek,
    body: &Collected,
) -> Result<(u64, Sent), Exceeded> {
    // More than there are, and costs nothing.
    let most = peek.prompt_at_most();
    let too_long = limits.prompt_cap(levels).is_some_and(|cap| most > cap);
    let is_nobodys = levels.iter().all(Option::is_none);
    if is_nobodys && !too_long {
        return Ok((most / BYTES_PER_TOKEN, Sent::default()));
    }
    let size = size(peek, &body.segments).await;
    limits.check_prompt(levels, size.chars)?;
    let sent = Sent { text: size.chars, named: size.named };
    Ok((tokens(peek, &size), sent))
}

/// How long the prompt in `body` is.
async fn size(peek: &Peek, body: &Segments) -> PromptSize {
    let most = peek.prompt_at_most();
    if peek.is_form() {
        return PromptSize { chars: most, named: 0 };
    }
    if most <= aside::LARGE {
        return prompt_size(body);
    }
    let body = body.clone();
    aside(move || prompt_size(&body)).await.unwrap_or(PromptSize { chars: most, named: 0 })
}

/// Tokens of a prompt of this size, estimated. Hardly any text has more tokens than characters; what goes beyond are
/// images.
fn tokens(peek: &Peek, size: &PromptSize) -> u64 {
    let most = peek.prompt_at_most();
    let rough = most / BYTES_PER_TOKEN;
    if most <= ROUGH { rough } else { rough.min(size.chars) }
}

/// Tokens of the prompt in `body`, estimated as those of a request that is served.
pub(super) async fn estimate(peek: &Peek, body: &Segments) -> u64 {
    tokens(peek, &size(peek, body).await)
}

/// Puts what a request really used into its record and in the place of what was reserved. `due` is whether an answer in
/// one piece has not come.
pub(super) fn settle(reservation: Reservation, record: &mut AccessRecord, limits: &Limits, due: bool) {
    if !pays(record) {
        return;
    }
    let ask = *reservation.ask();
    let ended = matches!(
        record.outcome,
        Outcome::ClientGone | Outcome::ClientStalled | Outcome::TimedOut | Outcome::Ended
    );
    if ended && record.node.is_some() {
        estimate::left(record, &ask, due);
    }
    let (prompt, output) = (record.prompt_tokens.unwrap_or(0), record.output_tokens.unwrap_or(0));
    let model = record.served.as_ref().or(record.model.as_ref());
    let price = model.map_or(ask.price, |model| limits.prices().of(model));
    record.cost = price.cost(prompt, output);
    if reservation.counts() {
        reservation.settle(Used { tokens: prompt.saturating_add(output), cost: record.cost }, &limits.now());
    }
}

/// Whether a request counts and costs something. What the fleet did not carry out does not; what a client can cause by
/// itself does, or it could ask for free. An answer that broke off costs what was relayed of it.
fn pays(record: &AccessRecord) -> bool {
    match record.outcome {
        // A node that is busy, or failed before it began, has done nothing.
        Outcome::Complete => record.status < 500 && record.status != 429,
        Outcome::ClientGone | Outcome::ClientStalled => record.node.is_some(),
        Outcome::TimedOut | Outcome::Ended => true,
        Outcome::Broken => record.first_byte.is_some(),
        Outcome::NodeFailed | Outcome::NoNode | Outcome::Refused => false,
    }
}

/// The refusal of a request that is beyond a limit. Puts the limit into the record.
pub(super) fn refuse(exchange: &mut Exchange, caller: &Caller, exceeded: Exceeded) -> Refusal {
    exchange.record.limit = Some(exceeded.limit);
    let change = change(caller, &exceeded);
    // The length of a prompt is nobody's usage.
    let hidden = matches!(exceeded.who, Who::Subject(Kind::Organization, _))
        && exceeded.limit != LimitName::PromptChars
        && caller.is_usage_hidden();
    Refusal::Limited(Box::new(Limited { exceeded, hidden, change }))
}

/// A limit and, for those who may change it, how.
#[derive(Debug)]
pub(super) struct Limited {
    exceeded: Exceeded,
    /// Its amounts are not for the caller.
    hidden: bool,
    change: Option<Change>,
}

/// How an administrator changes a limit.
#[derive(Debug)]
struct Change {
    command: String,
    /// Whether it does not go beyond what superadmins, or the profile, left.
    bounded: bool,
}

impl std::fmt::Display for Limited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.hidden {
            return f.write_str(&self.exceeded.without_amounts());
        }
        self.exceeded.fmt(f)?;
        match &self.change {
            Some(Change { command, bounded: false }) => write!(f, " (to change it: {command})"),
            Some(Change { command, bounded: true }) => {
                write!(f, " (to change it, as far as superadmins left room: {command})")
            }
            None => Ok(()),
        }
    }
}

/// How a limit is changed, for those who may.
fn change(caller: &Caller, exceeded: &Exceeded) -> Option<Change> {
    let user = match caller {
        Caller::Anonymous(_) => return None,
        Caller::Key(key) => key.user.as_ref()?,
        Caller::User { user, .. } => user,
    };
    let limit = exceeded.limit;
    let bounded = match (user.role, &exceeded.who) {
        (Role::Superadmin, _) => false,
        // What is counted by address is the fleet's.
        (Role::OrgAdmin, Who::Subject(..)) => true,
        _ => return None,
    };
    let Who::Subject(kind, id) = &exceeded.who else {
        return Some(Change { command: format!("aivonx limit set {limit}=N"), bounded });
    };
    let subject = caller.subject()?;
    let named = match kind {
        Kind::Organization => &subject.organization,
        Kind::User => &subject.user,
        Kind::Key => &subject.key,
    };
    let name = named.as_ref().map_or(id, |(_, name)| name);
    // To be typed as it stands.
    let plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-@".contains(&b));
    let name = if plain(name) { name } else { id };
    let command = format!("aivonx limit set {} {} {limit}=N", kind.option(), Untrusted::new(name));
    Some(Change { command, bounded })
}

impl Limited {
    /// 429; 413 for a prompt that will never be let through, however long a client waits.
    pub(super) fn status(&self) -> StatusCode {
        match self.exceeded.limit {
            LimitName::PromptChars => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// The answer, in the caller's dialect, with the four fields `error`, `limit`, `used` and `reset_in_hours`; without the
    /// amounts where they are hidden.
    pub(super) fn answer(&self, dialect: Dialect, request_id: &str) -> Answer {
        let (status, exceeded) = (self.status(), &self.exceeded);
        let mut body = dialect.error_value(status, &self.to_string(), request_id);
        if status == StatusCode::TOO_MANY_REQUESTS && dialect == Dialect::Openai {
            body["error"]["code"] = "rate_limit_exceeded".into();
        }
        if !self.hidden {
            body["limit"] = self.number(exceeded.cap);
            body["used"] = self.number(exceeded.used);
        }
        body["reset_in_hours"] = json!(exceeded.reset_in_hours());
        let mut answer = answer::json(status, body.to_string().into());
        if status == StatusCode::TOO_MANY_REQUESTS {
            self.head(answer.headers_mut());
        }
        answer
    }

    fn head(&self, headers: &mut HeaderMap) {
        let Exceeded { cap, used, resets_at, .. } = &self.exceeded;
        let after = self.exceeded.retry_after();
        headers.insert(header::RETRY_AFTER, after.into());
        if after > WORTH_WAITING {
            headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        // Digits, and at most one point.
        let amount =
            |n| HeaderValue::from_str(&self.exceeded.amount(n)).unwrap_or(HeaderValue::from_static("0"));
        if !self.hidden {
            headers.insert(X_RATELIMIT_LIMIT, amount(*cap));
            headers.insert(X_RATELIMIT_REMAINING, amount(cap.saturating_sub(*used)));
        }
        headers.insert(X_RATELIMIT_RESET, resets_at.div_ceil(1000).into());
    }

    /// An amount as a JSON number: money in USD.
    fn number(&self, amount: u64) -> Value {
        if !self.exceeded.limit.is_spend() {
            return amount.into();
        }
        // What is written with six decimals is a number.
        usd(amount).parse::<serde_json::Number>().map_or(Value::Null, Value::Number)
    }
}
