//! Secret types cannot be shown, copied or stored: this file does not compile when one of them can.

use keyward_domain::secret::PlainKey;
use keyward_vault::{MasterKey, recovery::Generated};

/// Names a function that exists once while the type lacks the trait and twice, so that the call is ambiguous, when it
/// has it.
macro_rules! lacks {
    ($type:ty: $($forbidden:path),+) => {$({
        trait Twice<Marker> {
            fn named() {}
        }
        impl<T: ?Sized> Twice<()> for T {}
        struct Forbidden;
        impl<T: ?Sized + $forbidden> Twice<Forbidden> for T {}
        <$type as Twice<_>>::named();
    })+};
}

#[test]
fn secrets_cannot_be_shown_copied_or_stored() {
    lacks!(PlainKey: std::fmt::Debug, std::fmt::Display, Clone, serde::Serialize, AsRef<[u8]>, std::ops::Deref);
    lacks!(MasterKey: std::fmt::Debug, std::fmt::Display, Clone, serde::Serialize, AsRef<[u8]>, std::ops::Deref);
    lacks!(Generated: std::fmt::Debug, std::fmt::Display, Clone, serde::Serialize);
    lacks!(keyward_vault::Vault: std::fmt::Debug, Clone, serde::Serialize);
}

/// The gateway shares one vault between its threads.
#[test]
fn the_vault_is_shared_between_threads() {
    const fn shared<T: Send + Sync>() {}
    shared::<keyward_vault::Vault>();
    shared::<MasterKey>();
}
