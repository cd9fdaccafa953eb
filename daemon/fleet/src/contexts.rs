//! With what context the gateway loads a model by itself: what policy says, so that the first request does not have it
//! loaded anew. Policy is above this part.

use std::fmt;

use aivonx_domain::model_name;
use serde_json::{Value, json};

type Size = dyn Fn(Option<&str>, &str) -> Option<u64> + Send + Sync;

/// Gives the size of the context for requests of an organization, by its id, or of the fleet, with a model, by its normal
/// name. None leaves it to the node.
#[derive(Default)]
pub struct Contexts(Option<Box<Size>>);

impl Contexts {
    /// As `size` says.
    pub fn new(size: impl Fn(Option<&str>, &str) -> Option<u64> + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(size)))
    }

    /// The option for a request that loads `model`.
    pub(super) fn option(&self, organization: Option<&str>, model: &str) -> Option<(String, Value)> {
        let size = self.0.as_ref()?(organization, &model_name::normalize(model))?;
        Some(("options".to_owned(), json!({"num_ctx": size})))
    }
}

impl fmt::Debug for Contexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contexts").finish_non_exhaustive()
    }
}
