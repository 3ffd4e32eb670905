//! `docs/reference/cli.md` is what the tree of commands says, written as a page.

use crate::page;
use clap::{Arg, Command};
use keyward_cli::{Guest, failure::Failure};
use keyward_testkit::sdk;
use std::{fmt::Write as _, fs};

const PAGE: &str = "docs/reference/cli.md";

const HEAD: &str = "\
# Commands

What `--help` says of every command, on one page. The page is made from the program; a test keeps it so.

Results go to standard output; notes, warnings, errors (`error:`) and what to do about them (`hint:`) go to standard error.
With `--format json` a result is one JSON value. Every command but `completions`, `man`, `logout`, `provider check`, `hook` and the
three that work on the data folder itself (`serve`, `restore`, `vault recover`) calls the control API of a server. Without a
server, `provider list`, `provider show` and `provider price` tell what the built-in catalogue holds, and `scan` does all but say
whose the secrets are ([scan](scan.md)).

**Exit status**: 0 yes, or done; 1 the answer is no; 2 wrong usage or failure; 3, of `scan`, not everything was looked at. Where 1
can happen, the command says so.

## Options of all commands

They may stand anywhere on the command line; `serve`, `restore` and `vault recover` have options of their own instead.
Without any, the client takes the stored login (`keyward login`), else the server that the same user runs on this machine.

";

/// The binary's own tree, as its `main` puts it together.
pub(crate) fn tree() -> Command {
    let guests: Vec<Guest> = keyward_server::commands()
        .into_iter()
        .map(|server| Guest {
            parent: server.parent,
            command: server.command,
            run: Box::new(|_| Err(Failure::failed("only looked at"))),
        })
        .collect();
    let mut tree = keyward_cli::command(&guests);
    tree.build();
    tree
}

/// The commands below one, in the order of the help, without clap's own.
fn below(command: &Command) -> Vec<&Command> {
    let mut all: Vec<&Command> = command.get_subcommands().filter(|inner| inner.get_name() != "help").collect();
    all.sort_by_key(|inner| inner.get_display_order());
    all
}

/// The arguments that a command does not share with all others.
fn own<'a>(command: &'a Command, root: &Command) -> Vec<&'a Arg> {
    let same = |one: &Arg, other: &Arg| one.get_long() == other.get_long() && text_of(one) == text_of(other);
    command.get_arguments().filter(|one| !root.get_arguments().any(|other| same(one, other)) && seen(one)).collect()
}

/// Whether people are meant to see an argument.
fn seen(argument: &Arg) -> bool {
    !argument.is_hide_set() && !matches!(argument.get_id().as_str(), "help" | "version")
}

fn text_of(argument: &Arg) -> String {
    argument.get_help().map(ToString::to_string).unwrap_or_default()
}

/// A note in brackets at the end of a help text, such as `[default: 30s]`, and the text without it.
pub(crate) fn note(text: &str, name: &str) -> (String, Option<String>) {
    let beginning = format!("[{name}: ");
    let Some((before, rest)) = text.split_once(beginning.as_str()) else { return (text.to_owned(), None) };
    // An address of IPv6 has brackets too: the note ends with the last bracket before the next note.
    let end = rest.find("] [").or_else(|| rest.rfind(']')).expect("a note ends with a bracket");
    let after = rest.get(end + 1..).unwrap_or_default();
    (format!("{}{after}", before.trim_end()), rest.get(..end).map(str::to_owned))
}

fn row(argument: &Arg) -> String {
    let (help, default) = note(&text_of(argument), "default");
    let (help, variable) = note(&help, "env");
    let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned()).or(variable);
    let given = argument.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy()));
    let given: Vec<String> = if argument.get_action().takes_values() { given.collect() } else { Vec::new() };
    let default = match (argument.is_required_set(), given.is_empty()) {
        (true, _) => "required".to_owned(),
        (false, true) => default.unwrap_or_default(),
        (false, false) => given.join(", "),
    };
    let mut meaning = help.trim().to_owned();
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !values.is_empty() {
        write!(meaning, " ({})", values.join(", ")).expect("a string");
    }
    if let Some(variable) = variable {
        let shown = page::variables(&variable).map(|name| (name, format!("`{name}`")));
        let variable =
            shown.fold(
                variable.clone(),
                |text, (name, code)| {
                    if text.contains(&code) { text } else { replace_word(&text, name, &code) }
                },
            );
        write!(meaning, "; variable {variable}").expect("a string");
    }
    format!("| {} | {} | {} |\n", name(argument), default.replace('|', "\\|"), meaning.replace('|', "\\|"))
}

/// Replaces a name where nothing of a longer name follows it.
fn replace_word(text: &str, name: &str, with: &str) -> String {
    let mut parts = text.split(name).peekable();
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let longer = part.starts_with(|c: char| c == '_' || c.is_ascii_uppercase());
        out.push_str(if longer { name } else { with });
        out.push_str(part);
    }
    out
}

/// How an argument is written: `--rpm COUNT`, `-y, --yes`, `KEY`.
fn name(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    let value = names.first().map_or_else(|| argument.get_id().as_str().to_ascii_uppercase(), ToString::to_string);
    let Some(long) = argument.get_long() else { return format!("`{value}`") };
    let short = argument.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    let value = if argument.get_action().takes_values() { format!(" {value}") } else { String::new() };
    let mut shown = format!("`{short}--{long}{value}`");
    for alias in argument.get_visible_aliases().unwrap_or_default() {
        write!(shown, ", `--{alias}`").expect("a string");
    }
    shown
}

fn table(arguments: &[&Arg]) -> String {
    let rows: String = arguments.iter().map(|argument| row(argument)).collect();
    if rows.is_empty() { rows } else { format!("| argument | default | meaning |\n|---|---|---|\n{rows}\n") }
}

/// A sentence of its own from a help text, which has no full stop.
fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

fn section(out: &mut String, path: &str, command: &Command, root: &Command) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let (purpose, no) = about.split_once("; exit status 1 ").unwrap_or((&about, ""));
    let depth = "#".repeat(path.split(' ').count());
    write!(out, "{depth} {path}\n\n{}", sentence(purpose)).expect("a string");
    for alias in command.get_visible_aliases() {
        write!(out, " Also `{alias}`.").expect("a string");
    }
    if !below(command).is_empty() {
        out.push_str("\n\n");
        return;
    }
    let status = if no.is_empty() { String::new() } else { format!("1 {no}; ") };
    write!(out, " Exit status: 0; {status}2 on wrong usage or failure.\n\n").expect("a string");
    out.push_str(&table(&own(command, root)));
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (examples, words) = after.split_once("\n\n").unwrap_or((&after, ""));
    let examples: Vec<&str> = examples.lines().skip(1).map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
    write!(out, "```text\n{}\n```\n\n", examples.join("\n")).expect("a string");
    if !words.is_empty() {
        write!(out, "{}\n\n", words.trim()).expect("a string");
    }
}

fn sections(out: &mut String, above: &str, command: &Command, root: &Command) {
    for inner in below(command) {
        let path = format!("{above} {}", inner.get_name());
        section(out, &path, inner, root);
        sections(out, &path, inner, root);
    }
}

#[test]
fn the_page_of_commands_is_what_the_program_says() {
    let tree = tree();
    let mut now = HEAD.to_owned();
    now.push_str(&table(&tree.get_arguments().filter(|argument| seen(argument)).collect::<Vec<_>>()));
    sections(&mut now, "keyward", &tree, &tree);
    let now = format!("{}\n", now.trim_end());
    let path = sdk::root().join(PAGE);
    if fs::read_to_string(&path).unwrap_or_default() != now {
        fs::write(&path, now).expect("the page can be written");
        panic!("{PAGE} was not what the program says; it was written anew: look at the difference and commit it");
    }
}

#[test]
fn notes_are_taken_out_of_help_texts() {
    let (text, default) = note("The server [env: KEYWARD_ADDR] [default: the stored login]", "default");
    assert_eq!((text.as_str(), default.as_deref()), ("The server [env: KEYWARD_ADDR]", Some("the stored login")));
    let (text, variable) = note(&text, "env");
    assert_eq!((text.as_str(), variable.as_deref()), ("The server", Some("KEYWARD_ADDR")));
    assert_eq!(note("Nothing to note", "default"), ("Nothing to note".to_owned(), None));
}
