//! What the server tells this room at the start.

use crate::{clock::Clock, outbound::Outbound};
use keyward_domain::{Millis, token::TokenHash};
use std::{fmt, sync::Arc};

/// Settings of the control plane, read once.
pub struct Settings {
    /// The program's version.
    pub version: String,
    /// The gateway's URL, as applications reach it.
    pub gateway_url: String,
    /// This node's name, unique among those that share a database. A database that only one node can use should have
    /// the same name at every start: then a start goes on with what the last one left, without waiting.
    pub node: String,
    /// Whether this is a demo: credentials are taken without recovery.
    pub demo: bool,
    /// How long raw usage rows are kept, in milliseconds.
    pub retention: Millis,
    /// The first owner's token, when automation set one.
    pub bootstrap: Option<Bootstrap>,
    /// The hash of this start's local token; its holder acts as the operator.
    pub local_token: TokenHash,
    /// The hash of this start's one-time set-up token, used only while there is no owner.
    pub setup_token: TokenHash,
    /// Tells the time.
    pub clock: Clock,
    /// Makes calls to providers.
    pub outbound: Arc<dyn Outbound>,
    /// The gateway's metrics, to be shown with ours.
    pub gateway_metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// The token that automation chose for the first owner.
#[derive(Clone, Copy)]
pub struct Bootstrap {
    /// Its hash.
    pub hash: TokenHash,
    /// Whether it has our shape and checksum; otherwise it works only as long as it is set.
    pub has_our_shape: bool,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("version", &self.version)
            .field("gateway_url", &self.gateway_url)
            .field("demo", &self.demo)
            .finish_non_exhaustive()
    }
}
