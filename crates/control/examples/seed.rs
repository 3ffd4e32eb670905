//! Fills the data folder of a stopped server with virtual keys, as the bench needs them: the rows and audit rows that
//! the API would have written, in a few large transactions. Each key is modelled on the project's first one, with a
//! policy text of its own. With a limit, such as `5 USD/month`, each gets a budget, too. Prints some of the new keys, one
//! per line: `cargo run --release -p keyward-control --example seed FOLDER PROJECT COUNT [LIMIT]`.
//!
//! Only for the embedded database and a master key in its default file.

#![expect(clippy::print_stdout, reason = "a program whose result is what it prints")]

#[expect(dead_code, reason = "the codes over rows are made here as in the product; the rest of the file is not needed")]
#[path = "../src/integrity.rs"]
mod integrity;

use keyward_control::{
    audit_seal,
    clock::{self, Clock},
    keyring, proof,
};
use keyward_domain::{BudgetId, KeyId, Millis, audit::Actor, budget::Limit, grant::SecretSlot, policy::Policy};
use keyward_store::{BudgetRow, Change, KeyFilter, KeyRow, KeyStatus, Location, Store, encode_secrets};
use keyward_vault::{KeyFile, Vault};
use std::{error::Error, fs::File, path::Path, sync::Arc};
use zeroize::Zeroizing;

/// Keys in one transaction.
const BATCH: usize = 10_000;
/// How many of the keys are printed: enough that calls with them all do not stay in the processor's caches.
const SHOWN: usize = 1_000;

type Done<T> = Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Done<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: seed FOLDER PROJECT COUNT [LIMIT]");
    let (folder, project, count) = (next()?, next()?, next()?.parse::<usize>()?);
    let limit = next().ok().map(|text| text.parse::<Limit>()).transpose()?;
    let folder = Path::new(&folder);
    // The server's own lock: two writers of one embedded database would not know of each other's changes.
    let lock = File::options().write(true).open(folder.join("keyward.lock"))?;
    lock.try_lock().map_err(|_| "a server uses this data folder: stop it first")?;
    let store = Store::open(&Location::File(folder.join("keyward.db"))).await?;
    let keyring = keyring::from_stored(store.keyring().await?)?;
    let vault = Arc::new(Vault::unlock_from(&KeyFile::new(folder.join("master.key")), &keyring)?);
    store.seal_audit_with(audit_seal(&vault));
    let project = store.project_by_name(&project).await?.ok_or("there is no such project")?;
    let filter = KeyFilter { project: Some(project.id), ..KeyFilter::default() };
    let model = store.keys(filter, None, 1).await?.pop().ok_or("the project has no key to model others on")?;
    let now = Clock::system().now();
    let mut made = 0;
    while made < count {
        let batch = BATCH.min(count - made);
        let mut write = store.write(Actor::Operator, None, now).await?;
        let mut changes = Vec::with_capacity(batch);
        for number in made..made + batch {
            let (row, text) = key(&vault, &model, number, now)?;
            write.insert_key(&row).await?;
            changes.push(created(&row));
            if let Some(limit) = &limit {
                let budget = budget(&vault, &row, limit, now)?;
                write.insert_budget(&budget).await?;
                changes.push(set(&budget));
            }
            if number < SHOWN {
                println!("{}", *text);
            }
        }
        write.commit(changes).await?;
        made += batch;
    }
    let proof = proof::prove(&store, &vault).await?;
    store.close().await;
    if proof.bad.is_empty() { Ok(()) } else { Err(format!("{} rows do not hold", proof.bad.len()).into()) }
}

/// One more key: like the model, with a limit of its own so that no two policies are the same text.
fn key(vault: &Vault, model: &KeyRow, number: usize, now: Millis) -> Done<(KeyRow, Zeroizing<String>)> {
    let token = clock::new_key(model.environment, None)?;
    let mut policy: Policy = serde_json::from_str(&model.policy)?;
    policy.requests_per_minute = Some(policy.requests_per_minute.unwrap_or(1_000_000) + u64::try_from(number)?);
    let mut row = KeyRow {
        id: KeyId::new(now, clock::random()?),
        public_id: token.public_id,
        name: format!("site {number}"),
        status: KeyStatus::Active,
        secrets: encode_secrets(&[SecretSlot { hash: token.hash, until: None }]),
        policy: serde_json::to_string(&policy)?,
        created_at: now,
        updated_at: now,
        revoked_at: None,
        row_version: 1,
        mac: Vec::new(),
        ..model.clone()
    };
    integrity::seal(vault, &mut row);
    Ok((row, token.text))
}

/// What the audit log says of it.
fn created(row: &KeyRow) -> Change {
    Change {
        action: "key.create".to_owned(),
        subject_kind: "key".to_owned(),
        subject: row.id.to_string(),
        before: serde_json::Value::Null,
        after: serde_json::json!({
            "name": row.name, "public_id": row.public_id.to_string(), "project": row.project.to_string(),
            "environment": row.environment, "status": row.status, "policy": row.policy,
        }),
        reason: Some("made by the bench".to_owned()),
        row_version: Some(row.row_version),
    }
}

/// The budget of a key.
fn budget(vault: &Vault, key: &KeyRow, limit: &Limit, now: Millis) -> Done<BudgetRow> {
    let mut row = BudgetRow {
        id: BudgetId::new(now, clock::random()?),
        scope: "key".to_owned(),
        project: Some(key.project),
        environment: Some(key.environment),
        key: Some(key.id),
        amount: limit.amount.nano(),
        window: limit.window.to_string(),
        thresholds: "[50,80,100]".to_owned(),
        status: "active".to_owned(),
        created_at: now,
        updated_at: now,
        archived_at: None,
        row_version: 1,
        mac: Vec::new(),
    };
    integrity::seal(vault, &mut row);
    Ok(row)
}

/// What the audit log says of it.
fn set(row: &BudgetRow) -> Change {
    Change {
        action: "budget.create".to_owned(),
        subject_kind: "budget".to_owned(),
        subject: row.id.to_string(),
        before: serde_json::Value::Null,
        after: serde_json::json!({
            "scope": row.scope, "project": row.project.map(|id| id.to_string()), "environment": row.environment,
            "key": row.key.map(|id| id.to_string()), "limit": format!("{} USD/{}", row.limit(), row.window),
            "thresholds": [50, 80, 100], "status": row.status,
        }),
        reason: Some("made by the bench".to_owned()),
        row_version: Some(row.row_version),
    }
}
