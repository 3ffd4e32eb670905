//! A presented virtual key: reading never panics, and what reads is exactly what was made.
#![no_main]

use keyward_domain::token;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(read) = token::parse(text) {
        let bare = text.strip_prefix("sk-").unwrap_or(text);
        assert!(bare.contains(read.public_id.as_str()));
        assert_eq!(bare.split('_').nth(1), Some(read.environment.tag()));
    }
});
