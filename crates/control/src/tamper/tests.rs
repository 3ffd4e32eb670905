use super::*;
use crate::lend::tests::open;
use keyward_domain::audit::Actor;
use keyward_store::{Change, RatesRow};

async fn written(control: &Control, mut row: RatesRow) -> RatesRow {
    let mut write = control.store().write(Actor::Operator, None, control.now()).await.unwrap();
    let before = control.renew(&write, &mut row).await.unwrap();
    if before == 0 {
        write.insert_rates(&row).await.unwrap();
    } else {
        write.update_rates(&row, before).await.unwrap();
    }
    let said = Change {
        action: "rates.set".to_owned(),
        subject_kind: RatesRow::KIND.to_owned(),
        subject: row.id(),
        before: Value::Null,
        after: Value::Null,
        reason: None,
        row_version: Some(row.row_version),
    };
    control.commit(write, vec![said]).await.unwrap();
    row
}

#[tokio::test]
async fn a_row_that_was_changed_since_it_was_read_is_read_anew_and_never_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (control, _) = open(&folder).await;
    let row = RatesRow {
        scope: "organisation".to_owned(),
        requests_per_minute: Some(1),
        tokens_per_minute: None,
        concurrency: None,
        updated_at: control.now(),
        row_version: 0,
        mac: Vec::new(),
    };
    let first = written(&control, row).await;
    let second = written(&control, RatesRow { requests_per_minute: Some(2), ..first.clone() }).await;
    assert_eq!(control.look(&first).await.unwrap(), Trust::Stale);
    assert_eq!(control.newest(first).await.unwrap(), Some(second.clone()));
    assert_eq!(control.newest(second.clone()).await.unwrap(), Some(second.clone()));
    assert!(control.tampered_rows().is_empty(), "nobody did anything wrong");
    let changed = RatesRow { requests_per_minute: Some(9), ..second };
    assert_eq!(control.newest(changed).await.unwrap(), None);
    assert_eq!(control.tampered_rows().len(), 1);
}
