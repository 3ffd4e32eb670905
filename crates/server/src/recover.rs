//! `keyward vault recover`: the way back in when the master key is lost, and the proof that there is one.

use crate::{
    advice::advised,
    args::{Format, RecoverArgs},
    config::DataConfig,
    data::DataFolder,
    environment::Environment,
    master::Source,
    terminal, vault,
};
use anyhow::Context;
use keyward_control::{clock::Clock, proof};
use keyward_domain::{Millis, audit::Actor};
use keyward_store::{Location, Store};
use keyward_vault::{MasterKey, MasterKeySource};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Gets the master key back with the recovery identity, proves that it opens everything, and puts it where the settings
/// say. With `--check` nothing is changed but the date of the proof.
///
/// # Errors
/// When the identity is another one, or the key cannot be put back.
pub(crate) fn recover(args: RecoverArgs) -> anyhow::Result<ExitCode> {
    let environment = Environment::read();
    let data = DataConfig::read(args.data, &environment)?;
    keyward_vault::harden::process(data.allow_core_dumps)?;
    let identity = vault::read_identity(&args.identity)?;
    if data.database.is_none() && !data.folder.join("keyward.db").exists() {
        return Err(advised(
            format!("there is no database in {}", data.folder.display()),
            "name the folder with --data-dir FOLDER",
        ));
    }
    // Two processes must not write the same key; a mere proof may run beside the server.
    let folder = if args.check { None } else { Some(DataFolder::take(&data.folder)?) };
    let runtime = tokio::runtime::Runtime::new().context("starting a runtime")?;
    let (key, proof) = runtime.block_on(open(&data, &identity))?;
    let outcome = if args.check {
        "proven".to_owned()
    } else {
        let source = vault::source(&data, &environment)?;
        put_back(&data, source.as_ref(), &key)?
    };
    drop(folder);
    report(&data, &key, &proof, &outcome);
    Ok(if proof.bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

async fn open(data: &DataConfig, identity: &str) -> anyhow::Result<(MasterKey, proof::Proof)> {
    let location = match &data.database {
        Some(url) => Location::Postgres(url.clone()),
        None => Location::File(data.folder.join("keyward.db")),
    };
    let store = vault::opened(Store::open(&location).await).context("opening the database")?;
    let (master, unlocked) = vault::recover(&store, identity).await?;
    let proof = proof::prove(&store, &unlocked).await.context("checking the records")?;
    note(&store, identity, Clock::system().now()).await.context("noting the proof")?;
    store.close().await;
    Ok((master, proof))
}

/// Notes when the identity was last proven to work.
async fn note(store: &Store, identity: &str, now: Millis) -> anyhow::Result<()> {
    let recipient = keyward_vault::recovery::recipient_of(identity)?;
    let row = store.recoveries().await?.into_iter().find(|row| row.recipient == recipient);
    let Some(mut row) = row else { return Ok(()) };
    row.proven_at = Some(now);
    let mut write = store.write(Actor::Operator, None, now).await?;
    write.put_recovery(&row).await?;
    write.commit(vec![vault::said("recovery.prove", json!({"recipient": recipient}))]).await?;
    Ok(())
}

/// Puts the key where the settings say. A file that does not open this vault is moved aside, never overwritten.
fn put_back(data: &DataConfig, source: &dyn MasterKeySource, master: &MasterKey) -> anyhow::Result<String> {
    let place = source.describe();
    match source.load() {
        Ok(Some(present)) if present.id() == master.id() => {
            return Ok(format!("{place} holds this master key already; nothing was lost"));
        }
        Ok(None) => {}
        Ok(Some(_)) | Err(_) => move_aside(data)?,
    }
    source.store(master).with_context(|| format!("putting the master key back to {place}"))?;
    Ok(format!("put back to {place}"))
}

fn move_aside(data: &DataConfig) -> anyhow::Result<()> {
    let path = match &data.master_key {
        Source::File(path) => path.clone(),
        Source::Passphrase | Source::PassphraseDescriptor(_) => vault::passphrase_file(&data.folder),
        // The server cannot write these; storing says how the operator does.
        Source::Systemd(_) | Source::Variable(_) => return Ok(()),
    };
    let aside = free_name(&path);
    fs::rename(&path, &aside).with_context(|| format!("moving {} aside", path.display()))?;
    terminal::notice(&format!("{} did not open this vault; it is now {}", path.display(), aside.display()));
    Ok(())
}

fn free_name(path: &Path) -> PathBuf {
    let name = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".replaced-{number}"));
        PathBuf::from(name)
    };
    (1..).map(name).find(|candidate| !candidate.exists()).unwrap_or_else(|| name(0))
}

fn report(data: &DataConfig, master: &MasterKey, proof: &proof::Proof, outcome: &str) {
    match data.format {
        Format::Json => terminal::result(
            &json!({
                "master_key": master.id().to_string(), "outcome": outcome, "records": proof.rows,
                "secrets": proof.secrets, "problems": proof.bad
            })
            .to_string(),
        ),
        Format::Text => {
            terminal::result(&format!(
                "The identity opens master key {}: {} records hold, {} secrets open.\nMaster key: {outcome}.",
                master.id(),
                proof.rows,
                proof.secrets
            ));
            for problem in &proof.bad {
                terminal::notice(&format!("problem: {problem}"));
            }
        }
    }
}
