//! Programs that run to their end, in turn: what each took.

use crate::figure::Figure;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    ffi::{OsStr, OsString},
    process::{Command, Stdio},
};

/// A program that is run again and again.
pub struct Job {
    /// Its name, for errors.
    pub name: &'static str,
    words: Vec<OsString>,
    home: Option<OsString>,
    /// The exit statuses that say that it did its work.
    fine: &'static [i64],
}

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Processor time, user and system, in seconds.
    pub cpu_s: f64,
    /// Time on the clock, in seconds.
    pub wall_s: f64,
    /// The most memory it had, in MB.
    pub peak_mb: f64,
}

/// What every run of every job took: `0[round][job]`.
pub struct Runs(Vec<Vec<Cost>>);

impl Job {
    /// A program with its arguments; `fine` are the exit statuses that are no failure.
    pub fn new<W: AsRef<OsStr>>(name: &'static str, words: &[W], fine: &'static [i64]) -> Self {
        Self { name, words: words.iter().map(|word| word.as_ref().to_owned()).collect(), home: None, fine }
    }

    /// Gives it a home of its own, for what it writes there.
    pub fn home(mut self, folder: &OsStr) -> Self {
        self.home = Some(folder.to_owned());
        self
    }

    /// Runs it once.
    pub fn run(&self) -> Result<Cost> {
        let timed = std::env::current_exe()?.with_file_name("timed");
        let mut command = Command::new(timed);
        command.args(&self.words).stdin(Stdio::null());
        if let Some(home) = &self.home {
            command.env("HOME", home);
        }
        let output = command.output().context("timed")?;
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().rev().take(3).collect::<Vec<_>>().join("; ");
        ensure!(output.status.success(), "{}: {said}", self.name);
        let told: Value = serde_json::from_slice(&output.stdout)?;
        let status = told["status"].as_i64();
        ensure!(
            status.is_some_and(|status| self.fine.contains(&status)),
            "{} ended with {status:?}: {said}",
            self.name
        );
        let number = |name: &str| told[name].as_f64().with_context(|| name.to_owned());
        Ok(Cost { cpu_s: number("cpu_s")?, wall_s: number("wall_s")?, peak_mb: number("peak_kib")? * 1024.0 / 1e6 })
    }
}

/// Runs each once so that whatever it reads is in memory, then all in turn; every other round goes the other way round.
pub fn take(jobs: &[Job], rounds: usize) -> Result<Runs> {
    for job in jobs {
        job.run()?;
    }
    let mut all = Vec::new();
    for round in 0..rounds {
        let mut costs = Vec::new();
        for place in 0..jobs.len() {
            let index = if round % 2 == 0 { place } else { jobs.len() - 1 - place };
            costs.push((index, jobs[index].run()?));
        }
        costs.sort_by_key(|(index, _)| *index);
        all.push(costs.into_iter().map(|(_, cost)| cost).collect());
    }
    Ok(Runs(all))
}

impl Runs {
    /// A figure of one job.
    pub fn of(&self, job: usize, what: impl Fn(&Cost) -> f64) -> Figure {
        Figure::median(self.0.iter().map(|round| what(&round[job])))
    }

    /// One job's figure over another's, round by round.
    pub fn ratio(&self, job: usize, other: usize, what: impl Fn(&Cost) -> f64) -> Figure {
        Figure::median(self.0.iter().map(|round| what(&round[job]) / what(&round[other])))
    }

    /// The most that a figure of one job ever was.
    pub fn most(&self, job: usize, what: impl Fn(&Cost) -> f64) -> f64 {
        self.0.iter().map(|round| what(&round[job])).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_took_is_compared_round_by_round() {
        let cost = |cpu_s: f64, peak_mb: f64| Cost { cpu_s, wall_s: cpu_s, peak_mb };
        let runs = Runs(vec![
            vec![cost(1.0, 5.0), cost(2.0, 50.0)],
            vec![cost(2.0, 7.0), cost(2.0, 40.0)],
            vec![cost(1.0, 6.0), cost(4.0, 45.0)],
        ]);
        assert_eq!(runs.of(0, |cost| cost.cpu_s).value, 1.0);
        assert_eq!(runs.ratio(1, 0, |cost| cost.cpu_s).value, 2.0);
        assert_eq!(runs.most(1, |cost| cost.peak_mb), 50.0);
    }
}
