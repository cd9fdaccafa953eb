//! The requests that run now, as the console knows them.

use std::collections::HashMap;

use aivonx_protocol::running::{Queued, Running};

use super::list::List;

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// All that the caller may see.
    pub(crate) list: List<Running>,
    /// Those of them that wait for a place on a node, by id.
    pub(crate) queued: HashMap<String, Queued>,
}
