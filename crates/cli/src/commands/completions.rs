//! `keyward completions`: what a shell needs to complete commands.

use super::{App, Outcome};
use crate::{failure::Verdict, ui::Format};
use clap_complete::Shell;
use serde_json::json;

/// Write shell completions
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  source <(keyward completions bash)
  source <(keyward completions zsh)
  keyward completions fish | source

That is for this shell. To keep it, put the line into ~/.bashrc, ~/.zshrc behind `compinit`, or
~/.config/fish/config.fish.")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, app: &mut App) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut app.tree.clone(), "keyward", &mut script);
        if app.context.ui.format == Format::Text {
            app.context.ui.raw(&script)?;
            return Ok(Verdict::Yes);
        }
        let answer = json!({"shell": self.shell.to_string(), "script": String::from_utf8_lossy(&script)});
        app.done(&answer, |_, _| String::new())
    }
}
