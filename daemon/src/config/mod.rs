//! The file configuration: how the process runs. What it serves is in the store.

mod model;

pub use model::*;
