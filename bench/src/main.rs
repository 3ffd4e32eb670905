//! `make bench`: direct, bare proxy and Keyward in turn, in the same run, so that what is compared are ratios taken
//! seconds apart on the same machine. Loopback only; every run is bounded in time.

mod awake;
mod books;
mod call;
mod figure;
mod history;
mod house;
mod job;
mod keyward;
mod litellm;
mod load;
mod options;
mod peers;
mod pip;
mod process;
mod report;
mod rounds;
mod scenarios;
mod single;
mod spend;

use anyhow::Result;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many processors may be busy with other things before that is worth a warning.
const QUIET: f64 = 0.15;

fn main() -> Result<ExitCode> {
    let Some(options) = options::Options::read(std::env::args().skip(1))? else {
        println!("{}", options::help());
        return Ok(ExitCode::SUCCESS);
    };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // A thousand streams need some thousand descriptors, here and in what is started from here.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most.min(65_536), most)?;
    let house = house::House::build(&options)?;
    let others = process::machine_busy()?;
    if others > QUIET {
        println!("WARNING: others use {others:.1} processors of this machine; what follows is noise\n");
    }
    let mut report = report::Report::new(if options.budgets { 0.05 } else { 0.0 });
    let mut failed = Vec::new();
    for scenario in &options.scenarios {
        if let Err(error) = (scenario.run)(&house, &mut report.section(scenario.name)) {
            println!("{:<10} FAILED: {error:#}", scenario.name);
            failed.push(scenario.name);
        }
    }
    let run = json!({
        "rounds": options.rounds, "seconds": options.seconds, "keys": options.keys, "crashes": options.crashes, "failed": failed,
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "others": others,
        "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
    });
    report.finish(run, &options.output)?;
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
