//! `keyward login` and `logout`: the stored address and token of one server, for this user alone.

use super::{App, Outcome};
use crate::{
    client::{Client, Route},
    connect::{self, Address, Login as Stored},
    failure::{Failure, Verdict},
    files, secret,
    ui::table::{self, plain},
};
use keyward_domain::{api_token, token};
use serde_json::json;
use std::{fs, io, path::PathBuf};
use zeroize::Zeroizing;

/// Store a server's address and a token for it; the token is read from a prompt or standard input
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  keyward login --addr https://keyward.example.com
  pass show keyward | keyward login --addr https://keyward.example.com

The token is tried before it is stored, in a file that only you can read.")]
pub(crate) struct Login {
    /// Take the token from this variable instead of standard input
    #[arg(long, value_name = "NAME")]
    from_env: Option<String>,
    #[arg(hide = true)]
    stray: Vec<String>,
}

/// Forget the stored server and token
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  keyward logout

The token itself stays valid: `keyward token revoke NAME` ends it.")]
pub(crate) struct Logout {}

impl Login {
    pub(crate) async fn run(self, app: &mut App) -> Outcome {
        if !self.stray.is_empty() {
            return Err(secret::refuse_argument().hint("the server goes into --addr"));
        }
        let path = login_file(app)?;
        let address = address(app)?;
        let token = secret::read(&mut app.context, self.from_env.as_deref(), "Token")?;
        let token = Zeroizing::new(secret::text(&token).to_owned());
        check(&token)?;
        let given = (token.clone(), "what was just given".to_owned());
        let target = connect::target(
            &app.wishes,
            &app.context.variables,
            address.clone(),
            Some(given),
            connect::Found::default(),
        );
        let stored = Stored {
            addr: address.to_string(),
            token,
            ca: target.ca.clone().map(|ca| fs::canonicalize(&ca).unwrap_or(ca)),
            insecure_http: target.insecure_http,
        };
        let me = Client::new(target).get(Route::new(&["whoami"])?).await?;
        let content = serde_json::to_vec(&stored).map(Zeroizing::new);
        files::replace(&path, &content.map_err(|error| Failure::failed(format!("cannot write the login: {error}")))?)?;
        let answer = json!({"addr": stored.addr, "name": me.get("name"), "role": me.get("role"), "file": path.display().to_string()});
        let fields =
            [plain("server", "/addr"), plain("name", "/name"), plain("role", "/role"), plain("stored in", "/file")];
        app.done(&answer, |answer, _| table::record(answer, &fields))
    }
}

impl Logout {
    pub(crate) fn run(self, app: &mut App) -> Outcome {
        let path = login_file(app)?;
        let forgotten = match fs::remove_file(&path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(Failure::failed(format!("cannot remove {}: {error}", path.display()))),
        };
        let answer = json!({"forgotten": forgotten, "file": path.display().to_string()});
        app.context.ui.answer(&answer, |_, _| {
            if forgotten { format!("{} is gone", path.display()) } else { "there was no stored login".to_owned() }
        })?;
        Ok(Verdict::Yes)
    }
}

fn login_file(app: &App) -> Result<PathBuf, Failure> {
    connect::login_file(&app.context.variables).ok_or_else(|| {
        Failure::failed("there is no home folder to store a login in").hint("set HOME or XDG_CONFIG_HOME")
    })
}

/// The server: said, or asked for.
fn address(app: &mut App) -> Result<Address, Failure> {
    let said = app.wishes.addr.clone().or_else(|| app.context.variables.text("KEYWARD_ADDR"));
    if let Some(said) = said {
        return Address::parse(&said);
    }
    if !app.context.input.terminal {
        return Err(Failure::usage("which server?").hint("say it with --addr https://keyward.example.com"));
    }
    app.context.ui.ask(&format!("Server [{}]:", connect::USUAL_ADDRESS));
    let typed = app.context.input.line()?.unwrap_or_default();
    Address::parse(if typed.is_empty() { connect::USUAL_ADDRESS } else { &typed })
}

/// Refuses what cannot be a token for the control API, before it is sent anywhere.
fn check(text: &str) -> Result<(), Failure> {
    if token::looks_like_ours(text) {
        return Err(Failure::usage("this is a virtual key, which opens the gateway, not the control API")
            .hint("a token begins with kwt_; an owner makes one with `keyward token create`"));
    }
    match api_token::parse(text) {
        Err(token::Malformed::Checksum) => {
            Err(Failure::usage("this token is damaged: its checksum does not match").hint("copy it again, whole"))
        }
        // A token for automation that somebody chose has a shape of its own.
        Ok(_) | Err(token::Malformed::Shape) => Ok(()),
    }
}
