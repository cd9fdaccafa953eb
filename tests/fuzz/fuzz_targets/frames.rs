//! What comes over the control socket.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| aivonx_protocol::fuzz::frames(bytes));
