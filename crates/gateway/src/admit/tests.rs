use super::*;
use crate::tables::{
    Tables,
    tests::{credential, grant, inbound_of, key, open_policy, project, route, tables},
};
use keyward_domain::{
    Environment, KeyId,
    glob::Glob,
    grant::{Grant, SecretSlot},
    snapshot::{RouteCredential, Update},
    usage::OwnedObject,
};

fn call(tables: &Tables, inbound: &Inbound, now: Millis) -> Result<Admission, Refusal> {
    admit(&tables.load(), inbound, |_| Some(*b"AT"), Some(100), now)
}

fn chat() -> Inbound {
    inbound_of("POST", "/openai/v1/chat/completions")
}

fn facts(model: &str) -> Facts {
    Facts { model: Some(model.into()), input_bytes: 400, output_cap: Some(100), ..Facts::default() }
}

#[test]
fn every_rule_of_the_policy_is_asked_and_nothing_is_allowed_that_is_not_said() {
    let cases: [(Policy, Option<Reason>); 10] = [
        (open_policy(), None),
        (Policy::default(), Some(Reason::ProviderNotAllowed)),
        (
            Policy { networks: Some(vec!["10.0.0.0/8".parse().unwrap()]), ..open_policy() },
            Some(Reason::NetworkNotAllowed),
        ),
        (Policy { networks: Some(vec!["127.0.0.0/8".parse().unwrap()]), ..open_policy() }, None),
        (Policy { countries: Some(vec!["DE".into()]), ..open_policy() }, Some(Reason::CountryNotAllowed)),
        (Policy { countries: Some(vec!["AT".into()]), ..open_policy() }, None),
        (Policy { hours: Some("mon 00:00-24:00 UTC".parse().unwrap()), ..open_policy() }, Some(Reason::OutsideHours)),
        (Policy { operations: Some(vec!["embeddings".into()]), ..open_policy() }, Some(Reason::OperationNotAllowed)),
        (Policy { max_body_bytes: Some(99), ..open_policy() }, Some(Reason::BodyTooLarge)),
        (Policy { concurrency: Some(0), ..open_policy() }, Some(Reason::ConcurrencyLimited)),
    ];
    for (policy, expected) in cases {
        let tables = tables(vec![grant(1, policy.clone())]);
        let got = call(&tables, &chat(), 0).err().map(|refusal| refusal.reason);
        assert_eq!(got, expected, "{policy:?}");
    }
}

#[test]
fn the_country_is_asked_for_only_when_it_matters() {
    let tables = tables(vec![grant(1, open_policy())]);
    let never = |_| -> Option<[u8; 2]> { panic!("nobody needs the country") };
    assert!(admit(&tables.load(), &chat(), never, None, 0).is_ok());
}

#[test]
fn only_the_right_secret_of_a_living_key_opens() {
    let states: [(Grant, Option<Reason>); 5] = [
        (grant(1, open_policy()), None),
        (grant(2, open_policy()), Some(Reason::UnknownKey)),
        (Grant { revoked: true, ..grant(1, open_policy()) }, Some(Reason::RevokedKey)),
        (Grant { expires_at: Some(1_000), ..grant(1, open_policy()) }, Some(Reason::ExpiredKey)),
        (
            Grant { secrets: vec![SecretSlot { hash: key(3).hash, until: None }], ..grant(1, open_policy()) },
            Some(Reason::UnknownKey),
        ),
    ];
    for (grant, expected) in states {
        let tables = tables(vec![grant]);
        assert_eq!(call(&tables, &chat(), 1_000).err().map(|refusal| refusal.reason), expected);
    }
    let rotated = Grant {
        secrets: vec![
            SecretSlot { hash: key(3).hash, until: None },
            SecretSlot { hash: key(1).hash, until: Some(2_000) },
        ],
        ..grant(1, open_policy())
    };
    let tables = tables(vec![rotated]);
    assert_eq!(call(&tables, &chat(), 1_999).expect("the old secret still opens").slot, 1);
    assert_eq!(call(&tables, &chat(), 2_000).unwrap_err().reason, Reason::ExpiredKey);
}

#[test]
fn rates_and_calls_at_once_are_held_and_given_back() {
    let policy = Policy { requests_per_minute: Some(2), concurrency: Some(1), ..open_policy() };
    let tables = tables(vec![grant(1, policy)]);
    let first = call(&tables, &chat(), 0).expect("one");
    let second = call(&tables, &chat(), 0).unwrap_err();
    assert_eq!((second.reason, second.retry_after_ms), (Reason::ConcurrencyLimited, Some(1_000)));
    drop(first);
    call(&tables, &chat(), 0).map(drop).expect("two: the refused call cost nothing of the rate");
    let third = call(&tables, &chat(), 0).unwrap_err();
    assert_eq!((third.reason, third.retry_after_ms), (Reason::RateLimited, Some(30_000)));
    let entry = tables.load().grant(&key(1).public_id).cloned().unwrap();
    assert_eq!(entry.live.in_flight(), 0, "a call refused by the rate is not left open");
}

#[test]
fn tokens_are_set_aside_and_put_right() {
    let policy = Policy { tokens_per_minute: Some(300), ..open_policy() };
    let tables = tables(vec![grant(1, policy)]);
    let pass = |now| call(&tables, &chat(), now)?.decide(&chat(), &facts("m"), tables.objects(), now);
    let mut first = pass(0).expect("200 of 300");
    let refusal = pass(0).unwrap_err();
    assert_eq!((refusal.reason, refusal.retry_after_ms), (Reason::TokensLimited, Some(20_000)));
    first.settle_tokens(10);
    drop(first);
    drop(pass(0).expect("190 came back"));
    assert!(pass(0).is_err(), "a call that was dropped keeps its estimate");
    let huge = Facts { output_cap: Some(1_000), ..facts("m") };
    let refusal = call(&tables, &chat(), 0).unwrap().decide(&chat(), &huge, tables.objects(), 0).unwrap_err();
    assert_eq!((refusal.reason, refusal.retry_after_ms), (Reason::TokensLimited, None));
}

#[test]
fn the_model_is_decided_before_the_credential() {
    let policy = Policy { models: Some(vec![Glob::new("gpt-*")]), ..open_policy() };
    let tables = tables(vec![grant(1, policy)]);
    let decide = |inbound: &Inbound, facts: &Facts| {
        call(&tables, inbound, 0)
            .unwrap()
            .decide(inbound, facts, tables.objects(), 0)
            .err()
            .map(|refusal| refusal.reason)
    };
    assert_eq!(decide(&chat(), &facts("gpt-5.4")), None);
    assert_eq!(decide(&chat(), &facts("o3")), Some(Reason::ModelNotAllowed));
    assert_eq!(decide(&chat(), &Facts::default()), Some(Reason::MissingModel));
    let models = inbound_of("GET", "/openai/v1/models");
    assert_eq!(decide(&models, &Facts::default()), None, "an operation without a model needs none");
    let form = inbound_of("POST", "/openai/v1/audio/transcriptions");
    assert_eq!(decide(&form, &Facts::default()), None, "a form names its model while it streams");
    let socket = inbound_of("GET", "/openai/v1/realtime?x=1");
    assert_eq!(decide(&socket, &Facts::default()), Some(Reason::MissingModel), "this one names it in its query");
}

fn object(id: &str, project_seed: u8, credential: u8) -> OwnedObject {
    OwnedObject {
        provider: "openai".into(),
        object: id.into(),
        kind: "file".into(),
        project: project(project_seed),
        key: KeyId::new(1, [1; 10]),
        credential: CredentialId::new(1, [credential; 10]),
        at: 0,
    }
}

#[test]
fn objects_of_others_do_not_exist_and_own_ones_pin_their_credential() {
    let policy = Policy { operations: Some(vec!["files".into(), "chat".into()]), ..open_policy() };
    let tables = tables(vec![grant(1, policy)]);
    let objects = tables.objects();
    objects.record(&object("mine", 1, 7));
    objects.record(&object("mine-too", 1, 8));
    objects.record(&object("theirs", 2, 7));
    let get = |id: &str| {
        let inbound = inbound_of("GET", &format!("/openai/v1/files/{id}"));
        call(&tables, &inbound, 0).unwrap().decide(&inbound, &Facts::default(), objects, 0)
    };
    assert_eq!(get("mine").expect("own").pinned, Some(object("", 1, 7).credential));
    assert_eq!(get("theirs").unwrap_err().reason, Reason::ObjectNotFound);
    assert_eq!(get("nobodys").unwrap_err().reason, Reason::ObjectNotFound);
    let refer = |ids: &[&str]| {
        let facts = Facts { references: ids.iter().map(|id| (*id).into()).collect(), ..facts("m") };
        call(&tables, &chat(), 0).unwrap().decide(&chat(), &facts, objects, 0).map(|pass| pass.pinned)
    };
    assert_eq!(refer(&["", "https://example.com/x.png"]), Ok(None));
    assert_eq!(refer(&["mine", "files/mine"]), Ok(Some(object("", 1, 7).credential)));
    assert_eq!(refer(&["mine", "theirs"]).unwrap_err().reason, Reason::ObjectNotFound);
    assert_eq!(refer(&["mine", "mine-too"]).unwrap_err().reason, Reason::ObjectNotFound);
}

fn candidates(
    credentials: Vec<RouteCredential>,
    pinned: Option<u8>,
    now: Millis,
    pick: u64,
) -> Result<Vec<u8>, Reason> {
    let tables = tables(vec![grant(1, open_policy())]);
    tables.apply(Update::Routes(vec![route(credentials)]));
    let mut pass = call(&tables, &chat(), 0).unwrap().decide(&chat(), &facts("m"), tables.objects(), 0).unwrap();
    pass.pinned = pinned.map(|seed| credential(seed, 0, 1).id);
    let list = pass.candidates(&tables.load(), &chat(), now, pick).map_err(|refusal| refusal.reason)?;
    Ok(list.iter().map(|entry| entry.route.sealed.as_bytes()[0]).collect())
}

#[test]
fn credentials_are_tried_by_order_and_shared_by_weight() {
    assert_eq!(candidates(vec![credential(1, 2, 1), credential(2, 1, 1)], None, 0, 0), Ok(vec![2, 1]));
    assert_eq!(candidates(vec![], None, 0, 0), Err(Reason::NoCredential));
    let resting = RouteCredential { out_until: Some(1_000), ..credential(1, 0, 1) };
    assert_eq!(candidates(vec![resting.clone(), credential(2, 1, 1)], None, 999, 0), Ok(vec![2]));
    assert_eq!(candidates(vec![resting.clone(), credential(2, 1, 1)], None, 1_000, 0), Ok(vec![1, 2]));
    assert_eq!(candidates(vec![resting.clone()], None, 0, 0), Err(Reason::NoCredential));
    assert_eq!(candidates(vec![credential(1, 0, 1), credential(2, 0, 1)], Some(2), 0, 0), Ok(vec![2]));
    assert_eq!(candidates(vec![resting, credential(2, 0, 1)], Some(1), 0, 0), Err(Reason::NoCredential));
    let mut first = [0; 3];
    for pick in 0..400 {
        let list =
            candidates(vec![credential(1, 0, 1), credential(2, 0, 3), credential(3, 9, 9)], None, 0, pick).unwrap();
        assert_eq!(list.len(), 3);
        assert_eq!(list[2], 3, "a higher order comes last whatever its weight");
        first[usize::from(list[0]) - 1] += 1;
    }
    assert!((60..=140).contains(&first[0]) && first[0] + first[1] == 400, "one in four: {first:?}");
}

#[test]
fn a_revoked_key_cuts_an_admitted_call() {
    let tables = tables(vec![grant(1, open_policy())]);
    let pass = call(&tables, &chat(), 0).unwrap().decide(&chat(), &facts("m"), tables.objects(), 0).unwrap();
    assert!(!pass.is_cut());
    tables.apply(Update::Grants(vec![Grant { revoked: true, ..grant(1, open_policy()) }]));
    assert!(pass.is_cut());
    assert_eq!(call(&tables, &chat(), 0).unwrap_err().reason, Reason::RevokedKey);
    assert_eq!(pass.grant.grant.environment, Environment::Production);
}
