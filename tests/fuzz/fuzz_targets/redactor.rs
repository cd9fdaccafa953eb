//! Personal data and credentials in text.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| aivonx_wire::fuzz::redactor(bytes));
