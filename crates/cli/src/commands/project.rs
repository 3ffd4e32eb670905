//! `keyward project`: one project for each site, client or application.

use super::{App, Outcome, ReasonArgs, body, items};
use crate::{
    client::Route,
    failure::Failure,
    parse,
    policy::{self, Part, PolicyArgs},
    ui::table::{self, plain, time},
};
use keyward_domain::{Environment, policy::Policy};
use serde_json::{Value, json};

/// Projects: each has its own credentials, keys, limits and costs
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Project {
    /// Make a project
    #[command(after_help = "\
Examples:
  keyward project create shop
  keyward project create shop --provider openai --rpm 600

What is said here holds for every key of the project that does not say otherwise.")]
    Create(Box<Create>),
    /// List all projects
    #[command(
        visible_alias = "ls",
        after_help = "\
Examples:
  keyward project list
  keyward project list --format json | jq -r '.items[].name'"
    )]
    List,
    /// Show a project and its policies
    #[command(after_help = "\
Example:
  keyward project show shop")]
    Show(Named),
    /// Change a project's name or the policy of the project or of one environment
    #[command(after_help = "\
Examples:
  keyward project update shop --name web-shop
  keyward project update shop --rpm 1200 --unset tpm
  keyward project update shop --env development --model '*-mini' --max-output-tokens 1024")]
    Update(Box<Update>),
    /// Put a project away: all its keys stop working
    #[command(after_help = "\
Example:
  keyward project archive old-shop --reason 'site closed'")]
    Archive(Archive),
}

/// Options of `project create`.
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// The project's name
    name: String,
    /// How long an old secret of a key lives on after a rotation, such as 24h
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    overlap: Option<u64>,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

/// One project.
#[derive(Debug, clap::Args)]
pub(crate) struct Named {
    /// The project's name or id
    project: String,
}

/// Options of `project update`.
#[derive(Debug, clap::Args)]
pub(crate) struct Update {
    /// The project's name or id
    project: String,
    /// A new name
    #[arg(long)]
    name: Option<String>,
    /// Change the policy of this environment only
    #[arg(long, value_name = "ENVIRONMENT")]
    env: Option<Environment>,
    /// How long an old secret of a key lives on after a rotation, such as 24h
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    overlap: Option<u64>,
    /// Take a part of the policy away; may be given several times
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    unset: Vec<Part>,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

/// Options of `project archive`.
#[derive(Debug, clap::Args)]
pub(crate) struct Archive {
    /// The project's name or id
    project: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    reason: ReasonArgs,
}

impl Project {
    pub(crate) async fn run(self, app: &mut App) -> Outcome {
        let client = app.client()?;
        match self {
            Self::Create(create) => {
                let policy = create.policy.policy(create.overlap);
                let body = body([
                    ("name", Some(json!(create.name))),
                    ("policy", (policy != Policy::default()).then(|| policy::to_json(&policy))),
                    ("reason", create.reason.json()),
                ]);
                let project = client.post(Route::new(&["projects"])?, &body).await?;
                app.done(&project, |project, _| record(project))
            }
            Self::List => {
                let projects = client.get(Route::new(&["projects"])?).await?;
                let columns = [
                    plain("NAME", "/name"),
                    plain("STATUS", "/status"),
                    time("CREATED", "/created_at"),
                    plain("ID", "/id"),
                ];
                app.done(&projects, |projects, width| {
                    table::table(items(projects), &columns, "no projects yet: keyward project create NAME", width)
                })
            }
            Self::Show(named) => {
                let project = client.get(Route::new(&["projects", &named.project])?).await?;
                app.done(&project, |project, _| record(project))
            }
            Self::Update(update) => {
                let route = Route::new(&["projects", &update.project])?;
                let before = client.get(route.clone()).await?;
                let changes = update.changes(&before)?;
                let project = client.patch(route, &changes).await?;
                app.done(&project, |project, _| record(project))
            }
            Self::Archive(archive) => {
                app.confirm(&format!("Archive {}? All its keys stop working.", archive.project), archive.yes)?;
                let body = body([("reason", archive.reason.json())]);
                let project = client.post(Route::new(&["projects", &archive.project, "archive"])?, &body).await?;
                app.done(&project, |project, _| record(project))
            }
        }
    }
}

impl Update {
    /// What to send: a policy is sent whole, so what it was is taken along.
    fn changes(&self, before: &Value) -> Result<Value, Failure> {
        let changes = self.policy.policy(self.overlap);
        let touched = changes != Policy::default() || !self.unset.is_empty();
        if !touched && (self.name.is_none() || self.env.is_some()) {
            return Err(Failure::usage("nothing is said that could change").hint("see `keyward project update --help`"));
        }
        // Nothing is taken over from a record that somebody changed behind Keyward's back.
        let trusted = table::at(before, "/status") != "tampered";
        let place = self.env.map_or_else(|| "/policy".to_owned(), |env| format!("/environments/{env}"));
        let before = before.pointer(&place).filter(|_| trusted);
        let after = policy::to_json(&policy::changed(&policy::read(before)?, &changes, &self.unset));
        let (project, environments) = match self.env {
            _ if !touched => (None, None),
            Some(env) => (None, Some(json!({env.name(): after}))),
            None => (Some(after), None),
        };
        Ok(body([
            ("name", self.name.clone().map(Value::from)),
            ("policy", project),
            ("environments", environments),
            ("reason", self.reason.json()),
        ]))
    }
}

fn record(project: &Value) -> String {
    let fields =
        [plain("name", "/name"), plain("id", "/id"), plain("status", "/status"), time("created", "/created_at")];
    let mut out = table::record(project, &fields);
    let mut section = |title: &str, policy: &Value| {
        let lines = policy::lines(policy);
        if !lines.is_empty() {
            out.push_str(&format!("\n{title}\n{}", table::pairs(&lines)));
        }
    };
    section("policy of the project", project.get("policy").unwrap_or(&Value::Null));
    for (name, policy) in project.get("environments").and_then(Value::as_object).into_iter().flatten() {
        section(&format!("policy of {}", crate::text::line(name)), policy);
    }
    out
}
