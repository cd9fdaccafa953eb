//! Tracing set-up, journald, redaction, the log hub (live tail) and metrics.

pub mod access;
