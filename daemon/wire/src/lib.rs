//! What is on the wire, as pure functions: bytes in, verdict out. [`api`] is the dialects, their routes, bodies and
//! counts of tokens; [`privacy`] finds personal data and credentials in text and in bodies;
//! [`translate`] carries requests and answers from one dialect to another.

pub mod api;
#[cfg(any(test, feature = "testing"))]
pub mod fuzz;
pub mod privacy;
pub mod translate;
