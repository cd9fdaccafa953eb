//! The only place that builds things and wires them.
