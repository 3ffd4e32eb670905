//! `keyward provider`: the catalogue of AI providers, and a check for one's own additions to it.

use super::{App, Outcome, items};
use crate::{
    client::Route,
    connect,
    failure::{Failure, Verdict},
    text,
    ui::table::{self, plain},
};
use keyward_catalogue::Catalogue;
use serde_json::{Value, json};
use std::path::PathBuf;

/// The catalogue: which providers and operations there are, and what they cost
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Provider {
    /// List providers and their base URLs
    #[command(
        visible_alias = "ls",
        after_help = "\
Examples:
  keyward provider list
  keyward provider list --format json | jq -r '.items[].id'"
    )]
    List,
    /// Show a provider: its operations, key shapes and SDK variables
    #[command(after_help = "\
Example:
  keyward provider show openai")]
    Show(Show),
    /// List prices
    #[command(after_help = "\
Examples:
  keyward provider price --provider openai
  keyward provider price --provider openai --model gpt-5.4-mini")]
    Price(Price),
    /// Check a provider file of your own; exit status 1 when something is wrong with it
    #[command(after_help = "\
Example:
  keyward provider check inhouse.toml

The file goes into the folder providers/ of the server's configuration.")]
    Check(Check),
}

/// One provider.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// The provider's id
    provider: String,
}

/// Options of `provider price`.
#[derive(Debug, clap::Args)]
pub(crate) struct Price {
    /// Only this provider
    #[arg(long, value_name = "ID")]
    provider: Option<String>,
    /// Only this model
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
}

/// Options of `provider check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// The TOML file
    file: PathBuf,
}

impl Provider {
    pub(crate) async fn run(self, app: &mut App) -> Outcome {
        match self {
            Self::List => {
                let providers = catalogue(app, Route::new(&["providers"])?, built_in::providers).await?;
                let columns = [
                    plain("ID", "/id"),
                    plain("NAME", "/name"),
                    plain("BASE PATH", "/path"),
                    plain("API", "/base_url"),
                    plain("AS OF", "/as_of"),
                ];
                app.done(&providers, |providers, width| table::table(items(providers), &columns, "no providers", width))
            }
            Self::Show(show) => {
                let route = Route::new(&["providers", &show.provider])?;
                let provider = catalogue(app, route, |catalogue| built_in::provider(catalogue, &show.provider)).await?;
                app.done(&provider, details)
            }
            Self::Price(price) => {
                let route = Route::new(&["prices"])?
                    .query("provider", price.provider.as_deref())
                    .query("model", price.model.as_deref());
                let (provider, model) = (price.provider.as_deref(), price.model.as_deref());
                let prices = catalogue(app, route, |catalogue| built_in::prices(catalogue, provider, model)).await?;
                app.done(&prices, list_prices)
            }
            Self::Check(check) => check.run(app),
        }
    }
}

/// The server's catalogue; without any server, the one that came with this program.
async fn catalogue(
    app: &mut App,
    route: Route,
    built_in: impl FnOnce(&Catalogue) -> Result<Value, Failure>,
) -> Result<Value, Failure> {
    match app.client() {
        Ok(client) => client.get(route).await,
        Err(failure) if failure.has_code(connect::NO_SERVER) => {
            app.context.ui.note("no server was found: this is the catalogue that came with the program");
            let catalogue = Catalogue::embedded().map_err(|error| Failure::failed(error.to_string()))?;
            built_in(&catalogue)
        }
        Err(failure) => Err(failure),
    }
}

/// The catalogue that came with the program, in the shapes of the API.
mod built_in {
    use super::{Catalogue, Failure, Value, json};
    use std::collections::BTreeSet;

    pub(super) fn providers(catalogue: &Catalogue) -> Result<Value, Failure> {
        let line = |provider: &keyward_domain::provider::Provider| {
            let operations: BTreeSet<&str> = provider.operations.iter().map(|operation| &*operation.name).collect();
            json!({
                "id": provider.id, "name": provider.name, "docs": provider.docs, "path": provider.api.root,
                "base_url": provider.api.base_url, "operations": operations, "as_of": provider.as_of,
            })
        };
        Ok(json!({"items": catalogue.providers().iter().map(|provider| line(provider)).collect::<Vec<_>>()}))
    }

    pub(super) fn provider(catalogue: &Catalogue, id: &str) -> Result<Value, Failure> {
        let provider = catalogue.provider(id).ok_or_else(|| {
            Failure::failed(format!("there is no provider '{id}'")).hint("`keyward provider list` shows them all")
        })?;
        serde_json::to_value(&**provider).map_err(Failure::failed)
    }

    pub(super) fn prices(catalogue: &Catalogue, provider: Option<&str>, model: Option<&str>) -> Result<Value, Failure> {
        let book = catalogue.prices();
        let fits = |price: &&keyward_domain::price::Price| {
            provider.is_none_or(|id| *id == *price.provider)
                && model.is_none_or(|model| {
                    std::iter::once(&price.model).chain(&price.aliases).any(|name| name.eq_ignore_ascii_case(model))
                })
        };
        let items: Vec<_> = book.all().iter().filter(fits).collect();
        Ok(json!({"version": book.version, "items": items}))
    }
}

fn details(provider: &Value, width: Option<u16>) -> String {
    let fields = [
        plain("id", "/id"),
        plain("name", "/name"),
        plain("base path", "/api/root"),
        plain("api", "/api/base_url"),
        plain("documentation", "/docs"),
        plain("facts of", "/as_of"),
    ];
    let mut out = table::record(provider, &fields);
    let mut section = |name: &str, title: &str, columns: &[table::Column]| {
        let rows = provider.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if !rows.is_empty() {
            out.push_str(&format!("\n{title}\n{}", table::table(rows, columns, "", width)));
        }
    };
    section(
        "operations",
        "operations",
        &[
            plain("NAME", "/name"),
            plain("METHOD", "/method"),
            plain("PATH", "/path"),
            plain("BY DEFAULT", "/default_allowed"),
        ],
    );
    section(
        "keys",
        "shapes of secrets",
        &[plain("NAME", "/name"), plain("BEGINS WITH", "/prefixes"), plain("ADMIN", "/admin")],
    );
    section(
        "sdks",
        "sdks",
        &[
            plain("SDK", "/name"),
            plain("BASE URL", "/base_url_env"),
            plain("ENDS IN", "/base_path"),
            plain("KEY", "/key_env"),
            plain("NOTE", "/note"),
        ],
    );
    let unverified = provider.get("unverified").and_then(Value::as_array).into_iter().flatten();
    for (index, statement) in unverified.enumerate() {
        out.push_str(if index == 0 { "\nnot verified\n" } else { "" });
        out.push_str(&format!("- {}\n", table::words(statement)));
    }
    out
}

/// A row a model: its rates in dollars per million tokens.
fn list_prices(prices: &Value, width: Option<u16>) -> String {
    let rows: Vec<Value> = items(prices).iter().map(price_row).collect();
    let columns = [
        plain("PROVIDER", "/provider"),
        plain("MODEL", "/model"),
        table::dollars("INPUT", "/input"),
        table::dollars("CACHE READ", "/cache_read"),
        table::dollars("CACHE WRITE", "/cache_write"),
        table::dollars("OUTPUT", "/output"),
        plain("ALSO", "/also"),
        plain("AS OF", "/as_of"),
    ];
    let mut out = table::table(&rows, &columns, "no prices for that", width);
    if !rows.is_empty() {
        out.push_str("\ndollars per million tokens");
        let version = table::at(prices, "/version");
        if !version.is_empty() {
            out.push_str(&format!("; price list {version}"));
        }
        out.push('\n');
    }
    out
}

fn price_row(price: &Value) -> Value {
    let rate = |name: &str| {
        let nano = price.pointer(&format!("/rates/{name}")).and_then(Value::as_i64);
        nano.map_or(Value::Null, |nano| keyward_domain::Money::from_nano(nano).to_string().into())
    };
    let has = |name: &str| price.get(name).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let fees = price.get("fees").and_then(Value::as_object).is_some_and(|fees| fees.values().any(|fee| !fee.is_null()));
    let also: Vec<&str> = [("steps", "length steps"), ("tiers", "service tiers"), ("clock", "times of day")]
        .into_iter()
        .filter_map(|(name, words)| has(name).then_some(words))
        .chain(fees.then_some("fees"))
        .collect();
    json!({
        "provider": price["provider"], "model": price["model"], "as_of": price["as_of"], "also": also,
        "input": rate("input"), "cache_read": rate("cache_read"), "cache_write": rate("cache_write"), "output": rate("output"),
    })
}

impl Check {
    fn run(self, app: &mut App) -> Outcome {
        let shown = self.file.display().to_string();
        let problems = keyward_catalogue::check::file(&self.file)
            .map_err(|error| Failure::failed(format!("cannot read {shown}: {error}")))?;
        let answer = json!({"file": shown, "ok": problems.is_empty(), "problems": problems});
        Failure::unless_closed(app.context.ui.answer(&answer, |_, _| {
            if problems.is_empty() {
                return format!("{shown}: nothing wrong");
            }
            problems.iter().map(|problem| format!("{shown}:{}\n", text::line(&problem.to_string()))).collect()
        }))?;
        Ok(if problems.is_empty() { Verdict::Yes } else { Verdict::No })
    }
}
