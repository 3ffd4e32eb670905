//! `keyward vault`: the keyring and the recovery identity. The identity is made here, on the client, and never
//! crosses the wire: the server learns only the recipient, and a proof that somebody holds the identity.

use super::{App, Outcome, ReasonArgs, body};
use crate::{
    client::{Client, Route},
    failure::{Failure, Kind, Verdict},
    files, recovery,
    ui::table::{self, plain, time},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

/// The vault: its keyring and the way back in when the master key is lost
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Vault {
    /// Show the keyring, the master key's source and the state of recovery
    #[command(after_help = "\
Example:
  keyward vault status")]
    Status,
    /// Put a new wrapping key in place; data keys are re-wrapped in the background
    #[command(after_help = "\
Example:
  keyward vault rotate --reason 'yearly'")]
    Rotate(ReasonArgs),
    /// The offline recovery identity
    #[command(subcommand)]
    Recovery(Recovery),
}

/// Recovery: one identity, kept offline, that opens the vault and its backups when the master key is lost
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Recovery {
    /// Make the recovery identity, write it to a file, and prove that it works
    #[command(after_help = "\
Example:
  keyward vault recovery create --output recovery-identity.txt

Print the file or put it on a stick, and take it off this machine: whoever holds it can open the vault's backups.")]
    Create(Create),
    /// Prove that an identity file is the right one for this server; exit status 1 when it is not
    #[command(after_help = "\
Example:
  keyward vault recovery prove --identity recovery-identity.txt")]
    Prove(Prove),
}

/// Options of `vault recovery create`.
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// The new file, made with mode 0600
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Put a new identity in place of the one there is
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    reason: ReasonArgs,
}

/// Options of `vault recovery prove`.
#[derive(Debug, clap::Args)]
pub(crate) struct Prove {
    /// The file with the recovery identity
    #[arg(long, short, value_name = "FILE")]
    identity: PathBuf,
}

impl Vault {
    pub(crate) async fn run(self, app: &mut App) -> Outcome {
        match self {
            Self::Status => {
                let status = app.client()?.get(Route::new(&["vault"])?).await?;
                app.done(&status, show)
            }
            Self::Rotate(reason) => {
                let body = body([("reason", reason.json())]);
                let status = app.client()?.post(Route::new(&["vault", "rotate"])?, &body).await?;
                app.done(&status, show)
            }
            Self::Recovery(Recovery::Create(create)) => create.run(app).await,
            Self::Recovery(Recovery::Prove(prove)) => prove.run(app).await,
        }
    }
}

impl Create {
    async fn run(self, app: &mut App) -> Outcome {
        let client = app.client()?;
        let identity = recovery::generate();
        let recipient = recovery::recipient(&identity);
        let content = recovery::file(&identity, &client.target().address.to_string(), app.context.now);
        let mut file = files::create(&self.output)?;
        let written = file.write_all(content.as_bytes()).and_then(|()| file.sync_all());
        if let Err(error) = written {
            discard(&self.output);
            return Err(files::cannot_write(&self.output, &error));
        }
        let body = body([
            ("recipient", Some(json!(recipient))),
            ("replace", self.replace.then_some(json!(true))),
            ("reason", self.reason.json()),
        ]);
        let accepted = client.post(Route::new(&["vault", "recovery"])?, &body).await;
        accepted.map_err(|failure| self.not_accepted(failure))?;
        let proof = prove(&client, &identity).await.map_err(|failure| {
            let file = self.output.display();
            failure.hint(format!(
                "the server took the identity: prove it with `keyward vault recovery prove --identity {file}`"
            ))
        })?;
        let answer = json!({
            "recipient": recipient,
            "identity_file": self.output.display().to_string(),
            "proven_at": proof.get("proven_at"),
        });
        let fields =
            [plain("recipient", "/recipient"), plain("identity in", "/identity_file"), time("proven", "/proven_at")];
        app.context.ui.answer(&answer, |answer, _| table::record(answer, &fields))?;
        app.context
            .ui
            .warn("take the file off this machine and keep it safe: it opens the vault when the master key is lost");
        Ok(Verdict::Yes)
    }

    /// The server refused or was never asked (both have a code): the identity is good for nothing. When it is not
    /// known what the server did, it is kept.
    fn not_accepted(&self, failure: Failure) -> Failure {
        if failure.code.is_some() {
            discard(&self.output);
            return failure;
        }
        failure.hint(format!("{} is kept: the server may have accepted it all the same", self.output.display()))
    }
}

impl Prove {
    async fn run(self, app: &mut App) -> Outcome {
        let identity = recovery::read(&self.identity)?;
        let client = app.client()?;
        let proof = prove(&client, &identity).await?;
        let answer =
            json!({"proven": true, "recipient": recovery::recipient(&identity), "proven_at": proof.get("proven_at")});
        let fields = [plain("recipient", "/recipient"), plain("proven", "/proven"), time("at", "/proven_at")];
        app.done(&answer, |answer, _| table::record(answer, &fields))
    }
}

/// Opens what the server sealed to its recipient and sends it back.
async fn prove(client: &Client, identity: &recovery::Identity) -> Result<Value, Failure> {
    let challenge = client.post(Route::new(&["vault", "recovery", "challenge"])?, &json!({})).await?;
    let sealed = challenge.get("challenge").and_then(Value::as_str);
    let sealed = sealed.ok_or_else(|| Failure::failed("the server's challenge is not understood"))?;
    let answer = recovery::answer(identity, sealed).map_err(|failure| match failure.kind {
        Kind::No => failure.hint("`keyward vault status` shows the recipient that the server knows"),
        Kind::Usage | Kind::Failed | Kind::Closed => failure,
    })?;
    let body = json!({"id": challenge.get("id"), "answer": answer});
    let proof = client.post(Route::new(&["vault", "recovery", "prove"])?, &body).await;
    proof.map_err(
        |failure| if failure.has_code("wrong_answer") { Failure { kind: Kind::No, ..failure } } else { failure },
    )
}

fn discard(path: &Path) {
    // The failure that is told is the one before; a file that stays behind holds nothing that opens anything.
    let _gone = fs::remove_file(path);
}

fn show(status: &Value, width: Option<u16>) -> String {
    let [state, done, total] = ["/rewrap/state", "/rewrap/done", "/rewrap/total"].map(|place| table::at(status, place));
    let recovery = match status.pointer("/recovery/exists") {
        Some(Value::Bool(false)) => "none yet: keyward vault recovery create --output FILE".to_owned(),
        _ => table::at(status, "/recovery/recipient"),
    };
    let mut out = table::pairs(&[
        ("master key", table::at(status, "/master_key")),
        ("its memory", table::at(status, "/memory")),
        ("re-wrapping", format!("{state}, {done} of {total} secrets under the active key")),
        ("recovery", recovery),
        ("proven", table::moment(&table::at(status, "/recovery/proven_at"))),
    ]);
    if let Some(keys) = status.get("keyring").and_then(Value::as_array) {
        let columns = [
            plain("KEY", "/id"),
            plain("PURPOSE", "/purpose"),
            plain("STATE", "/state"),
            time("CREATED", "/created_at"),
            plain("MASTER KEY", "/master_id"),
        ];
        out.push_str(&format!("\n{}", table::table(keys, &columns, "", width)));
    }
    out
}
