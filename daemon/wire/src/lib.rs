//! What is on the wire, as pure functions: bytes in, verdict out. [`api`] is the dialects, their routes, bodies and
//! counts of tokens; [`privacy`] finds personal data and credentials in text and in bodies.

pub mod api;
pub mod privacy;
