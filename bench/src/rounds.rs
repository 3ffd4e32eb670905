//! Interleaved rounds: in each round every target has its turn, so that what is compared was taken seconds apart on the
//! same machine. Every other round goes the other way round, so that a drift of the machine favours nobody.

use crate::{
    call::{Call, Figures},
    figure::Figure,
    process::{self, Process},
};
use anyhow::{Context, Result, ensure};
use std::time::Duration;

/// What is measured.
pub struct Target<'a> {
    /// Its name, for errors.
    pub name: &'static str,
    /// What is sent to it.
    pub call: Call,
    /// Its process, when its processor time counts.
    pub process: Option<&'a Process>,
    /// How long it may work after the last answer; that work belongs to the calls.
    pub afterwards: Duration,
}

/// One target's turn in one round.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// What the client saw.
    pub seen: Figures,
    /// Processor time per call, in microseconds.
    pub cpu_us: f64,
    /// The client's own, in microseconds.
    pub client_us: f64,
}

/// All rounds; in each, the turns in the order of the targets.
pub struct Rounds(Vec<Vec<Turn>>);

/// Warms every target up and takes the rounds.
pub fn take(
    targets: &[Target<'_>],
    rounds: usize,
    time: Duration,
    run: impl Fn(&Call, Duration) -> Result<Figures>,
) -> Result<Rounds> {
    let mut bytes = None;
    for target in targets {
        let warm = run(&target.call, time.min(Duration::from_secs(1))).with_context(|| target.name)?;
        let expected = *bytes.get_or_insert(warm.bytes);
        ensure!(warm.bytes == expected, "{}: answers of {} bytes instead of {expected}", target.name, warm.bytes);
        if let Some(process) = target.process {
            process.settle(target.afterwards)?;
        }
    }
    let mut all = Vec::new();
    for round in 0..rounds {
        let mut turns = Vec::new();
        for place in 0..targets.len() {
            let index = if round % 2 == 0 { place } else { targets.len() - 1 - place };
            turns.push((index, turn(&targets[index], time, &run).with_context(|| targets[index].name)?));
        }
        turns.sort_by_key(|(index, _)| *index);
        all.push(turns.into_iter().map(|(_, turn)| turn).collect());
    }
    Ok(Rounds(all))
}

fn turn(target: &Target<'_>, time: Duration, run: impl Fn(&Call, Duration) -> Result<Figures>) -> Result<Turn> {
    let cpu = || target.process.map_or(Ok(0.0), Process::cpu_us);
    let (before, own) = (cpu()?, process::own_cpu_us()?);
    let seen = run(&target.call, time)?;
    let client_us = (process::own_cpu_us()? - own) / seen.calls as f64;
    if let Some(process) = target.process {
        process.settle(target.afterwards)?;
    }
    Ok(Turn { seen, cpu_us: (cpu()? - before) / seen.calls as f64, client_us })
}

impl Rounds {
    /// A figure of one target.
    pub fn of(&self, target: usize, what: impl Fn(&Turn) -> f64) -> Figure {
        Figure::median(self.0.iter().map(|round| what(&round[target])))
    }

    /// One target's figure over another's, round by round.
    pub fn ratio(&self, target: usize, other: usize, what: impl Fn(&Turn) -> f64) -> Figure {
        Figure::median(self.0.iter().map(|round| what(&round[target]) / what(&round[other])))
    }

    /// One target's figure less another's, round by round.
    pub fn added(&self, target: usize, other: usize, what: impl Fn(&Turn) -> f64) -> Figure {
        Figure::median(self.0.iter().map(|round| what(&round[target]) - what(&round[other])))
    }

    /// What one target adds over a base, as a multiple of what another adds, round by round.
    pub fn added_ratio(&self, [target, other]: [usize; 2], base: usize, what: impl Fn(&Turn) -> f64) -> Figure {
        let added = |round: &[Turn], index: usize| what(&round[index]) - what(&round[base]);
        Figure::median(self.0.iter().map(|round| added(round, target) / added(round, other)))
    }
}
