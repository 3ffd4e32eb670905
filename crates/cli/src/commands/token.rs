//! `keyward token`: tokens for the control API, for people and for automation. Shown once.

use super::{App, Outcome, ReasonArgs, body, items};
use crate::{
    client::Route,
    parse::{self, End},
    ui::{
        Format,
        table::{self, plain, time},
    },
};
use clap::ValueEnum;
use serde_json::{Value, json};

/// Tokens for the control API, for people and for automation
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Token {
    /// Make a token and show it, this once
    #[command(after_help = "\
Examples:
  keyward token create ci --role developer --expires 90d
  keyward token create deploy --role admin > deploy-token.txt

Standard output gets the token and nothing else.")]
    Create(Create),
    /// List tokens, without their secrets
    #[command(
        visible_alias = "ls",
        after_help = "\
Example:
  keyward token list"
    )]
    List,
    /// Revoke a token: it is refused from now on
    #[command(after_help = "\
Example:
  keyward token revoke ci --reason 'moved to another runner'")]
    Revoke(Revoke),
}

/// What a token's holder may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Everything, also tokens, recovery and backups.
    Owner,
    /// Projects, credentials and keys.
    Admin,
    /// Keys; sees the rest.
    Developer,
    /// Sees everything, changes nothing.
    Auditor,
}

/// Options of `token create`.
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// A name of your own
    name: String,
    /// What its holder may do
    #[arg(long, value_enum)]
    role: Role,
    /// When it ends: 90d, 2027-01-31, an RFC 3339 time, or never
    #[arg(long, value_name = "WHEN", value_parser = parse::end)]
    expires: Option<End>,
    #[command(flatten)]
    reason: ReasonArgs,
}

/// Options of `token revoke`.
#[derive(Debug, clap::Args)]
pub(crate) struct Revoke {
    /// The token's id or name
    token: String,
    #[command(flatten)]
    reason: ReasonArgs,
}

impl Token {
    pub(crate) async fn run(self, app: &mut App) -> Outcome {
        let client = app.client()?;
        match self {
            Self::Create(create) => {
                let token = client.post(Route::new(&["tokens"])?, &create.body()).await?;
                if app.context.ui.format == Format::Text {
                    let fields = [plain("name", "/name"), plain("role", "/role"), time("expires", "/expires_at")];
                    app.context.ui.note(&table::record(&token, &fields));
                    app.context.ui.warn("this token is shown only now: put it where it is needed");
                }
                app.done(&token, |token, _| table::at(token, "/token"))
            }
            Self::List => {
                let tokens = client.get(Route::new(&["tokens"])?).await?;
                let columns = [
                    plain("NAME", "/name"),
                    plain("ROLE", "/role"),
                    plain("STATUS", "/status"),
                    time("CREATED", "/created_at"),
                    time("EXPIRES", "/expires_at"),
                    time("LAST USED", "/last_used_at"),
                    plain("ID", "/id"),
                ];
                app.done(&tokens, |tokens, width| table::table(items(tokens), &columns, "no tokens", width))
            }
            Self::Revoke(revoke) => {
                let body = body([("reason", revoke.reason.json())]);
                let token = client.delete(Route::new(&["tokens", &revoke.token])?, &body).await?;
                let fields = [
                    plain("name", "/name"),
                    plain("id", "/id"),
                    plain("status", "/status"),
                    time("revoked", "/revoked_at"),
                ];
                app.done(&token, |token, _| table::record(token, &fields))
            }
        }
    }
}

impl Create {
    fn body(&self) -> Value {
        let role = self.role.to_possible_value().map(|role| json!(role.get_name()));
        let (expires_in, expires_at) = match &self.expires {
            Some(End::In(duration)) => (Some(json!(duration)), None),
            Some(End::At(moment)) => (None, Some(json!(moment))),
            Some(End::Never) | None => (None, None),
        };
        body([
            ("name", Some(json!(self.name))),
            ("role", role),
            ("expires_in", expires_in),
            ("expires_at", expires_at),
            ("reason", self.reason.json()),
        ])
    }
}
