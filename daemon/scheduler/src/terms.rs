//! What the cost of a request on a node is made of.

/// What the prediction is made of, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Terms {
    /// Until the node has a place and has begun what comes before.
    pub wait: f64,
    /// To load the model, or until it is loaded.
    pub load: f64,
    /// What the next requests for models lose that have to leave for it.
    pub evict: f64,
    /// Prefill of what is not cached of the prompt.
    pub prefill: f64,
    /// What the others lose: those that wait there, as much as this one takes. Less what they gain by its load.
    pub others: f64,
    /// Tokens of the prompt that are cached there, as far as is known.
    pub cached: u32,
}

impl Terms {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.wait + self.load + self.evict + self.prefill + self.others
    }

    /// Until the first token of this request.
    #[must_use]
    pub fn first_token(&self) -> f64 {
        self.wait + self.load + self.prefill
    }
}
