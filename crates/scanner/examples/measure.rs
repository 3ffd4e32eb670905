//! Scans the paths given and tells what it took, in CPU time: `cargo run --release --example measure -- PATH…`.
//! `--threads N` takes more than one thread, `--git` the whole of the repositories that the paths are in, and what leads to
//! each find is then told too.

#![expect(clippy::print_stdout, reason = "it is what it is for")]

use keyward_catalogue::Catalogue;
use keyward_scanner::{Bounds, History, Matcher, Outcome, Progress, Scan, Walk};
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let mut threads = 1;
    let git = arguments.iter().position(|argument| argument == "--git").map(|at| arguments.remove(at)).is_some();
    if arguments.first().is_some_and(|first| first == "--threads") {
        threads = arguments.get(1).and_then(|count| count.to_str()).ok_or("how many threads?")?.parse()?;
        arguments.drain(..2);
    }
    let catalogue = Catalogue::embedded()?;
    let matcher = Matcher::new(&catalogue);
    let progress = Progress::default();
    let scan = Scan { matcher: &matcher, bounds: Bounds::default(), threads, progress: &progress };
    let roots: Vec<PathBuf> = arguments.into_iter().map(PathBuf::from).collect();
    let outcomes = match roots.as_slice() {
        repositories if git => {
            repositories.iter().map(|root| scan.git(root, &History::Whole)).collect::<Result<Vec<_>, _>>()?
        }
        _ => vec![scan.paths(&roots, &Walk::default())],
    };
    outcomes.iter().for_each(tell);
    Ok(())
}

fn tell(outcome: &Outcome) {
    for missed in &outcome.missed {
        let path = String::from_utf8_lossy(&missed.place.path);
        println!("{:?} {} {:?} {}", missed.cause, path.escape_debug(), missed.place.within, missed.detail);
    }
    for finding in &outcome.findings {
        let path = String::from_utf8_lossy(&finding.place.path);
        let (rule, within) = (&finding.kind.rule, &finding.place.within);
        let (confidence, path) = (finding.confidence, path.escape_debug());
        println!("{confidence:?} {rule} {path}:{}:{} {within:?}", finding.line, finding.column);
        if let Some(object) = &finding.place.object {
            let commits: Vec<_> = finding.place.commits.iter().map(|commit| &*commit.id).collect();
            println!("  {:?} {object} in {commits:?} and {} more", finding.place.place, finding.place.more_commits);
        }
    }
    println!("{:?}", outcome.stats);
}
