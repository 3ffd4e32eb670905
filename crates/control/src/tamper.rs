//! What happens when a row's code does not hold: the row is not used, the log and the audit log say so, and the status
//! names it until it is mended.

use crate::{
    Control,
    error::{Answer, ApiError},
    integrity::{self, Guarded},
};
use keyward_domain::{Millis, audit::Actor};
use keyward_store::Change;
use serde::Serialize;
use serde_json::Value;

/// A row that was changed outside of Keyward.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct Tampered {
    /// The kind of record.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// Its name, as it stands in the row.
    pub name: String,
    /// When it was noticed, in RFC 3339.
    pub noticed_at: String,
    /// The code that did not hold, so that a second change is noticed as such.
    #[serde(skip)]
    code: Vec<u8>,
}

impl Control {
    /// Whether a row may be used. One that may not is reported.
    pub(crate) async fn trusts<R: Guarded + Sync>(&self, row: &R) -> bool {
        if integrity::holds(self.vault(), row) {
            self.tampered_rows().remove(&place(row));
            return true;
        }
        self.report_tampered(row).await;
        false
    }

    /// Refuses to build on a row that was changed outside of Keyward: writing it again would make it look right.
    pub(crate) async fn trusted<R: Guarded + Sync>(&self, row: &R) -> Answer<()> {
        if self.trusts(row).await {
            return Ok(());
        }
        Err(ApiError::conflict(
            "tampered",
            format!("the record of {} '{}' was changed outside of Keyward", R::KIND, row.name()),
        )
        .hint("revoke or archive it and make it anew, or restore a backup; `keyward doctor` lists such records"))
    }

    /// Logs, audits and remembers a row whose code does not hold, once for each state of the row.
    pub(crate) async fn report_tampered<R: Guarded + Sync>(&self, row: &R) {
        let now = self.now();
        if !self.remember(row, now) {
            return;
        }
        tracing::error!(
            kind = R::KIND,
            id = row.id(),
            name = row.name(),
            "this record was changed outside of Keyward: it is not used"
        );
        let change = Change {
            action: "tamper.detected".to_owned(),
            subject_kind: R::KIND.to_owned(),
            subject: row.id(),
            before: Value::Null,
            after: Value::Null,
            reason: Some("the code over the record does not hold".to_owned()),
        };
        let actor = Actor::System { part: "integrity".to_owned() };
        let written = async {
            let write = self.store().write(actor, None, now).await?;
            self.commit(write, vec![change]).await
        };
        if let Err(error) = written.await {
            tracing::error!(%error, "the audit log could not be told of a changed record");
        }
    }

    /// Remembers it; whether this state of the row is new.
    fn remember<R: Guarded>(&self, row: &R, now: Millis) -> bool {
        let found = Tampered {
            kind: R::KIND,
            id: row.id(),
            name: row.name().to_owned(),
            noticed_at: keyward_domain::times::show(now),
            code: row.fields().concat(),
        };
        let mut known = self.tampered_rows();
        let is_new = known.get(&place(row)).is_none_or(|known| known.code != found.code);
        if is_new {
            known.insert(place(row), found);
        }
        is_new
    }
}

fn place<R: Guarded>(row: &R) -> String {
    format!("{}/{}", R::KIND, row.id())
}
