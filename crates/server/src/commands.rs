//! The commands of this room, for the binary to hang into its tree: they need the data folder, not the API.

use crate::{
    advice,
    args::{RecoverArgs, RestoreArgs, ServeArgs},
    environment, recover, restore,
    serve::serve,
};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use std::process::ExitCode;

/// A command that runs at the machine itself.
pub struct OfflineCommand {
    /// The commands it belongs under; empty for one at the top.
    pub parent: &'static [&'static str],
    /// The command.
    pub command: Command,
    /// Runs it with what was read. 0: yes, 1: the answer is no.
    pub run: fn(&ArgMatches) -> Result<ExitCode, Failed>,
}

/// What kept a command from its work, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What went wrong, with its causes.
    pub error: String,
    /// What to do about it.
    pub hints: Vec<String>,
}

/// All commands of this room. A variable that is set to nothing counts as not set, as for the client.
#[must_use]
pub fn commands() -> Vec<OfflineCommand> {
    let set = |argument: Arg| {
        // An argument cannot be given up its variable, only another one: of this name there is none.
        let empty = argument.get_env().is_some_and(environment::is_empty);
        if empty { argument.env("").hide_env(true) } else { argument }
    };
    let all = entries().into_iter();
    all.map(|entry| OfflineCommand { command: entry.command.mut_args(set), ..entry }).collect()
}

fn entries() -> Vec<OfflineCommand> {
    vec![
        OfflineCommand {
            parent: &[],
            command: ServeArgs::augment_args(Command::new("serve"))
                .about("Run the gateway and the control API")
                .after_help(
                    "Examples:\n  keyward serve\n  keyward serve --demo\n  keyward serve --data-dir /var/lib/keyward \
                     --tls-cert cert.pem --tls-key key.pem\n  keyward serve --gateway-listen 127.0.0.1:0 \
                     --admin-listen 127.0.0.1:0 --format json",
                ),
            run: |matches| run(matches, serve),
        },
        OfflineCommand {
            parent: &[],
            command: RestoreArgs::augment_args(Command::new("restore"))
                .about("Restore a backup into an empty place; exit status 1 when records in it do not hold")
                .after_help("Example:\n  keyward restore keyward-backup.age --identity recovery.txt --data-dir /var/lib/keyward"),
            run: |matches| run(matches, restore::restore),
        },
        OfflineCommand {
            parent: &["vault"],
            command: RecoverArgs::augment_args(Command::new("recover"))
                .about(
                    "Get the master key back with the recovery identity, or prove that it can be; exit status 1 when \
                     records do not hold",
                )
                .after_help(
                    "Examples:\n  keyward vault recover --identity recovery.txt\n  \
                     keyward vault recover --identity recovery.txt --check",
                ),
            run: |matches| run(matches, recover::recover),
        },
    ]
}

fn run<A: FromArgMatches>(
    matches: &ArgMatches,
    command: fn(A) -> anyhow::Result<ExitCode>,
) -> Result<ExitCode, Failed> {
    let done = A::from_arg_matches(matches).map_err(anyhow::Error::from).and_then(command);
    // A list of problems becomes one line: what begins with `hint:` must be ours.
    done.map_err(|error| Failed { error: format!("{error:#}").replace('\n', "; "), hints: advice::hints(&error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_sound_and_have_examples() {
        for entry in commands() {
            let name = entry.command.get_name().to_owned();
            assert!(entry.command.get_after_help().is_some(), "{name} has no example");
            entry.command.debug_assert();
        }
    }

    #[test]
    fn serve_reads_its_options() {
        let entry = commands().into_iter().find(|entry| entry.command.get_name() == "serve").expect("there");
        let line = ["serve", "--demo", "--gateway-listen", "127.0.0.1:0", "--trusted-proxy", "10.0.0.0/8,::1"];
        let matches = entry.command.try_get_matches_from(line).expect("readable");
        let args = ServeArgs::from_arg_matches(&matches).expect("complete");
        assert!(args.demo);
        assert_eq!(args.gateway_listen.as_deref(), Some("127.0.0.1:0"));
        assert_eq!(args.trusted_proxies, ["10.0.0.0/8", "::1"]);
    }
}
