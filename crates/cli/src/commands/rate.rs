//! `keyward rate`: requests, tokens and open calls that all calls of a project, or of the organisation, share.

use super::{App, Outcome, ReasonArgs, body, items};
use crate::{
    client::Route,
    failure::Failure,
    ui::table::{self, count, plain, time},
};
use clap::ValueEnum;
use serde_json::{Value, json};

/// Rates that all calls of a project, or of the organisation, share; a key's own are in its policy
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Rate {
    /// Set rates; those that are not named stay
    #[command(after_help = "\
Examples:
  keyward rate set --project shop --rpm 600 --tpm 100000 --concurrency 50
  keyward rate set --project shop --rpm 1200 --unset tpm
  keyward rate set --organisation --concurrency 500

A call passes the rates of its key, of its project and of the organisation.")]
    Set(Set),
    /// List the rates of the organisation and of projects
    #[command(
        visible_alias = "ls",
        after_help = "\
Example:
  keyward rate list"
    )]
    List,
    /// Take all shared rates of a project, or of the organisation, away
    #[command(after_help = "\
Example:
  keyward rate clear --project shop --reason 'the launch is over'")]
    Clear(Clear),
}

/// Whose calls share the rates.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct WhoseArgs {
    /// All calls
    #[arg(long, visible_alias = "organization")]
    organisation: bool,
    /// The calls of this project
    #[arg(long)]
    project: Option<String>,
}

/// A rate that can be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Requests per minute.
    Rpm,
    /// Tokens per minute.
    Tpm,
    /// Calls at once.
    Concurrency,
}

/// Options of `rate set`.
#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    #[command(flatten)]
    whose: WhoseArgs,
    /// Requests per minute
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    rpm: Option<u64>,
    /// Tokens per minute, input and output together
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    tpm: Option<u64>,
    /// Calls at once
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: Option<u32>,
    /// Take a rate away; may be given several times
    #[arg(long, value_name = "RATE", value_delimiter = ',')]
    unset: Vec<Part>,
    #[command(flatten)]
    reason: ReasonArgs,
}

/// Options of `rate clear`.
#[derive(Debug, clap::Args)]
pub(crate) struct Clear {
    #[command(flatten)]
    whose: WhoseArgs,
    #[command(flatten)]
    reason: ReasonArgs,
}

impl WhoseArgs {
    fn route(&self) -> Result<Route, Failure> {
        match &self.project {
            Some(project) => Route::new(&["rates", "projects", project]),
            None => Route::new(&["rates", "organisation"]),
        }
    }
}

impl Set {
    fn body(&self) -> Result<Value, Failure> {
        let rate = |said: Option<Value>, part: Part| said.or_else(|| self.unset.contains(&part).then_some(Value::Null));
        let rates = [
            ("requests_per_minute", rate(self.rpm.map(|rate| json!(rate)), Part::Rpm)),
            ("tokens_per_minute", rate(self.tpm.map(|rate| json!(rate)), Part::Tpm)),
            ("concurrency", rate(self.concurrency.map(|rate| json!(rate)), Part::Concurrency)),
        ];
        if rates.iter().all(|(_, rate)| rate.is_none()) {
            return Err(Failure::usage("no rate is said").hint("add --rpm, --tpm or --concurrency"));
        }
        Ok(body(rates.into_iter().chain([("reason", self.reason.json())])))
    }
}

impl Rate {
    pub(crate) async fn run(self, app: &mut App) -> Outcome {
        let client = app.client()?;
        match self {
            Self::Set(set) => {
                let rates = client.patch(set.whose.route()?, &set.body()?).await?;
                app.done(&rates, |rates, _| record(rates))
            }
            Self::List => {
                let rates = client.get(Route::new(&["rates"])?).await?;
                app.done(&rates, |rates, width| {
                    table::table(items(rates), &COLUMNS, "no shared rates: keyward rate set", width)
                })
            }
            Self::Clear(clear) => {
                let body = body([("reason", clear.reason.json())]);
                let rates = client.delete(clear.whose.route()?, &body).await?;
                app.done(&rates, |rates, _| record(rates))
            }
        }
    }
}

const COLUMNS: [table::Column; 7] = [
    plain("SCOPE", "/scope"),
    plain("PROJECT", "/project"),
    count("REQUESTS/MIN", "/requests_per_minute"),
    count("TOKENS/MIN", "/tokens_per_minute"),
    count("CONCURRENCY", "/concurrency"),
    plain("STATUS", "/status"),
    time("CHANGED", "/updated_at"),
];

fn record(rates: &Value) -> String {
    let fields = [
        plain("scope", "/scope"),
        plain("project", "/project"),
        plain("status", "/status"),
        count("requests/min", "/requests_per_minute"),
        count("tokens/min", "/tokens_per_minute"),
        count("concurrency", "/concurrency"),
    ];
    table::record(rates, &fields)
}
