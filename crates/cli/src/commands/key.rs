//! `keyward key`: virtual keys, which applications hold instead of the real ones. A key's text is shown once.

use super::{App, Outcome, ReasonArgs, body, budget, calls::Calls, items};
use crate::{
    client::{Client, Route},
    failure::Failure,
    parse::{self, End},
    policy::{self, Part, PolicyArgs},
    ui::{
        Format, bar,
        table::{self, plain, time},
    },
};
use clap::ValueEnum;
use keyward_domain::{Environment, budget::Limit, policy::Policy};
use serde_json::{Value, json};

/// Virtual keys: what applications hold instead of the real ones
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Key {
    /// Make a virtual key and show it, this once
    #[command(after_help = "\
Examples:
  keyward key create --project shop --env production --name web --provider openai \\
      --model 'gpt-*' --operation chat --cidr 10.0.0.0/8 --expires 30d --rpm 60 --tpm 100000 \\
      --concurrency 8 --max-output-tokens 4096
  keyward key create --project shop --env staging --name bot --provider openai \\
      --budget '5 USD/month' --budget '0.50 USD/hour'
  KEY=$(keyward key create --project shop --env development --name laptop --provider openai)

Standard output gets the key and nothing else, so that it can be piped into another secret store.")]
    Create(Box<Create>),
    /// List keys
    #[command(
        visible_alias = "ls",
        after_help = "\
Examples:
  keyward key list
  keyward key list --project shop --env production --status active"
    )]
    List(List),
    /// Show a key and what it may do, without its secret
    #[command(after_help = "\
Example:
  keyward key show web")]
    Show(Named),
    /// Show a key's single calls, the latest first
    #[command(after_help = "\
Examples:
  keyward key calls web
  keyward key calls web --limit 500 --format json | jq '.items[] | {at, status, cost_usd}'")]
    Calls(Calls),
    /// Change what a key may do, at once and without cutting calls
    #[command(after_help = "\
Examples:
  keyward key update web --rpm 120 --expires 90d
  keyward key update web --model 'gpt-*,o3' --unset cidr --reason 'moves to the new cluster'")]
    Update(Box<Update>),
    /// Give a key a new secret; the old one lives on for a while
    #[command(after_help = "\
Examples:
  keyward key rotate web
  keyward key rotate web --overlap 24h")]
    Rotate(Rotate),
    /// Revoke a key: it is refused from now on, and its calls in flight are cut
    #[command(after_help = "\
Example:
  keyward key revoke web --reason 'found in a public repository'")]
    Revoke(Revoke),
}

/// How a key looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Style {
    /// kw_prod_…
    Kw,
    /// sk-kw_prod_…, for clients that insist on sk-
    Sk,
}

/// Options of `key create`.
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// The project
    #[arg(long)]
    project: String,
    /// development, staging or production
    #[arg(long, value_name = "ENVIRONMENT")]
    env: Environment,
    /// A name of your own, such as the application's
    #[arg(long)]
    name: String,
    /// When the key ends: 30d, 2027-01-31, an RFC 3339 time, or never
    #[arg(long, value_name = "WHEN", value_parser = parse::end)]
    expires: Option<End>,
    /// How long the old secret lives on after a rotation, such as 24h
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    overlap: Option<u64>,
    /// What the key may spend in a window, such as '5 USD/month'; may be given several times
    #[arg(long = "budget", value_name = "LIMIT", value_parser = budget::limit)]
    budgets: Vec<Limit>,
    /// How the key looks
    #[arg(long, value_enum)]
    style: Option<Style>,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

/// Options of `key list`.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only those of this project
    #[arg(long)]
    project: Option<String>,
    /// Only those of this environment
    #[arg(long, value_name = "ENVIRONMENT")]
    env: Option<Environment>,
    /// Only those in this state
    #[arg(long, value_name = "STATUS", value_parser = ["active", "expired", "revoked", "archived"])]
    status: Option<String>,
}

/// One key.
#[derive(Debug, clap::Args)]
pub(crate) struct Named {
    /// The key's id, public id, or its name when only one has it
    key: String,
}

/// Options of `key update`.
#[derive(Debug, clap::Args)]
pub(crate) struct Update {
    /// The key's id, public id, or its name when only one has it
    key: String,
    /// A new name
    #[arg(long)]
    name: Option<String>,
    /// When the key ends: 30d, 2027-01-31, an RFC 3339 time, or never
    #[arg(long, value_name = "WHEN", value_parser = parse::end)]
    expires: Option<End>,
    /// How long the old secret lives on after a rotation, such as 24h
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    overlap: Option<u64>,
    /// Take a part of the policy away, so that it is inherited again; may be given several times
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    unset: Vec<Part>,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

/// Options of `key rotate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Rotate {
    /// The key's id, public id, or its name when only one has it
    key: String,
    /// How long the old secret lives on, such as 24h, or 0s for not at all
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    overlap: Option<u64>,
    #[command(flatten)]
    reason: ReasonArgs,
}

/// Options of `key revoke`.
#[derive(Debug, clap::Args)]
pub(crate) struct Revoke {
    /// The key's id, public id, or its name when only one has it
    key: String,
    #[command(flatten)]
    reason: ReasonArgs,
}

impl Key {
    pub(crate) async fn run(self, app: &mut App) -> Outcome {
        let client = app.client()?;
        match self {
            Self::Create(create) => {
                let key = client.post(Route::new(&["keys"])?, &create.body()).await?;
                let outcome = show_once(app, &key);
                if app.context.ui.format == Format::Text {
                    for line in how_to_use(&client, create.policy.providers()).await {
                        app.context.ui.note(&line);
                    }
                }
                outcome
            }
            Self::List(list) => {
                let keys = list.all(&client).await?;
                app.done(&keys, |keys, width| table::table(items(keys), &COLUMNS, "no keys: keyward key create", width))
            }
            Self::Show(named) => {
                let key = client.get(Route::new(&["keys", &named.key])?).await?;
                let style = app.context.ui.bars();
                app.done(&key, |key, _| record(key) + &budgets(key, style))
            }
            Self::Calls(calls) => calls.run(app).await,
            Self::Update(update) => {
                let route = Route::new(&["keys", &update.key])?;
                let before = client.get(route.clone()).await?;
                let key = client.patch(route, &update.body(&before)?).await?;
                app.done(&key, |key, _| record(key))
            }
            Self::Rotate(rotate) => {
                let body = body([
                    ("overlap", rotate.overlap.map(|millis| json!(policy::shown_duration(millis)))),
                    ("reason", rotate.reason.json()),
                ]);
                let key = client.post(Route::new(&["keys", &rotate.key, "rotate"])?, &body).await?;
                show_once(app, &key)
            }
            Self::Revoke(revoke) => {
                let body = body([("reason", revoke.reason.json())]);
                let key = client.post(Route::new(&["keys", &revoke.key, "revoke"])?, &body).await?;
                app.done(&key, |key, _| record(key))
            }
        }
    }
}

/// The largest page of keys that the server gives.
const LARGEST_PAGE: &str = "10000";

const COLUMNS: [table::Column; 8] = [
    plain("NAME", "/name"),
    plain("PROJECT", "/project"),
    plain("ENVIRONMENT", "/environment"),
    plain("STATUS", "/status"),
    plain("PUBLIC ID", "/public_id"),
    time("EXPIRES", "/expires_at"),
    time("LAST USED", "/last_used_at"),
    plain("ID", "/id"),
];

impl List {
    /// All keys that fit: page after page, as one list.
    async fn all(&self, client: &Client) -> Result<Value, Failure> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let route = Route::new(&["keys"])?
                .query("project", self.project.as_deref())
                .query("environment", self.env.map(Environment::name))
                .query("status", self.status.as_deref())
                .query("limit", Some(LARGEST_PAGE))
                .query("after", after.as_deref());
            let page = client.get(route).await?;
            all.extend(items(&page).iter().cloned());
            let next = page.get("next_after").and_then(Value::as_str).map(str::to_owned);
            // A server that names the same place twice would keep us here for ever.
            if next.is_none() || next == after {
                return Ok(json!({"items": all}));
            }
            after = next;
        }
    }
}

impl Create {
    fn body(&self) -> Value {
        let (expires_in, expires_at) = ending(self.expires.as_ref());
        let style = self.style.map(|style| match style {
            Style::Kw => json!("kw"),
            Style::Sk => json!("sk"),
        });
        body([
            ("project", Some(json!(self.project))),
            ("environment", Some(json!(self.env))),
            ("name", Some(json!(self.name))),
            ("policy", Some(policy::to_json(&self.policy.policy(self.overlap)))),
            ("expires_in", expires_in),
            ("expires_at", expires_at.filter(|at| !at.is_null())),
            ("budgets", (!self.budgets.is_empty()).then(|| self.budgets.iter().map(ToString::to_string).collect())),
            ("style", style),
            ("reason", self.reason.json()),
        ])
    }
}

impl Update {
    /// What to send: the policy is sent whole, so what it was is taken along.
    fn body(&self, before: &Value) -> Result<Value, Failure> {
        let changes = self.policy.policy(self.overlap);
        let touched = changes != Policy::default() || !self.unset.is_empty();
        if !touched && self.name.is_none() && self.expires.is_none() {
            return Err(Failure::usage("nothing is said that could change").hint("see `keyward key update --help`"));
        }
        let before = policy::read(before.get("policy"))?;
        let (expires_in, expires_at) = ending(self.expires.as_ref());
        Ok(body([
            ("name", self.name.clone().map(Value::from)),
            ("policy", touched.then(|| policy::to_json(&policy::changed(&before, &changes, &self.unset)))),
            ("expires_in", expires_in),
            ("expires_at", expires_at),
            ("reason", self.reason.json()),
        ]))
    }
}

/// `expires_in` and `expires_at` for an end; `never` is an explicit null.
fn ending(end: Option<&End>) -> (Option<Value>, Option<Value>) {
    match end {
        None => (None, None),
        Some(End::In(duration)) => (Some(json!(duration)), None),
        Some(End::At(moment)) => (None, Some(json!(moment))),
        Some(End::Never) => (None, Some(Value::Null)),
    }
}

/// Shows a key's text: as JSON with everything, as text alone on standard output and the rest beside it.
fn show_once(app: &mut App, key: &Value) -> Outcome {
    if app.context.ui.format == Format::Text {
        let fields = [
            plain("name", "/name"),
            plain("project", "/project"),
            plain("environment", "/environment"),
            plain("public id", "/public_id"),
            plain("budgets", "/budget_limits"),
            time("expires", "/expires_at"),
            time("old secret ends", "/old_secret_until"),
        ];
        app.context.ui.note(&table::record(&with_limits(key), &fields));
        app.context.ui.warn("this key is shown only now: put it where the application finds it");
    }
    app.done(key, |key, _| table::at(key, "/key"))
}

/// The key with its budgets in one line.
fn with_limits(key: &Value) -> Value {
    let mut key = key.clone();
    let budgets = key.get("budgets").and_then(Value::as_array).into_iter().flatten();
    let limits: Vec<Value> = budgets.filter_map(|budget| budget.get("limit").cloned()).collect();
    if let Some(fields) = key.as_object_mut() {
        fields.insert("budget_limits".to_owned(), Value::from(limits));
    }
    key
}

/// How an SDK is pointed at the gateway, a line for each provider. Only a courtesy: what cannot be found out is left
/// unsaid.
async fn how_to_use(client: &Client, providers: &[String]) -> Vec<String> {
    let ask = async |segments: &[&str]| client.get(Route::new(segments).ok()?).await.ok();
    let Some(status) = ask(&["status"]).await else { return Vec::new() };
    let gateway = table::at(&status, "/gateway");
    let mut lines = Vec::new();
    for id in providers.iter().take(5).filter(|_| !gateway.is_empty()) {
        let Some(provider) = ask(&["providers", id]).await else { continue };
        let mut sdks = provider.get("sdks").and_then(Value::as_array).into_iter().flatten();
        let with_variables = sdks.find(|sdk| !table::at(sdk, "/base_url_env").is_empty());
        lines.push(match with_variables {
            Some(sdk) => format!(
                "{id}: {}={gateway}{} {}=<the key>",
                table::at(sdk, "/base_url_env"),
                table::at(sdk, "/base_path"),
                table::at(sdk, "/key_env/0")
            ),
            None => format!("{id}: base URL {gateway}{}", table::at(&provider, "/api/root")),
        });
    }
    lines
}

fn record(key: &Value) -> String {
    let fields = [
        plain("name", "/name"),
        plain("id", "/id"),
        plain("public id", "/public_id"),
        plain("project", "/project"),
        plain("environment", "/environment"),
        plain("status", "/status"),
        time("expires", "/expires_at"),
        time("created", "/created_at"),
        time("last used", "/last_used_at"),
        time("old secret ends", "/old_secret_until"),
    ];
    let mut out = table::record(key, &fields);
    let own = key.get("policy").map(policy::lines).unwrap_or_default();
    let effective = key.get("effective_policy").map(policy::lines).filter(|lines| *lines != own).unwrap_or_default();
    for (title, lines) in [("policy", own), ("policy with what it inherits", effective)] {
        if !lines.is_empty() {
            out.push_str(&format!("\n{title}\n{}", table::pairs(&lines)));
        }
    }
    out
}

/// The key's own budgets, one below the other.
fn budgets(key: &Value, style: bar::Style) -> String {
    let all = key.get("budgets").and_then(Value::as_array).into_iter().flatten();
    all.map(|one| format!("\nbudget of {}", budget::card(one, style))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Sample {
        #[command(subcommand)]
        key: Key,
    }

    fn read(arguments: &[&str]) -> Key {
        Sample::try_parse_from([&["x"], arguments].concat()).unwrap().key
    }

    #[test]
    fn a_new_key_says_only_what_was_asked_for() {
        let Key::Create(create) = read(&["create", "--project", "p", "--env", "prod", "--name", "n"]) else { panic!() };
        assert_eq!(create.body(), json!({"project": "p", "environment": "production", "name": "n", "policy": {}}));
        let more = [
            "create",
            "--project",
            "p",
            "--env",
            "staging",
            "--name",
            "n",
            "--expires",
            "30d",
            "--style",
            "sk",
            "--overlap",
            "1h",
        ];
        let Key::Create(create) = read(&more) else { panic!() };
        let body = create.body();
        assert_eq!((&body["expires_in"], &body["style"]), (&json!("30d"), &json!("sk")));
        assert_eq!(body["policy"], json!({"rotation_overlap_ms": 3_600_000}));
    }

    #[test]
    fn an_update_takes_the_old_policy_along() {
        let before = json!({"policy": {"providers": ["openai"], "requests_per_minute": 5}});
        let Key::Update(update) = read(&["update", "web", "--tpm", "7", "--unset", "rpm", "--expires", "never"]) else {
            panic!()
        };
        let body = update.body(&before).unwrap();
        assert_eq!(body, json!({"policy": {"providers": ["openai"], "tokens_per_minute": 7}, "expires_at": null}));
        let Key::Update(update) = read(&["update", "web"]) else { panic!() };
        assert!(update.body(&before).unwrap_err().error.contains("nothing"));
        let Key::Update(update) = read(&["update", "web", "--name", "new"]) else { panic!() };
        assert_eq!(update.body(&before).unwrap(), json!({"name": "new"}));
    }
}
