//! The requests that run now, as the console knows them.

use aivonx_protocol::running::Running;

use super::list::List;

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// All that the caller may see.
    pub(crate) list: List<Running>,
}
