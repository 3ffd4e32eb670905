//! The commands, one file each, and what they share. Each turns its options into calls of the API and the answer into
//! words; nothing here decides anything.

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod budget;
mod calls;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod credential;
pub(crate) mod doctor;
pub(crate) mod hook;
pub(crate) mod key;
pub(crate) mod login;
pub(crate) mod man;
pub(crate) mod project;
pub(crate) mod provider;
pub(crate) mod rate;
pub(crate) mod scan;
pub(crate) mod token;
pub(crate) mod usage;
pub(crate) mod vault;
pub(crate) mod whoami;

use crate::{
    client::Client,
    connect::{self, Wishes},
    context::Context,
    failure::{Failure, Verdict},
    ui::Format,
};
use serde_json::Value;

/// What every command works with.
pub(crate) struct App {
    /// The world around.
    pub(crate) context: Context,
    /// What the connection options said.
    pub(crate) wishes: Wishes,
    /// The whole command tree, for completions and manual pages.
    pub(crate) tree: clap::Command,
}

/// How a command ends.
pub(crate) type Outcome = Result<Verdict, Failure>;

impl App {
    /// A client for the server that options, variables and files lead to.
    ///
    /// # Errors
    /// When no server can be found.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        connect::find(&self.wishes, &self.context.variables).map(Client::new)
    }

    /// Writes a result and says that all went well.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn done(&mut self, value: &Value, words: impl FnOnce(&Value, Option<u16>) -> String) -> Outcome {
        self.context.ui.answer(value, words)?;
        Ok(Verdict::Yes)
    }

    /// Asks a person to agree to something that cannot be undone. Scripts are taken at their word.
    ///
    /// # Errors
    /// When the person does not agree.
    pub(crate) fn confirm(&mut self, question: &str, agreed: bool) -> Result<(), Failure> {
        let person = self.context.input.terminal && self.context.ui.format == Format::Text;
        if agreed || !person {
            return Ok(());
        }
        self.context.ui.ask(&format!("{question} [y/N]"));
        let answer = self.context.input.line()?.unwrap_or_default().to_ascii_lowercase();
        if matches!(answer.as_str(), "y" | "yes") { Ok(()) } else { Err(Failure::failed("nothing was changed")) }
    }
}

/// The rows of a list.
fn items(value: &Value) -> &[Value] {
    let list = value.get("items").or_else(|| value.get("rows")).unwrap_or(value);
    list.as_array().map_or(&[], Vec::as_slice)
}

/// A body from the fields that have a value.
fn body(fields: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    fields.into_iter().filter_map(|(name, value)| value.map(|value| (name.to_owned(), value))).collect()
}

/// The reason for a change, which the audit log keeps.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ReasonArgs {
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

impl ReasonArgs {
    fn json(&self) -> Option<Value> {
        self.reason.clone().map(Value::from)
    }
}
