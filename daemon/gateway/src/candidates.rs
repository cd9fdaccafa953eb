//! Which of a plan's models is asked for, and the body that asks for it.

pub(super) mod written;

use std::sync::Arc;

use aivonx_domain::model_name;
use aivonx_fleet::{Counting, Lease, NoNode, Node, Overflow, Place, Snapshot, Want, serves};
use aivonx_wire::{
    api::{Edits, peek::Changes, route::Stream},
    translate::Api,
};
use bytes::Bytes;
use http::StatusCode;

use self::written::Written;
use super::{
    answer::Answer,
    cold::Cold,
    endpoints::show,
    error_response::Refusal,
    exchange::Exchange,
    forward::Call,
    opened::Opened,
    shared::Settings,
    translation::{self, Translated},
    work,
    worker::Worker,
};
use crate::policy::{Plan, Tally};
use aivonx_protocol::node::{NodeKind, Pool};

/// The models that may be served, in order; those that no node can serve are left behind.
pub(super) struct Candidates<'a> {
    call: &'a Call<'a>,
    /// The API of the call, if it is one that is translated.
    api: Option<Api>,
    /// What is remembered of nodes that do not serve it; 0 if nothing is.
    bit: u64,
    /// Which one is asked for.
    at: usize,
    /// Ask for usage in the stream where that is known to work.
    usage: bool,
    /// Also where nothing is known.
    needed: bool,
    /// The body for that one, once it has been [prepared](Self::prepare), and for what kind of node.
    body: Option<Written>,
    kind: NodeKind,
    /// That body asks for usage.
    asks: bool,
    /// And is to be in this API, which is not the client's.
    to: Option<Api>,
    translated: Option<Translated>,
    /// Something in the request has no counterpart in another API.
    untranslatable: bool,
    /// Nodes that there was no connection to.
    unreachable: Vec<Arc<Node>>,
    /// A node did not take the question for usage.
    rejected: bool,
    /// Seconds until one of the models before would be answered by a node of the fleet's own, if one would.
    otherwise: Option<f64>,
}

/// No size of a context: keeps options that policy forces apart from those that clients send.
const FORCED: u64 = 1 << 63;

impl<'a> Candidates<'a> {
    pub(super) fn new(call: &'a Call<'a>, usage: bool, needed: bool) -> Self {
        let api = Api::of(call.route.path);
        Self {
            call,
            api,
            bit: api.map_or_else(|| call.route.bit(), Api::bit),
            at: 0,
            usage,
            needed,
            body: None,
            kind: NodeKind::Ollama,
            asks: false,
            to: None,
            translated: None,
            untranslatable: false,
            unreachable: Vec::new(),
            rejected: false,
            otherwise: None,
        }
    }

    /// Whether the body asks for usage that the client did not ask for.
    pub(super) fn asks(&self) -> bool {
        self.asks
    }

    /// How the body differs from the client's API, if it does.
    pub(super) fn translated(&self) -> Option<Translated> {
        self.translated.clone()
    }

    /// The path on the node, and how its answer is framed if it is a stream.
    pub(super) fn asked_at(&self) -> (&'static str, Stream) {
        let route = &self.call.route;
        self.translated.as_ref().map_or((route.path, route.stream), |to| (to.node.path(), to.node.stream()))
    }

    /// The answer to what no node is needed for.
    pub(super) fn answer(&self) -> Option<Bytes> {
        if let Some(Written::Nothing(answer)) = &self.body { Some(answer.clone()) } else { None }
    }

    /// Remembers that `node` does not serve the route, if that is what it says; from then on it is asked in its own API.
    pub(super) fn learns(&self, opened: &Opened, node: &Node) -> bool {
        let api = self.api.filter(|api| api.counterpart(node.kind == NodeKind::Ollama).is_some());
        // What it does not find may be the response that the request goes on from.
        let is_alone = self.translated.is_none() && self.call.peek.previous.is_none();
        if api.is_none() || !opened.no_route || !is_alone {
            return false;
        }
        node.live.has_not(self.bit, self.model());
        true
    }

    /// Whether `node` does not serve the API that it would be asked in instead of the client's, by what it said.
    pub(super) fn lacks_counterpart(&self, node: &Node) -> bool {
        self.translated.as_ref().is_some_and(|to| node.live.lacks(to.node.bit(), self.model()))
    }

    /// The same, if `opened` is how it says so; that is remembered. 501 is not, as in [`Self::remembers`]: it says why in its
    /// own words.
    pub(super) fn learns_lack(&self, opened: &Opened, node: &Node) -> bool {
        let lacks = opened.no_route && opened.incoming.status != StatusCode::NOT_IMPLEMENTED;
        let Some(to) = self.translated.as_ref().filter(|_| lacks) else { return false };
        node.live.has_not(to.node.bit(), self.model());
        true
    }

    /// Remembers that `node` does not have the route for the model, if that is one that some do not have. Not of 501: engines
    /// that have the route say so of a model it does not fit, and of what they were started without.
    pub(super) fn remembers(&self, opened: &Opened, node: &Node) {
        if self.call.route.optional
            && opened.no_route
            && opened.incoming.status != StatusCode::NOT_IMPLEMENTED
        {
            node.live.has_not(self.bit, self.model());
        }
    }

    /// Remembers that there was no connection to `node`.
    pub(super) fn cannot_reach(&mut self, node: &Arc<Node>) {
        self.unreachable.push(node.clone());
    }

    /// From now on only nodes that speak the client's API are asked.
    pub(super) fn translate_no_more(&mut self) {
        self.untranslatable = true;
    }

    /// Leaves out what `node` rejected the request for, or may have; false if that is something else.
    pub(super) fn ask_no_more(&mut self, rejected: &Opened, node: &Node) -> bool {
        if rejected.over_usage {
            node.live.counts(Counting::Refused);
        } else if node.kind == NodeKind::Ollama || node.live.counting() != Counting::Unknown {
            return false;
        }
        (self.usage, self.rejected) = (false, true);
        true
    }

    /// Whether to ask `node`: what is asked for changes more of some nodes' answers than can be taken back.
    fn is_to_ask(&self, node: &Node, to: Option<Api>) -> bool {
        let counting = node.live.counting();
        match to {
            // The client gets nothing of its stream as it is.
            Some(Api::Chat) => self.call.streams() && !self.rejected && counting != Counting::Refused,
            Some(_) => false,
            None if !self.usage => false,
            None => match counting {
                Counting::Usage => true,
                Counting::Unknown => self.needed || node.kind == NodeKind::Ollama,
                Counting::Unasked | Counting::Refused => false,
            },
        }
    }

    /// The API that `node` is asked in, if that is not the client's.
    fn to(&self, node: &Node) -> Option<Api> {
        let api = self.api?.counterpart(node.kind == NodeKind::Ollama);
        api.filter(|_| !serves(node, self.want()))
    }

    /// Assigns the request to a node for the first of the models that one can serve now, and that is not among
    /// `tried`; if none can, it waits for one for the first of them.
    ///
    /// # Errors
    /// What keeps the first one left from being served.
    pub(super) fn place(
        &mut self,
        exchange: &Exchange,
        snapshot: &Snapshot,
        tried: &[Arc<Node>],
    ) -> Result<Place, NoNode> {
        let before = self.at;
        let mut why = None;
        let mut waits = None;
        self.otherwise = None;
        loop {
            match self.place_one(exchange, snapshot, tried) {
                Ok(Place::Now(lease)) => {
                    if self.at != before {
                        self.body = None;
                    }
                    return Ok(Place::Now(lease));
                }
                Ok(Place::Waits(waiting)) => {
                    if snapshot.third_parties {
                        self.otherwise.get_or_insert(waiting.standing().1);
                    }
                    waits.get_or_insert((self.at, waiting));
                    if self.call.plan.as_ref().is_some_and(Plan::is_sticky) {
                        break;
                    }
                }
                Err(error) => {
                    why.get_or_insert(error);
                }
            }
            if self.call.plan.as_ref().is_some_and(|plan| self.at + 1 < plan.candidates.len()) {
                self.at += 1;
                continue;
            }
            break;
        }
        if let Some((at, waiting)) = waits {
            self.body = self.body.take().filter(|_| at == before);
            self.at = at;
            return Ok(Place::Waits(waiting));
        }
        self.at = before;
        let why = why.unwrap_or(NoNode::Down);
        let only_down = tried.iter().all(|node| node.pool == Pool::Standby);
        let last = || {
            let translated = || snapshot.last_resort(self.want_translated()?, tried);
            snapshot.last_resort(self.want(), tried).or_else(translated)
        };
        let down = (why == NoNode::Down && only_down && !self.is_listed(snapshot)).then(last);
        down.flatten().map(Place::Now).ok_or(why)
    }

    fn place_one(
        &self,
        exchange: &Exchange,
        snapshot: &Snapshot,
        tried: &[Arc<Node>],
    ) -> Result<Place, NoNode> {
        let mut blocks = exchange.worker.blocks();
        let mut work = work::of(self.call, exchange, self.want().model, snapshot, &mut blocks);
        work.variant = self.variant(work.variant);
        let place = snapshot.place(self.want(), work, tried);
        match (place, self.want_translated()) {
            (Err(NoNode::Unserved(_)), Some(want)) => snapshot.place(want, work, tried),
            // Not while a node that speaks the client's API is up, even if it just failed or was busy.
            (Err(NoNode::Down), Some(want)) if !snapshot.is_served(self.want(), &self.unreachable) => {
                snapshot.place(want, work, tried).map_err(|_| NoNode::Down)
            }
            (place, _) => place,
        }
    }

    /// Whether this is /api/show for a model that an active OpenAI node lists; the gateway then answers from that list.
    fn is_listed(&self, snapshot: &Snapshot) -> bool {
        self.call.route.path == show::PATH
            && snapshot.is_served(Want { ollama: None, openai: true, ..self.want() }, &[])
    }

    /// The gateway's own answer to /api/show, which clients ask before they chat, where no node can answer because of
    /// `why`.
    pub(super) fn shown(&self, snapshot: &Snapshot, why: &NoNode) -> Option<Answer> {
        let shows = match why {
            NoNode::Unserved(_) => self.call.route.path == show::PATH,
            NoNode::Down => self.is_listed(snapshot),
            _ => false,
        };
        shows.then(|| show::answer(snapshot, self.model(), self.call.eligible))
    }

    /// The options of the runner as the node gets them, of a client that sends `sent`: policy may set the size of the
    /// context.
    fn variant(&self, sent: u64) -> u64 {
        let candidate = self.call.plan.as_ref().and_then(|plan| plan.candidates.get(self.at));
        let Some(changes) = candidate.map(|candidate| candidate.changes(self.call.peek, None)) else {
            return sent;
        };
        match changes.num_ctx {
            None => sent,
            // What the client set is left out then.
            Some(size) if changes.pinned => size | FORCED,
            Some(size) => sent ^ size,
        }
    }

    /// Says what a lease is for.
    pub(super) fn claim(&self, lease: &mut Lease) {
        self.want().model.inspect(|model| lease.is_for(model));
    }

    /// A node other than `node` for the very request that is to be sent, if one can take it now.
    pub(super) fn elsewhere(
        &self,
        exchange: &Exchange,
        snapshot: &Snapshot,
        tried: &[Arc<Node>],
        node: &Arc<Node>,
    ) -> Option<Lease> {
        let tried: Vec<Arc<Node>> = tried.iter().chain([node]).cloned().collect();
        match self.place_one(exchange, snapshot, &tried) {
            Ok(Place::Now(lease)) => Some(lease),
            Ok(Place::Waits(_)) | Err(_) => None,
        }
    }

    /// Whether the node has the model in memory, as far as is known: not all nodes tell.
    pub(super) fn is_loaded(&self, node: &Node) -> bool {
        let holds = |model| model_name::with_normal(model, |normal| node.seen.loaded.contains(normal));
        !node.seen.dozes && (node.kind != NodeKind::Ollama || self.want().model.is_none_or(holds))
    }

    /// What sees the load through that the request causes when its client leaves, if it causes one. The body is prepared.
    pub(super) fn cold(&self, worker: &Worker, settings: &Settings, lease: &Lease) -> Option<Cold> {
        let (load, model) = lease.load().zip(self.want().model)?;
        let native = self
            .translated
            .as_ref()
            .map_or(self.call.route.native(), |to| to.node.stream() == Stream::Ndjson);
        Some(Cold::new(&worker.shared, load, model, self.body(), native, settings.load))
    }

    /// Where requests for the model asked for are counted, if it is an alias's.
    pub(super) fn tally(&self) -> Option<Arc<Tally>> {
        self.call.plan.as_ref()?.candidates.get(self.at)?.tally.clone()
    }

    /// The model asked for, where it is another than the client's.
    pub(super) fn served(&self) -> Option<&'a Arc<str>> {
        let plan = self.call.plan.as_ref()?;
        let model = &plan.candidates.get(self.at)?.model;
        (Some(&**model) != self.asked()).then_some(model)
    }

    /// The model that a node is asked for.
    pub(super) fn model(&self) -> &'a str {
        self.want().model.unwrap_or_default()
    }

    fn asked(&self) -> Option<&'a str> {
        self.call.peek.model(self.call.route.legacy_name)
    }

    fn want(&self) -> Want<'a> {
        let call = self.call;
        let candidate = call.plan.as_ref().and_then(|plan| plan.candidates.get(self.at));
        Want {
            model: candidate.map(|candidate| &*candidate.model).or(self.asked()),
            granted: candidate.is_some_and(|candidate| candidate.granted),
            ollama: call.route.ollama,
            openai: call.route.openai,
            api: self.bit,
            eligible: call.eligible,
            overflow: Overflow { after: call.overflow, otherwise: self.otherwise },
        }
    }

    /// What a node needs that is asked in another API.
    fn want_translated(&self) -> Option<Want<'a>> {
        let api = self.api.filter(|_| !self.untranslatable)?;
        let ollama = api.counterpart(true).map(|_| (0, 0, 0));
        Some(Want { ollama, openai: api.counterpart(false).is_some(), api: 0, ..self.want() })
    }

    /// Writes the body that is to be sent to `node`, unless it is.
    ///
    /// # Errors
    /// [`BodyError::Budget`](super::body::BodyError::Budget): with the changes it is there twice.
    pub(super) async fn prepare(&mut self, node: &Node, id: &str) -> Result<(), Refusal> {
        let (kind, to) = (node.kind, self.to(node));
        let asks = self.is_to_ask(node, to);
        if self.body.is_none() || (self.kind, self.asks, self.to) != (kind, asks, to) {
            (self.kind, self.asks, self.to, self.translated) = (kind, asks, to, None);
            // Not there three times.
            self.body = None;
            let (came, many) = (&self.call.body, self.call.many.as_ref());
            let mut body = written::write(self.edits(asks && to.is_none()), many, came).await?;
            if let Some(apis) = self.api.zip(to) {
                let about = translation::about(id, self.want().model);
                let (anew, translated) = written::translate(apis, asks, about, &body, came).await?;
                (body, self.translated) = (anew, Some(translated));
            }
            self.body = Some(body);
        }
        Ok(())
    }

    /// The changes that are made to the client's request. `asks` for usage as its own API does.
    fn edits(&self, asks: bool) -> Edits {
        let call = self.call;
        let candidate = call.plan.as_ref().and_then(|plan| plan.candidates.get(self.at));
        let changes = match candidate {
            Some(candidate) => candidate.changes(call.peek, call.output),
            None => Changes { output: call.output, ..Changes::default() },
        };
        let model = self.served().map(|model| &**model);
        let endless_zero = self.kind == NodeKind::Ollama;
        let mut edits = call.edits.clone();
        call.peek.write(&call.route, &Changes { model, usage: asks, endless_zero, ..changes }, &mut edits);
        edits
    }

    /// The body to be sent.
    pub(super) fn body(&self) -> &[Bytes] {
        self.body.as_ref().unwrap_or(&Written::AsItCame).segments(&self.call.body)
    }
}
