//! `keyward check`: what a provider's key can do, or why it cannot, asked of the provider itself and free of charge.

mod ours;
mod show;
mod source;

use super::{App, Outcome};
use crate::{
    failure::{Failure, Verdict as Answer},
    paste::{defect, owner, owner::Owner},
    probing::{Prober, Wanted},
    secret,
    ui::{Format, bar},
};
use keyward_catalogue::{
    Catalogue,
    probing::{State, Verdict},
};
use keyward_domain::{provider::Provider, secret::PlainKey, token};
pub(super) use show::facts;
use source::Item;
use std::{path::PathBuf, sync::Arc};
use tokio::{sync::Semaphore, task::JoinSet};

/// Find out what a provider's key can do, or why it cannot: nothing is stored, and nothing costs money unless --model is given
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  keyward check
  pass show openai | keyward check
  keyward check --from-env OPENAI_API_KEY
  keyward check --env-file .env --format json
  keyward check --vault
  keyward check --from-env AZURE_OPENAI_API_KEY \\
      --base-url https://NAME.openai.azure.com
  keyward check --from-env OPENAI_API_KEY --deep --model gpt-5.4-mini

Keys are read from standard input, one a line, or NAME=value. A key goes to the
provider it belongs to and to nobody else. Exit status: 0 all can be used, 1 one
of them cannot, 2 it cannot be told, or something failed.")]
pub(crate) struct Check {
    /// Take the key from this variable; may be given several times
    #[arg(long, value_name = "NAME")]
    from_env: Vec<String>,
    /// Take the keys from this file of NAME=value lines; may be given several times
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Check this credential of the vault; may be given several times
    #[arg(long, value_name = "NAME")]
    credential: Vec<String>,
    /// Check every credential of the vault
    #[arg(long)]
    vault: bool,
    /// The provider, such as openai, where the key and its name do not say
    #[arg(long, value_name = "ID")]
    provider: Option<String>,
    /// Root of the API where it is not the provider's own, with https:// and version, as the provider shows it
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Let the base URL be on this machine or in a private network
    #[arg(long)]
    allow_private_address: bool,
    /// Find out more: which models there are; with --model, whether one answers
    #[arg(long)]
    deep: bool,
    /// Make the smallest possible call to this model, at the key's cost
    #[arg(long, value_name = "NAME", requires = "deep")]
    model: Option<String>,
    /// Ask the provider even where the key looks cut off or like somebody else's; needs --provider
    #[arg(long, requires = "provider")]
    anyway: bool,
    /// How many keys are checked at once
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// Folder with `providers/` of your own [env: KEYWARD_CONFIG_DIR]
    #[arg(long, value_name = "FOLDER")]
    config_dir: Option<PathBuf>,
    /// More authorities (PEM) to trust towards providers [env: KEYWARD_EXTRA_CA]
    #[arg(long, value_name = "FILE")]
    extra_ca: Option<PathBuf>,
    #[arg(long = "secret", aliases = ["key", "api-key", "token", "value"], hide = true, num_args = 0..)]
    on_command_line: Option<Vec<String>>,
    #[arg(hide = true)]
    stray: Vec<String>,
}

/// What is known of one key.
pub(super) struct Row {
    /// What it is called: a variable, a line, a credential.
    name: String,
    /// Where it came from, when the name does not say.
    from: String,
    /// The provider's id; empty when it is not known.
    provider: String,
    /// What was found.
    verdict: Verdict,
}

/// A key that its provider is to be asked about.
struct Case {
    provider: Arc<Provider>,
    wanted: Wanted,
    secret: PlainKey,
    note: Option<String>,
}

/// What is to be done about a key.
enum Step {
    Known(String, Box<Verdict>),
    Ours(String),
    Ask(Box<Case>),
}

impl Check {
    pub(crate) async fn run(self, app: &mut App) -> Outcome {
        if self.on_command_line.is_some() || !self.stray.is_empty() {
            return Err(secret::refuse_argument());
        }
        let catalogue = catalogue(app, self.config_dir.as_ref())?;
        let words = self.from_env.iter().chain(&self.provider).chain(&self.credential).chain(&self.base_url);
        secret::refuse_among(&catalogue, words.map(String::as_str))?;
        secret::refuse_among(&catalogue, self.env_file.iter().filter_map(|path| path.to_str()))?;
        if let Some(id) = &self.provider
            && catalogue.provider(id).is_none()
        {
            return Err(
                Failure::usage(format!("there is no provider '{id}'")).hint("`keyward provider list` shows them all")
            );
        }
        let from_vault = self.vault || !self.credential.is_empty();
        let from_here = !self.from_env.is_empty() || !self.env_file.is_empty() || !from_vault;
        let mut rows = Vec::new();
        if from_vault {
            rows.extend(ours::credentials(app, &self.credential, self.vault).await?);
        }
        if from_here {
            let items = source::read(app, &catalogue, &self.from_env, &self.env_file)?;
            rows.extend(self.items(app, catalogue, items).await?);
        }
        app.context.ui.progress("");
        conclude(app, &rows)
    }

    async fn items(&self, app: &mut App, catalogue: Catalogue, items: Vec<Item>) -> Result<Vec<Row>, Failure> {
        let alone = items.len() == 1;
        let mut steps = Vec::with_capacity(items.len());
        for item in items {
            let step = self.step(app, &catalogue, &item, alone)?;
            steps.push((item.name, item.from, step));
        }
        self.one_provider(&steps)?;
        let asked = steps.iter().any(|(.., step)| matches!(step, Step::Ask(_)));
        if asked && self.model.is_some() {
            app.context.ui.note("this makes a call of a token or so with each key, which its account pays for");
        }
        let extra_ca = self.extra_ca.clone().or_else(|| app.context.variables.path("KEYWARD_EXTRA_CA"));
        let prober = Arc::new(Prober::new(catalogue, extra_ca.as_deref(), app.wishes.timeout_ms)?);
        let places = Arc::new(Semaphore::new(usize::from(self.jobs)));
        let mut rows: Vec<Option<Row>> = Vec::new();
        let mut asking = JoinSet::new();
        for (at, (name, from, step)) in steps.into_iter().enumerate() {
            let mut row = |provider: String, verdict| {
                rows.push(Some(Row { name: name.clone(), from: from.clone(), provider, verdict }));
            };
            match step {
                Step::Known(provider, verdict) => row(provider, *verdict),
                Step::Ours(public_id) => row("keyward".to_owned(), ours::key(app, &public_id).await),
                Step::Ask(case) => {
                    rows.push(None);
                    let (prober, places) = (Arc::clone(&prober), Arc::clone(&places));
                    asking.spawn(async move {
                        // The semaphore is never closed.
                        let _place = places.acquire().await.ok();
                        let Case { provider, wanted, secret, note } = *case;
                        let mut verdict = prober.ask(&provider, wanted, &secret).await;
                        verdict.notes.extend(note);
                        (at, Row { name, from, provider: provider.id.to_string(), verdict })
                    });
                }
            }
        }
        let all = asking.len();
        while let Some(answered) = asking.join_next().await {
            let (at, row) = answered.map_err(|error| Failure::failed(format!("a check broke off: {error}")))?;
            if let Some(slot) = rows.get_mut(at) {
                *slot = Some(row);
            }
            progress(app, all - asking.len(), all);
        }
        Ok(rows.into_iter().flatten().collect())
    }

    /// Decides what is to be done about a key, before anything is sent.
    fn step(&self, app: &mut App, catalogue: &Catalogue, item: &Item, alone: bool) -> Result<Step, Failure> {
        let unasked = |provider: &str, found: defect::Defect| {
            let verdict = Verdict::unasked(State::Invalid, found.name, found.because, found.remedy);
            Step::Known(provider.to_owned(), Box::new(verdict))
        };
        let text = &*item.text;
        if let Ok(ours) = token::parse(text) {
            return Ok(Step::Ours(ours.public_id.to_string()));
        }
        let named = || owner::named(catalogue, &item.places()).map_or_else(String::new, |known| known.id.to_string());
        let given = || self.provider.clone().unwrap_or_else(named);
        if let Some(found) = item.defect.clone().or_else(|| defect::of_text(catalogue, text)) {
            return Ok(unasked(&given(), found));
        }
        let provider = match self.owner(app, catalogue, item, alone)? {
            Ok(provider) => provider,
            Err(verdict) => return Ok(Step::Known(String::new(), Box::new(verdict))),
        };
        if let Some(found) = defect::of_key(catalogue, &provider, text).filter(|_| !self.anyway) {
            return Ok(unasked(&provider.id, found));
        }
        let admin =
            catalogue.shapes().iter().any(|shape| shape.admin && shape.provider == provider.id && shape.is(text));
        let unfamiliar = defect::is_unfamiliar(catalogue, &provider, text);
        let elsewhere =
            owner::named(catalogue, &item.places()).filter(|named| named.id != provider.id && self.provider.is_none());
        let note = if let Some(elsewhere) = elsewhere {
            Some(format!("its name speaks of {}, but it is a key of {}", elsewhere.name, provider.name))
        } else {
            unfamiliar.then(|| format!("it does not look like the keys that {} is known to make", provider.name))
        };
        let wanted = Wanted {
            base_url: self.base_url.clone(),
            allow_private: self.allow_private_address,
            admin,
            deep: self.deep,
            model: self.model.clone(),
        };
        let secret = PlainKey::new(text.as_bytes().to_vec());
        Ok(Step::Ask(Box::new(Case { provider, wanted, secret, note })))
    }

    /// Whose key it is; asks where nothing says.
    fn owner(
        &self,
        app: &mut App,
        catalogue: &Catalogue,
        item: &Item,
        alone: bool,
    ) -> Result<Result<Arc<Provider>, Verdict>, Failure> {
        if let Some(known) = self.provider.as_ref().and_then(|id| catalogue.provider(id)) {
            return Ok(Ok(Arc::clone(known)));
        }
        let fitting = match owner::recognise(catalogue, &item.text, &item.places()) {
            Owner::One(provider) => return Ok(Ok(provider)),
            Owner::OneOf(fitting) => fitting,
            Owner::Nobody => Vec::new(),
        };
        let names = fitting.iter().map(|provider| &*provider.name).collect::<Vec<_>>().join(" or ");
        let because = match fitting.len() {
            0 => "nothing says whose key this is".to_owned(),
            1 => format!("it may be a key of {names}, but other secrets look the same"),
            _ => format!("it may be a key of {names}"),
        };
        let person = app.context.input.terminal && app.context.ui.format == Format::Text;
        if person {
            app.context.ui.ask(&format!("{}: {because}. The provider's id (empty: leave it out):", item.name));
            let said = app.context.input.line()?.unwrap_or_default();
            if let Some(known) = catalogue.provider(&said) {
                return Ok(Ok(Arc::clone(known)));
            }
            if !said.is_empty() {
                return Err(Failure::usage(format!("there is no provider '{said}'")));
            }
        } else if alone {
            return Err(
                Failure::usage(format!("{because}: nothing was sent")).hint("name the provider with --provider")
            );
        }
        let remedy = "Name the provider with --provider, or the variable after it.";
        Ok(Err(Verdict::unasked(State::Unknown, "provider_unknown", format!("{because}: nothing was sent"), remedy)))
    }

    /// Refuses to show keys of several providers to one address.
    fn one_provider(&self, steps: &[(String, String, Step)]) -> Result<(), Failure> {
        let mut ids: Vec<&str> = steps
            .iter()
            .filter_map(|(.., step)| match step {
                Step::Ask(case) => Some(&*case.provider.id),
                Step::Known(..) | Step::Ours(_) => None,
            })
            .collect();
        ids.sort_unstable();
        ids.dedup();
        if self.base_url.is_some() && ids.len() > 1 {
            return Err(Failure::usage(format!(
                "these are keys of {}, and --base-url names one address",
                ids.join(", ")
            ))
            .hint("check the keys of one provider at a time, or say with --provider that it takes them all"));
        }
        Ok(())
    }
}

/// The operator's folder: the one that is given, or the variable's.
pub(super) fn folder(app: &App, given: Option<&PathBuf>) -> Option<PathBuf> {
    given.cloned().or_else(|| app.context.variables.path("KEYWARD_CONFIG_DIR"))
}

/// The catalogue that came with the program, with the operator's folder over it.
pub(super) fn catalogue(app: &App, folder: Option<&PathBuf>) -> Result<Catalogue, Failure> {
    Catalogue::load(&self::folder(app, folder).into_iter().collect::<Vec<_>>()).map_err(Failure::failed)
}

/// Shows how far a number of checks is.
pub(super) fn progress(app: &mut App, done: usize, all: usize) {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let bar = bar::draw(count(done), 0, count(all), bar::Style::Terminal);
    app.context.ui.progress(&format!("{bar} {done} of {all} keys"));
}

/// Shows what was found and says how it ends.
fn conclude(app: &mut App, rows: &[Row]) -> Outcome {
    let count = |usable: Option<bool>| rows.iter().filter(|row| row.verdict.usable == usable).count();
    let (bad, unknown) = (count(Some(false)), count(None));
    let answer = show::json(rows);
    Failure::unless_closed(app.context.ui.answer(&answer, show::words))?;
    match (bad, unknown) {
        (1.., _) => Ok(Answer::No),
        (0, 0) => Ok(Answer::Yes),
        (0, 1) => Err(Failure::failed("it could not be told whether a key works")),
        (0, _) => Err(Failure::failed(format!("it could not be told whether {unknown} keys work"))),
    }
}
