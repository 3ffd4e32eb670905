//! `keyward man`: the manual pages, for packages. Hidden: people read `--help`.

use super::{App, Outcome};
use crate::{
    failure::{Failure, Verdict},
    files,
    ui::Format,
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

/// Write the manual page to standard output, or the pages of all commands into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  keyward man | man -l -
  keyward man --dir /usr/share/man/man1")]
pub(crate) struct Man {
    /// Write one page a command into this folder
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self, app: &mut App) -> Outcome {
        let mut tree = app.tree.clone();
        tree.build();
        let Some(folder) = self.dir else {
            let page = render(&tree)?;
            if app.context.ui.format == Format::Text {
                app.context.ui.raw(&page)?;
                return Ok(Verdict::Yes);
            }
            return app.done(&json!({"page": String::from_utf8_lossy(&page)}), |_, _| String::new());
        };
        fs::create_dir_all(&folder).map_err(|error| files::cannot_write(&folder, &error))?;
        let mut written = Vec::new();
        pages(&tree, "", &mut |name, command| {
            let path = folder.join(format!("{name}.1"));
            fs::write(&path, render(command)?).map_err(|error| files::cannot_write(&path, &error))?;
            written.push(Value::from(path.display().to_string()));
            Ok(())
        })?;
        app.done(&json!({"files": written}), |answer, _| {
            let files = answer.get("files").and_then(Value::as_array).into_iter().flatten();
            files.filter_map(Value::as_str).map(|file| format!("{file}\n")).collect()
        })
    }
}

fn render(command: &clap::Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .render(&mut page)
        .map_err(|error| Failure::failed(format!("cannot make the manual page: {error}")))?;
    Ok(page)
}

/// Walks the commands that people see, with the name of each page: `keyward-key-create`.
fn pages(
    command: &clap::Command,
    above: &str,
    visit: &mut dyn FnMut(&str, &clap::Command) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let name = if above.is_empty() { command.get_name().to_owned() } else { format!("{above}-{}", command.get_name()) };
    let page = command.clone().name(name.clone());
    visit(&name, &page)?;
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
        pages(inner, &name, visit)?;
    }
    Ok(())
}
