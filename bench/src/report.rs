//! The table that people read and the JSON file that machines read.

use crate::figure::Figure;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::{fmt::Write, path::Path};

/// What a figure should be.
#[derive(Debug, Clone, Copy)]
enum Target {
    None,
    AtMost(f64),
    AtLeast(f64),
}

/// One line: what was measured, the figure, the target, and whether it was met.
struct Line {
    scenario: &'static str,
    what: String,
    figure: Figure,
    target: Target,
    unit: &'static str,
}

/// All lines of a run.
pub struct Report {
    lines: Vec<Line>,
    /// By how much every target is missed at most and still counts as met: 0.05 is 5 %.
    slack: f64,
}

/// The part of a report that one scenario fills.
pub struct Section<'a> {
    report: &'a mut Report,
    scenario: &'static str,
}

impl Report {
    /// Prints the head of the table.
    pub fn new(slack: f64) -> Self {
        println!("{:<10} {:<54} {:>10} {:<5} {:<23}target", "scenario", "what", "figure", "", "smallest … largest");
        Self { lines: Vec::new(), slack }
    }

    /// The lines of a scenario.
    pub fn section(&mut self, scenario: &'static str) -> Section<'_> {
        Section { report: self, scenario }
    }

    /// Writes the JSON file and prints how many targets were missed.
    pub fn finish(&self, run: Value, file: &Path) -> Result<()> {
        let figures: Vec<Value> = self.lines.iter().map(Line::json).collect();
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_string_pretty(&json!({"run": run, "figures": figures}))?;
        std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
        let judged: Vec<bool> = self.lines.iter().filter_map(Line::met).collect();
        let missed: Vec<&Line> = self.lines.iter().filter(|line| line.met() == Some(false)).collect();
        println!("\n{} figures with a target, {} missed; all in {}", judged.len(), missed.len(), file.display());
        for line in missed {
            println!("missed: {}", line.text());
        }
        Ok(())
    }
}

impl Section<'_> {
    fn add(&mut self, what: impl Into<String>, figure: impl Into<Figure>, unit: &'static str, target: Target) {
        let line = Line { scenario: self.scenario, what: what.into(), figure: figure.into(), target, unit };
        println!("{}", line.text());
        self.report.lines.push(line);
    }

    /// A figure that should not be above the target.
    pub fn at_most(&mut self, what: &str, figure: impl Into<Figure>, target: f64, unit: &'static str) {
        self.add(what, figure, unit, Target::AtMost(target * (1.0 + self.report.slack)));
    }

    /// A figure that should not be below the target.
    pub fn at_least(&mut self, what: &str, figure: impl Into<Figure>, target: f64, unit: &'static str) {
        self.add(what, figure, unit, Target::AtLeast(target * (1.0 - self.report.slack)));
    }

    /// A figure without a target.
    pub fn note(&mut self, what: &str, figure: impl Into<Figure>, unit: &'static str) {
        self.add(what, figure, unit, Target::None);
    }
}

impl Line {
    fn met(&self) -> Option<bool> {
        match self.target {
            Target::None => None,
            Target::AtMost(target) => Some(self.figure.value <= target),
            Target::AtLeast(target) => Some(self.figure.value >= target),
        }
    }

    fn text(&self) -> String {
        let Figure { value, low, high } = self.figure;
        let mut text = format!("{:<10} {:<54} {:>10} {:<5}", self.scenario, self.what, short(value), self.unit);
        let spread = if low < high { format!(" {} … {}", short(low), short(high)) } else { String::new() };
        let (sign, target) = match self.target {
            Target::None => return format!("{text}{spread}"),
            Target::AtMost(target) => ("≤", target),
            Target::AtLeast(target) => ("≥", target),
        };
        let mark = if self.met() == Some(true) { "met" } else { "MISSED" };
        // Writing to a string does not fail.
        let _ = write!(text, "{spread:<23} {sign} {target:<6} {mark}");
        text
    }

    fn json(&self) -> Value {
        let (kind, target) = match self.target {
            Target::None => (None, None),
            Target::AtMost(target) => (Some("at most"), Some(target)),
            Target::AtLeast(target) => (Some("at least"), Some(target)),
        };
        json!({
            "scenario": self.scenario, "what": self.what, "unit": self.unit, "value": self.figure.value,
            "low": self.figure.low, "high": self.figure.high, "kind": kind, "target": target, "met": self.met(),
        })
    }
}

fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}
