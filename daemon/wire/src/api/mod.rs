//! The dialects: routes, what is read of a body, error shapes, usage. Pure: no I/O, no clock.

pub mod dialect;
pub mod edit;
pub mod escape;
pub mod failure;
pub mod form;
pub mod json;
pub(crate) mod media;
pub mod meter;
pub mod peek;
pub mod pieces;
pub mod references;
pub mod route;
pub mod socket;
pub mod tail;
pub mod timing;
pub mod usage;

pub use dialect::Dialect;
pub use edit::Edits;
pub use meter::Meter;
pub use peek::Peek;
pub use pieces::Pieces;
pub use route::Route;
pub use timing::Timing;
