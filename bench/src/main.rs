//! `make bench`: direct, bare proxy and Keyward in turn, in the same run, so that what is compared are ratios taken
//! seconds apart on the same machine. Loopback only; every run is bounded in calls and in time.
//!
//! Arguments: the keyward binary, then names of scenarios (all when none is given). `BENCH_ROUNDS` (default 3) and
//! `BENCH_SECONDS` (default 3) size the runs.

mod load;
mod process;
mod report;
mod scenarios;

use anyhow::{Context, Result};
use std::path::PathBuf;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let binary = PathBuf::from(arguments.next().context("usage: keyward-bench KEYWARD-BINARY [SCENARIO…]")?);
    let wanted: Vec<String> = arguments.collect();
    let number =
        |name: &str, default: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let size = scenarios::Size { rounds: number("BENCH_ROUNDS", 3), seconds: number("BENCH_SECONDS", 3) };
    // The load generator's own runtime: as many threads as the servers get.
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(scenarios::run(&binary, &wanted, size))
}
