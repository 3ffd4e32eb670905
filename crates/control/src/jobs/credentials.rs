//! Asks providers, now and then, whether credentials that were found dead have come back: somebody may have switched
//! them on again. The calls cost nothing.

use super::{MINUTE, job::Job};
use crate::{
    Control, api,
    health::{self, Finder},
    publish::ACTIVE,
};
use keyward_catalogue::probing::State;
use keyward_domain::audit::Actor;
use keyward_store::Error;

/// The job.
pub(super) const JOB: Job = Job {
    name: "credentials",
    every: MINUTE.saturating_mul(10),
    lease: MINUTE.saturating_mul(10),
    on_every_node: false,
    run: |control| Box::pin(async move { run(control).await.map_err(|error| error.to_string()) }),
};

async fn run(control: &Control) -> Result<String, Error> {
    let (mut asked, mut back) = (0, 0);
    for known in control.store().credential_healths().await? {
        if known.state != "dead" {
            continue;
        }
        let Some(row) = control.store().credential(known.credential).await? else { continue };
        if row.status != ACTIVE || !control.trusts(&row).await? {
            continue;
        }
        asked += 1;
        let Ok(verdict) = api::credentials::ask(control, &row).await else { continue };
        if verdict.state != State::Live {
            continue;
        }
        back += 1;
        if let Some(found) = health::of_check(&row, &verdict, control.now()) {
            let finder = Finder::asking(Actor::System { part: "health".to_owned() }, None);
            health::put(control, finder, &row, found).await?;
        }
    }
    Ok(format!("{asked} dead credentials asked, {back} are back"))
}
