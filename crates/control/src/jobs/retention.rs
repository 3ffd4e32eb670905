//! Drops the single calls of days that are older than the settings keep them; hourly and daily sums stay.

use super::{MINUTE, job::Job};
use crate::Control;
use keyward_domain::{audit::Actor, times};
use keyward_store::{Change, Error};
use serde_json::{Value, json};

/// The job.
pub(super) const JOB: Job = Job {
    name: "retention",
    every: MINUTE.saturating_mul(60),
    lease: MINUTE.saturating_mul(30),
    on_every_node: false,
    run: |control| Box::pin(async move { run(control).await.map_err(|error| error.to_string()) }),
};

async fn run(control: &Control) -> Result<String, Error> {
    let before = control.now().saturating_sub(control.settings().retention);
    let days = control.store().usage_days().await?;
    // A day is old when its end is.
    if !days.iter().any(|day| day.saturating_add(keyward_store::DAY) <= before) {
        return Ok("nothing to drop".to_owned());
    }
    let actor = Actor::System { part: "retention".to_owned() };
    let mut write = control.store().write(actor, None, control.now()).await?;
    let dropped = write.drop_usage_days(before).await?;
    let shown: Vec<String> = dropped.iter().map(|day| times::show(*day)).collect();
    let said = Change {
        action: "usage.retention".to_owned(),
        subject_kind: "usage".to_owned(),
        subject: "usage".to_owned(),
        before: json!({"days": shown}),
        after: Value::Null,
        reason: None,
        row_version: None,
    };
    control.commit(write, vec![said]).await?;
    Ok(format!("{} days dropped", dropped.len()))
}
