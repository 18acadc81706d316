//! `csv_rows` of covey-fuzz, driven by libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| covey_fuzz::targets::edges::csv_rows(bytes));
