//! `keyward scan`: finds secrets in files, archives, databases and every place of a git repository, says which of them
//! are this installation's own, and stops those that are.

mod anchors;
mod bar;
mod input;
mod lists;
mod ours;
mod verify;
mod work;

use super::{App, Outcome as Ended};
use crate::{
    failure::{Failure, Verdict},
    files, parse, secret,
    ui::{Format as Shared, Ui},
};
use anchors::Anchors;
use keyward_scanner::{
    Confidence, Filter, Fingerprinter, Hints, Hit, LeftOut, Outcome, Push,
    report::{Format, Left, Report, Row},
};
use std::{os::unix::ffi::OsStrExt, path::PathBuf};

/// Look for leaked secrets; exit status 1 when some are found, 3 when none is and not everything was looked at
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "\
Examples:
  keyward scan
  keyward scan --git
  keyward scan --staged
  keyward scan --range origin/main..HEAD --format sarif --output keyward.sarif
  kubectl get configmaps -o yaml | keyward scan -
  keyward scan --git --contain

Everything is looked at: hidden and ignored files, archives, databases, notebooks; with --git also the whole history
and what no branch leads to. Secrets are never shown in full unless you say --reveal, and never leave this machine
unless you say --verify, which shows each to the one provider it belongs to: a server that is known gets keyed
fingerprints of what was found, to say whose it is. `# keyward:allow REASON until 2027-01-31` on a line allows its secrets, and so does a fingerprint in `.keyward/ignore`.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Scan {
    /// Files and folders, or repositories with --git; `-` is standard input [default: the current folder]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Scan the repository: all objects, reachable or not, messages, tags, notes, stashes, reflogs, index, work tree
    #[arg(long)]
    git: bool,
    /// Scan what `git add` has taken and the last commit does not have
    #[arg(long, conflicts_with = "git")]
    staged: bool,
    /// Scan what was committed since this revision, and the work tree
    #[arg(long, value_name = "REVISION", conflicts_with = "staged")]
    since: Option<String>,
    /// Scan what these commits brought
    #[arg(long, value_name = "A..B", conflicts_with_all = ["staged", "since"])]
    range: Option<String>,
    /// More rules: a file of gitleaks or betterleaks
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// Leave out what this earlier report names (JSON, JSON lines or SARIF)
    #[arg(long, value_name = "FILE")]
    baseline: Vec<PathBuf>,
    /// Leave out what is less sure
    #[arg(long, value_name = "CONFIDENCE", default_value = "medium")]
    min_confidence: Sure,
    /// Report what comments and ignore files allow, too
    #[arg(long)]
    no_allow: bool,
    /// Show secrets in full
    #[arg(long)]
    reveal: bool,
    /// How to write the report [env: KEYWARD_FORMAT] [default: text]
    #[arg(long, value_name = "FORMAT")]
    format: Option<ScanFormat>,
    /// Write the report to a file that only you may read, in place of one that is there; `-` is standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show no progress and no notes
    #[arg(long, short)]
    quiet: bool,
    /// Do not scan files larger than this
    #[arg(long, value_name = "SIZE", value_parser = parse::size)]
    max_file_size: Option<u64>,
    /// Do not look into archives
    #[arg(long)]
    no_archives: bool,
    /// How many threads to use [default: one for each processor]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Ask the provider of each secret whether it still works: each once, free of charge, nobody else
    #[arg(long, conflicts_with = "offline")]
    verify: bool,
    /// Folder with `providers/` of your own, whose keys are looked for as well [env: KEYWARD_CONFIG_DIR]
    #[arg(long, value_name = "FOLDER")]
    config_dir: Option<PathBuf>,
    /// With --verify: let addresses of your own providers be on this machine or in a private network
    #[arg(long, requires = "verify")]
    allow_private_address: bool,
    /// With --verify: more authorities (PEM) to trust towards providers [env: KEYWARD_EXTRA_CA]
    #[arg(long, value_name = "FILE", requires = "verify")]
    extra_ca: Option<PathBuf>,
    /// Ask no server whose the secrets are
    #[arg(long, conflicts_with = "contain")]
    offline: bool,
    /// Revoke keys of this installation that are found, and disable its credentials, after asking
    #[arg(long)]
    contain: bool,
    /// Do not ask before containing
    #[arg(long, short, requires = "contain")]
    yes: bool,
    /// What a hook is told to look at.
    #[arg(skip)]
    push: Option<Push>,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ScanFormat {
    /// For people.
    Text,
    /// One JSON value.
    Json,
    /// One JSON value a line.
    Jsonl,
    /// SARIF 2.1.0.
    Sarif,
    /// JUnit's XML.
    Junit,
    /// Annotations of GitHub's workflows.
    Github,
    /// One page.
    Html,
}

/// How sure a finding is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Sure {
    /// It may be a secret.
    Low,
    /// It has the shape and the context.
    #[default]
    Medium,
    /// It has a shape of its own.
    High,
    /// It is proven.
    Certain,
}

impl From<Sure> for Confidence {
    fn from(sure: Sure) -> Self {
        match sure {
            Sure::Low => Self::Low,
            Sure::Medium => Self::Medium,
            Sure::High => Self::High,
            Sure::Certain => Self::Certain,
        }
    }
}

impl Scan {
    /// A scan of what is staged, for a hook.
    pub(crate) fn of_staged() -> Self {
        Self { staged: true, ..Self::default() }
    }

    /// A scan of what a push brings, for a hook.
    pub(crate) fn of_push(push: Push) -> Self {
        Self { push: Some(push), ..Self::default() }
    }

    pub(crate) async fn run(mut self: Box<Self>, app: &mut App) -> Ended {
        self.format = self.wanted(app)?;
        self.output = self.output.take().filter(|path| path.as_os_str() != "-");
        // What cannot be done is refused before anything is.
        if self.contain && !self.yes && !app.context.input.terminal {
            return Err(Failure::usage("--contain asks before it revokes, and there is nobody to ask")
                .hint("say --yes to agree beforehand"));
        }
        self.output.as_deref().map_or(Ok(()), files::try_deliver)?;
        let server = if self.contain { Some(ours::Server::find(app).await?) } else { None };
        let filter = self.filter(app)?;
        self.refuse_keys(app)?;
        let work::Worked { outcome, stopped, mut interrupts } = work::run(&self, app).await?;
        let mut report = Report { stopped, ..self.sift(app, outcome, &filter) };
        // Most scans find nothing, and have no names to tell.
        let bare = report.rows.is_empty() && report.missed.is_empty() && report.unlisted.is_empty();
        let matcher = if bare { None } else { Some(work::matcher(&self, app)?) };
        let mut undone = Vec::new();
        // Whoever stops a scan wants nobody asked any more, and nothing done.
        if !report.rows.is_empty() && !self.offline && !report.stopped {
            let server = match server {
                Some(server) => Some(server),
                None => ours::Server::if_known(app, self.quiet).await,
            };
            if let Some(server) = server {
                self.resift(&mut report, &filter, server.fingerprinter());
                // Names are strangers', and may be secrets. Only now: lists and fingerprints go by them as they are.
                matcher.iter().for_each(|matcher| report.conceal(matcher));
                match server.name(&mut report.rows).await {
                    Ok(()) if self.contain => undone = ours::contain(app, &server, &mut report.rows, self.yes).await?,
                    Ok(()) => {}
                    // What was found is shown all the same.
                    Err(failure) if self.contain => undone.push(failure),
                    Err(failure) => ours::unnamed(app, &failure, self.quiet),
                }
            } else if filter.needs_key() && !self.quiet {
                app.context.ui.warn("fp2_ fingerprints were not compared: that takes the server that made them");
            }
        }
        if self.verify && !report.stopped {
            match verify::run(&self, app, &mut report.rows, &mut interrupts).await {
                Ok(verify::Ended::Asked) => {}
                Ok(verify::Ended::Stopped) => report.stopped = true,
                Err(failure) => undone.push(failure),
            }
        }
        report.sort();
        matcher.iter().for_each(|matcher| report.conceal(matcher));
        Failure::unless_closed(self.show(app, &report))?;
        if let Some(failure) = undone.into_iter().next() {
            return Err(failure);
        }
        Ok(match (report.stopped, report.rows.is_empty(), report.missed.is_empty()) {
            (true, ..) => Verdict::Incomplete,
            (_, false, _) => Verdict::No,
            (_, true, false) => Verdict::Incomplete,
            (_, true, true) => Verdict::Yes,
        })
    }

    /// The format that was said, or that the environment names.
    fn wanted(&self, app: &App) -> Result<Option<ScanFormat>, Failure> {
        let named = app.context.variables.text("KEYWARD_FORMAT").filter(|_| self.format.is_none());
        let named = named.map(|name| <ScanFormat as clap::ValueEnum>::from_str(&name, true)).transpose();
        let all = "text, json, jsonl, sarif, junit, github, html";
        Ok(named.map_err(|_| Failure::usage(format!("KEYWARD_FORMAT is none of {all}")))?.or(self.format))
    }

    /// Refuses a key where a path belongs: what is wrong with the path would repeat it.
    fn refuse_keys(&self, app: &App) -> Result<(), Failure> {
        let (mut places, mut is_key) = (self.places(), false);
        places.retain(|place| place.symlink_metadata().is_err());
        if places.is_empty() {
            return Ok(());
        }
        let matcher = work::matcher(self, app)?;
        for place in &places {
            let look = &mut |hit: Hit| is_key |= hit.confidence > Confidence::Low;
            matcher.look(place.as_os_str().as_bytes(), &Hints::default(), look);
        }
        if is_key { Err(secret::refuse_argument()) } else { Ok(()) }
    }

    fn filter(&self, app: &App) -> Result<Filter, Failure> {
        let mut filter = Filter::new(self.min_confidence.into(), app.context.now);
        if self.no_allow {
            filter.allow_nothing();
        } else {
            let mut ignore_files = lists::ignore_files(&self.places())?;
            if self.is_of_git() {
                let hook = work::hook(&app.context.variables);
                ignore_files.extend(lists::committed(&self.places(), self.push.as_ref(), &hook)?);
            }
            for (path, text) in ignore_files {
                filter.ignore(&text).map_err(|bad| Failure::failed(format!("{}: {bad}", path.display())))?;
            }
        }
        for path in &self.baseline {
            let text = lists::read(path)?;
            filter.baseline(&text).map_err(|bad| Failure::failed(format!("{}: {bad}", path.display())))?;
        }
        Ok(filter)
    }

    /// Where is scanned.
    fn places(&self) -> Vec<PathBuf> {
        let given: Vec<PathBuf> = self.paths.iter().filter(|path| path.as_os_str() != "-").cloned().collect();
        if given.is_empty() { vec![PathBuf::from(".")] } else { given }
    }

    /// From where paths count. Those of a repository's scan count from its root as they are.
    fn anchors(&self) -> Anchors {
        if self.is_of_git() { Anchors::default() } else { Anchors::of(&self.places()) }
    }

    /// Whether repositories are scanned, and not files.
    fn is_of_git(&self) -> bool {
        self.git || self.staged || self.since.is_some() || self.range.is_some() || self.push.is_some()
    }

    /// Turns what was found into rows, without what is left out.
    fn sift(&self, app: &App, outcome: Outcome, filter: &Filter) -> Report {
        let Outcome { findings, missed, stats } = outcome;
        let prints = Fingerprinter::plain();
        let anchors = self.anchors();
        let (mut left, mut unlisted) = (Left::default(), Vec::new());
        let mut rows = Vec::new();
        for mut finding in findings {
            let print = anchors.print(&prints, &finding);
            anchors::tidy(&mut finding.place);
            let all = [print];
            if let Some(why) = filter.left_out(&finding, &all) {
                count(&mut left, &why);
                if why != LeftOut::BelowConfidence {
                    unlisted.push(finding.secret);
                }
                continue;
            }
            let note = filter.ended(&finding, &all);
            let group = prints.group(finding.secret.expose());
            let [fingerprint] = all;
            rows.push(Row { finding, fingerprint, group, ours: None, verified: None, note });
        }
        let subject: Vec<String> = self.paths.iter().map(|path| path.display().to_string()).collect();
        let missed = missed.into_iter().map(|mut missed| {
            anchors::tidy(&mut missed.place);
            missed
        });
        Report {
            rows,
            missed: missed.collect(),
            stats,
            left,
            unlisted,
            reveal: self.reveal,
            stopped: false,
            subject: if subject.is_empty() { ".".to_owned() } else { subject.join(" ") },
            at: app.context.now,
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// Gives the rows an installation's fingerprints, and leaves out those that lists name by these.
    fn resift(&self, report: &mut Report, filter: &Filter, prints: &Fingerprinter) {
        let (left, anchors) = (&mut report.left, self.anchors());
        report.rows.retain_mut(|row| {
            row.fingerprint = anchors.print(prints, &row.finding);
            row.group = prints.group(row.finding.secret.expose());
            let print = [row.fingerprint.clone()];
            if row.note.is_none() {
                row.note = filter.ended(&row.finding, &print);
            }
            let why = filter.left_out(&row.finding, &print);
            why.iter().for_each(|why| count(left, why));
            why.is_none()
        });
    }

    fn show(&self, app: &mut App, report: &Report) -> Result<(), Failure> {
        let format = self.written(&app.context.ui);
        let colour = self.output.is_none() && app.context.ui.colours();
        let text = report.write(format, colour);
        let Some(path) = &self.output else { return app.context.ui.raw(text.as_bytes()) };
        files::deliver(path, text.as_bytes())?;
        if !self.quiet {
            let secrets = report.secrets();
            let noun = if secrets == 1 { "secret" } else { "secrets" };
            let missed = report.missed.len();
            app.context.ui.aside(&format!("{secrets} {noun} found, {missed} not scanned: see {}", path.display()));
        }
        Ok(())
    }

    /// Whether the report is for people to read.
    fn writes_text(&self, ui: &Ui) -> bool {
        self.written(ui) == Format::Text
    }

    fn written(&self, ui: &Ui) -> Format {
        match (self.format, ui.format) {
            (Some(ScanFormat::Text), _) | (None, Shared::Text) => Format::Text,
            (Some(ScanFormat::Json), _) | (None, Shared::Json) => Format::Json,
            (Some(ScanFormat::Jsonl), _) => Format::Jsonl,
            (Some(ScanFormat::Sarif), _) => Format::Sarif,
            (Some(ScanFormat::Junit), _) => Format::Junit,
            (Some(ScanFormat::Github), _) => Format::Github,
            (Some(ScanFormat::Html), _) => Format::Html,
        }
    }
}

fn count(left: &mut Left, why: &LeftOut) {
    match why {
        LeftOut::Allowed => left.allowed += 1,
        LeftOut::Ignored => left.ignored += 1,
        LeftOut::Known => left.baseline += 1,
        LeftOut::BelowConfidence => left.below_confidence += 1,
    }
}
