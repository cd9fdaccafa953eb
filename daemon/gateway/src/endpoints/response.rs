//! A response that a node made and keeps: it is asked of that node alone.

use std::{pin::pin, sync::Arc};

use aivonx_fleet::{Lease, NoNode, Node, RoutingRules};
use aivonx_identity::Caller;
use aivonx_wire::api::{
    Dialect,
    route::{Output, Stream},
};
use bytes::Bytes;
use http::{Method, Version, header};
use url::form_urlencoded;

use crate::{
    answer::{Answer, AnswerBody},
    body::VerdictError,
    conn::ConnContext,
    deadline::{InFlight, Waiting},
    error_response::Refusal,
    exchange::Exchange,
    fields::Fields,
    forward::{Kind, relay},
    opened::Opened,
    privacy::{self, Answers},
    query, responses,
    trial::{self, Answered},
    upstream::{Incoming, Outgoing},
};

/// What is asked.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) version: Version,
    /// What follows the path of all responses.
    pub(crate) parameter: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) fields: &'a Fields<'a>,
    pub(crate) dialect: Dialect,
    pub(crate) caller: &'a Caller,
    /// What of the fleet the request may use.
    pub(crate) eligible: &'a RoutingRules,
}

/// Answers with what the node says.
pub(crate) async fn answer(
    cx: &ConnContext,
    exchange: &mut Exchange,
    asked: Asked<'_>,
) -> Result<Answer, Refusal> {
    let (id, method) = of(asked.parameter, asked.method)?;
    let is_head = *asked.method == Method::HEAD;
    let node = node(exchange, asked.caller, asked.eligible, id)?;
    let (worker, settings) = (exchange.worker.clone(), exchange.settings.clone());
    let flight = cx.worker.watch(InFlight::new(cx.transport(), exchange.begun()));
    flight.on_behalf_of(asked.caller.clone());
    let lease = Lease::take(&node).ok_or(Refusal::NodesBusy { wait: None })?;
    exchange.chosen();
    exchange.record.node = Some(node.name.clone());
    flight.on_node(Some(node.clone()));
    flight.allow(Waiting::Head, worker.now(), settings.header_wait);
    let Passed { query, streams } = passed_on(asked.query)?;
    let path = format!("/v1/responses/{}{query}", asked.parameter);
    let stream = if streams { Stream::Responses } else { Stream::Never };
    let attempt = async {
        let mut fresh = false;
        loop {
            let request = Outgoing {
                method: method.clone(),
                path: &path,
                client: asked.fields,
                received: asked.version,
                request_id: &exchange.id,
                form: false,
                body: &[],
                heir: None,
                socket: None,
                connect_within: settings.connect,
            };
            match worker.upstream.send(&node, request, fresh).await {
                // The kept connection died before any byte.
                Err(error) if error.stale() && !fresh => fresh = true,
                Err(error) => return Err(error),
                Ok(incoming) => return Opened::read(incoming, stream, || ()).await,
            }
        }
    };
    let opened = flight.watch_node(pin!(attempt)).await.map_err(VerdictError)?;
    let opened = opened.ok_or(NoNode::Down)?;
    let failed = |error: crate::upstream::SendError| Refusal::NodeFailed {
        node: node.name.to_string(),
        why: error.to_string(),
    };
    let answered = Answered { opened: opened.map_err(failed)?, lease, asked: trial::Asked::default() };
    if is_head {
        let Incoming { status, mut headers, body, .. } = answered.opened.incoming;
        if let Some(length) = body.length() {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        let mut answer = Answer::new(AnswerBody::Full(Bytes::new()));
        (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
        return Ok(answer);
    }
    let screening = privacy::of(exchange, asked.caller);
    let answers = screening.and_then(|screening| Answers::of(screening, stream));
    let (dialect, output) = (asked.dialect, Output::Nothing);
    let kind = Kind { dialect, stream, strip: false, output, answers, written: None };
    relay(exchange, flight, answered, kind)
}

/// A query for the node, with its question mark.
#[derive(Debug, PartialEq, Eq)]
struct Passed {
    query: String,
    /// It asks for the response as a stream.
    streams: bool,
}

/// What of a query goes to the node: which part of a list is asked for, and what of each; or the response as a stream, and
/// from where on.
fn passed_on(query: Option<&str>) -> Result<Passed, Refusal> {
    let (mut passed, mut streams) = (form_urlencoded::Serializer::new(String::new()), false);
    query::read(query, |name, value| {
        streams |= name == "stream" && value == "true";
        let known = matches!(
            name,
            "after"
                | "before"
                | "limit"
                | "order"
                | "include"
                | "include[]"
                | "stream"
                | "starting_after"
                | "include_obfuscation"
        );
        if known {
            passed.append_pair(name, &value);
        }
        known
    })?;
    let passed = passed.finish();
    Ok(Passed { query: if passed.is_empty() { passed } else { format!("?{passed}") }, streams })
}

/// The id in what follows the path of all responses, and the method that a node is asked with.
fn of<'a>(parameter: &'a str, method: &Method) -> Result<(&'a str, Method), Refusal> {
    let (id, part) = parameter.split_once('/').map_or((parameter, None), |(id, part)| (id, Some(part)));
    let allow = match part {
        None => &[Method::GET, Method::DELETE][..],
        Some("input_items") => &[Method::GET],
        Some("cancel") => &[Method::POST],
        Some(_) => return Err(Refusal::NoPart),
    };
    if !responses::is_id(id) {
        return Err(Refusal::NoResponse(id.to_owned()));
    }
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    if !allow.contains(method) {
        let allow: Vec<&str> = allow.iter().map(Method::as_str).collect();
        return Err(Refusal::Method { method: method.to_string(), allow: allow.join(", ") });
    }
    Ok((id, method.clone()))
}

/// The node that made the response of this id for the caller, if that may still use both it and the model, and asks for
/// no other node.
fn node(
    exchange: &Exchange,
    caller: &Caller,
    eligible: &RoutingRules,
    id: &str,
) -> Result<Arc<Node>, Refusal> {
    let shared = &exchange.worker.shared;
    let maker = shared.responses.maker(responses::owner(caller), id);
    let maker = maker.filter(|maker| maker.is_for(caller.eligible()));
    let snapshot = shared.hot.load();
    let found = maker.and_then(|maker| snapshot.nodes.iter().find(|node| node.id == maker.node));
    let found = found.filter(|node| caller.eligible().admits(node)).cloned();
    let found = found.ok_or_else(|| Refusal::NoResponse(id.to_owned()))?;
    if eligible.admits(&found) { Ok(found) } else { Err(Refusal::KeptElsewhere(id.to_owned())) }
}

/// What of the fleet a request may use that goes on from the response of this id: a node keeps those of everybody, and
/// hands them to whoever knows the id.
pub(crate) fn after(
    exchange: &Exchange,
    caller: &Caller,
    eligible: &RoutingRules,
    id: &str,
) -> Result<RoutingRules, Refusal> {
    Ok(eligible.only(&node(exchange, caller, eligible, id)?.id))
}
