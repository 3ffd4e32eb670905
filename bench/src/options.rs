//! What is measured, how long, and where the figures go.

use crate::scenarios::{ALL, ASKED, Scenario};
use anyhow::{Context, Result, bail};
use std::{path::PathBuf, time::Duration};

/// The settings of a run.
pub struct Options {
    /// The keyward binary.
    pub binary: PathBuf,
    /// What is run, in order.
    pub scenarios: Vec<&'static Scenario>,
    /// Rounds per scenario.
    pub rounds: usize,
    /// Seconds of one target's turn in a round.
    pub seconds: u64,
    /// Virtual keys of the scenario `keys`.
    pub keys: usize,
    /// Rounds of the scenario `crash`.
    pub crashes: usize,
    /// Whether the gateway's own scenarios run below budgets and shared rates; their targets then hold within 5 %.
    pub budgets: bool,
    /// The version of LiteLLM in the scenario `litellm`.
    pub litellm: String,
    /// What the scenario `tree` scans, when it is not the sources that cargo keeps.
    pub tree: Option<PathBuf>,
    /// What the scenario `history` scans, when it is not a repository of its own making.
    pub history: Option<PathBuf>,
    /// The version of Kingfisher beside the scanner; 0: none.
    pub kingfisher: String,
    /// Where the figures go.
    pub output: PathBuf,
}

/// What `--help` says.
pub fn help() -> String {
    let mut text = String::from(
        "Measures Keyward against a bare proxy and a direct connection, on loopback, in one run.\n\n\
         Usage: keyward-bench KEYWARD-BINARY [SCENARIO…]     (or: make bench BENCH=\"c1 c64\")\n\n\
         Scenarios, all but litellm when none is named:\n",
    );
    for scenario in ALL {
        text.push_str(&format!("  {:<10} {}\n", scenario.name, scenario.about));
    }
    text.push_str(
        "\nEnvironment:\n  \
         BENCH_ROUNDS   rounds of (direct, proxy, Keyward) in each scenario [default: 9]\n  \
         BENCH_SECONDS  seconds of one turn in a round [default: 1]\n  \
         BENCH_KEYS     virtual keys in the scenario keys [default: 100000]\n  \
         BENCH_CRASHES  rounds of the scenario crash [default: 200]\n  \
         BENCH_BUDGETS  1: the gateway's own scenarios below three budgets and three rates; targets hold within 5 % [default: 0]\n  \
         BENCH_LITELLM  version of LiteLLM in the scenario litellm [default: 1.106.2]\n  \
         BENCH_TREE     folder for the scenario tree [default: the sources of packages that cargo keeps]\n  \
         BENCH_HISTORY  repository for the scenario history [default: one that is made, once]\n  \
         BENCH_KINGFISHER  version of Kingfisher beside the scanner, 0 for none [default: 2.14.0]\n  \
         BENCH_OUTPUT   file for the figures [default: bench/target/bench.json]\n\n\
         The exit status is 0 when everything was measured, whether or not the targets were met.",
    );
    text
}

impl Options {
    /// Reads arguments and environment; nothing when help was asked for.
    pub fn read(arguments: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let arguments: Vec<String> = arguments.collect();
        if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
            return Ok(None);
        }
        let Some((binary, names)) = arguments.split_first() else { bail!("which binary? See --help") };
        let find = |name: &String| {
            ALL.iter()
                .find(|scenario| scenario.name == name)
                .with_context(|| format!("no scenario '{name}': see --help"))
        };
        let scenarios = names.iter().map(find).collect::<Result<Vec<_>>>()?;
        Ok(Some(Self {
            binary: binary.into(),
            scenarios: if scenarios.is_empty() { usual() } else { scenarios },
            // Many short turns: what a machine gives changes within seconds when others share it, and the median of many
            // ratios of neighbours minds that less than that of few.
            rounds: usize::try_from(number("BENCH_ROUNDS", 9)?)?,
            seconds: number("BENCH_SECONDS", 1)?,
            keys: usize::try_from(number("BENCH_KEYS", 100_000)?)?,
            crashes: usize::try_from(number("BENCH_CRASHES", 200)?)?,
            budgets: flag("BENCH_BUDGETS")?,
            litellm: std::env::var("BENCH_LITELLM").unwrap_or_else(|_| "1.106.2".to_owned()),
            tree: std::env::var_os("BENCH_TREE").map(PathBuf::from),
            history: std::env::var_os("BENCH_HISTORY").map(PathBuf::from),
            kingfisher: std::env::var("BENCH_KINGFISHER").unwrap_or_else(|_| "2.14.0".to_owned()),
            output: std::env::var_os("BENCH_OUTPUT").map_or_else(|| "bench/target/bench.json".into(), PathBuf::from),
        }))
    }

    /// One target's turn in a round.
    pub fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// All that need not be asked for.
fn usual() -> Vec<&'static Scenario> {
    ALL.iter().filter(|scenario| !ASKED.contains(&scenario.name)).collect()
}

fn flag(name: &str) -> Result<bool> {
    match std::env::var(name).as_deref() {
        Err(_) | Ok("0") => Ok(false),
        Ok("1") => Ok(true),
        Ok(text) => anyhow::bail!("{name}={text} is neither 0 nor 1"),
    }
}

fn number(name: &str, default: u64) -> Result<u64> {
    let Ok(text) = std::env::var(name) else { return Ok(default) };
    let number = text.parse().ok().filter(|number| *number > 0);
    number.with_context(|| format!("{name}={text} is not a whole number above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Option<Options>> {
        Options::read(words.iter().map(ToString::to_string))
    }

    #[test]
    fn names_of_scenarios() {
        assert!(read(&["keyward", "c64", "--help"]).unwrap().is_none());
        let usual = read(&["keyward"]).unwrap().unwrap().scenarios;
        assert_eq!(usual.len(), ALL.len() - ASKED.len());
        assert!(ASKED.iter().all(|name| read(&["keyward", name]).unwrap().unwrap().scenarios[0].name == *name));
        let some = read(&["keyward", "c64", "idle"]).unwrap().unwrap();
        assert_eq!(some.scenarios.iter().map(|scenario| scenario.name).collect::<Vec<_>>(), ["c64", "idle"]);
        assert!(read(&["keyward", "c65"]).is_err());
        assert!(read(&[]).is_err());
        assert!(ALL.iter().all(|scenario| help().contains(scenario.name)));
    }
}
