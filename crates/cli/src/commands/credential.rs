//! `keyward credential`: the real provider keys, which go into the vault and never come out.

use super::{App, Outcome, ReasonArgs, body, items};
use crate::{
    client::Route,
    failure::{Failure, Verdict},
    paste, secret,
    ui::table::{self, plain, time},
};
use keyward_domain::{Environment, secret::PlainKey};
use serde::Serialize;
use serde_json::Value;

/// Credentials: the real provider keys, sealed in the vault
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Credential {
    /// Put a provider's key into the vault; it is read from standard input, a prompt or a variable
    #[command(after_help = "\
Examples:
  keyward credential add --project shop --provider openai --name main
  pass show openai | keyward credential add --project shop --provider openai --name main
  keyward credential add --project shop --provider openai --name main --from-env OPENAI_API_KEY
  keyward credential add --project lab --provider compatible --name local \\
      --base-url http://127.0.0.1:11434/v1 --allow-private-address

The secret never stands on the command line. Nobody can read it out of Keyward again.")]
    Add(Box<Add>),
    /// List credentials and their health
    #[command(
        visible_alias = "ls",
        after_help = "\
Examples:
  keyward credential list
  keyward credential list --project shop --format json"
    )]
    List(List),
    /// Show a credential, without its secret
    #[command(after_help = "\
Example:
  keyward credential show main")]
    Show(Named),
    /// Ask the provider whether a credential still works; exit status 1 when it does not
    #[command(after_help = "\
Example:
  keyward credential verify main")]
    Verify(Named),
    /// Take a credential out of use until it is enabled again
    #[command(after_help = "\
Example:
  keyward credential disable main --reason 'invoice under dispute'")]
    Disable(Change),
    /// Put a credential back into use
    #[command(after_help = "\
Example:
  keyward credential enable main")]
    Enable(Change),
    /// Give a credential up for good and destroy its secret
    #[command(after_help = "\
Example:
  keyward credential revoke main --reason 'leaked in a chat'

Keyward forgets the secret; revoke the key at the provider as well.")]
    Revoke(Revoke),
    /// Put a new secret in place of the old one; keys go on without noticing
    #[command(after_help = "\
Example:
  pass show openai-new | keyward credential replace main")]
    Replace(Replace),
}

/// Options of `credential add`.
#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    /// The project that may use it
    #[arg(long)]
    project: String,
    /// Only for this environment [default: all]
    #[arg(long, value_name = "ENVIRONMENT")]
    env: Option<Environment>,
    /// The provider, such as openai; see `keyward provider list`
    #[arg(long, value_name = "ID")]
    provider: String,
    /// A name of your own
    #[arg(long)]
    name: String,
    /// Root of the API where it is not the provider's own, with https:// and version, as the provider shows it
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Let the base URL be on this machine or in a private network
    #[arg(long)]
    allow_private_address: bool,
    /// Credentials with a lower number are used first
    #[arg(long, value_name = "NUMBER")]
    order: Option<u32>,
    /// Among those with the same order, this one's share of the calls
    #[arg(long, value_name = "NUMBER")]
    weight: Option<u32>,
    #[command(flatten)]
    secret: SecretArgs,
    #[command(flatten)]
    reason: ReasonArgs,
}

/// Where a secret comes from. The hidden ones are there to be refused: clap's own error would repeat the secret.
#[derive(Debug, clap::Args)]
pub(crate) struct SecretArgs {
    /// Take the secret from this variable instead of standard input
    #[arg(long, value_name = "NAME")]
    from_env: Option<String>,
    #[arg(long = "secret", aliases = ["key", "api-key", "token", "value"], hide = true, num_args = 0..)]
    on_command_line: Option<Vec<String>>,
    #[arg(hide = true)]
    stray: Vec<String>,
}

/// Options of `credential list`.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only those of this project
    #[arg(long)]
    project: Option<String>,
}

/// One credential.
#[derive(Debug, clap::Args)]
pub(crate) struct Named {
    /// The credential's id, or its name when only one has it
    credential: String,
}

/// Options of `credential disable` and `enable`.
#[derive(Debug, clap::Args)]
pub(crate) struct Change {
    /// The credential's id, or its name when only one has it
    credential: String,
    #[command(flatten)]
    reason: ReasonArgs,
}

/// Options of `credential revoke`.
#[derive(Debug, clap::Args)]
pub(crate) struct Revoke {
    /// The credential's id, or its name when only one has it
    credential: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    reason: ReasonArgs,
}

/// Options of `credential replace`.
#[derive(Debug, clap::Args)]
pub(crate) struct Replace {
    /// The credential's id, or its name when only one has it
    credential: String,
    #[command(flatten)]
    secret: SecretArgs,
    #[command(flatten)]
    reason: ReasonArgs,
}

/// The body that carries a new credential.
#[derive(Serialize)]
struct NewCredential<'a> {
    project: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<Environment>,
    provider: &'a str,
    name: &'a str,
    secret: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_url: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    allow_private_address: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// The body that carries a credential's new secret.
#[derive(Serialize)]
struct NewVersion<'a> {
    secret: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl Credential {
    pub(crate) async fn run(self, app: &mut App) -> Outcome {
        match self {
            Self::Add(add) => add.run(app).await,
            Self::List(list) => list.run(app).await,
            Self::Show(named) => {
                let credential = app.client()?.get(Route::new(&["credentials", &named.credential])?).await?;
                app.done(&credential, |credential, _| record(credential))
            }
            Self::Verify(named) => named.verify(app).await,
            Self::Disable(change) => change.run(app, "disable").await,
            Self::Enable(change) => change.run(app, "enable").await,
            Self::Revoke(revoke) => {
                app.confirm(&format!("Revoke {}? Its secret is destroyed.", revoke.credential), revoke.yes)?;
                Change { credential: revoke.credential, reason: revoke.reason }.run(app, "revoke").await
            }
            Self::Replace(replace) => replace.run(app).await,
        }
    }
}

impl SecretArgs {
    /// Refuses a secret on the command line, before anything else happens.
    fn check(&self) -> Result<(), Failure> {
        let given = self.on_command_line.is_some() || !self.stray.is_empty();
        if given { Err(secret::refuse_argument()) } else { Ok(()) }
    }

    fn read(&self, app: &mut App) -> Result<PlainKey, Failure> {
        let secret = secret::read(&mut app.context, self.from_env.as_deref(), "Provider key")?;
        secret::refuse_own(&secret)?;
        Ok(secret)
    }
}

impl Add {
    async fn run(self, app: &mut App) -> Outcome {
        self.secret.check()?;
        // The server is looked for first: nobody should have to paste a key twice.
        let client = app.client()?;
        let secret = self.secret.read(app)?;
        if let Some(warning) = paste::warning(&self.provider, secret::text(&secret)) {
            app.context.ui.warn(&warning);
        }
        let body = NewCredential {
            project: &self.project,
            environment: self.env,
            provider: &self.provider,
            name: &self.name,
            secret: secret::text(&secret),
            base_url: self.base_url.as_deref(),
            allow_private_address: self.allow_private_address,
            order: self.order,
            weight: self.weight,
            reason: self.reason.reason.as_deref(),
        };
        let credential = client.post(Route::new(&["credentials"])?, &body).await?;
        show_new(app, &credential)
    }
}

impl List {
    async fn run(self, app: &mut App) -> Outcome {
        let route = Route::new(&["credentials"])?.query("project", self.project.as_deref());
        let credentials = app.client()?.get(route).await?;
        let columns = [
            plain("NAME", "/name"),
            plain("PROJECT", "/project"),
            plain("ENVIRONMENT", "/environment"),
            plain("PROVIDER", "/provider"),
            plain("STATUS", "/status"),
            plain("HEALTH", "/health"),
            plain("FINGERPRINT", "/fingerprint"),
            plain("OUT UNTIL", "/out_until"),
            plain("WHAT TO DO", "/health_remedy"),
            time("LAST USED", "/last_used_at"),
        ];
        app.done(&credentials, |credentials, width| {
            table::table(items(credentials), &columns, "no credentials yet: keyward credential add", width)
        })
    }
}

impl Named {
    async fn verify(self, app: &mut App) -> Outcome {
        let route = Route::new(&["credentials", &self.credential, "verify"])?;
        let check = app.client()?.post(route, &serde_json::json!({})).await?;
        let written = app.done(&check, |check, _| {
            let at = |pointer: &str| table::at(check, pointer);
            let mut fields = vec![
                ("state", at("/state")),
                ("cause", at("/cause")),
                ("because", at("/because")),
                ("remedy", at("/remedy")),
                ("it said", at("/said")),
                ("http status", at("/http_status")),
                ("checked", table::moment(&at("/checked_at"))),
            ];
            fields.extend(super::check::facts(check));
            fields.extend(items_of(check, "notes").map(|note| ("note", table::words(note))));
            table::pairs(&fields)
        });
        Failure::unless_closed(written.map(drop))?;
        let usable = check.get("usable").and_then(Value::as_bool);
        match (usable, check.get("state").and_then(Value::as_str)) {
            (Some(true), _) | (None, Some("alive" | "limited")) => Ok(Verdict::Yes),
            (Some(false), _) | (None, Some("dead" | "no_money")) => Ok(Verdict::No),
            _ => Err(Failure::failed("it could not be told whether the credential works")),
        }
    }
}

impl Change {
    async fn run(self, app: &mut App, verb: &str) -> Outcome {
        let body = body([("reason", self.reason.json())]);
        let credential = app.client()?.post(Route::new(&["credentials", &self.credential, verb])?, &body).await?;
        app.done(&credential, |credential, _| record(credential))
    }
}

impl Replace {
    async fn run(self, app: &mut App) -> Outcome {
        self.secret.check()?;
        let client = app.client()?;
        let before = client.get(Route::new(&["credentials", &self.credential])?).await?;
        let secret = self.secret.read(app)?;
        if let Some(warning) = paste::warning(&table::at(&before, "/provider"), secret::text(&secret)) {
            app.context.ui.warn(&warning);
        }
        let body = NewVersion { secret: secret::text(&secret), reason: self.reason.reason.as_deref() };
        let route = Route::new(&["credentials", &self.credential, "versions"])?;
        let credential = client.post(route, &body).await?;
        show_new(app, &credential)
    }
}

/// The elements of a list, none when it is not there.
fn items_of<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// Shows a credential that took a secret in, with what the server finds odd about it.
fn show_new(app: &mut App, credential: &Value) -> Outcome {
    for warning in items_of(credential, "warnings") {
        app.context.ui.warn(&table::words(warning));
    }
    app.done(credential, |credential, _| record(credential))
}

fn record(credential: &Value) -> String {
    let fields = [
        plain("name", "/name"),
        plain("id", "/id"),
        plain("project", "/project"),
        plain("environment", "/environment"),
        plain("provider", "/provider"),
        plain("status", "/status"),
        plain("health", "/health"),
        plain("because", "/health_cause"),
        plain("what to do", "/health_remedy"),
        time("seen", "/health_at"),
        time("out until", "/out_until"),
        plain("fingerprint", "/fingerprint"),
        plain("version", "/version"),
        plain("base url", "/base_url"),
        plain("order", "/order"),
        plain("weight", "/weight"),
        time("created", "/created_at"),
        time("last used", "/last_used_at"),
    ];
    table::record(credential, &fields)
}
