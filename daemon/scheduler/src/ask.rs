//! What is said of requests, nodes and answers: what goes in, by numbers.

use crate::Block;

/// A node's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u16);

/// A model's number, the same on all nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId(pub u32);

/// A request's number, from its submission to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JobId(pub(crate) usize);

impl JobId {
    /// As an index: small, and given out again after the end.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

/// A node that may serve a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Which.
    pub node: NodeId,
    /// What the policy `lowest_latency` goes by, seconds.
    pub latency: Option<f64>,
    /// What the policy `weighted` goes by: the share of a node of weight 1.
    pub weight: f64,
    /// Requests failed there: it gets those alone that [`let_in`](crate::Scheduler::let_in) sends there.
    pub held: bool,
}

/// What is known of a request before it is sent.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// The model; None is no model's work, which any node does at once.
    pub model: Option<ModelId>,
    /// Options of its runner that mean loading it anew.
    pub variant: Option<u64>,
    /// Tokens of the prompt, about.
    pub prompt: u32,
    /// The prompt's blocks.
    pub blocks: &'a [Block],
    /// Most tokens of the answer, if it is bounded.
    pub output: Option<f64>,
    /// The answer is a stream, so that its beginning is seen.
    pub streams: bool,
    /// Nothing is generated: only the number of requests counts.
    pub embeds: bool,
    /// The higher goes first.
    pub band: u8,
    /// Whose it is.
    pub organization: u64,
    /// By which key.
    pub key: u64,
}

/// What an answer said of the work, as far as it did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Answer {
    /// Tokens of the prompt.
    pub prompt: Option<f64>,
    /// Those of them that were cached.
    pub cached: Option<f64>,
    /// Seconds to load the model.
    pub load: Option<f64>,
    /// Seconds of prefill.
    pub prefill: Option<f64>,
    /// Tokens generated.
    pub output: Option<f64>,
    /// Seconds of generating them.
    pub decode: Option<f64>,
}
