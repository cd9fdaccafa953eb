//! The data path, top to bottom, in one function.

use std::{borrow::Cow, rc::Rc};

use aivonx_domain::{access::Outcome, network, now};
use aivonx_fleet::{NoNode, RoutingRules, via};
use aivonx_identity::Caller;
use aivonx_protocol::route::RouteRule;
use aivonx_wire::api::{
    Dialect, Edits, Peek,
    route::{self, Action, Forward, Local, Need, Route},
};
use http::{HeaderMap, HeaderValue, Method, Request, Version, header, request::Parts};
use hyper::body::{Body as _, Incoming};

use super::{
    answer::{Answer, AnswerBody},
    aside::{self, aside},
    authenticate,
    body::{self, Collected, Sender, VerdictError},
    candidates::written::Many,
    closed::Reason,
    conn::{self, ConnContext},
    cors,
    deadline::{InFlight, Waiting},
    endpoints::{account, blob, change, count_tokens, local, manage, own_usage, response, unload},
    error_response::{Refusal, error_response},
    exchange::{Exchange, Memory},
    fields::{Field, Fields},
    form,
    forward::{Call, forward, look_again},
    forwarded::{self, Forwarded, ForwardedError},
    headers,
    host::{self, HostError},
    keep_waiting::{self, Begins},
    limit, named, privacy, redirect, responses,
    shared::Settings,
    socket::Handshake,
};
use crate::policy::Plan;

/// Answers one request. Accepting, TLS and the HTTP version are behind it (`listener.rs`, `conn.rs`).
pub(super) async fn handle(cx: Rc<ConnContext>, request: Request<Incoming>) -> Answer {
    // Who asks is not known yet, and what is not kept waiting needs no memory of its own.
    if cx.worker.shared.identity.hot().load().keeps_waiting() {
        return keep_waiting::handle(cx, request).await;
    }
    answer(cx, request).await
}

/// Answers one request, once it is known with what.
pub(super) async fn answer(cx: Rc<ConnContext>, request: Request<Incoming>) -> Answer {
    // First of all the id and the clock: everything below is recorded under them.
    let (head, mut incoming) = request.into_parts();
    let fields = Fields::read(&head.headers);
    // Before anything is recorded, which is done under the client's address.
    let settings = cx.worker.settings();
    let (cx, forwarded) = seen_through_proxies(cx, &settings, &head.headers);
    let mut exchange = Exchange::begin(&cx, settings, &head.method, &fields);
    // What follows chunks must not be taken for a request by mistake (RFC 9112, 6.3), so they are a connection's last.
    let http2 = head.version == Version::HTTP_2;
    let spent = cx.state.is_last(exchange.settings.connection_requests, http2);
    let last = fields.has(Field::TransferEncoding) || cx.state.is_in_doubt() || (spent && !http2);
    let path = &*route::plain(head.uri.path());
    let anthropic = path.starts_with("/v1") && fields.has(Field::AnthropicVersion);
    let dialect = Dialect::of_path(path, anthropic);
    let (mut answer, outcome) = match layers(
        &cx,
        &mut exchange,
        dialect,
        Head { parts: &head, path, fields: &fields, forwarded },
        &mut incoming,
    )
    .await
    {
        Ok(answer) => (answer, Outcome::Complete),
        Err(refusal) => {
            // The log may have more detail than the client's error.
            exchange.record.error.get_or_insert_with(|| refusal.to_string().into());
            error_response(&refusal, dialect, exchange.id(), exchange.settings.node_header)
        }
    };
    // Last, so that it stands on refusals too.
    let streams = answer.body().streams();
    dress(answer.headers_mut(), &cx, &exchange, &fields, streams);
    // What is left of the body is not waited for: the connection says so, and ends in order.
    let unread = head.version < Version::HTTP_2 && !body::is_read(&head.headers, &mut incoming).await;
    if unread {
        cx.state.linger();
    }
    if http2 && !incoming.is_end_stream() {
        conn::drop_rest(incoming);
    }
    // Before HTTP/1.1 an answer without a length ends with its connection (RFC 9112, 6.3).
    let endless = head.version == Version::HTTP_10 && answer.body().size_hint().exact().is_none();
    if endless {
        // Or hyper would say besides that it is kept.
        *answer.version_mut() = Version::HTTP_10;
    }
    // A websocket takes the connection for good.
    let closes = last && !matches!(answer.body(), AnswerBody::Socket(_));
    if closes || unread || endless {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    // With HTTP/1 hyper leaves the content out, with HTTP/2 it does not (RFC 9113, 8.1.1).
    if head.method == Method::HEAD
        && let AnswerBody::Full(content) = answer.body_mut()
    {
        let length = std::mem::take(content).len();
        if length > 0 {
            answer.headers_mut().entry(header::CONTENT_LENGTH).or_insert_with(|| length.into());
        }
    }
    exchange.record.status = answer.status().as_u16();
    match answer.body_mut() {
        AnswerBody::Relay(relay) => relay.request.begin(exchange),
        AnswerBody::Socket(opening) => {
            if let Some(opening) = opening.take() {
                cx.state.switches_to(opening.begin(exchange));
            }
        }
        AnswerBody::Full(bytes) => {
            exchange.record.bytes_out = bytes.len() as u64;
            exchange.first_byte();
            exchange.end(outcome);
        }
        _ => exchange.end(outcome),
    }
    // Once the record is the relay's: a client that leaves meanwhile drops that.
    if matches!(answer.body(), AnswerBody::Relay(relay) if relay.is_kept()) {
        Box::pin(judge(&mut answer)).await;
    }
    answer
}

/// Waits for an answer that is searched before any of it is sent; one that may not be sent becomes the dialect's error.
async fn judge(answer: &mut Answer) {
    let AnswerBody::Relay(relay) = answer.body_mut() else { return };
    let Some(refusal) = std::future::poll_fn(|cx| relay.poll_whole(cx)).await else { return };
    let head = relay.refuse(&refusal);
    relay.request.status(head.status);
    *answer.status_mut() = head.status;
    answer.headers_mut().extend(head.headers);
}

/// Sets what stands on every answer of its kind.
fn dress(headers: &mut HeaderMap, cx: &ConnContext, exchange: &Exchange, fields: &Fields<'_>, streams: bool) {
    headers::on_every_answer(headers, exchange.id.clone(), &exchange.settings.browsers, cx.https);
    if streams {
        headers::on_stream(headers);
    }
    if let Some(origin) = host::page(&exchange.settings, cx.listener.loopback, fields) {
        cors::on_answer(headers, origin);
    }
}

/// A request's head, and what stands in it.
#[derive(Clone, Copy)]
struct Head<'r> {
    parts: &'r Parts,
    /// The path, without slashes that say nothing.
    path: &'r str,
    fields: &'r Fields<'r>,
    /// What trusted proxies say of it.
    forwarded: Result<Forwarded<'r>, ForwardedError>,
}

async fn layers(
    cx: &ConnContext,
    exchange: &mut Exchange,
    dialect: Dialect,
    head: Head<'_>,
    incoming: &mut Incoming,
) -> Result<Answer, Refusal> {
    let Head { parts: head, path, fields, forwarded } = head;

    // A request that a proxy may have read otherwise is refused before anything in it counts.
    if cx.state.is_in_doubt() {
        cx.worker.shared.closed.count(Reason::Malformed);
        cx.state.linger();
        return Err(Refusal::InDoubt);
    }
    // Before anything else who may connect at all.
    if !cx.listener.admits(cx.peer) {
        return Err(Refusal::NotAdmitted(cx.peer));
    }
    // hyper looks at what it has read so far, which may be more than a head of this size.
    let size = head.uri.path_and_query().map_or(0, |asked| asked.as_str().len()) + fields.size();
    if size > exchange.settings.head_bytes {
        return Err(Refusal::HeadTooLarge { size, most: exchange.settings.head_bytes });
    }
    let forwarded = forwarded?;
    // The peer was looked at when it connected, but may be blocked since, and stand for others.
    let blocked = cx.worker.shared.blocks.hot();
    if !blocked.is_empty() && blocked.address(cx.client, now()) {
        return Err(Refusal::Blocked);
    }

    // Before the host is looked at, for the authority may not ask by one that is served; the token is known to it alone.
    if let Some(answer) = cx.listener.acme.as_ref().and_then(|acme| acme.answer(path)) {
        return Ok(answer);
    }

    // Before anything is looked up: a request that is not meant for this gateway learns nothing about it.
    let loopback = cx.listener.loopback;
    let named =
        match host::check(&exchange.settings, loopback, head.version, &head.uri, fields, forwarded.host) {
            // What watches over the gateway may ask for it by any name.
            Err(HostError::NotServed(_)) if path == route::HEALTH && cx.listener.redirect.is_none() => None,
            checked => checked?,
        };

    // Before anything is answered that somebody could read on the way; whatever a proxy says of it, nothing is served here.
    if let Some(port) = cx.listener.redirect {
        return redirect::answer(port, named, &head.uri);
    }

    // Before anyone is known: browsers ask without the page's credentials whether the page may ask.
    if head.method == Method::OPTIONS {
        let is_served = |route: &&Route| cx.listener.rule(route) != Some(RouteRule::Off);
        let route = route::find(path).map(|(route, _)| route).filter(is_served);
        exchange.record.route = route.map_or(exchange.record.route, |route| route.pattern);
        return Ok(cors::options(route, &head.headers));
    }

    // The route decides everything below, and its own path is what a node will be asked.
    let (route, parameter) = find(&head.method, path)?;
    exchange.record.route = route.pattern;
    if cx.listener.rule(route) == Some(RouteRule::Off) {
        return Err(Refusal::NoRoute(None));
    }

    // Before anything else is done: work for a request that comes back would be repeated in each round. It also keeps
    // this gateway from being a node of its own; health may be asked from anywhere.
    let asks_health = matches!(route.action, Action::Local(Local::Health | Local::Ready));
    if !asks_health && fields.all(Field::Via).chain(fields.all(Field::Hops)).any(via::is_ours) {
        return Err(Refusal::Loop);
    }

    // Where no key is needed, the browser's user would lend the page what the gateway grants to its network.
    if route.need() != Need::Nothing
        && authenticate::has_no_credential(route, fields)
        && host::is_cross_site(fields)
    {
        return Err(HostError::CrossSite.into());
    }
    // Before the body, so that an anonymous caller costs no memory.
    let caller = authenticate::caller(cx, exchange, route, fields)?;
    // As soon as it is known whom to count it for, and before anything that is refused may be recorded: a flood of
    // refusals counts too.
    limit::throttle(cx, exchange, &caller, route).await?;
    authenticate::authorize(cx, exchange, &caller, route, fields)?;
    if !route.allows(&head.method) {
        return Err(Refusal::Method { method: head.method.to_string(), allow: route.allow() });
    }
    // Before the body, for it is a matter of the head.
    let chosen = authenticate::chosen_node(cx, exchange, &caller, route, fields)?;
    let eligible = chosen.as_ref().unwrap_or_else(|| caller.eligible());
    let forwarded = match route.action {
        Action::Never(why) => return Err(Refusal::Never(why)),
        Action::Local(what) => {
            let (parameter, query) = (parameter.as_deref(), head.uri.query());
            let asked = local::Asked { dialect, parameter, query, fields };
            let mut answer = local::answer(cx, what, asked, &caller, eligible).await?;
            // To be known as a gateway, and by which name (see `fleet`).
            if fields.has(Field::Hops) {
                answer.headers_mut().insert(via::X_AIVONX_HOPS, HeaderValue::from_static(via::pseudonym()));
            }
            return Ok(answer);
        }
        Action::Response => {
            let (method, version) = (&head.method, head.version);
            let parameter = parameter.as_deref().unwrap_or_default();
            let query = head.uri.query();
            let asked = response::Asked {
                method,
                version,
                parameter,
                query,
                fields,
                dialect,
                caller: &caller,
                eligible,
            };
            return Box::pin(response::answer(cx, exchange, asked)).await;
        }
        Action::OwnUsage => {
            return Box::pin(own_usage::answer(cx, exchange, &caller, head.uri.query())).await;
        }
        Action::Account(what) => {
            let (method, parameter) = (head.method.clone(), parameter.as_deref());
            let asked = account::Asked { what, method, route, parameter, caller };
            return Box::pin(account::answer(cx, exchange, asked, fields, incoming)).await;
        }
        Action::Forward(forward) => Some(forward),
        Action::Blob => {
            let (method, digest) = (&head.method, parameter.as_deref().unwrap_or_default());
            let before = before(fields);
            let asked = blob::Asked { route, method, digest, fields, before, caller: &caller, eligible };
            return Box::pin(blob::answer(cx, exchange, asked, incoming)).await;
        }
        Action::Pull | Action::Delete | Action::Copy | Action::Create | Action::Push => None,
    };

    // The body is whole before a node is chosen: that makes a second attempt possible.
    let flight = cx.worker.watch(InFlight::new(cx.transport(), exchange.begun()));
    // From here on it takes time, and what takes time ends with the credential it runs under.
    flight.on_behalf_of(caller.clone());
    let sender = Sender { caller: &caller, route };
    let body = body::collect(exchange, &flight, fields, sender, incoming).await?;
    exchange.record.bytes_in = body.bytes;
    let socket = match &forwarded {
        Some(Forward { socket: true, .. }) => Some(Box::new(Handshake::read(head, &caller)?)),
        _ => None,
    };
    let body = match &socket {
        Some(socket) => socket.body(body, |model| eligible.allows(model))?,
        None => body,
    };
    let (mut body, mut peek) = match &forwarded {
        Some(to @ Forward { form: Some(upload), .. }) => {
            let sent = form::Sent { route: to, upload: *upload, caller: &caller, headers: &head.headers };
            Box::pin(form::read(exchange, &flight, sent, body)).await?
        }
        _ => read(exchange, &flight, body).await?,
    };
    let Some(forwarded) = forwarded else {
        // A copy names two, neither of them so.
        if !matches!(route.action, Action::Copy) {
            name_model(exchange, &peek, true, eligible)?;
            flight.for_model(exchange.record.model.clone());
        }
        // A pull takes as long as it takes: the deadline was the body's.
        flight.no_deadline(Waiting::Work);
        let source = change::source(cx, exchange, fields);
        let asked = manage::Asked { method: &head.method, route, source, before: before(fields), eligible };
        return Box::pin(manage::answer(exchange, flight, asked, body, &peek, &caller)).await;
    };
    if forwarded.may_lack_model() && peek.model(false).is_none() {
        let snapshot = exchange.worker.shared.hot.load();
        peek.model = snapshot.only_model(eligible).map(|entry| entry.name.to_string());
    }
    // What goes on from a response goes where that is kept.
    let kept = match &peek.previous {
        Some(id) if named::is_read(forwarded.path) => Some(response::after(exchange, &caller, eligible, id)?),
        _ => None,
    };
    let eligible = kept.as_ref().unwrap_or(eligible);
    // Ids of things kept on a node and private addresses are refused.
    if socket.is_none() && !peek.is_form() {
        named::check(exchange, &flight, &caller, &forwarded, &body).await?;
    }
    let known = name_model(exchange, &peek, forwarded.legacy_name, eligible)?;
    flight.for_model(exchange.record.model.clone());

    peek.check(&forwarded)?;

    // What the gateway changes of the body: one list, made by the layers below and carried out once. Governed values
    // are not among it; they are written in one place, for they may be set by several layers.
    let mut edits = Edits::default();

    // Which model is served for the name that was asked for, and what its requests are given: the layers below, and
    // the node, are about that one.
    let plan = plan(exchange, &peek, &forwarded, &caller, eligible)?;

    if is_unknown(exchange, known, &peek, &forwarded, plan.as_ref(), eligible) {
        // It may have come to a node a moment ago. Limits and the record go by the catalogue's name for it.
        flight.allow(Waiting::Work, exchange.worker.now(), exchange.settings.header_wait);
        look_again(&exchange.worker, &flight).await?;
        if plan.as_ref().is_none_or(|plan| plan.alias.is_none()) {
            name_model(exchange, &peek, forwarded.legacy_name, eligible)?;
            flight.for_model(exchange.record.model.clone());
        }
    }

    // Before anything is reserved or sent: what may not leave is replaced, or the request refused.
    let screening = if forwarded.prompts() { privacy::of(exchange, &caller) } else { None };
    if socket.is_some() {
        privacy::refuse_unsearched(exchange, &caller)?;
        limit::refuse_unbounded(exchange, &caller, plan.as_ref().is_some_and(Plan::bounds_output))?;
    } else if !peek.is_form()
        && let Some(screening) = &screening
    {
        privacy::screen(exchange, &flight, screening, &mut body, &mut edits).await?;
    }

    // Last before a node is chosen: it needs to know how long the prompt is, and how long the answer may be, and
    // nothing may be reserved for a request that is refused.
    let asks = limit::Asks {
        route,
        forward: &forwarded,
        caller: &caller,
        peek: &peek,
        body: &body,
        plan: plan.as_ref(),
    };
    // Most tokens an answer may have, where a budget relies on it.
    let output = limit::reserve(exchange, asks).await?;

    let written = plan.as_ref().and_then(|plan| plan.candidates.first()?.changes(&peek, None).keep_alive);
    let leaves = forwarded.native() && peek.keeps_for_no_time(&body.segments, written);
    exchange.memory = Memory { loads: forwarded.metered, held: false, leaves };

    // A client that takes a model out of memory means all of the server that it takes the gateway for.
    let stopped = unload::Stopped::of(&peek, &forwarded, &body, plan.as_ref(), eligible);
    if let Some(stopped) = stopped
        && let Some(answer) = stopped.answer(exchange, &flight, before(fields), eligible).await?
    {
        return Ok(answer);
    }

    // Which models and nodes are for the caller is decided where a node is chosen, for each attempt anew.
    let many = Many::of(&mut edits);
    let call = Call {
        route: forwarded,
        dialect,
        fields,
        received: head.version,
        peek: &peek,
        body,
        edits,
        many,
        output,
        plan,
        eligible,
        owner: responses::owner(&caller),
        priority: caller.priority(),
        overflow: exchange.settings.overflow,
        answers: screening.and_then(|screening| privacy::Answers::on(screening, &forwarded)),
        socket,
    };
    if forwarded.path == route::COUNT_TOKENS {
        return Box::pin(count_tokens::answer(exchange, flight, call)).await;
    }
    if let Some(hold) = &cx.hold
        && caller.keeps_waiting()
        && call.streams()
    {
        let mut headers = HeaderMap::new();
        dress(&mut headers, cx, exchange, fields, true);
        hold.begin(Begins {
            headers,
            dialect,
            id: exchange.id.clone(),
            after: exchange.settings.keep_waiting,
        });
    }
    let answer = forward(exchange, flight, call).await;
    answer.map_err(|refusal| match refusal {
        Refusal::NoNode(why @ (NoNode::UnknownModel { .. } | NoNode::Down)) if chosen.is_some() => {
            Refusal::OnChosen(why)
        }
        refusal => refusal,
    })
}

/// The connection as it is for the client behind trusted proxies, and what they say of it.
fn seen_through_proxies<'h>(
    cx: Rc<ConnContext>,
    settings: &Settings,
    headers: &'h HeaderMap,
) -> (Rc<ConnContext>, Result<Forwarded<'h>, ForwardedError>) {
    if !forwarded::is_trusted(&settings.trusted, cx.client) {
        return (cx, Ok(Forwarded::default()));
    }
    let forwarded = forwarded::read(headers, &settings.trusted);
    let Forwarded { client, https, .. } = forwarded.unwrap_or_default();
    let seen = ConnContext {
        client: client.unwrap_or(cx.client),
        https: https.unwrap_or(cx.https),
        ..ConnContext::clone(&cx)
    };
    (Rc::new(seen), forwarded)
}

/// The gateways that a request came through.
fn before(fields: &Fields<'_>) -> Vec<HeaderValue> {
    // A relay may have taken the one out.
    let before = if fields.has(Field::Hops) { Field::Hops } else { Field::Via };
    fields.all(before).cloned().collect()
}

/// Reads what the gateway has to know of a body.
async fn read(
    exchange: &Exchange,
    flight: &InFlight,
    body: Collected,
) -> Result<(Collected, Box<Peek>), Refusal> {
    if body.bytes <= aside::LARGE {
        let peek = Peek::read(&body.segments)?;
        return Ok((body, peek));
    }
    // The body is there; what is waited for from now on is the answer.
    flight.allow(Waiting::Work, exchange.worker.now(), exchange.settings.header_wait);
    let peek = aside(move || Peek::read(&body.segments).map(|peek| (body, peek)));
    let peek = flight.watch(peek).await.map_err(VerdictError)?;
    Ok(peek.ok_or(Refusal::Internal("the body could not be read"))??)
}

/// The route of a path; refuses what is no plain request first. An `Upgrade` is none that is served, and is ignored
/// (RFC 9110, 7.8): some clients offer HTTP/2 with every request.
fn find<'p>(method: &Method, path: &'p str) -> Result<(&'static Route, Option<Cow<'p, str>>), Refusal> {
    if *method == Method::CONNECT || *method == Method::TRACE {
        return Err(Refusal::Method { method: method.to_string(), allow: "GET, POST, DELETE".to_owned() });
    }
    route::find(path).ok_or_else(|| Refusal::NoRoute(route::meant(path)))
}

/// What model policy makes of the request. An alias is its own name in the record.
fn plan(
    exchange: &mut Exchange,
    peek: &Peek,
    forwarded: &Forward,
    caller: &Caller,
    eligible: &RoutingRules,
) -> Result<Option<Plan>, Refusal> {
    let plan = {
        let rules = exchange.worker.shared.policy.load();
        let (Some(rules), Some(asked)) = (&*rules, peek.model(forwarded.legacy_name)) else {
            return Ok(None);
        };
        let organization = caller.organization().map(|organization| &*organization.id);
        rules.plan(organization, asked, eligible)
    };
    let Some(mut plan) = plan else { return Ok(None) };
    match caller.subject().and_then(|subject| subject.key.as_ref().or(subject.user.as_ref())) {
        Some((id, _)) => plan.spread(id.as_bytes()),
        None if !plan.is_sticky() => {}
        None => plan.spread(network(exchange.record.client).to_string().as_bytes()),
    }
    if let Some(alias) = &plan.alias {
        exchange.record.model = Some(alias.clone());
    }
    if plan.candidates.is_empty() {
        // As if there were no such name.
        let model = peek.model(forwarded.legacy_name).unwrap_or_default().to_owned();
        return Err(NoNode::UnknownModel { model, nearest: Vec::new() }.into());
    }
    Ok(Some(plan))
}

/// Whether no node is known to have any of the models that the caller may be served. Of a model that the caller may not
/// use nobody is to learn whether it is there. `known` is whether the model that was asked for is.
fn is_unknown(
    exchange: &Exchange,
    known: bool,
    peek: &Peek,
    forwarded: &Forward,
    plan: Option<&Plan>,
    eligible: &RoutingRules,
) -> bool {
    let Some(plan) = plan else {
        return !known && peek.model(forwarded.legacy_name).is_some_and(|model| eligible.allows(model));
    };
    let snapshot = exchange.worker.shared.hot.load();
    plan.candidates.iter().all(|one| {
        (one.granted || eligible.allows(&one.model)) && snapshot.known(&one.model, eligible).is_none()
    })
}

/// Puts the model into the record, under the catalogue's name and only if a node has it that is for the caller. Returns
/// whether one has.
fn name_model(
    exchange: &mut Exchange,
    peek: &Peek,
    legacy: bool,
    eligible: &RoutingRules,
) -> Result<bool, Refusal> {
    let model = peek.model(legacy).ok_or(Refusal::ModelMissing)?;
    let known = exchange.worker.shared.hot.load().known(model, eligible).map(|entry| entry.name.clone());
    exchange.record.model = known;
    Ok(exchange.record.model.is_some())
}
