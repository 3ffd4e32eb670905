//! Runs one program to its end and says, as one line of JSON, what it took: its own processor time and memory, which only
//! the parent of a process that has ended is told exactly. A parent of nothing else, so the figures are of it alone.
//!
//! `timed PROGRAM [ARGUMENT…]`. What the program prints is thrown away; its complaints are not.

use anyhow::{Context, Result};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};
use serde_json::json;
use std::{
    process::{Command, Stdio},
    time::Instant,
};

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().context("timed PROGRAM [ARGUMENT…]")?;
    let mut command = Command::new(&program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    let status = command.status().with_context(|| program.to_string_lossy().into_owned())?;
    let wall = begun.elapsed();
    let used = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let cost = json!({
        "status": status.code(),
        "cpu_s": seconds(used.user_time()) + seconds(used.system_time()),
        "wall_s": wall.as_secs_f64(),
        // Linux counts in KiB.
        "peak_kib": used.max_rss(),
    });
    println!("{cost}");
    Ok(())
}
