//! What is measured, against what, and the targets.

mod budgets;
mod crash;
mod keys;
mod latency;
mod litellm;
mod memory;
mod overspend;
mod scan;
mod streams;
mod tls;
mod unary;

use crate::{house::House, report::Section};
use anyhow::Result;

/// What runs only when it is named, since it needs what others do not.
pub const ASKED: &[&str] = &["litellm"];

/// One of the things that are measured.
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it measures.
    pub about: &'static str,
    /// Measures it.
    pub run: fn(&House<'_>, &mut Section<'_>) -> Result<()>,
}

/// All scenarios, in the order in which they run.
pub const ALL: &[Scenario] = &[
    Scenario { name: "idle", about: "resident memory after the start, and what it consists of", run: memory::idle },
    Scenario { name: "c1", about: "latency that is added to a unary call on one connection", run: latency::one },
    Scenario { name: "c64", about: "unary calls on 64 connections: processor time and rate", run: unary::c64 },
    Scenario { name: "c256", about: "unary calls on 256 connections: rate and peak memory", run: unary::c256 },
    Scenario { name: "64k", about: "unary calls with prompts of 64 KB on 64 connections", run: unary::prompts },
    Scenario { name: "sse", about: "streams of 50 chunks without pauses on 64 connections", run: streams::fast },
    Scenario { name: "paced", about: "streams of 50 chunks, 10 ms apart, on 64 connections", run: streams::paced },
    Scenario { name: "open", about: "memory while 1,000 streams are open", run: memory::open_streams },
    Scenario { name: "tls", about: "unary calls over TLS on 64 connections", run: tls::unary },
    Scenario { name: "keys", about: "start and latency with 100,000 virtual keys", run: keys::many },
    Scenario { name: "budgets", about: "the price of three budgets and three rates above a key", run: budgets::nested },
    Scenario { name: "contention", about: "512 connections on one budget", run: budgets::contention },
    Scenario {
        name: "purses",
        about: "start and latency with a budget for each of 100,000 keys",
        run: keys::with_budgets,
    },
    Scenario {
        name: "overspend",
        about: "how far past a budget keys spend, by the provider's books",
        run: overspend::all,
    },
    Scenario { name: "tree", about: "scan of a large tree of sources, beside rg: speed and memory", run: scan::tree },
    Scenario {
        name: "history",
        about: "scan of a repository's history, beside git cat-file: speed and memory",
        run: scan::history,
    },
    Scenario { name: "start", about: "scan of one small file", run: scan::start },
    Scenario {
        name: "litellm",
        about: "LiteLLM's overspend beside Keyward's, only when named: it is installed by pip",
        run: litellm::beside,
    },
    Scenario {
        name: "crash",
        about: "kill -9 at random instants: nothing is lost, nothing is spent twice",
        run: crash::all,
    },
];
