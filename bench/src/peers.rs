//! Programs that the scanner is measured beside, where they can be had.

use crate::pip;
use anyhow::Context;
use std::{ffi::OsString, path::Path};

/// The program on the search path, where it is.
fn on_path(name: &str) -> Option<OsString> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file()).map(Into::into)
}

/// `rg`, or how to get it.
pub fn rg() -> Option<OsString> {
    let program = on_path("rg");
    if program.is_none() {
        println!(
            "  rg is missing, so there is nothing to compare with: `apt-get install ripgrep`, or `cargo install ripgrep`"
        );
    }
    program
}

/// Kingfisher: the one on the search path, else a version that `pip` installs. None when that is switched off or fails,
/// which it says.
pub fn kingfisher(version: &str) -> Option<OsString> {
    if version == "0" {
        return None;
    }
    if let Some(program) = on_path("kingfisher") {
        return Some(program);
    }
    let installed = pip::install("kingfisher-bin", version);
    match installed.and_then(|folder| program_below(&folder, 6).context("its package has no program")) {
        Ok(program) => Some(program),
        Err(error) => {
            println!("  Kingfisher {version} cannot be installed here, so it is missing below: {error:#}");
            None
        }
    }
}

/// The program itself, below `site-packages`: what `pip` puts into `bin` is a script that starts it, and takes its time.
fn program_below(folder: &Path, depth: usize) -> Option<OsString> {
    let program = folder.join("kingfisher/bin/kingfisher");
    if program.is_file() {
        return Some(program.into());
    }
    let entries: Vec<_> = std::fs::read_dir(folder).ok()?.flatten().collect();
    let folders = entries.iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.filter(|_| depth > 0).find_map(|entry| program_below(&entry.path(), depth - 1))
}
