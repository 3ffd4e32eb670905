//! Puts the control plane's threads behind the gateway's: what is collected and looked after can wait a moment, a call
//! cannot.

/// How much less the control plane's threads count. Enough to give way, and not so much that the journal would fill up
/// on a machine that calls alone keep busy.
const NICE: i32 = 5;

/// Lets the current thread, and every thread that it starts, give way to the gateway's.
pub(crate) fn give_way() {
    // On Linux this is about one thread; elsewhere it would be about the whole process, the gateway with it.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "a background thread keeps its priority");
    }
}
