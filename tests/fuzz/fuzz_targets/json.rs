//! The scan of a body.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| aivonx_wire::fuzz::json(bytes));
