//! Budgets and shared rates: what is written is read, byte for byte, and lists show what was asked for.

use crate::{bed::Bed, rows};
use keyward_domain::{BudgetId, Environment, Money, budget::Scope};
use keyward_store::{BudgetFilter, BudgetRow, Error, RatesRow};
use serde_json::json;

pub(crate) async fn budgets_are_listed_by_scope_and_state(bed: Bed) {
    let store = bed.store().await;
    rows::furnish(&store).await;
    let all: Vec<BudgetRow> = (0..8).map(rows::budget).collect();
    let mut write = rows::begin(&store).await;
    for row in &all {
        write.insert_budget(row).await.unwrap();
    }
    rows::commit(write).await;
    let scopes: Vec<Option<Scope>> = all.iter().take(4).map(BudgetRow::scope).collect();
    let project = rows::project_id(0);
    assert_eq!(
        scopes,
        [
            Scope::Organisation,
            Scope::Project(project),
            Scope::Environment(project, Environment::Staging),
            Scope::Key(rows::key_id(2))
        ]
        .map(Some)
    );
    assert_eq!(store.budget(all[5].id).await.unwrap().as_ref(), Some(&all[5]));
    assert_eq!(all[5].limit(), Money::from_nano(i64::MAX - 5));
    let mut seen = Vec::new();
    store.each_budget(|row| seen.push(row)).await.unwrap();
    seen.sort_by_key(|row| row.id);
    assert_eq!(seen, all);
    let listed = async |filter: BudgetFilter, after: Option<BudgetId>, limit: u32| -> Vec<usize> {
        let rows = store.budgets(&filter, after, limit).await.unwrap();
        rows.iter().map(|row| all.iter().position(|one| one == row).unwrap()).collect()
    };
    let of = || BudgetFilter { project: Some(project), ..BudgetFilter::default() };
    assert_eq!(listed(BudgetFilter::default(), None, 3).await, [0, 1, 2]);
    assert_eq!(listed(BudgetFilter::default(), Some(all[2].id), 100).await, [3, 4, 5, 6, 7]);
    assert_eq!(listed(of(), None, 100).await, [1, 2, 3, 5, 6, 7]);
    let staging = BudgetFilter { environment: Some(Environment::Staging), ..of() };
    assert_eq!(listed(staging.clone(), None, 100).await, [2, 3, 6, 7]);
    let active = BudgetFilter { scope: Some("environment".to_owned()), status: Some("active".to_owned()), ..staging };
    assert_eq!(listed(active, None, 100).await, [2]);
    let of_key = BudgetFilter { key: Some(rows::key_id(2)), ..BudgetFilter::default() };
    assert_eq!(listed(of_key, None, 100).await, [3, 7]);
    let other = BudgetFilter { project: Some(rows::project_id(1)), ..BudgetFilter::default() };
    assert_eq!(listed(other, None, 100).await, Vec::<usize>::new());

    // What stands between columns where many rows are read, may stand in a value all the same.
    let changed = BudgetRow { amount: 1, thresholds: "\u{1f}".to_owned(), row_version: 2, ..all[1].clone() };
    let mut write = rows::begin(&store).await;
    write.update_budget(&changed, 1).await.unwrap();
    rows::commit(write).await;
    assert_eq!(store.budget(changed.id).await.unwrap(), Some(changed.clone()));
    let mut seen = Vec::new();
    store.each_budget(|row| seen.push(row)).await.unwrap();
    assert!(seen.len() == all.len() && seen.contains(&changed), "{seen:?}");
    let mut write = rows::begin(&store).await;
    assert!(matches!(write.update_budget(&changed, 1).await, Err(Error::Stale { .. })));
    drop(write);
    let mut write = rows::begin(&store).await;
    let lost = BudgetRow { id: BudgetId::new(9, [9; 10]), key: Some(rows::key_id(99)), ..all[3].clone() };
    assert!(matches!(write.insert_budget(&lost).await, Err(Error::Dangling { .. })));
}

pub(crate) async fn rates_of_scopes(bed: Bed) {
    let store = bed.store().await;
    rows::furnish(&store).await;
    let project = RatesRow::name_of(Scope::Project(rows::project_id(0))).unwrap();
    assert_eq!(RatesRow::scope_of(&project), Some(Scope::Project(rows::project_id(0))));
    assert_eq!(RatesRow::name_of(Scope::Key(rows::key_id(0))), None);
    let (everybody, theirs) = (rows::rates("organisation"), rows::rates(&project));
    let mut write = rows::begin(&store).await;
    write.insert_rates(&everybody).await.unwrap();
    write.insert_rates(&theirs).await.unwrap();
    rows::commit(write).await;
    assert_eq!(store.rates(&project).await.unwrap(), Some(theirs.clone()));
    assert_eq!(store.rates("nobody").await.unwrap(), None);
    assert_eq!(store.all_rates().await.unwrap().len(), 2);
    let clear = RatesRow {
        requests_per_minute: None,
        tokens_per_minute: Some(u64::MAX >> 1),
        row_version: 2,
        ..theirs.clone()
    };
    let mut write = rows::begin(&store).await;
    write.update_rates(&clear, 1).await.unwrap();
    rows::commit(write).await;
    assert_eq!(store.rates(&project).await.unwrap(), Some(clear));
    let mut write = rows::begin(&store).await;
    assert!(matches!(write.insert_rates(&theirs).await, Err(Error::Taken { .. })));
}

pub(crate) async fn the_last_change_of_a_record_is_told(bed: Bed) {
    let store = bed.store().await;
    for version in 1..4 {
        let mut change = rows::change("budget.update", "b1");
        change.row_version = Some(version);
        change.after = json!({"version": version});
        rows::begin(&store).await.commit(vec![change]).await.unwrap();
    }
    let last = store.last_audit("budget", "b1").await.unwrap().unwrap();
    assert_eq!((last.after, last.holds), (json!({"version": 3}), true));
    assert!(store.last_audit("budget", "b2").await.unwrap().is_none());
    bed.tamper("update audit set after = '{}' where row_version = 3").await;
    assert!(!store.last_audit("budget", "b1").await.unwrap().unwrap().holds);
}
