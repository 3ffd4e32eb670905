//! The table that people read and the JSON file that machines read.

use anyhow::Result;
use serde_json::{Value, json};

/// One line: what was measured, the figure, the target, and whether it was met.
pub struct Line {
    scenario: &'static str,
    what: &'static str,
    value: f64,
    target: Option<(bool, f64)>,
    unit: &'static str,
}

/// All lines of a run.
#[derive(Default)]
pub struct Report(Vec<Line>);

impl Report {
    fn add(
        &mut self,
        scenario: &'static str,
        what: &'static str,
        value: f64,
        target: Option<(bool, f64)>,
        unit: &'static str,
    ) {
        let line = Line { scenario, what, value, target, unit };
        println!("{}", line.text());
        self.0.push(line);
    }

    /// A figure that should not be above the target.
    pub fn at_most(&mut self, scenario: &'static str, what: &'static str, value: f64, target: f64, unit: &'static str) {
        self.add(scenario, what, value, Some((true, target)), unit);
    }

    /// A figure that should not be below the target.
    pub fn at_least(
        &mut self,
        scenario: &'static str,
        what: &'static str,
        value: f64,
        target: f64,
        unit: &'static str,
    ) {
        self.add(scenario, what, value, Some((false, target)), unit);
    }

    /// A figure without a target.
    pub fn note(&mut self, scenario: &'static str, what: &'static str, value: f64, unit: &'static str) {
        self.add(scenario, what, value, None, unit);
    }

    /// Writes the JSON file and prints how many targets were missed.
    pub fn finish(&self, file: &str) -> Result<()> {
        let rows: Vec<Value> = self.0.iter().map(Line::json).collect();
        std::fs::write(file, serde_json::to_string_pretty(&rows)?)?;
        let missed = self.0.iter().filter(|line| line.met() == Some(false)).count();
        println!(
            "\n{} figures with a target, {missed} missed; all in {file}",
            self.0.iter().filter(|l| l.target.is_some()).count()
        );
        Ok(())
    }
}

impl Line {
    fn met(&self) -> Option<bool> {
        self.target.map(|(at_most, target)| if at_most { self.value <= target } else { self.value >= target })
    }

    fn text(&self) -> String {
        let figure = format!("{:>10.3} {:<5}", self.value, self.unit);
        match (self.target, self.met()) {
            (Some((at_most, target)), Some(met)) => {
                let sign = if at_most { "≤" } else { "≥" };
                let mark = if met { "ok" } else { "MISSED" };
                format!("{:<10} {:<44} {figure} {sign} {target:<8} {mark}", self.scenario, self.what)
            }
            _ => format!("{:<10} {:<44} {figure}", self.scenario, self.what),
        }
    }

    fn json(&self) -> Value {
        json!({
            "scenario": self.scenario, "what": self.what, "value": self.value, "unit": self.unit,
            "target": self.target.map(|(_, target)| target), "met": self.met(),
        })
    }
}
