//! Which of a plan's models is asked for, and the body that asks for it.

use std::sync::Arc;

use bytes::Bytes;

use super::forward::Call;
use crate::{
    api::{Edits, peek::Changes},
    fleet::{Lease, NoNode, Node, Snapshot, Want},
};

/// The models that may be served, in order; those that no node can serve are left behind.
pub(super) struct Candidates<'a> {
    call: &'a Call<'a>,
    /// Which one is asked for.
    at: usize,
    /// Ask for usage in the stream.
    usage: bool,
    /// The body for that one, if it is not the client's.
    body: Option<Vec<Bytes>>,
}

impl<'a> Candidates<'a> {
    pub(super) fn new(call: &'a Call<'a>, usage: bool) -> Self {
        let mut candidates = Self { call, at: 0, usage, body: None };
        candidates.write();
        candidates
    }

    /// Chooses a node for the first of the models that one can serve, and that is not among `tried`.
    ///
    /// # Errors
    /// What keeps the first one left from being served.
    pub(super) fn choose(&mut self, snapshot: &Snapshot, tried: &[Arc<Node>]) -> Result<Lease, NoNode> {
        let before = self.at;
        let mut why = None;
        loop {
            match snapshot.choose(self.want(), tried) {
                Ok(lease) => {
                    if self.at != before {
                        self.write();
                    }
                    return Ok(lease);
                }
                Err(error) => {
                    let why = why.get_or_insert(error);
                    let more =
                        self.call.plan.as_ref().is_some_and(|plan| self.at + 1 < plan.candidates.len());
                    if !more {
                        let why = why.clone();
                        self.at = before;
                        return Err(why);
                    }
                    self.at += 1;
                }
            }
        }
    }

    /// A node other than `node` for the very request that is to be sent, if one can take it now.
    pub(super) fn elsewhere(&self, snapshot: &Snapshot, tried: &[Arc<Node>], node: &Node) -> Option<Lease> {
        snapshot.choose(self.want(), tried).ok().filter(|lease| lease.node().id != node.id)
    }

    /// The body to be sent.
    pub(super) fn body(&self) -> &[Bytes] {
        self.body.as_deref().unwrap_or(&self.call.body.segments)
    }

    /// The model asked for, where it is another than the client's.
    pub(super) fn served(&self) -> Option<&'a Arc<str>> {
        let plan = self.call.plan.as_ref()?;
        let model = &plan.candidates.get(self.at)?.model;
        (Some(&**model) != self.asked()).then_some(model)
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
            eligible: call.eligible,
        }
    }

    fn write(&mut self) {
        let call = self.call;
        let candidate = call.plan.as_ref().and_then(|plan| plan.candidates.get(self.at));
        let changes = match candidate {
            Some(candidate) => candidate.changes(call.peek, call.output),
            None => Changes { output: call.output, ..Changes::default() },
        };
        let model = self.served().map(|model| &**model);
        let mut edits: Edits = call.edits.clone();
        call.peek.write(&call.route, &Changes { model, usage: self.usage, ..changes }, &mut edits);
        self.body = (!edits.is_empty()).then(|| edits.apply(&call.body.segments));
    }
}
