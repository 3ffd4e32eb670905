//! The scan itself: on threads of its own, while this one shows how far it is and listens for Ctrl-C.

use super::{Scan, Update, bar::Bar, lists};
use crate::{
    commands::App,
    context::{Context, Variables},
    failure::Failure,
    secret,
};
use keyward_catalogue::Catalogue;
use keyward_scanner::{Bounds, GitError, History, Hook, Matcher, Outcome, Progress, Rules, Scan as Engine, Walk};
use std::{io::Read, path::PathBuf, sync::Arc, thread, time::Duration};
use tokio::{
    task,
    time::{MissedTickBehavior, interval, timeout},
};

/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(100);
/// How long a scan may take to end once somebody stopped it. Only a stream that says nothing takes longer.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// What a hook is told where there is nothing.
const NOTHING: &str = "0000000000000000000000000000000000000000";
/// Where a hook runs.
const HERE: &str = ".";

/// What a scan found, and whether it came to its end.
pub(super) struct Worked {
    pub(super) outcome: Outcome,
    pub(super) stopped: bool,
}

/// What is to be scanned.
enum Job {
    /// Standard input, and files.
    Files { input: Option<Box<dyn Read + Send>>, roots: Vec<PathBuf> },
    /// Repositories, or a part of them.
    Git { folders: Vec<PathBuf>, history: History },
    /// What is staged.
    Staged { folders: Vec<PathBuf>, hook: Hook },
    /// What references are to become.
    Updates { updates: Vec<Update>, hook: Hook },
}

impl Job {
    fn of(scan: &Scan, context: &mut Context) -> Result<Self, Failure> {
        let wants_input = scan.paths.iter().any(|path| path.as_os_str() == "-");
        let history = match (&scan.since, &scan.range) {
            (Some(revision), _) => Some(History::Since(revision.clone())),
            (_, Some(range)) => Some(History::Range(range.clone())),
            _ => scan.git.then_some(History::Whole),
        };
        if wants_input && (history.is_some() || scan.staged) {
            return Err(Failure::usage("standard input is no repository"));
        }
        let folders = scan.places();
        Ok(if let Some(updates) = scan.updates.clone() {
            Self::Updates { updates, hook: hook(&context.variables) }
        } else if scan.staged {
            Self::Staged { folders, hook: hook(&context.variables) }
        } else if let Some(history) = history {
            Self::Git { folders, history }
        } else {
            let input_alone = wants_input && scan.paths.iter().all(|path| path.as_os_str() == "-");
            let roots = if input_alone { Vec::new() } else { folders };
            Self::Files { input: wants_input.then(|| context.input.take()), roots }
        })
    }

    fn run(self, engine: &Engine<'_>) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::default();
        match self {
            Self::Files { input, roots } => {
                outcome.merge(input.map(|input| engine.stdin(input)).unwrap_or_default());
                outcome.merge(engine.paths(&roots, &Walk::default()));
            }
            Self::Git { folders, history } => {
                for folder in folders {
                    outcome.merge(engine.git(&folder, &history).map_err(Failure::failed)?);
                }
            }
            Self::Staged { folders, hook } => {
                for folder in folders {
                    outcome.merge(engine.staged_in_hook(&folder, &hook).map_err(Failure::failed)?);
                }
            }
            Self::Updates { updates, hook } => {
                for update in updates {
                    let old = update.old.unwrap_or_else(|| NOTHING.to_owned());
                    let found = engine.range_in_hook(HERE.as_ref(), &format!("{old}..{}", update.new), &hook);
                    let found = match found {
                        // What the other side has now was never fetched: all that is new to any remote is looked at.
                        Err(GitError::UnknownRevision(unknown)) if unknown == old => {
                            engine.range_in_hook(HERE.as_ref(), &format!("{NOTHING}..{}", update.new), &hook)
                        }
                        found => found,
                    };
                    outcome.merge(found.map_err(Failure::failed)?);
                }
            }
        }
        Ok(outcome)
    }
}

/// What git tells its hooks by variables. They hold for the repository that the hook runs in.
fn hook(variables: &Variables) -> Hook {
    let objects = ["GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES"].into_iter();
    let objects = objects.filter_map(|name| variables.path(name));
    Hook {
        index: variables.path("GIT_INDEX_FILE"),
        objects: objects.flat_map(|list| std::env::split_paths(&list).collect::<Vec<_>>()).collect(),
    }
}

/// Scans.
pub(super) async fn run(scan: &Scan, app: &mut App) -> Result<Worked, Failure> {
    let job = Job::of(scan, &mut app.context)?;
    for root in scan.places() {
        // A path that is not there is a mistake of the command line, not something unread.
        if let Err(error) = root.symlink_metadata() {
            secret::refuse_among(&catalogue()?, root.to_str().into_iter())?;
            return Err(Failure::failed(format!("cannot scan {}: {error}", root.display())));
        }
    }
    let threads =
        scan.threads.map_or_else(|| thread::available_parallelism().map_or(1, std::num::NonZero::get), usize::from);
    let bounds = bounds(scan);
    let progress = Arc::new(Progress::default());
    let matcher = matcher(scan)?;
    let theirs = Arc::clone(&progress);
    let mut running = task::spawn_blocking(move || {
        let engine = Engine { matcher: &matcher, bounds, threads, progress: &theirs };
        job.run(&engine)
    });
    let ui = &mut app.context.ui;
    let shown = ui.err_terminal && !scan.quiet && (!ui.out_terminal || scan.output.is_some() || scan.writes_text(ui));
    let mut bar = shown.then(Bar::new);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopped = false;
    let ended = loop {
        tokio::select! {
            ended = &mut running => break ended,
            _ = ticks.tick(), if bar.is_some() => {
                if let Some(words) = bar.as_mut().and_then(|bar| bar.words(&progress, ui.width)) {
                    ui.over(&words);
                }
            }
            pressed = tokio::signal::ctrl_c() => {
                if pressed.is_ok() {
                    stopped = true;
                    progress.stop();
                    match timeout(LAST_WORDS, &mut running).await {
                        Ok(ended) => break ended,
                        Err(_) => break Ok(Ok(Outcome::default())),
                    }
                }
            }
        }
    };
    if bar.is_some_and(|bar| bar.was_shown()) {
        ui.over("");
    }
    let outcome = ended.map_err(|_| Failure::failed("the scan broke down: please report this"))??;
    Ok(Worked { outcome, stopped })
}

fn bounds(scan: &Scan) -> Bounds {
    let mut bounds = Bounds::default();
    if let Some(largest) = scan.max_file_size {
        bounds.file = largest;
    }
    if scan.no_archives {
        bounds.depth = 0;
    }
    bounds
}

fn catalogue() -> Result<Catalogue, Failure> {
    Catalogue::embedded().map_err(|error| Failure::failed(format!("the built-in catalogue is broken: {error}")))
}

fn matcher(scan: &Scan) -> Result<Matcher, Failure> {
    let built_in =
        Matcher::embedded().map_err(|error| Failure::failed(format!("the built-in catalogue is broken: {error}")))?;
    scan.rules.iter().try_fold(built_in, |matcher, path| {
        let rules = Rules::parse(&lists::read(path)?)
            .map_err(|problem| Failure::failed(format!("cannot use the rules of {}: {problem}", path.display())))?;
        Ok(matcher.with_rules(rules))
    })
}
