//! `docs/reference/configuration.md`: every option, setting, variable and file, and none that does not exist.

use crate::{commands, page};
use clap::Arg;
use keyward_testkit::{Keyward, cli::Run, sdk};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

const PAGE: &str = "docs/reference/configuration.md";

/// What the program says of an option: its names, its variable, and its default when it tells one.
fn said(argument: &Arg) -> (Vec<String>, String, Option<String>) {
    let long = argument.get_long().expect("serve has options only");
    let aliases = argument.get_visible_aliases().unwrap_or_default();
    let names = std::iter::once(long).chain(aliases).map(|name| format!("--{name}")).collect();
    let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let (_, noted) = commands::note(&help, "default");
    let given = argument.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
    (names, variable, noted.or_else(|| given.filter(|_| argument.get_action().takes_values())))
}

#[test]
fn the_options_of_serve_stand_there_with_their_variables_and_defaults() {
    let tree = commands::tree();
    let serve = tree.find_subcommand("serve").expect("there is serve");
    let text = page::text(PAGE);
    let rows = page::rows(&text, "Options of `keyward serve`");
    let mut unseen: BTreeSet<String> = rows.iter().map(|row| row[0].clone()).collect();
    for argument in serve.get_arguments().filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version")) {
        let (names, variable, default) = said(argument);
        let row = rows.iter().find(|row| page::code(&row[0]) == names);
        let row = row.unwrap_or_else(|| panic!("{PAGE} has no row for {names:?}"));
        unseen.remove(&row[0]);
        assert_eq!(page::code(&row[1]).concat(), variable, "the variable of {names:?}");
        if let Some(default) = default {
            assert_eq!(row[3].replace('`', ""), default, "the default of {names:?}");
        }
    }
    assert!(unseen.is_empty(), "{PAGE}: serve has no {unseen:?}");
}

#[test]
fn the_settings_of_the_file_stand_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keyward.toml");
    fs::write(&file, "no_such_setting = 1\n").expect("written");
    let mut command = Command::new(crate::BINARY);
    command.args(["serve", "--print-config", "--config"]).arg(&file).env_clear().env("HOME", folder.path());
    let refused = Run::of(command, b"");
    let (_, names) = refused.stderr.split_once("expected one of ").unwrap_or_else(|| panic!("{}", refused.all()));
    let exist: BTreeSet<&str> = page::code(names.lines().next().unwrap_or_default()).into_iter().collect();
    let text = page::text(PAGE);
    let rows = page::rows(&text, "Options of `keyward serve`");
    let told: BTreeSet<&str> = rows.iter().flat_map(|row| page::code(&row[2])).collect();
    assert_eq!(told, exist);
    assert!(exist.len() > 15, "{exist:?}");
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_variable_that_is_read_stands_there_and_no_other() {
    let mut files = Vec::new();
    for room in fs::read_dir(sdk::root().join("crates")).expect("the rooms") {
        sources(&room.expect("a room").path().join("src"), &mut files);
    }
    let mut read = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source");
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        // A variable's name stands at the beginning of a text.
        let named = product.split('"').filter(|part| part.starts_with("KEYWARD_"));
        read.extend(named.filter_map(|part| page::variables(part).next()).map(str::to_owned));
    }
    let text = page::text(PAGE);
    let told: BTreeSet<String> = page::variables(&text).map(str::to_owned).collect();
    assert_eq!(told, read);
    assert!(read.len() > 25, "{read:?}");
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = page::text(PAGE);
    let rows = page::rows(&text, "Options of `keyward serve`");
    let variables: Vec<&str> = rows.iter().flat_map(|row| page::code(&row[1])).collect();
    assert!(variables.len() > 15, "{variables:?}");
    let printed = |environment: &[&str]| {
        let mut command = Command::new(crate::BINARY);
        command.args(["serve", "--print-config"]).env_clear().env("HOME", folder.path());
        command.envs(environment.iter().map(|name| (*name, "")));
        Run::of(command, b"").ok().stdout
    };
    assert_eq!(printed(&variables), printed(&[]));
}

#[test]
fn the_files_of_the_data_folder_stand_there_with_their_modes() {
    let server = Keyward::start(crate::BINARY);
    let text = page::text(PAGE);
    let rows = page::rows(&text, "The data folder");
    let mut seen = 0;
    for entry in fs::read_dir(server.data()).expect("the data folder") {
        let entry = entry.expect("an entry");
        let about = entry.metadata().expect("its metadata");
        let slash = if about.is_dir() { "/" } else { "" };
        let name = format!("{}{slash}", entry.file_name().to_string_lossy());
        let row = rows.iter().find(|row| page::code(&row[0]).contains(&name.as_str()));
        let row = row.unwrap_or_else(|| panic!("{PAGE} does not know the file {name}"));
        assert_eq!(row[1], format!("{:04o}", about.permissions().mode() & 0o777), "the mode of {name}");
        seen += 1;
    }
    assert!(seen > 4, "only {seen} files: is this the data folder?");
    for entry in fs::read_dir(server.data().join("journal")).expect("the journal") {
        let mode = entry.expect("an entry").metadata().expect("its metadata").permissions().mode();
        assert_eq!(mode & 0o077, 0, "the journal is for its owner alone");
    }
    let mode = fs::metadata(server.data()).expect("there").permissions().mode() & 0o777;
    assert!(text.contains(&format!("of mode {mode:04o}")), "the folder's own mode is {mode:04o}");
}

#[test]
fn the_example_of_a_settings_file_is_taken() {
    let text = page::text(PAGE);
    let example = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a toml block");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keyward.toml");
    fs::write(&file, example).expect("written");
    let mut command = Command::new(crate::BINARY);
    command.args(["serve", "--print-config", "--config"]).arg(&file).env_clear().env("HOME", folder.path());
    let printed = Run::of(command, b"").ok().stdout;
    for line in example.lines().filter(|line| !line.is_empty()) {
        let (name, _) = line.split_once(" = ").expect("a setting");
        assert!(printed.lines().any(|shown| shown.starts_with(&format!("{name} = "))), "{name}: {printed}");
    }
}
