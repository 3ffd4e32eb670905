//! `keyward hook`: git hooks that look for secrets before they leave.

mod folder;
mod script;
mod updates;

use super::{App, Outcome};
use crate::{
    commands::scan::Scan,
    failure::{Failure, Verdict},
    ui::table::{self, plain},
};
use clap::ValueEnum;
use folder::Folder;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Git hooks: refuse commits and pushes that bring secrets
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Hook {
    /// Put hooks into a repository; those that are there run before ours
    #[command(after_help = "\
Examples:
  keyward hook install
  keyward hook install pre-commit
  keyward hook install pre-receive --repository /srv/git/shop.git

Without names: pre-commit and pre-push, or pre-receive where nobody works (a bare repository). The folder is the one
that git itself uses: core.hooksPath and worktrees are respected. What was there goes on working: it is renamed, and our
hook runs it first.")]
    Install(Change),
    /// Take our hooks out again, and put back what was there before
    #[command(after_help = "\
Example:
  keyward hook uninstall")]
    Uninstall(Change),
    /// Tell which hooks are in place; exit status 1 when none of ours is
    #[command(after_help = "\
Example:
  keyward hook status")]
    Status(At),
    /// What a hook runs
    #[command(
        hide = true,
        after_help = "\
Example:
  keyward hook run pre-commit"
    )]
    Run(Run),
}

/// Options of `hook install` and `uninstall`.
#[derive(Debug, clap::Args)]
pub(crate) struct Change {
    /// Which hooks
    #[arg(value_name = "HOOK")]
    hooks: Vec<Name>,
    #[command(flatten)]
    at: At,
}

/// Which repository.
#[derive(Debug, clap::Args)]
pub(crate) struct At {
    /// The repository, or a folder in it [default: the current folder]
    #[arg(long, value_name = "FOLDER")]
    repository: Option<PathBuf>,
}

/// Options of `hook run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// Which hook
    #[arg(value_name = "HOOK")]
    hook: Name,
    /// What git says to the hook
    #[arg(value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

/// A hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(clippy::enum_variant_names, reason = "they are git's own names")]
pub(crate) enum Name {
    /// Before a commit: looks at what is staged.
    PreCommit,
    /// Before a push: looks at the commits that the other side does not have.
    PrePush,
    /// On a server, before it takes a push: looks at the commits it does not have.
    PreReceive,
}

impl Name {
    const fn text(self) -> &'static str {
        match self {
            Self::PreCommit => "pre-commit",
            Self::PrePush => "pre-push",
            Self::PreReceive => "pre-receive",
        }
    }
}

impl Hook {
    pub(crate) async fn run(self, app: &mut App) -> Outcome {
        match self {
            Self::Install(change) => change.install(app),
            Self::Uninstall(change) => change.uninstall(app),
            Self::Status(at) => at.status(app),
            Self::Run(run) => run.run(app).await,
        }
    }
}

impl Change {
    fn install(self, app: &mut App) -> Outcome {
        let folder = Folder::of(self.at.repository.as_deref())?;
        let program = std::env::current_exe()
            .map_err(|error| Failure::failed(format!("cannot tell where this program lies: {error}")))?;
        let usual = if folder.bare { vec![Name::PreReceive] } else { vec![Name::PreCommit, Name::PrePush] };
        for hook in if self.hooks.is_empty() { usual } else { self.hooks } {
            folder.put(hook.text(), &script::of(hook.text(), &program)?)?;
        }
        if folder.shared {
            app.context.ui.warn("this folder is named by core.hooksPath: other repositories may use it, too");
        }
        app.done(&folder.report()?, words)
    }

    fn uninstall(self, app: &mut App) -> Outcome {
        let folder = Folder::of(self.at.repository.as_deref())?;
        let all = Name::value_variants().to_vec();
        for hook in if self.hooks.is_empty() { all } else { self.hooks } {
            folder.take(hook.text())?;
        }
        app.done(&folder.report()?, words)
    }
}

impl At {
    fn status(&self, app: &mut App) -> Outcome {
        let report = Folder::of(self.repository.as_deref())?.report()?;
        Failure::unless_closed(app.context.ui.answer(&report, words))?;
        let ours = super::items(&report).iter().any(|hook| table::at(hook, "/state") == script::OURS);
        Ok(if ours { Verdict::Yes } else { Verdict::No })
    }
}

impl Run {
    async fn run(self, app: &mut App) -> Outcome {
        let scan = match self.hook {
            Name::PreCommit => Scan::of_staged(),
            Name::PrePush => {
                let told = |at| self.arguments.get(at).map(String::as_str).unwrap_or_default();
                Scan::of_push(updates::pushed(app, told(0), told(1))?)
            }
            Name::PreReceive => Scan::of_push(updates::received(app)?),
        };
        match Box::new(scan).run(app).await? {
            Verdict::No => {
                app.context.ui.note(match self.hook {
                    Name::PreCommit => {
                        "This commit was not made: take the secrets out. One that is none can be allowed on its line: \
                         `# keyward:allow REASON until 2027-01-31`."
                    }
                    Name::PrePush | Name::PreReceive => {
                        "Nothing was pushed: these commits bring secrets. Revoke them where they were made, then take \
                         them out of the commits (git rebase -i)."
                    }
                });
                Ok(Verdict::No)
            }
            // What a hook cannot look at is said, and does not stop anybody's work.
            Verdict::Incomplete => Ok(Verdict::Yes),
            Verdict::Yes => Ok(Verdict::Yes),
        }
    }
}

fn words(report: &Value, width: Option<u16>) -> String {
    let columns = [plain("HOOK", "/hook"), plain("STATE", "/state"), plain("BEFORE IT", "/before")];
    let hooks = table::table(super::items(report), &columns, "no hooks", width);
    format!("{}\n\n{hooks}", table::at(report, "/folder"))
}

/// One hook's line in a report.
fn line(hook: &str, state: &str, before: Option<&str>) -> Value {
    json!({"hook": hook, "state": state, "before": before})
}
