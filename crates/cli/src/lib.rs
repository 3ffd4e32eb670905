//! The client: every command but the server's own, over the public API. It links neither the vault, the store nor the
//! gateway: this program cannot decrypt anything.

mod client;
mod commands;
mod connect;
pub mod context;
pub mod failure;
mod files;
mod parse;
mod paste;
mod policy;
mod probing;
mod recovery;
mod secret;
mod text;
mod tree;
pub mod ui;

pub use tree::{Guest, Run, command};

use clap::FromArgMatches;
use commands::App;
use context::Context;
use failure::{Failure, Verdict};
use std::{ffi::OsString, process::ExitCode};
use tree::{Root, Way};

/// How a run ended.
pub enum Ended {
    /// A command of this room ran; this is the exit status.
    Status(u8),
    /// A guest is to run: which one of those given, and what was said to it.
    Guest(usize, Box<clap::ArgMatches>),
}

/// Runs the command that the arguments name. The first argument is the program's own name.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>, guests: &[Guest]) -> ExitCode {
    match run_in(Context::of_process(), arguments, guests) {
        Ended::Status(status) => ExitCode::from(status),
        Ended::Guest(which, matches) => guests.get(which).map_or(ExitCode::FAILURE, |guest| {
            (guest.run)(&matches).unwrap_or_else(|failure| ExitCode::from(fail(&mut Context::of_process(), &failure)))
        }),
    }
}

/// Runs a command in given surroundings. A guest is named, not run.
pub fn run_in(mut context: Context, arguments: impl IntoIterator<Item = OsString>, guests: &[Guest]) -> Ended {
    let tree = command(guests);
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let matches = match tree.clone().try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        Err(error) => return Ended::Status(explain(&mut context, &error)),
    };
    let way = Way::new(&matches);
    if let Some((which, inner)) = way.guest(guests) {
        let moved = guests.get(which).and_then(|guest| way.moved_behind(guest, &arguments));
        return match moved {
            Some(arguments) => run_in(context, arguments, guests),
            None => Ended::Guest(which, Box::new(inner.clone())),
        };
    }
    let command = Root::from_arg_matches(&matches).map(|root| root.command);
    match (way.format(&context.variables), command) {
        (Ok(format), Ok(command)) => {
            context.ui.format = format;
            drive(App { context, wishes: way.wishes(), tree }, command)
        }
        (Err(failure), _) => Ended::Status(fail(&mut context, &failure)),
        (_, Err(error)) => Ended::Status(explain(&mut context, &error)),
    }
}

/// Runs a command to its end and turns how it ended into an exit status.
fn drive(mut app: App, command: tree::Command) -> Ended {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::failed(format!("cannot start: {error}"));
            return Ended::Status(fail(&mut app.context, &failure));
        }
    };
    let outcome = runtime.block_on(command.run(&mut app));
    // A name that is still being looked up must not hold the program back.
    runtime.shutdown_background();
    Ended::Status(match outcome {
        Ok(Verdict::Yes) => 0,
        Ok(Verdict::No) => 1,
        Ok(Verdict::Incomplete) => 3,
        Err(failure) => fail(&mut app.context, &failure),
    })
}

fn fail(context: &mut Context, failure: &Failure) -> u8 {
    context.ui.failure(failure);
    failure.status()
}

/// Shows what clap has to say: help and version on standard output, mistakes on standard error without anything that
/// looks like a secret.
fn explain(context: &mut Context, error: &clap::Error) -> u8 {
    use clap::error::ErrorKind;
    let words = error.render();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let shown = context.ui.raw(words.to_string().as_bytes());
        return shown.map_or_else(|failure| fail(context, &failure), |()| 0);
    }
    context.ui.aside(&paste::masked(&text::block(&words.to_string())));
    2
}
