//! `keyward restore`: a backup becomes a working installation again, in a place where nothing is yet.

use crate::{
    advice::advised,
    args::{Format, RestoreArgs},
    config::DataConfig,
    data::DataFolder,
    environment::Environment,
    terminal, vault,
};
use anyhow::{Context, bail};
use keyward_control::{clock::Clock, proof};
use keyward_domain::audit::Actor;
use keyward_store::{BackupSummary, Location, Store, verify_backup};
use keyward_vault::{MasterKeySource, recovery};
use serde_json::json;
use std::{
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Restores a backup. Nothing that exists is overwritten; nothing is left behind when it fails.
///
/// # Errors
/// What keeps it from being restored.
pub(crate) fn restore(args: RestoreArgs) -> anyhow::Result<ExitCode> {
    let environment = Environment::read();
    let data = DataConfig::read(args.data, &environment)?;
    keyward_vault::harden::process(data.allow_core_dumps)?;
    let identity = vault::read_identity(&args.identity)?;
    refuse_existing(&data)?;
    // Read to its end before anything is made: a backup that is cut short restores nothing.
    let summary = verify_backup(open(&args.file, &identity)?).context("the backup does not hold")?;
    let source = vault::source(&data, &environment)?;
    let _folder = DataFolder::take(&data.folder)?;
    // Once more, now that nobody else can make one.
    refuse_existing(&data)?;
    // What a restore left that was cut off.
    clear(&unfinished(&data.folder));
    let runtime = tokio::runtime::Runtime::new().context("starting a runtime")?;
    let done = runtime.block_on(fill(&args.file, &identity, &data, source.as_ref()));
    match done {
        Ok(proof) => {
            report(&data, &summary, &proof);
            Ok(if proof.bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
        }
        Err(error) => {
            if data.database.is_none() {
                clear(&unfinished(&data.folder));
                clear(&database_file(&data));
            }
            Err(error)
        }
    }
}

fn open(file: &Path, identity: &str) -> anyhow::Result<recovery::Decrypting<BufReader<File>>> {
    let file_opened = File::open(file).with_context(|| format!("opening the backup {}", file.display()))?;
    recovery::decrypt_stream(identity, BufReader::new(file_opened))
        .with_context(|| format!("decrypting the backup {}", file.display()))
}

fn database_file(data: &DataConfig) -> PathBuf {
    data.folder.join("keyward.db")
}

/// What the database is called until it is whole.
pub(crate) fn unfinished(folder: &Path) -> PathBuf {
    folder.join("keyward.db.restoring")
}

fn refuse_existing(data: &DataConfig) -> anyhow::Result<()> {
    let master = match &data.master_key {
        crate::master::Source::File(path) => Some(path.clone()),
        crate::master::Source::Passphrase | crate::master::Source::PassphraseDescriptor(_) => {
            Some(vault::passphrase_file(&data.folder))
        }
        crate::master::Source::Systemd(_) | crate::master::Source::Variable(_) => None,
    };
    let database = data.database.is_none().then(|| database_file(data));
    for path in [master, database].into_iter().flatten() {
        if path.exists() {
            return Err(advised(
                format!("{} exists already, and restore never overwrites", path.display()),
                "name another folder with --data-dir FOLDER",
            ));
        }
    }
    Ok(())
}

/// Takes away a database that a failed restore has made; what was there before was refused at the start.
fn clear(database: &Path) {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        drop(fs::remove_file(PathBuf::from(path)));
    }
}

async fn fill(
    file: &Path,
    identity: &str,
    data: &DataConfig,
    source: &dyn MasterKeySource,
) -> anyhow::Result<proof::Proof> {
    let location = match &data.database {
        Some(url) => Location::Postgres(url.clone()),
        None => Location::File(unfinished(&data.folder)),
    };
    let store = vault::opened(Store::open(&location).await).context("making the database")?;
    store.restore_from(open(file, identity)?).await.context("restoring the backup")?;
    let problems = store.integrity_check().await.context("checking the database")?;
    if !problems.is_empty() {
        bail!("the restored database is damaged: {}", problems.join("; "));
    }
    let (master, unlocked) = vault::recover(&store, identity).await.context("getting the master key back")?;
    let proof = proof::prove(&store, &unlocked).await.context("checking the records")?;
    let present = source.load()?;
    match &present {
        Some(present) if present.id() == master.id() => {}
        Some(present) => {
            return Err(advised(
                format!(
                    "{} holds another master key ({}) than the backup ({})",
                    source.describe(),
                    present.id(),
                    master.id()
                ),
                if data.database.is_some() {
                    "empty the database, which holds the restored rows now, and name another place with --master-key"
                } else {
                    "name another place with --master-key"
                },
            ));
        }
        None => {}
    }
    let write = store.write(Actor::Operator, None, Clock::system().now()).await?;
    write.commit(vec![vault::said("backup.restore", json!({"file": file.display().to_string()}))]).await?;
    store.close().await;
    if data.database.is_none() {
        fs::rename(unfinished(&data.folder), database_file(data)).context("naming the restored database")?;
    }
    // Last: a restore that is cut off before this has a whole database, and `keyward vault recover` makes the key.
    if present.is_none() {
        source.store(&master).context("writing the master key")?;
    }
    Ok(proof)
}

fn report(data: &DataConfig, summary: &BackupSummary, proof: &proof::Proof) {
    let rows: u64 = summary.tables.iter().map(|(_, rows)| rows).sum();
    match data.format {
        Format::Json => terminal::result(
            &json!({
                "data_dir": data.folder.display().to_string(), "rows": rows, "records": proof.rows,
                "secrets": proof.secrets, "problems": proof.bad
            })
            .to_string(),
        ),
        Format::Text => {
            terminal::result(&format!(
                "Restored {rows} rows: {} records hold, {} secrets open.\nStart it: keyward serve --data-dir {}",
                proof.rows,
                proof.secrets,
                data.folder.display()
            ));
            for problem in &proof.bad {
                terminal::notice(&format!("problem: {problem}"));
            }
        }
    }
}
