//! Keeps the processors from falling asleep. On one connection only one of client, gateway and mock has something to do
//! at a time; in a virtual machine each hand-over then wakes a halted processor, which takes longer than the gateway.
//! What runs here is of the idle class: it gives way to anything else at once.

use std::process::{Child, Command, Stdio};

/// Runs until it is dropped.
pub struct Awake(Vec<Child>);

impl Awake {
    /// One loop for each processor; none where the system has no `chrt`.
    pub fn start() -> Self {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let spin = || {
            let mut command = Command::new("chrt");
            command.args(["--idle", "0", "sh", "-c", "while :; do :; done"]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
        };
        Self((0..count).map_while(|_| spin().ok()).collect())
    }

    /// How many processors are kept awake.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
