//! Says that this node is there, where others share its database: who looks at the nodes must be able to tell one that
//! makes no calls from one that is gone.

use super::job::{Job, Outcome};
use crate::Control;
use std::{sync::atomic::Ordering, time::Duration};

/// The job.
pub(super) const JOB: Job = Job {
    name: "seen",
    every: Duration::from_secs(30),
    lease: Duration::from_secs(30),
    on_every_node: true,
    run: |control| Box::pin(run(control)),
};

async fn run(control: &Control) -> Outcome {
    let Some(node) = control.node().filter(|node| !node.alone && control.node_begun().load(Ordering::Acquire)) else {
        return Ok("nobody looks".to_owned());
    };
    match control.store().see_node(node.incarnation, control.now()).await {
        Ok(true) => Ok("said".to_owned()),
        // Its end was noted: it stops.
        Ok(false) => Ok("it has ended".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
