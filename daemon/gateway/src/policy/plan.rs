//! What one request comes to.

use std::sync::Arc;

use aivonx_wire::api::{Peek, peek::Changes};

use super::shares::{Tally, falls_to};

/// What one request comes to: which models a node is asked for, and what is written into the body.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The alias that was asked for, as it was set up.
    pub alias: Option<Arc<str>>,
    /// Whether that is everybody's, not an organization's own.
    pub of_fleet: bool,
    /// The models, in order: the first that a node can serve is served. Empty if the caller may use none of an
    /// alias's models.
    pub candidates: Vec<Candidate>,
    /// Weights of the candidates, if those decide which one a key is served.
    pub(super) weights: Option<Vec<u32>>,
}

/// A model that may be served.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// What a node is asked for.
    pub model: Arc<str>,
    /// Whether lists of models were asked already.
    pub granted: bool,
    pub(super) governed: Governed,
    /// Where its requests are counted, if it is an alias's.
    pub tally: Option<Arc<Tally>>,
}

/// What applies to a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Governed {
    /// As JSON.
    pub(super) keep_alive: Option<Value<Arc<str>>>,
    pub(super) num_ctx: Option<Value<u64>>,
    pub(super) output_max: Option<u64>,
}

/// A value, and whether it replaces what the client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value<T> {
    pub(super) value: T,
    pub(super) force: bool,
}

impl Governed {
    pub(super) fn any(&self) -> bool {
        self.keep_alive.is_some() || self.num_ctx.is_some() || self.output_max.is_some()
    }
}

impl Plan {
    /// Whether one is to be served the first of the models even if another could be served sooner.
    #[must_use]
    pub fn is_sticky(&self) -> bool {
        self.weights.is_some()
    }

    /// Puts the model first that `who` is served where weights decide; those without weight go last.
    pub fn spread(&mut self, who: &[u8]) {
        let Some(weights) = &self.weights else { return };
        let alias = self.alias.as_deref().unwrap_or_default();
        let first = falls_to(alias, who, weights.iter().copied());
        let mut order: Vec<usize> = (0..self.candidates.len()).collect();
        order.sort_by_key(|at| (Some(*at) != first, weights.get(*at).is_none_or(|weight| *weight == 0)));
        self.candidates = order.into_iter().map(|at| self.candidates[at].clone()).collect();
    }

    /// Most tokens an answer can have, whichever of the models is served: what the client asked for (see
    /// [`Peek::output_limit`]), bound by policy. None is no bound.
    #[must_use]
    pub fn output_limit(&self, asked: Option<u64>) -> Option<u64> {
        let most = self.candidates.iter().map(|candidate| candidate.governed.output_max);
        // None is more than any bound.
        let most = most.reduce(|a, b| a.zip(b).map(|(a, b)| a.max(b))).flatten();
        asked.into_iter().chain(most).min()
    }

    /// Whether policy bounds the answers of any model that may be served.
    #[must_use]
    pub fn bounds_output(&self) -> bool {
        self.candidates.iter().any(|candidate| candidate.governed.output_max.is_some())
    }
}

impl Candidate {
    /// What is written into a body for it: what its policy says, and `output` of other layers.
    #[must_use]
    pub fn changes(&self, peek: &Peek, output: Option<u64>) -> Changes<'_> {
        let Governed { keep_alive, num_ctx, output_max } = &self.governed;
        let keep_alive = keep_alive.as_ref().filter(|keep| keep.force || !peek.sets_keep_alive());
        let num_ctx = num_ctx.as_ref().filter(|size| size.force || peek.num_ctx().is_none());
        Changes {
            keep_alive: keep_alive.map(|keep| &*keep.value),
            num_ctx: num_ctx.map(|size| size.value),
            pinned: num_ctx.is_some_and(|size| size.force),
            output: output.into_iter().chain(*output_max).min(),
            ..Changes::default()
        }
    }
}
