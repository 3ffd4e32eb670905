//! The tree of commands: the client's own, the options that all of them share, and the guests that another room
//! brings along so that help, completions and manual pages know the whole program.

use crate::{commands, connect::Wishes, context::Variables, failure::Failure, parse, ui::Format};
use clap::{Arg, ArgAction, ArgMatches, CommandFactory, Parser, ValueEnum, parser::ValueSource};
use std::{ffi::OsString, path::PathBuf, process::ExitCode};

/// A command that runs elsewhere.
pub struct Guest {
    /// The commands above it; empty for one at the top.
    pub parent: &'static [&'static str],
    /// What can be said to it, with help and an example. The client's shared options are not added to it.
    pub command: clap::Command,
    /// Runs it and says how it ended: 0 yes, 1 no. A failure is shown as that of any other command.
    pub run: Run,
}

/// How a guest is run.
pub type Run = Box<dyn Fn(&ArgMatches) -> Result<ExitCode, Failure>>;

/// Keyward makes a stolen AI key worth nothing: the real keys stay in a vault, applications hold virtual ones
#[derive(Debug, Parser)]
#[command(
    name = "keyward",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  keyward serve
  keyward project create shop
  keyward credential add --project shop --provider openai --name main
  keyward key create --project shop --env production --name web --provider openai --expires 30d
  keyward budget set --project shop '20 USD/month'
  keyward usage --by key --since 24h
  keyward scan --git

Exit status: 0 yes, 1 the answer is no, 2 wrong usage or failure; 3 of `scan`: not everything was looked at."
)]
pub(crate) struct Root {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The client's commands.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    #[command(subcommand)]
    Project(commands::project::Project),
    #[command(subcommand)]
    Credential(commands::credential::Credential),
    #[command(subcommand)]
    Key(commands::key::Key),
    #[command(subcommand)]
    Budget(commands::budget::Budget),
    #[command(subcommand)]
    Rate(commands::rate::Rate),
    Usage(commands::usage::Usage),
    Check(Box<commands::check::Check>),
    Scan(Box<commands::scan::Scan>),
    #[command(subcommand)]
    Hook(commands::hook::Hook),
    #[command(subcommand)]
    Provider(commands::provider::Provider),
    #[command(subcommand)]
    Vault(commands::vault::Vault),
    Backup(commands::backup::Backup),
    Doctor(commands::doctor::Doctor),
    #[command(subcommand)]
    Audit(commands::audit::Audit),
    #[command(subcommand)]
    Token(commands::token::Token),
    Login(commands::login::Login),
    Logout(commands::login::Logout),
    Whoami(commands::whoami::Whoami),
    Completions(commands::completions::Completions),
    #[command(hide = true)]
    Man(commands::man::Man),
}

impl Command {
    pub(crate) async fn run(self, app: &mut commands::App) -> commands::Outcome {
        match self {
            Self::Project(command) => command.run(app).await,
            Self::Credential(command) => command.run(app).await,
            Self::Key(command) => command.run(app).await,
            Self::Budget(command) => command.run(app).await,
            Self::Rate(command) => command.run(app).await,
            Self::Usage(command) => command.run(app).await,
            Self::Check(command) => command.run(app).await,
            Self::Scan(command) => command.run(app).await,
            Self::Hook(command) => command.run(app).await,
            Self::Provider(command) => command.run(app).await,
            Self::Vault(command) => command.run(app).await,
            Self::Backup(command) => command.run(app).await,
            Self::Doctor(command) => command.run(app).await,
            Self::Audit(command) => command.run(app).await,
            Self::Token(command) => command.run(app).await,
            Self::Login(command) => command.run(app).await,
            Self::Logout(command) => command.run(app),
            Self::Whoami(command) => command.run(app).await,
            Self::Completions(command) => command.run(app),
            Self::Man(command) => command.run(app),
        }
    }
}

/// In which order help shows the commands: the way somebody meets them.
const ORDER: [&str; 22] = [
    "serve",
    "project",
    "credential",
    "key",
    "budget",
    "rate",
    "usage",
    "check",
    "scan",
    "hook",
    "provider",
    "vault",
    "backup",
    "restore",
    "doctor",
    "audit",
    "token",
    "login",
    "logout",
    "whoami",
    "completions",
    "man",
];

/// The whole tree.
#[must_use]
pub fn command(guests: &[Guest]) -> clap::Command {
    let mut tree = with_shared(Root::command());
    for guest in guests {
        tree = graft(tree, guest.parent, &guest.command);
    }
    tree.mut_subcommands(|command| {
        let place = ORDER.iter().position(|name| *name == command.get_name()).unwrap_or(ORDER.len());
        command.display_order(place)
    })
}

fn graft(tree: clap::Command, parent: &[&'static str], guest: &clap::Command) -> clap::Command {
    match parent {
        [] => tree.subcommand(guest.clone()),
        [first, rest @ ..] => tree.mut_subcommand(first, |inner| graft(inner, rest, guest)),
    }
}

/// Adds the shared options to a command and all below it, so that they may stand anywhere on the command line.
/// A command's own option of the same name stands in a shared one's place: `scan` writes more formats.
fn with_shared(command: clap::Command) -> clap::Command {
    let own: Vec<clap::Id> = command.get_arguments().map(|argument| argument.get_id().clone()).collect();
    let shared = shared().into_iter().filter(|argument| !own.contains(argument.get_id()));
    command.args(shared).mut_subcommands(with_shared)
}

/// The command with formats of its own.
const SCAN: &str = "scan";

const FORMAT: &str = "format";
const ADDR: &str = "addr";
const TOKEN_FILE: &str = "token-file";
const CA: &str = "ca";
const CLIENT_CERT: &str = "client-cert";
const CLIENT_KEY: &str = "client-key";
const DATA_DIR: &str = "data-dir";
const TIMEOUT: &str = "timeout";
const INSECURE_HTTP: &str = "insecure-http";

/// The options that every command of the client takes. They do not use clap's own "global" and "env": guests have
/// options of the same names, and the environment is read in one place.
fn shared() -> [Arg; 9] {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).help_heading("Connection options").hide_short_help(true)
    };
    let path = clap::value_parser!(PathBuf);
    [
        Arg::new(FORMAT)
            .long(FORMAT)
            .value_name("FORMAT")
            .value_parser(clap::value_parser!(Format))
            .help_heading(None::<&str>)
            .help("How to write the result [env: KEYWARD_FORMAT] [default: text]"),
        option(ADDR, "URL", "The server [env: KEYWARD_ADDR] [default: the stored login, else the local server]"),
        option(
            TOKEN_FILE,
            "FILE",
            "File that holds the token [env: KEYWARD_TOKEN_FILE; or the token itself in KEYWARD_TOKEN]",
        )
        .value_parser(path.clone()),
        option(CA, "FILE", "Trust the certificates of this file instead of the system's [env: KEYWARD_CA]")
            .value_parser(path.clone()),
        option(CLIENT_CERT, "FILE", "Certificate to show to the server [env: KEYWARD_CLIENT_CERT]")
            .value_parser(path.clone()),
        option(CLIENT_KEY, "FILE", "Private key of that certificate [env: KEYWARD_CLIENT_KEY]")
            .value_parser(path.clone()),
        option(DATA_DIR, "FOLDER", "Speak to the local server with this data folder [env: KEYWARD_DATA_DIR]")
            .value_parser(path),
        option(TIMEOUT, "DURATION", "How long to wait for an answer [default: 60s]").value_parser(parse::duration),
        Arg::new(INSECURE_HTTP)
            .long(INSECURE_HTTP)
            .action(ArgAction::SetTrue)
            .help("Send the token over plain http to another machine")
            .help_heading("Connection options")
            .hide_short_help(true),
    ]
}

/// The way down to the command that was chosen.
pub(crate) struct Way<'a> {
    /// The matches from the top to the last level.
    levels: Vec<&'a ArgMatches>,
    /// The names of the commands on the way.
    names: Vec<&'a str>,
}

impl<'a> Way<'a> {
    /// Follows the chosen commands.
    #[must_use]
    pub(crate) fn new(matches: &'a ArgMatches) -> Self {
        let (mut levels, mut names) = (vec![matches], Vec::new());
        let mut next = matches.subcommand();
        while let Some((name, matches)) = next {
            levels.push(matches);
            names.push(name);
            next = matches.subcommand();
        }
        Self { levels, names }
    }

    /// Which guest was chosen, and what was said to it.
    #[must_use]
    pub(crate) fn guest(&self, guests: &[Guest]) -> Option<(usize, &'a ArgMatches)> {
        let which = guests.iter().position(|guest| {
            let (own, above) = (guest.command.get_name(), guest.parent);
            self.names.len() > above.len() && self.names.starts_with(above) && self.names.get(above.len()) == Some(&own)
        })?;
        let depth = guests.get(which)?.parent.len() + 1;
        Some((which, self.levels.get(depth)?))
    }

    /// The arguments with the shared options that stand in front of the chosen guest moved behind its name, where it
    /// reads them itself. `None` when there are none.
    #[must_use]
    pub(crate) fn moved_behind(&self, guest: &Guest, arguments: &[OsString]) -> Option<Vec<OsString>> {
        let mut path: Vec<&str> = self.names.iter().take(guest.parent.len() + 1).copied().collect();
        path.reverse();
        let (mut names, mut options) = (arguments.get(..1)?.to_vec(), Vec::new());
        let mut rest = arguments.iter().skip(1);
        while let Some(wanted) = path.last() {
            let word = rest.next()?;
            if word == wanted {
                path.pop();
                names.push(word.clone());
                continue;
            }
            options.push(word.clone());
            let name = word.to_str()?.strip_prefix("--")?;
            if !name.contains('=') && name != INSECURE_HTTP {
                options.push(rest.next()?.clone());
            }
        }
        (!options.is_empty()).then(|| names.into_iter().chain(options).chain(rest.cloned()).collect())
    }

    fn said<T: Clone + Send + Sync + 'static>(&self, name: &str) -> Option<T> {
        let level = self.levels.iter().rev().find(|level| {
            level.try_contains_id(name).unwrap_or(false) && level.value_source(name) == Some(ValueSource::CommandLine)
        })?;
        level.try_get_one::<T>(name).ok().flatten().cloned()
    }

    /// What was said about the connection.
    #[must_use]
    pub(crate) fn wishes(&self) -> Wishes {
        Wishes {
            addr: self.said(ADDR),
            token_file: self.said(TOKEN_FILE),
            ca: self.said(CA),
            client_cert: self.said(CLIENT_CERT),
            client_key: self.said(CLIENT_KEY),
            data_dir: self.said(DATA_DIR),
            insecure_http: self.said(INSECURE_HTTP).unwrap_or(false),
            timeout_ms: self.said(TIMEOUT),
            system_dir: Some("/var/lib/keyward".into()),
        }
    }

    /// How to write the result: said, or in the environment, or text.
    ///
    /// # Errors
    /// When the environment names a format that there is not.
    pub(crate) fn format(&self, variables: &Variables) -> Result<Format, Failure> {
        if let Some(said) = self.said(FORMAT) {
            return Ok(said);
        }
        variables.text("KEYWARD_FORMAT").map_or(Ok(Format::Text), |text| match Format::from_str(&text, true) {
            Ok(format) => Ok(format),
            // It writes more formats, and says itself what is none of them.
            Err(_) if self.names == [SCAN] => Ok(Format::Text),
            Err(_) => Err(Failure::usage("KEYWARD_FORMAT is neither text nor json, which is what this command writes")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guests() -> Vec<Guest> {
        let own = || Arg::new("format").long("format").value_parser(["plain", "fancy"]).default_value("plain");
        [(&[][..], clap::Command::new("serve").arg(own())), (&["vault"][..], clap::Command::new("recover").arg(own()))]
            .map(|(parent, command)| Guest { parent, command, run: Box::new(|_| Ok(ExitCode::SUCCESS)) })
            .into()
    }

    fn visit(command: &clap::Command, path: &str, look: &mut dyn FnMut(&str, &clap::Command)) {
        let path = format!("{path} {}", command.get_name());
        look(&path, command);
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            visit(inner, &path, look);
        }
    }

    #[test]
    fn the_tree_is_sound() {
        command(&guests()).debug_assert();
    }

    #[test]
    fn every_command_has_help_and_an_example_and_knows_the_formats() {
        visit(&command(&[]), "", &mut |path, command| {
            assert!(command.get_about().is_some_and(|about| !about.to_string().is_empty()), "{path} has no help");
            if command.has_subcommands() {
                return;
            }
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let own = path.trim().to_owned();
            assert!(
                after.lines().all(|line| !line.starts_with("  ") || line.len() <= 98),
                "{path}: an example would be wrapped: {after}"
            );
            assert!(after.contains("Example") && after.contains(&own), "{path} has no example of itself: {after}");
            assert!(command.get_arguments().any(|argument| argument.get_id() == FORMAT), "{path} has no --format");
            for option in command.get_arguments().filter(|option| !option.is_hide_set()) {
                assert!(
                    option.get_help().is_some() || option.get_id() == "help",
                    "{path}: {} has no help",
                    option.get_id()
                );
            }
        });
    }

    #[test]
    fn shared_options_may_stand_anywhere_and_the_last_word_counts() {
        for arguments in [
            vec!["keyward", "--format", "json", "key", "list"],
            vec!["keyward", "key", "--format", "json", "list"],
            vec!["keyward", "key", "list", "--format", "json"],
            vec!["keyward", "--format", "text", "key", "list", "--format", "json"],
        ] {
            let matches = command(&[]).try_get_matches_from(&arguments).unwrap();
            assert_eq!(Way::new(&matches).format(&Variables::default()), Ok(Format::Json), "{arguments:?}");
        }
        let matches = command(&[]).try_get_matches_from(["keyward", "whoami"]).unwrap();
        let way = Way::new(&matches);
        assert_eq!(way.format(&[("KEYWARD_FORMAT", "JSON")].into_iter().collect()), Ok(Format::Json));
        assert_eq!(way.format(&Variables::default()), Ok(Format::Text));
        for unknown in ["xml", "sarif"] {
            let refused = way.format(&[("KEYWARD_FORMAT", unknown)].into_iter().collect()).unwrap_err();
            assert!(refused.error.contains("neither text nor json"), "{refused:?}");
        }
        let matches = command(&[]).try_get_matches_from(["keyward", "scan"]).unwrap();
        let sarif = [("KEYWARD_FORMAT", "sarif")].into_iter().collect();
        assert_eq!(Way::new(&matches).format(&sarif), Ok(Format::Text), "a scan reads it itself");
    }

    #[test]
    fn guests_keep_their_own_options() {
        let guests = guests();
        let matches =
            command(&guests).try_get_matches_from(["keyward", "vault", "recover", "--format", "fancy"]).unwrap();
        let way = Way::new(&matches);
        let (which, inner) = way.guest(&guests).unwrap();
        assert_eq!((which, inner.get_one::<String>("format").unwrap().as_str()), (1, "fancy"));
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let behind = |text: &str| {
            let matches = command(&guests).try_get_matches_from(words(text)).unwrap();
            let way = Way::new(&matches);
            let (which, _) = way.guest(&guests).unwrap();
            way.moved_behind(&guests[which], &words(text))
        };
        assert_eq!(behind("keyward vault recover --format fancy"), None);
        assert_eq!(
            behind("keyward --format json serve --format plain"),
            Some(words("keyward serve --format json --format plain"))
        );
        let spread = "keyward --format=json vault --insecure-http recover --format fancy";
        assert_eq!(behind(spread), Some(words("keyward vault recover --format=json --insecure-http --format fancy")));
        let matches = command(&guests).try_get_matches_from(["keyward", "vault", "status"]).unwrap();
        assert!(Way::new(&matches).guest(&guests).is_none());
    }
}
