//! Opens the vault at the start: finds the master key where the settings say, makes it on the first start, unlocks the
//! keyring. Also what recovery and restore need of it.

use crate::{advice::Advise, config::DataConfig, environment::Environment, master::Source, terminal};
use anyhow::{Context, bail};
use keyward_control::{audit_seal, keyring};
use keyward_domain::{Millis, audit::Actor};
use keyward_store::{Change, Store};
use keyward_vault::{
    EnvironmentKey, KeyFile, MasterKey, MasterKeySource, Passphrase, SystemdCredential, Vault, source::Ask,
};
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use zeroize::Zeroizing;

/// A database that was to be opened; what to do when it cannot be.
///
/// # Errors
/// The same as before.
pub(crate) fn opened(store: Result<Store, keyward_store::Error>) -> anyhow::Result<Store> {
    use keyward_store::Error;
    let hint = match &store {
        Err(Error::Corrupt { .. }) => {
            "move the data folder aside and restore the last backup: keyward restore FILE --identity FILE --data-dir FOLDER"
        }
        Err(Error::Unreachable { .. }) => {
            "see that nobody else uses the file; with --database, that PostgreSQL runs there"
        }
        Err(Error::ReadOnly) => "see whether the disk is mounted read-only, and who owns the file",
        _ => "see that there is room, and who owns the file; with --database, that PostgreSQL lets you in",
    };
    store.hint(hint)
}

/// The longest passphrase that is read from a descriptor, in bytes.
const LONGEST: u64 = 4096;

/// Where the file of a passphrase is.
pub(crate) fn passphrase_file(folder: &Path) -> PathBuf {
    folder.join("master.passphrase")
}

/// The source that the settings name.
///
/// # Errors
/// When a systemd credential is named and systemd gave none.
pub(crate) fn source(data: &DataConfig, environment: &Environment) -> anyhow::Result<Box<dyn MasterKeySource>> {
    Ok(match &data.master_key {
        Source::File(path) => Box::new(KeyFile::new(path.clone())),
        Source::Passphrase => Box::new(Passphrase::new(passphrase_file(&data.folder), ask)),
        Source::PassphraseDescriptor(number) => {
            let given = Given { number: *number, text: Mutex::new(None) };
            Box::new(Passphrase::new(passphrase_file(&data.folder), move |_| given.read()))
        }
        Source::Systemd(name) => {
            let folder = environment
                .credentials_directory
                .as_ref()
                .context("systemd gave this process no credentials")
                .hint("add LoadCredentialEncrypted= to the unit")?;
            Box::new(SystemdCredential::new(folder.join(name)))
        }
        Source::Variable(name) => {
            tracing::warn!(
                variable = name,
                "the master key comes from the environment: others on this machine may read it"
            );
            Box::new(EnvironmentKey::new(name.clone(), environment.secret(name)))
        }
    })
}

/// Asks at the terminal, twice for a new passphrase.
fn ask(why: Ask) -> io::Result<Zeroizing<String>> {
    let prompt = |text: &str| rpassword::prompt_password(text).map(Zeroizing::new);
    match why {
        Ask::Unlock => prompt("Passphrase of the master key: "),
        Ask::Choose => loop {
            let first = prompt("Choose a passphrase for the master key (five random words or more): ")?;
            if *first == *prompt("The same again: ")? {
                return Ok(first);
            }
            terminal::notice("The two differ; once more.");
        },
    }
}

/// A passphrase from a file descriptor: read once, kept for a second question.
struct Given {
    number: i32,
    text: Mutex<Option<Zeroizing<String>>>,
}

impl Given {
    fn read(&self) -> io::Result<Zeroizing<String>> {
        let mut kept = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = kept.as_ref() {
            return Ok(text.clone());
        }
        let mut text = Zeroizing::new(String::with_capacity(4096));
        File::open(format!("/dev/fd/{}", self.number))?.take(LONGEST).read_to_string(&mut text)?;
        *kept = Some(text.clone());
        Ok(text)
    }
}

/// Unlocks the stored keyring, or makes master key and keyring on the first start.
///
/// # Errors
/// What the vault says: a wrong master key with both ids, a file with a loose mode and its remedy, …
pub(crate) async fn open(store: &Store, source: &dyn MasterKeySource, now: Millis) -> anyhow::Result<Arc<Vault>> {
    let rows = keyring::from_stored(store.keyring().await?)?;
    if !rows.is_empty() {
        return Ok(Arc::new(Vault::unlock_from(source, &rows)?));
    }
    let master = match source.load()? {
        // Made by a start that was cut off before the keyring was stored.
        Some(master) => master,
        None => {
            let master = MasterKey::generate()?;
            source.store(&master)?;
            tracing::info!(place = source.describe(), id = %master.id(), "made the master key");
            master
        }
    };
    let (vault, rows) = Vault::initialise(master, now)?;
    let mut write = store.write(Actor::System { part: "start".to_owned() }, None, now).await?;
    // Writes of all nodes come one after the other: another may have been first.
    let theirs = keyring::from_stored(store.keyring().await?)?;
    if !theirs.is_empty() {
        return Ok(Arc::new(Vault::unlock_from(source, &theirs)?));
    }
    for row in &rows {
        write.put_keyring(&keyring::to_stored(row)).await?;
    }
    let vault = Arc::new(vault);
    store.seal_audit_with(audit_seal(&vault));
    let after = serde_json::json!({"master_key": vault.master_id().to_string()});
    write.commit(vec![said("vault.create", after)]).await?;
    Ok(vault)
}

/// What an offline change of the vault says to the audit log.
pub(crate) fn said(action: &str, after: serde_json::Value) -> Change {
    Change {
        action: action.to_owned(),
        subject_kind: "vault".to_owned(),
        subject: "vault".to_owned(),
        before: serde_json::Value::Null,
        after,
        reason: None,
        row_version: None,
    }
}

/// Reads a recovery identity from a file.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn read_identity(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(64 << 10));
    let file = File::open(path).with_context(|| format!("reading the identity file {}", path.display()))?;
    file.take(64 << 10)
        .read_to_string(&mut text)
        .with_context(|| format!("reading the identity file {}", path.display()))?;
    Ok(text)
}

/// Gets the master key out of the recovery copy, and shows that it opens the keyring.
///
/// # Errors
/// When there is no copy, the identity is another one, or the key does not fit the keyring.
pub(crate) async fn recover(store: &Store, identity: &str) -> anyhow::Result<(MasterKey, Arc<Vault>)> {
    let rows = keyring::from_stored(store.keyring().await?)?;
    let copies = store.recoveries().await?;
    if copies.is_empty() {
        bail!("there is no recovery copy of the master key in this database");
    }
    let mut last = None;
    for copy in copies.iter().rev() {
        let found = keyward_vault::recovery::recover(identity, &copy.wrapped).and_then(|master| {
            let again = keyward_vault::recovery::recover(identity, &copy.wrapped)?;
            Ok((again, Arc::new(Vault::unlock(master, &rows)?)))
        });
        match found {
            Ok(found) => return Ok(found),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| anyhow::anyhow!("no recovery copy could be opened"), anyhow::Error::from))
}
