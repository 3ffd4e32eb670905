//! The scan itself: on threads of its own, while this one shows how far it is and listens for Ctrl-C.

use super::{Scan, bar::Bar, input::Input, lists};
use crate::{
    commands::{App, check},
    context::{Context, Variables},
    failure::Failure,
    secret,
};
use keyward_catalogue::Catalogue;
use keyward_scanner::{
    Bounds, Cause, Confidence, GitError, Hints, History, Hook, Matcher, Missed, Outcome, Place, Progress, Push, Rules,
    Scan as Engine, Walk, Where,
};
use std::{path::PathBuf, sync::Arc, thread, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task,
    time::{MissedTickBehavior, interval, timeout},
};

/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(100);
/// How long a scan may take to end once somebody stopped it. Only what never answers takes longer: a network's file system.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Where a hook runs.
const HERE: &str = ".";

/// What a scan found, and whether it came to its end.
pub(super) struct Worked {
    pub(super) outcome: Outcome,
    pub(super) stopped: bool,
    /// From now on Ctrl-C is only heard here.
    pub(super) interrupts: Interrupts,
}

/// Ctrl-C, from before the work begins: whoever presses it early is heard as well.
pub(super) struct Interrupts(Option<Signal>);

impl Interrupts {
    fn new() -> Self {
        Self(signal(SignalKind::interrupt()).ok())
    }

    /// Waits until somebody presses it.
    pub(super) async fn pressed(&mut self) {
        match &mut self.0 {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    }
}

/// What is to be scanned.
enum Job {
    /// Standard input, and files.
    Files { input: Option<Input>, roots: Vec<PathBuf> },
    /// Repositories, or a part of them.
    Git { folders: Vec<PathBuf>, history: History },
    /// What is staged.
    Staged { folders: Vec<PathBuf>, hook: Hook },
    /// What is pushed.
    Push { push: Push, hook: Hook },
}

impl Job {
    fn of(scan: &Scan, context: &mut Context, progress: &Arc<Progress>) -> Result<Self, Failure> {
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
        Ok(if let Some(push) = scan.push.clone() {
            Self::Push { push, hook: hook(&context.variables) }
        } else if scan.staged {
            Self::Staged { folders, hook: hook(&context.variables) }
        } else if let Some(history) = history {
            Self::Git { folders, history }
        } else {
            let input_alone = wants_input && scan.paths.iter().all(|path| path.as_os_str() == "-");
            let roots = if input_alone { Vec::new() } else { folders };
            let input = wants_input.then(|| Input::new(context.input.take(), Arc::clone(progress)));
            Self::Files { input, roots }
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
                    outcome.merge(engine.git(&folder, &history).map_err(|error| refusal(error, engine.matcher))?);
                }
            }
            Self::Staged { folders, hook } => {
                for folder in folders {
                    outcome.merge(engine.staged_in_hook(&folder, &hook).map_err(Failure::failed)?);
                }
            }
            Self::Push { push, hook } => {
                outcome.merge(engine.push_in_hook(HERE.as_ref(), &push, &hook).map_err(Failure::failed)?);
            }
        }
        Ok(outcome)
    }
}

/// Why a repository cannot be scanned. A key in the place of a revision is not repeated.
fn refusal(error: GitError, matcher: &Matcher) -> Failure {
    let mut is_secret = false;
    if let GitError::UnknownRevision(text) | GitError::UnreadReferences(text) = &error {
        matcher.look(text.as_bytes(), &Hints::default(), &mut |hit| is_secret |= hit.confidence > Confidence::Low);
    }
    if is_secret { secret::refuse_argument() } else { Failure::failed(error) }
}

/// What git tells its hooks by variables. They hold for the repository that the hook runs in.
pub(super) fn hook(variables: &Variables) -> Hook {
    let objects = ["GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES"].into_iter();
    let objects = objects.filter_map(|name| variables.path(name));
    Hook {
        index: variables.path("GIT_INDEX_FILE"),
        objects: objects.flat_map(|list| std::env::split_paths(&list).collect::<Vec<_>>()).collect(),
    }
}

/// Scans.
pub(super) async fn run(scan: &Scan, app: &mut App) -> Result<Worked, Failure> {
    let mut interrupts = Interrupts::new();
    let progress = Arc::new(Progress::default());
    let job = Job::of(scan, &mut app.context, &progress)?;
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
    let matcher = matcher(scan, app)?;
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
            () = interrupts.pressed() => {
                stopped = true;
                progress.stop();
                break tokio::select! {
                    ended = timeout(LAST_WORDS, &mut running) => ended.unwrap_or_else(|_| Ok(Ok(unended()))),
                    // Whoever presses it again does not want to wait.
                    () = interrupts.pressed() => Ok(Ok(unended())),
                };
            }
        }
    };
    if bar.is_some_and(|bar| bar.was_shown()) {
        ui.over("");
    }
    let outcome = ended.map_err(|_| Failure::failed("the scan broke down: please report this"))??;
    Ok(Worked { outcome, stopped, interrupts })
}

/// What is told of a scan that did not end when it was told to: a file system may keep a thread waiting for ever.
fn unended() -> Outcome {
    let place = Place {
        place: Where::Worktree,
        path: Box::default(),
        within: Vec::new(),
        object: None,
        commits: Vec::new(),
        more_commits: 0,
    };
    let detail = "the scan did not end when it was stopped: what it had found is not known".into();
    Outcome { missed: vec![Missed { place, cause: Cause::Stopped, detail }], ..Outcome::default() }
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

/// The shapes of keys that are looked for: those of the operator's own providers among them, if there is a folder of such.
pub(super) fn matcher(scan: &Scan, app: &App) -> Result<Matcher, Failure> {
    let known = match check::folder(app, scan.config_dir.as_ref()) {
        Some(folder) if !folder.is_dir() => {
            return Err(Failure::failed(format!("cannot read own providers: {} is no folder", folder.display())));
        }
        Some(folder) => Matcher::new(&check::catalogue(app, Some(&folder))?),
        // Reading all of the catalogue would take longer than most scans of what is staged.
        None => Matcher::embedded()
            .map_err(|error| Failure::failed(format!("the built-in catalogue is broken: {error}")))?,
    };
    scan.rules.iter().try_fold(known, |matcher, path| {
        let rules = Rules::parse(&lists::read(path)?)
            .map_err(|problem| Failure::failed(format!("cannot use the rules of {}: {problem}", path.display())))?;
        Ok(matcher.with_rules(rules))
    })
}
