//! Usage: every event is kept whole and counts exactly once.

use crate::{
    bed::Bed,
    rows::{self, MIDNIGHT, NOW},
};
use keyward_domain::{
    Environment, KeyId, Millis, Money,
    budget::LeaseId,
    usage::{CostBasis, Outcome, OwnedObject, Usage, UsageEvent},
};
use keyward_store::{
    Batch, Collected, DAY, Group, GroupBy, HOUR, Position, Store, Totals, UsageFilter, UsageLine, UsageQuery,
};
use std::collections::HashMap;
use uuid::Uuid;

fn batch(usage: Vec<UsageEvent>) -> Batch {
    Batch { usage, ..Batch::default() }
}

async fn lines(store: &Store, by: GroupBy, since: Millis, until: Millis, filter: UsageFilter) -> Vec<UsageLine> {
    store.usage(&UsageQuery { by, since, until, filter }).await.unwrap()
}

/// The sum over everything.
async fn total(store: &Store) -> Totals {
    let mut sum = Totals::default();
    for line in lines(store, GroupBy::Day, 0, i64::MAX, UsageFilter::default()).await {
        sum.add(&line.totals);
    }
    sum
}

pub(crate) async fn every_field_of_a_call_comes_back(bed: Bed) {
    let store = bed.store().await;
    let mut calls: Vec<UsageEvent> = (0..300_u32)
        .map(|number| UsageEvent { key: rows::key_id(1), ..rows::call(number, NOW + i64::from(number)) })
        .collect();
    // Of three days, and with whatever a field may hold.
    calls[0].at = NOW - 2 * DAY;
    calls[0].id = rows::request_id(calls[0].at, 0);
    calls[1].usage = Usage::default();
    calls[2].usage.model = Some((*calls[2].model).into());
    calls[3].client = "2001:db8::1".parse().unwrap();
    calls[4].at = NOW - DAY;
    calls[4].id = rows::request_id(calls[4].at, 4);
    for (call, basis) in calls.iter_mut().skip(5).zip([
        CostBasis::Provider,
        CostBasis::Estimated,
        CostBasis::Free,
        CostBasis::Unpriced,
        CostBasis::Incomplete,
    ]) {
        call.basis = basis;
    }
    for (call, outcome) in calls.iter_mut().skip(10).zip([
        Outcome::ProviderError,
        Outcome::ClientGone,
        Outcome::UpstreamLost,
        Outcome::Cut,
        Outcome::Lost,
    ]) {
        call.outcome = outcome;
    }
    calls[20].environment = Environment::Development;
    calls[21].usage.provider_cost = Some(Money::from_nano(-1));
    calls[22].user_agent = "".into();
    (calls[23].held, calls[23].leases) = (Some(Money::from_nano(7)), vec![LeaseId(1), LeaseId(u64::MAX >> 1)]);
    calls[24].held = Some(Money::ZERO);
    let done = store.collect(&batch(calls.clone())).await.unwrap();
    assert_eq!(done, Collected { inserted: 300, unknown_leases: 2, ..Collected::default() });
    // One of another key does not show.
    let other = UsageEvent { key: rows::key_id(2), ..rows::call(900, NOW) };
    store.collect(&batch(vec![other])).await.unwrap();
    calls.sort_by_key(|call| std::cmp::Reverse(call.id));
    let mut read: Vec<UsageEvent> = Vec::new();
    loop {
        let before = read.last().map(|call| call.id);
        let page = store.calls_of_key(rows::key_id(1), before, 70).await.unwrap();
        if page.is_empty() {
            break;
        }
        read.extend(page);
    }
    assert_eq!(read, calls);
    assert_eq!(store.usage_days().await.unwrap(), [MIDNIGHT, MIDNIGHT - DAY, MIDNIGHT - 2 * DAY]);
}

pub(crate) async fn totals_are_grouped_and_filtered(bed: Bed) {
    let store = bed.store().await;
    // Two days, three keys, two models: one call each half hour.
    let calls: Vec<UsageEvent> =
        (0..96_u32).map(|number| rows::call(number, MIDNIGHT + i64::from(number) * HOUR / 2)).collect();
    for part in calls.chunks(7) {
        store.collect(&batch(part.to_vec())).await.unwrap();
    }
    let all = UsageFilter::default;
    let expected = |keep: &dyn Fn(&UsageEvent) -> bool| {
        let mut sum = Totals::default();
        for call in calls.iter().filter(|call| keep(call)) {
            sum.requests += 1;
            sum.input += call.usage.buckets.input;
            sum.cost = sum.cost.saturating_add(call.cost);
        }
        (sum.requests, sum.input, sum.cost)
    };
    let short = |totals: &Totals| (totals.requests, totals.input, totals.cost);
    let end = MIDNIGHT + 2 * DAY;

    let by_key = lines(&store, GroupBy::Key, MIDNIGHT, end, all()).await;
    assert_eq!(by_key.len(), 3);
    for line in &by_key {
        let Group::Key(key) = line.group else { panic!("a key expected") };
        assert_eq!(short(&line.totals), expected(&|call| call.key == key));
    }
    let by_day = lines(&store, GroupBy::Day, MIDNIGHT, end, all()).await;
    let days: Vec<_> = by_day.iter().map(|line| (line.group.clone(), line.totals.requests)).collect();
    assert_eq!(days, [(Group::Day(MIDNIGHT), 48), (Group::Day(MIDNIGHT + DAY), 48)]);
    let by_model = lines(&store, GroupBy::Model, MIDNIGHT, end, all()).await;
    assert_eq!(by_model.len(), 2);
    assert!(
        by_model
            .iter()
            .any(|line| line.group == Group::Model { provider: "openai".to_owned(), model: "gpt-b".to_owned() })
    );
    for (by, groups) in [(GroupBy::Project, 2), (GroupBy::Credential, 1), (GroupBy::Operation, 1)] {
        assert_eq!(lines(&store, by, MIDNIGHT, end, all()).await.len(), groups, "{by:?}");
    }
    // Any range, day-aligned or not, agrees with the calls in its hours.
    for (since, until) in [(0, 48), (1, 48), (0, 47), (5, 6), (5, 29), (23, 25), (24, 48), (7, 7), (30, 10)] {
        let (from, to) = (MIDNIGHT + since * HOUR, MIDNIGHT + until * HOUR);
        let mut sum = Totals::default();
        for line in lines(&store, GroupBy::Project, from, to, all()).await {
            sum.add(&line.totals);
        }
        assert_eq!(short(&sum), expected(&|call| call.at >= from && call.at < to), "hours {since} to {until}");
    }
    let filters = [
        UsageFilter { project: Some(rows::project_id(1)), ..all() },
        UsageFilter { key: Some(rows::key_id(2)), model: Some("gpt-a".to_owned()), ..all() },
        UsageFilter { environment: Some(Environment::Staging), ..all() },
        UsageFilter { credential: Some(rows::credential_id(1)), provider: Some("openai".to_owned()), ..all() },
        UsageFilter { operation: Some("embeddings".to_owned()), ..all() },
    ];
    let keeps: [&dyn Fn(&UsageEvent) -> bool; 5] = [
        &|call| call.project == rows::project_id(1),
        &|call| call.key == rows::key_id(2) && &*call.model == "gpt-a",
        &|_| false,
        &|_| true,
        &|_| false,
    ];
    for (filter, keep) in filters.into_iter().zip(keeps) {
        let mut sum = Totals::default();
        for line in lines(&store, GroupBy::Operation, MIDNIGHT, end, filter).await {
            sum.add(&line.totals);
        }
        assert_eq!(short(&sum), expected(keep));
    }
    let sum = total(&store).await;
    // One search of either kind and six of the other.
    assert_eq!((sum.searches, sum.pages, sum.image_output, sum.total_us), (7 * 96, 480, 960, 384_000));
}

pub(crate) async fn an_event_counts_once(bed: Bed) {
    let store = bed.store().await;
    let calls: Vec<UsageEvent> = (0..200).map(|number| rows::call(number, NOW)).collect();
    store.collect(&batch(calls[..120].to_vec())).await.unwrap();
    // Some are new, some were stored, some come twice in the batch.
    let mut again = calls[100..].to_vec();
    again.extend_from_slice(&calls[150..160]);
    let done = store.collect(&batch(again)).await.unwrap();
    assert_eq!(done, Collected { inserted: 80, repeated: 30, ..Collected::default() });
    let done = store.collect(&batch(calls.clone())).await.unwrap();
    assert_eq!(done, Collected { repeated: 200, ..Collected::default() });
    let sum = total(&store).await;
    let input: u64 = calls.iter().map(|call| call.usage.buckets.input).sum();
    assert_eq!((sum.requests, sum.input, sum.cost), (200, input, Money::from_nano(200_000)));
    // Another process that has not seen the series goes on with the same ones.
    let fresh = bed.store().await;
    fresh.collect(&batch(vec![rows::call(500, NOW)])).await.unwrap();
    assert_eq!(lines(&fresh, GroupBy::Key, 0, i64::MAX, UsageFilter::default()).await.len(), 3);
    assert_eq!(total(&fresh).await.requests, 201);
    assert_eq!(store.collect(&Batch::default()).await.unwrap(), Collected::default());
}

pub(crate) async fn two_nodes_count_each_event_once(bed: Bed) {
    let nodes = [bed.store().await, bed.store().await, bed.store().await];
    let calls: Vec<UsageEvent> = (0..600_u32)
        .map(|number| {
            let mut call = rows::call(number, MIDNIGHT + i64::from(number % 5) * DAY);
            call.model = format!("model {}", number % 50).into();
            call
        })
        .collect();
    let mut tasks = tokio::task::JoinSet::new();
    for (index, node) in nodes.iter().enumerate() {
        // Each node brings two thirds of the calls, so that every call arrives twice.
        let (node, part) = (node.clone(), calls.iter().enumerate());
        let part: Vec<UsageEvent> =
            part.filter(|(number, _)| number % 3 != index).map(|(_, call)| call.clone()).collect();
        tasks.spawn(async move {
            let mut inserted = 0;
            for piece in part.chunks(90) {
                inserted += node.collect(&batch(piece.to_vec())).await.unwrap().inserted;
            }
            inserted
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().sum::<u64>(), 600);
    let sum = total(&nodes[0]).await;
    assert_eq!((sum.requests, sum.cost), (600, Money::from_nano(600_000)));
    let models = lines(&nodes[1], GroupBy::Model, 0, i64::MAX, UsageFilter::default()).await;
    assert_eq!(models.iter().map(|line| line.totals.requests).collect::<Vec<_>>(), [12; 50]);
}

pub(crate) async fn hostile_values_do_no_harm(bed: Bed) {
    let store = bed.store().await;
    let mut calls: Vec<UsageEvent> = (0..4).map(|number| rows::call(number, NOW)).collect();
    for call in &mut calls {
        call.usage.buckets.input = u64::MAX;
        call.usage.units.characters = u64::MAX;
        call.cost = Money::from_nano(i64::MAX);
        call.model = "a\0b'; drop table keys; --".into();
        call.user_agent = "\0".into();
        call.usage.model = Some("\0".into());
    }
    calls[1].at = i64::MAX;
    calls[2].at = i64::MIN;
    calls[3].at = -1;
    for _ in 0..2 {
        store.collect(&batch(calls.clone())).await.unwrap();
    }
    let sum = total(&store).await;
    assert_eq!(sum.requests, 4);
    assert_eq!((sum.input, sum.cost.nano()), (4_000_000_000_000_000, 4_000_000_000_000_000));
    let days = store.usage_days().await.unwrap();
    assert_eq!((days.len(), days[2]), (3, 0), "far-off times fall into the first or last day");
    let read = store.calls_of_key(calls[0].key, None, 10).await.unwrap();
    assert_eq!(&*read[0].model, "a\u{FFFD}b'; drop table keys; --");
    assert_eq!(store.count_keys().await.unwrap(), 0, "the table is there");
}

pub(crate) async fn retention_drops_days_and_keeps_totals(bed: Bed) {
    let (store, node) = (bed.store().await, bed.store().await);
    for day in 0..4 {
        store.collect(&batch(vec![rows::call(day, MIDNIGHT + i64::from(day) * DAY + 5)])).await.unwrap();
        node.collect(&batch(vec![rows::call(10 + day, MIDNIGHT + i64::from(day) * DAY + 5)])).await.unwrap();
    }
    let mut write = rows::begin(&store).await;
    // In the middle of the third day: the first two are over.
    let dropped = write.drop_usage_days(MIDNIGHT + 2 * DAY + HOUR).await.unwrap();
    assert_eq!(dropped.len(), 2);
    rows::commit(write).await;
    assert_eq!(store.usage_days().await.unwrap(), [MIDNIGHT + 3 * DAY, MIDNIGHT + 2 * DAY]);
    assert_eq!(total(&store).await.requests, 8);
    assert_eq!(store.calls_of_key(rows::key_id(0), None, 10).await.unwrap().len(), 2);
    // A late call of a dropped day, at a node that still believes in its table.
    node.collect(&batch(vec![rows::call(30, MIDNIGHT + 7)])).await.unwrap();
    assert_eq!(total(&node).await.requests, 9);
    assert_eq!(store.usage_days().await.unwrap().len(), 3);
    // Undone with the write.
    let mut write = rows::begin(&store).await;
    assert_eq!(write.drop_usage_days(MIDNIGHT + 9 * DAY).await.unwrap().len(), 3);
    drop(write);
    assert_eq!(store.usage_days().await.unwrap().len(), 3);
    assert_eq!(store.calls_of_key(rows::key_id(0), None, 10).await.unwrap().len(), 3);
}

pub(crate) async fn objects_positions_and_last_use(bed: Bed) {
    let store = bed.store().await;
    let object = OwnedObject {
        provider: "openai".into(),
        object: "file-1".into(),
        kind: "file".into(),
        project: rows::project_id(0),
        key: rows::key_id(1),
        credential: rows::credential_id(1),
        at: NOW,
    };
    let thief = OwnedObject { key: rows::key_id(2), ..object.clone() };
    let position = |stream: &str, seq| Position { stream: stream.to_owned(), seq };
    let mut events = batch(vec![rows::call(1, NOW + 10), rows::call(2, NOW)]);
    events.objects = vec![object.clone(), thief];
    events.positions = vec![position("a", 7), position("b", u64::try_from(i64::MAX).unwrap())];
    store.collect(&events).await.unwrap();
    store.collect(&Batch { positions: vec![position("a", 3)], ..Batch::default() }).await.unwrap();
    assert_eq!(store.object("openai", "file-1").await.unwrap(), Some(object.clone()), "the first owner stays");
    assert_eq!(store.object("openai", "file-2").await.unwrap(), None);
    let mut seen = Vec::new();
    store.each_object(|object| seen.push(object)).await.unwrap();
    assert_eq!(seen, [object]);
    assert_eq!(store.journal_positions().await.unwrap()[0], position("a", 7), "never back");
    store.forget_journal("b").await.unwrap();
    assert_eq!(store.journal_positions().await.unwrap().len(), 1);

    let token = Uuid::from_u128(77);
    store.note_used(&[(token, 5), (token, 9), (token, 6)]).await.unwrap();
    store.note_used(&[(token, 1)]).await.unwrap();
    let ids: Vec<Uuid> =
        [rows::key_id(1), rows::key_id(2), rows::key_id(3)].map(KeyId::uuid).into_iter().chain([token]).collect();
    let expected = HashMap::from([(ids[0], NOW + 10), (ids[1], NOW), (token, 9)]);
    assert_eq!(store.last_used(&ids).await.unwrap(), expected);
    assert_eq!(store.last_used(&[]).await.unwrap(), HashMap::new());
    let mut write = rows::begin(&store).await;
    assert_eq!(write.forget_objects(NOW + 1).await.unwrap(), 1);
    rows::commit(write).await;
    assert_eq!(store.object("openai", "file-1").await.unwrap(), None);
}
