//! Waiting for the signal to stop: SIGTERM, SIGINT or SIGHUP begins a graceful stop, a second one ends it at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that stop the server.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// The terminal is gone. Nothing where the process was started to outlive it, as by `nohup`.
    hangup: Option<Signal>,
}

impl Signals {
    /// Takes the signals over from now on.
    ///
    /// # Errors
    /// When the system does not give them.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let hangup = if hangup_is_ours() { Some(signal(SignalKind::hangup())?) } else { None };
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())?, hangup })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        let Self { terminate, interrupt, hangup } = self;
        let hangup = async {
            match hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
            _ = hangup => (),
        }
    }
}

/// Whether SIGHUP may be taken over: a process that was told to ignore it goes on doing so. Where the system does not
/// tell, the signal stays what it is.
fn hangup_is_ours() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| !ignores_hangup(&status))
}

/// Whether a process ignores SIGHUP, by its status as Linux tells it: the lowest bit of the mask stands for signal 1.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_none_or(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_hangup_is_left_alone() {
        for (status, ignored) in [
            ("Name:\tkeyward\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000000001\n", false),
            ("SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n", true),
            ("SigIgn:\t0000000000000000\n", false),
            ("Name:\tkeyward\n", true),
        ] {
            assert_eq!(ignores_hangup(status), ignored, "{status}");
        }
    }
}
