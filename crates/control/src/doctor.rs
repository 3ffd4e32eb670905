//! The checks behind `keyward doctor`: database, records, audit log, vault, recovery, credentials, keys, budgets, nodes,
//! tokens, jobs, prices.

use crate::{
    Control, api,
    auth::Role,
    error::{Answer, READ_ONLY, UNREACHABLE},
    jobs,
    publish::ACTIVE,
    recovery, tamper,
};
use keyward_domain::{Money, times};
use keyward_store::{BudgetRow, Health, KeyStatus, decode_secrets};
use keyward_vault::MemoryKind;
use serde::Serialize;
use std::collections::HashSet;
use utoipa::ToSchema;

/// A key that ends within this time is worth a word: 7 days.
const SOON: i64 = 7 * 86_400_000;
/// A price list older than this is worth a word: 90 days.
const OLD: i64 = 90 * 86_400_000;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// All is well.
    Ok,
    /// Worth knowing.
    Warning,
    /// Something needs somebody.
    Failed,
}

/// One check.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Check {
    /// What was looked at.
    name: &'static str,
    /// How it is.
    state: State,
    /// In words.
    detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Check {
    /// Whether it did not fail.
    pub(crate) fn is_fine(&self) -> bool {
        self.state != State::Failed
    }

    fn new(name: &'static str, state: State, detail: impl Into<String>) -> Self {
        Self { name, state, detail: detail.into(), hint: None }
    }

    fn hint(mut self, hint: &str) -> Self {
        self.hint = Some(hint.to_owned());
        self
    }
}

/// Looks at everything.
pub(crate) async fn examine(control: &Control) -> Answer<Vec<Check>> {
    // Without the database there is nothing else to look at.
    if let Err(error @ keyward_store::Error::Unreachable { .. }) = control.store().recoveries().await {
        let kind = control.store().kind();
        return Ok(vec![Check::new("database", State::Failed, format!("{kind}: {error}")).hint(UNREACHABLE)]);
    }
    Ok(vec![
        database(control),
        records(control).await?,
        audit_log(control).await?,
        vault(control).await?,
        recovery_identity(control).await?,
        credentials(control).await?,
        keys(control).await?,
        budgets(control).await?,
        nodes(control).await?,
        tokens(control).await?,
        background(control).await?,
        prices(control),
    ])
}

fn database(control: &Control) -> Check {
    let kind = control.store().kind();
    match control.store().health() {
        Health::Sound => Check::new("database", State::Ok, format!("{kind}, sound")),
        Health::DiskFull => Check::new("database", State::Failed, format!("{kind}: the disk is full"))
            .hint("free space on the disk that holds the data folder"),
        Health::ReadOnly => {
            Check::new("database", State::Failed, format!("{kind}: it can only be read")).hint(READ_ONLY)
        }
        Health::Corrupt { detail } => Check::new("database", State::Failed, format!("{kind} is damaged: {detail}"))
            .hint("stop the server and restore the last backup: keyward restore"),
    }
}

async fn records(control: &Control) -> Answer<Check> {
    jobs::integrity::sweep(control).await?;
    let named: Vec<String> = control
        .tampered_rows()
        .values()
        .filter(|row| row.kind != tamper::LOG)
        .map(|row| format!("{} '{}' ({}): {}", row.kind, row.name, row.id, row.why))
        .collect();
    if named.is_empty() {
        let detail = "every record that grants power is the newest, as Keyward wrote it";
        return Ok(Check::new("records", State::Ok, detail));
    }
    let detail = format!("changed outside of Keyward and not used: {}", named.join("; "));
    Ok(Check::new("records", State::Failed, detail)
        .hint("find out who can write to the database; revoke these records and make them anew (of budgets: `keyward budget archive ID`, of rates: `keyward rate clear`), or restore a backup"))
}

async fn audit_log(control: &Control) -> Answer<Check> {
    control.audit_log_is_whole().await?;
    control.changed_audit_rows().await?;
    let wrong: Vec<String> =
        control.tampered_rows().values().filter(|row| row.kind == tamper::LOG).map(|row| row.why.clone()).collect();
    if wrong.is_empty() {
        return Ok(Check::new("audit log", State::Ok, "no row is missing, and each is as Keyward wrote it"));
    }
    Ok(Check::new("audit log", State::Failed, wrong.join("; ")).hint(
        "find out who can write to the database; look through keys, tokens and policies, or restore a backup from before",
    ))
}

async fn vault(control: &Control) -> Answer<Check> {
    let status = api::vault::vault_status(control).await?;
    let detail = format!("master key {}, {}", control.vault().master_id(), status.progress());
    Ok(match control.vault().memory() {
        MemoryKind::Ordinary => {
            Check::new("vault", State::Warning, format!("{detail}; the master key's memory is not locked"))
                .hint("raise the limit on locked memory: ulimit -l, or LimitMEMLOCK= in the systemd unit")
        }
        MemoryKind::Secret | MemoryKind::Locked => Check::new("vault", State::Ok, detail),
    })
}

async fn recovery_identity(control: &Control) -> Answer<Check> {
    let Some((row, holds)) = recovery::watch(control).await? else {
        let state = if control.settings().demo { State::Warning } else { State::Failed };
        return Ok(Check::new(
            "recovery",
            state,
            "there is no offline recovery identity: a lost master key would be final",
        )
        .hint("make one: keyward vault recovery create --output FILE"));
    };
    if !holds {
        return Ok(Check::new("recovery", State::Failed, format!("{}: {}", row.recipient, recovery::WHY)).hint(
            "find out who can write to the database, then: keyward vault recovery create --replace --output FILE",
        ));
    }
    if row.master_id != control.vault().master_id().to_string() {
        return Ok(Check::new(
            "recovery",
            State::Failed,
            "the recovery copy holds another master key than the one in use",
        )
        .hint("make it anew: keyward vault recovery create --replace --output FILE"));
    }
    Ok(match row.proven_at {
        Some(at) => Check::new("recovery", State::Ok, format!("{}, proven {}", row.recipient, times::show(at))),
        None => Check::new("recovery", State::Warning, format!("{}, never proven to work", row.recipient))
            .hint("prove it: keyward vault recovery prove --identity FILE"),
    })
}

async fn credentials(control: &Control) -> Answer<Check> {
    let rows = control.store().credentials(None).await?;
    let health = control.store().credential_healths().await?;
    let active: Vec<_> = rows.iter().filter(|row| row.status == ACTIVE).collect();
    let mut sick = Vec::new();
    for row in &active {
        let known = health.iter().find(|health| health.credential == row.id);
        if let Some(known) = known.filter(|known| known.state == "dead" || known.state == "no_money") {
            sick.push(format!("'{}' ({}): {}", row.name, row.provider, known.cause.as_deref().unwrap_or(&known.state)));
        } else if control.catalogue().provider(&row.provider).is_none() {
            sick.push(format!("'{}': the provider '{}' is not in the catalogue", row.name, row.provider));
        } else if control.store().credential_version(row.id, row.version).await?.is_none() {
            sick.push(format!("'{}': its secret is missing", row.name));
        }
    }
    if sick.is_empty() {
        return Ok(Check::new("credentials", State::Ok, format!("{} in use", active.len())));
    }
    Ok(Check::new("credentials", State::Failed, sick.join("; ")).hint("keyward credential list says what to do"))
}

async fn keys(control: &Control) -> Answer<Check> {
    let now = control.now();
    let (mut active, mut ending, mut unreadable) = (0_u64, Vec::new(), 0_u64);
    control
        .store()
        .each_key(None, |row| {
            let alive = row.status == KeyStatus::Active && row.expires_at.is_none_or(|end| end > now);
            active += u64::from(alive);
            unreadable += u64::from(decode_secrets(&row.secrets).is_none());
            if alive && row.expires_at.is_some_and(|end| end <= now + SOON) && ending.len() < 20 {
                ending.push(row.name);
            }
        })
        .await?;
    if unreadable > 0 {
        return Ok(Check::new("keys", State::Failed, format!("the secrets of {unreadable} keys cannot be read"))
            .hint("revoke them and make new ones, or restore a backup"));
    }
    if ending.is_empty() {
        return Ok(Check::new("keys", State::Ok, format!("{active} active")));
    }
    Ok(Check::new("keys", State::Warning, format!("{active} active; ending within a week: {}", ending.join(", ")))
        .hint("extend them: keyward key update NAME --expires 90d"))
}

/// Calls of a model without a price are refused where a budget holds: a provider without any is worth a word.
async fn budgets(control: &Control) -> Answer<Check> {
    let (mut active, mut everywhere, mut projects) = (0_u64, false, HashSet::new());
    let take = |row: BudgetRow| {
        if row.status == ACTIVE {
            active += 1;
            everywhere |= row.project.is_none();
            projects.extend(row.project);
        }
    };
    control.store().each_budget(take).await?;
    let priced: HashSet<&str> = control.catalogue().prices().all().iter().map(|price| &*price.provider).collect();
    let mut without: Vec<String> = control
        .store()
        .credentials(None)
        .await?
        .into_iter()
        .filter(|row| row.status == ACTIVE && (everywhere || projects.contains(&row.project)))
        .filter(|row| !priced.contains(row.provider.as_str()))
        .map(|row| row.provider)
        .collect();
    without.sort();
    without.dedup();
    if without.is_empty() {
        return Ok(Check::new("budgets", State::Ok, format!("{active} active")));
    }
    let detail = format!("{active} active; providers in use below them without any price: {}", without.join(", "));
    Ok(Check::new("budgets", State::Warning, detail)
        .hint("where a budget holds, calls without a price are refused: put prices into the configuration folder"))
}

/// Money that a silent node has set aside can be spent by nobody until it comes back, or is given up.
async fn nodes(control: &Control) -> Answer<Check> {
    let stands = control.store().node_stands().await?;
    let silent: Vec<String> = stands
        .iter()
        .filter(|stand| stand.leased > Money::ZERO && control.node_status(stand) == "silent")
        .map(|stand| {
            let (id, seen) = (crate::nodes::id(stand.node.incarnation), times::show(stand.node.seen_at));
            format!("{id}, last seen {seen}, has set {} USD aside", stand.leased)
        })
        .collect();
    if silent.is_empty() {
        return Ok(Check::new("nodes", State::Ok, format!("{} that spend from budgets", stands.len())));
    }
    let detail = format!("silent, with money that nobody else can spend: {}", silent.join("; "));
    Ok(Check::new("nodes", State::Warning, detail).hint(
        "start it again on its data folder, which gives back what it did not spend; if the folder is lost: keyward budget reclaim ID",
    ))
}

async fn tokens(control: &Control) -> Answer<Check> {
    let now = control.now();
    let rows = control.store().tokens().await?;
    let owners = rows.iter().filter(|row| {
        row.role == Role::Owner.name()
            && row.revoked_at.is_none()
            && row.expires_at.is_none_or(|end| end > now)
            && control.shows_sound(*row)
    });
    Ok(match owners.count() {
        0 => Check::new("tokens", State::Warning, "nobody owns this installation yet")
            .hint("open the set-up link that the server printed when it started"),
        1 => Check::new("tokens", State::Ok, "1 owner"),
        count => Check::new("tokens", State::Ok, format!("{count} owners")),
    })
}

async fn background(control: &Control) -> Answer<Check> {
    let now = control.now();
    let stuck: Vec<String> = control
        .store()
        .jobs()
        .await?
        .into_iter()
        .filter(|job| job.owner.is_some() && job.lease_until > 0 && job.lease_until < now)
        .map(|job| job.name)
        .collect();
    Ok(if stuck.is_empty() {
        Check::new("jobs", State::Ok, "the background jobs run")
    } else {
        Check::new("jobs", State::Warning, format!("began and did not end: {}", stuck.join(", ")))
            .hint("another run takes over; if this stays, look at the log")
    })
}

fn prices(control: &Control) -> Check {
    let version = &control.catalogue().prices().version;
    let date = version.get(..10).and_then(|text| times::moment(text).ok());
    match date {
        Some(date) if control.now().saturating_sub(date) > OLD => {
            Check::new("prices", State::Warning, format!("the price list is of {version}"))
                .hint("upgrade Keyward, or put newer prices into the configuration folder")
        }
        _ => Check::new("prices", State::Ok, format!("price list {version}")),
    }
}
