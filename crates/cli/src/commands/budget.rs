//! `keyward budget`: what an organisation, a project, an environment or a key may spend in a window.

use super::{App, Outcome, ReasonArgs, body, items};
use crate::{
    client::{Client, Route},
    failure::Failure,
    ui::{
        bar,
        table::{self, count, dollars, plain, time},
    },
};
use keyward_domain::{Environment, budget::Limit};
use serde_json::{Value, json};

/// Budgets: how much may be spent in an hour, a day, a week, a month, any span, or in total
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Budget {
    /// Set a budget, or change the limit of the one that the scope has for this window
    #[command(after_help = "\
Examples:
  keyward budget set --organisation '500 USD/month'
  keyward budget set --project shop '20 USD/month Europe/Vienna' --threshold 50 --threshold 80
  keyward budget set --project shop --environment production '2 USD/day'
  keyward budget set --key web '0.50 USD/hour'
  keyward budget set --key web '10 USD/rolling 24h'
  keyward budget set --project trial '100 USD/2026-11-01..2026-12-01'

Changing a limit never resets what was used. Another window is another budget, which counts from
now on: both hold until one is archived.")]
    Set(Set),
    /// Show budgets with what is spent, set aside and left of them
    #[command(after_help = "\
Examples:
  keyward budget show
  keyward budget show --project shop
  keyward budget show 01890a5d-ac96-774b-bcce-b302099a8057")]
    Show(Show),
    /// List budgets
    #[command(
        visible_alias = "ls",
        after_help = "\
Examples:
  keyward budget list
  keyward budget list --project shop --status active
  keyward budget list --format json | jq -r '.items[] | [.id, .limit, .left_usd] | @tsv'"
    )]
    List(List),
    /// Show what was spent in the windows of a budget, the newest first
    #[command(after_help = "\
Example:
  keyward budget history 01890a5d-ac96-774b-bcce-b302099a8057 --limit 12")]
    History(History),
    /// Put a budget away: it bounds nothing any more; what was used of it is kept
    #[command(after_help = "\
Example:
  keyward budget archive 01890a5d-ac96-774b-bcce-b302099a8057 --reason 'replaced by a weekly one'")]
    Archive(Archive),
    /// List the servers that spend from budgets, with what each has set aside
    #[command(after_help = "\
Example:
  keyward budget nodes

Servers that share a PostgreSQL database set money aside to spend without asking. One that stops
gives it back; one that was killed accounts for it when it starts again on its data folder.")]
    Nodes,
    /// Give up a server that will never come back: what it had set aside counts as spent
    #[command(after_help = "\
Example:
  keyward budget reclaim 3f9c2d1e8b7a6054 --reason 'its disk is lost'

Nothing is given back, because nobody knows what it spent last. If the server comes back after all,
it goes on: its calls are booked once, and what it did not spend comes back. On budgets with a
rolling window, what is charged here can be spent again when the window has passed, so make sure
that its process does not run any more.")]
    Reclaim(Reclaim),
}

/// Whose budget it is.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ScopeArgs {
    /// All calls
    #[arg(long, visible_alias = "organization", conflicts_with_all = ["project", "key"])]
    organisation: bool,
    /// The calls of this project
    #[arg(long, conflicts_with = "key")]
    project: Option<String>,
    /// Only those of this environment of the project
    #[arg(long, visible_alias = "env", value_name = "ENVIRONMENT", requires = "project")]
    #[arg(conflicts_with_all = ["organisation", "key"])]
    environment: Option<Environment>,
    /// The calls of this key, by id, public id, or its name when only one has it
    #[arg(long)]
    key: Option<String>,
}

/// Options of `budget set`.
#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    /// The limit and its window: AMOUNT USD/WINDOW, such as '5 USD/month' or '20 USD/day Europe/Vienna'
    #[arg(value_parser = limit)]
    limit: Limit,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Percentage of the limit at which an event says so; may be given several times [default: 50, 80 and 100]
    #[arg(long = "threshold", value_name = "PERCENT", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=100))]
    thresholds: Vec<u8>,
    #[command(flatten)]
    reason: ReasonArgs,
}

/// Options of `budget show`.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// The budget's id; without one, all active budgets of the scope, or all there are
    #[arg(conflicts_with_all = ["organisation", "project", "key"])]
    budget: Option<String>,
    #[command(flatten)]
    scope: ScopeArgs,
}

/// Options of `budget list`.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    scope: ScopeArgs,
    /// Only those in this state
    #[arg(long, value_name = "STATUS", value_parser = ["active", "archived", "revoked", "tampered"])]
    status: Option<String>,
}

/// Options of `budget history`.
#[derive(Debug, clap::Args)]
pub(crate) struct History {
    /// The budget's id
    budget: String,
    /// At most this many windows
    #[arg(long, value_name = "COUNT", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

/// Options of `budget archive`.
#[derive(Debug, clap::Args)]
pub(crate) struct Archive {
    /// The budget's id
    budget: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    reason: ReasonArgs,
}

/// Options of `budget reclaim`.
#[derive(Debug, clap::Args)]
pub(crate) struct Reclaim {
    /// The id of the server's run, or its name: both are in `keyward budget nodes`
    node: String,
    /// Also when it was seen a moment ago
    #[arg(long)]
    force: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    reason: ReasonArgs,
}

/// Reads a limit as people write it.
///
/// # Errors
/// When it is none; the text says how to write it.
pub(crate) fn limit(text: &str) -> Result<Limit, String> {
    text.parse::<Limit>().map_err(|error| error.to_string())
}

impl Budget {
    pub(crate) async fn run(self, app: &mut App) -> Outcome {
        let client = app.client()?;
        match self {
            Self::Set(set) => set.run(app, &client).await,
            Self::Show(show) => {
                let budgets = match &show.budget {
                    Some(id) => client.get(Route::new(&["budgets", id])?).await?,
                    None => show.scope.all(&client, None, Some("active")).await?,
                };
                let style = app.context.ui.bars();
                app.done(&budgets, |budgets, _| match budgets.get("items") {
                    None => card(budgets, style),
                    Some(_) if items(budgets).is_empty() => "no budgets: keyward budget set\n".to_owned(),
                    Some(_) => items(budgets).iter().map(|one| card(one, style)).collect::<Vec<_>>().join("\n"),
                })
            }
            Self::List(list) => {
                let budgets = list.scope.all(&client, None, list.status.as_deref()).await?;
                app.done(&budgets, |budgets, width| {
                    table::table(items(budgets), &COLUMNS, "no budgets: keyward budget set", width)
                })
            }
            Self::History(history) => {
                let route = Route::new(&["budgets", &history.budget, "history"])?
                    .query("limit", Some(&history.limit.to_string()));
                let windows = client.get(route).await?;
                app.done(&windows, |windows, width| {
                    table::table(items(windows), &WINDOWS, "nothing was counted yet", width)
                })
            }
            Self::Archive(archive) => {
                app.confirm(&format!("Archive {}? It bounds nothing any more.", archive.budget), archive.yes)?;
                let body = body([("reason", archive.reason.json())]);
                let route = Route::new(&["budgets", &archive.budget, "archive"])?;
                let budget = client.post(route, &body).await?;
                let style = app.context.ui.bars();
                app.done(&budget, |budget, _| card(budget, style))
            }
            Self::Nodes => {
                let nodes = client.get(Route::new(&["nodes"])?).await?;
                app.done(&nodes, |nodes, width| {
                    table::table(items(nodes), &NODES, "no server spends from budgets", width)
                })
            }
            Self::Reclaim(reclaim) => reclaim.run(app, &client).await,
        }
    }
}

impl Reclaim {
    async fn run(self, app: &mut App, client: &Client) -> Outcome {
        let question = format!("Give {} up? What it has set aside counts as spent from now on.", self.node);
        app.confirm(&question, self.yes)?;
        let asked = body([("force", self.force.then_some(Value::Bool(true))), ("reason", self.reason.json())]);
        let done = client.post(Route::new(&["nodes", &self.node, "reclaim"])?, &asked).await?;
        app.done(&done, |done, width| {
            let charged = done.get("charged").map_or(&[][..], items);
            table::table(charged, &CHARGED, "it has nothing set aside: nothing was charged", width)
        })
    }
}

impl Set {
    /// Makes the budget, or changes the limit of the one that the scope has for this window already.
    async fn run(self, app: &mut App, client: &Client) -> Outcome {
        let thresholds = (!self.thresholds.is_empty()).then(|| json!(self.thresholds));
        let known = self.known(client).await?;
        let budget = match known {
            Some(known) => {
                let changes = body([
                    ("limit_usd", Some(json!(self.limit.amount.to_string()))),
                    ("thresholds", thresholds),
                    ("revision", known.get("revision").cloned()),
                    ("reason", self.reason.json()),
                ]);
                let route = Route::new(&["budgets", &table::at(&known, "/id")])?;
                match client.patch(route, &changes).await {
                    // It says so already: what was asked for is so.
                    Err(failure) if failure.has_code("nothing_to_change") => known,
                    changed => changed?,
                }
            }
            None => {
                let new = body([
                    ("organisation", self.scope.organisation.then_some(Value::Bool(true))),
                    ("project", self.scope.project.clone().map(Value::from)),
                    ("environment", self.scope.environment.map(|stage| json!(stage.name()))),
                    ("key", self.scope.key.clone().map(Value::from)),
                    ("limit", Some(json!(self.limit.to_string()))),
                    ("thresholds", thresholds),
                    ("reason", self.reason.json()),
                ]);
                let made = client.post(Route::new(&["budgets"])?, &new).await?;
                app.context.ui.note("a new budget: it counts from now on; what was used before does not count");
                made
            }
        };
        let style = app.context.ui.bars();
        app.done(&budget, |budget, _| card(budget, style))
    }

    /// The active budget of exactly this scope and window, if there is one.
    async fn known(&self, client: &Client) -> Result<Option<Value>, Failure> {
        if !self.scope.is_said() {
            return Err(Failure::usage("a budget needs a scope").hint(
                "add --organisation, --project NAME (with --environment for one of its environments) or --key NAME",
            ));
        }
        let kind = self.scope.kind();
        let all = self.scope.all(client, Some(kind), Some("active")).await?;
        let window = |budget: &Value| table::at(budget, "/window").parse::<keyward_domain::window::Window>();
        let same = |budget: &&Value| window(budget).is_ok_and(|window| window.is_same(&self.limit.window));
        Ok(items(&all).iter().find(same).cloned())
    }
}

/// The largest page of budgets that the server gives.
const LARGEST_PAGE: &str = "10000";

impl ScopeArgs {
    /// Whether one was named.
    const fn is_said(&self) -> bool {
        self.organisation || self.project.is_some() || self.key.is_some()
    }

    /// The server's word for the scope.
    const fn kind(&self) -> &'static str {
        match (&self.key, &self.environment, &self.project) {
            (Some(_), _, _) => "key",
            (None, Some(_), _) => "environment",
            (None, None, Some(_)) => "project",
            (None, None, None) => "organisation",
        }
    }

    /// All budgets of the scope and below, or of one kind of scope, page by page.
    ///
    /// # Errors
    /// The server's.
    async fn all(&self, client: &Client, kind: Option<&str>, status: Option<&str>) -> Result<Value, Failure> {
        let kind = kind.or_else(|| self.organisation.then_some("organisation"));
        let (mut all, mut after): (Vec<Value>, Option<String>) = (Vec::new(), None);
        loop {
            let route = Route::new(&["budgets"])?
                .query("scope", kind)
                .query("project", self.project.as_deref())
                .query("environment", self.environment.map(Environment::name))
                .query("key", self.key.as_deref())
                .query("status", status)
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

const COLUMNS: [table::Column; 11] = [
    plain("SCOPE", "/scope"),
    plain("PROJECT", "/project"),
    plain("ENVIRONMENT", "/environment"),
    plain("KEY", "/key"),
    plain("LIMIT", "/limit"),
    dollars("SPENT", "/spent_usd"),
    dollars("LEASED", "/leased_usd"),
    dollars("LEFT", "/left_usd"),
    plain("STATUS", "/status"),
    time("RESETS", "/resets_at"),
    plain("ID", "/id"),
];

const WINDOWS: [table::Column; 4] =
    [time("FROM", "/start"), time("UNTIL", "/end"), dollars("SPENT", "/spent_usd"), dollars("LEASED", "/leased_usd")];

const NODES: [table::Column; 8] = [
    plain("ID", "/id"),
    plain("NAME", "/name"),
    plain("STATUS", "/status"),
    time("SEEN", "/seen_at"),
    dollars("LEASED", "/leased_usd"),
    dollars("CHARGED", "/charged_usd"),
    count("CALLS", "/calls"),
    time("SINCE", "/started_at"),
];

const CHARGED: [table::Column; 3] =
    [plain("BUDGET", "/budget"), time("WINDOW FROM", "/window_start"), dollars("CHARGED", "/usd")];

/// One budget for people: whose it is, a bar, and the amounts.
pub(crate) fn card(budget: &Value, style: bar::Style) -> String {
    let at = |pointer: &str| table::at(budget, pointer);
    let nano = |pointer: &str| budget.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let title = match at("/scope").as_str() {
        "organisation" => "organisation".to_owned(),
        "key" => format!("key {} of project {}", at("/key"), at("/project")),
        "environment" => format!("{} of project {}", at("/environment"), at("/project")),
        _ => format!("project {}", at("/project")),
    };
    let drawn = bar::draw(nano("/spent_nano_usd"), nano("/leased_nano_usd"), nano("/limit_nano_usd"), style);
    let fields = [
        plain("status", "/status"),
        dollars("spent", "/spent_usd"),
        dollars("leased", "/leased_usd"),
        dollars("left", "/left_usd"),
        time("resets", "/resets_at"),
        plain("thresholds", "/thresholds"),
        plain("id", "/id"),
    ];
    format!("{title}: {}\n{drawn} {}%\n{}", at("/limit"), at("/percent"), table::record(budget, &fields))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Sample {
        #[command(subcommand)]
        budget: Budget,
    }

    fn read(arguments: &[&str]) -> Result<Budget, clap::Error> {
        Sample::try_parse_from([&["x"], arguments].concat()).map(|sample| sample.budget)
    }

    #[test]
    fn mistakes_are_refused_before_anything_is_sent() {
        for arguments in [
            &["set", "--project", "p"][..],
            &["set", "--project", "p", "5"],
            &["set", "--project", "p", "--", "-5 USD/month"],
            &["set", "--project", "p", "NaN USD/month"],
            &["set", "--project", "p", "99999999999 USD/month"],
            &["set", "--project", "p", "5 USD/month Mars/Base"],
            &["set", "--project", "p", "--key", "k", "5 USD/month"],
            &["set", "--organisation", "--project", "p", "5 USD/month"],
            &["set", "--environment", "staging", "5 USD/month"],
            &["set", "--key", "k", "--environment", "staging", "5 USD/month"],
            &["set", "--organisation", "--environment", "staging", "5 USD/month"],
            &["set", "--project", "p", "5 USD/month", "--threshold", "101"],
            &["set", "--project", "p", "5 USD/month", "--threshold", "0"],
            &["show", "some-id", "--project", "p"],
            &["history"],
        ] {
            assert!(read(arguments).is_err(), "{arguments:?}");
        }
        assert!(read(&["set", "--project", "p", "--env", "production", "5 USD/month", "--threshold", "50,80"]).is_ok());
    }

    #[test]
    fn a_card_says_whose_how_much_and_until_when() {
        let budget = json!({
            "id": "b1", "scope": "environment", "project": "shop", "environment": "production", "key": null,
            "status": "active", "limit": "20 USD/month", "limit_nano_usd": 20_000_000_000_i64,
            "spent_usd": "5", "spent_nano_usd": 5_000_000_000_i64, "leased_usd": "2.5",
            "leased_nano_usd": 2_500_000_000_i64, "left_usd": "12.5", "percent": 25.0, "thresholds": [50, 80],
            "resets_at": "2026-12-01T00:00:00Z",
        });
        let expected = "\
production of project shop: 20 USD/month
[##########=====-------------------------] 25.0%
status      active
spent       $5
leased      $2.5
left        $12.5
resets      2026-12-01 00:00:00Z
thresholds  50, 80
id          b1
";
        assert_eq!(card(&budget, bar::Style::Plain), expected);
    }
}
