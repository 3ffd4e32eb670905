//! A sealed blob from a hostile database: reading its header never panics, and never promises more than is there.
#![no_main]

use keyward_domain::secret::Sealed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(header) = keyward_vault::seal::inspect(&Sealed::from_bytes(data.to_vec())) {
        assert!(header.length < data.len());
    }
});
