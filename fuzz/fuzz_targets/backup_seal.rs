//! `backup_seal` of covey-fuzz, driven by libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| covey_fuzz::targets::edges::backup_seal(bytes));
