use super::*;

fn open() -> Policy {
    Policy { providers: Some(vec!["openai".into()]), ..Policy::default() }
}

fn head() -> CallHead<'static> {
    CallHead {
        provider: "openai",
        operation: "chat",
        operation_default: true,
        client: IpAddr::from([127, 0, 0, 1]),
        country: None,
        body_bytes: None,
    }
}

fn reason(policy: &Policy, call: &CallHead<'_>) -> Option<Reason> {
    decide(policy, Environment::Production, call, 0).err().map(|refusal| refusal.reason)
}

#[test]
fn nothing_is_allowed_that_is_not_said() {
    assert_eq!(reason(&Policy::default(), &head()), Some(Reason::ProviderNotAllowed));
    assert_eq!(reason(&open(), &head()), None);
    assert_eq!(reason(&open(), &CallHead { operation_default: false, ..head() }), Some(Reason::OperationNotAllowed));
}

#[test]
fn a_star_of_operations_never_opens_the_dangerous_ones() {
    let policy = Policy { operations: Some(vec!["*".into()]), ..open() };
    assert_eq!(reason(&policy, &CallHead { operation_default: false, ..head() }), Some(Reason::OperationNotAllowed));
    let named = Policy { operations: Some(vec!["files".into()]), ..open() };
    let files = CallHead { operation: "files", operation_default: false, ..head() };
    assert_eq!(reason(&named, &files), None);
}

#[test]
fn each_condition_refuses_with_its_own_reason() {
    let cases = [
        (Policy { networks: Some(vec!["10.0.0.0/8".parse().unwrap()]), ..open() }, Reason::NetworkNotAllowed),
        (Policy { countries: Some(vec!["AT".into()]), ..open() }, Reason::CountryNotAllowed),
        (Policy { hours: Some("mon 00:00-24:00 UTC".parse().unwrap()), ..open() }, Reason::OutsideHours),
        (Policy { providers: Some(vec!["anthropic".into()]), ..open() }, Reason::ProviderNotAllowed),
        (Policy { operations: Some(vec!["embeddings".into()]), ..open() }, Reason::OperationNotAllowed),
    ];
    for (policy, expected) in cases {
        assert_eq!(reason(&policy, &head()), Some(expected));
    }
    let small = Policy { max_body_bytes: Some(10), ..open() };
    assert_eq!(reason(&small, &CallHead { body_bytes: Some(11), ..head() }), Some(Reason::BodyTooLarge));
    assert_eq!(reason(&small, &CallHead { body_bytes: Some(10), ..head() }), None);
}

#[test]
fn mapped_addresses_are_what_they_map_to() {
    let policy = Policy { networks: Some(vec!["127.0.0.0/8".parse().unwrap()]), ..open() };
    let mapped = CallHead { client: "::ffff:127.0.0.1".parse().unwrap(), ..head() };
    assert_eq!(reason(&policy, &mapped), None);
    let v6 = CallHead { client: "2001:db8::1".parse().unwrap(), ..head() };
    assert_eq!(reason(&policy, &v6), Some(Reason::NetworkNotAllowed));
}

#[test]
fn models_are_matched_by_glob_and_must_be_there() {
    let policy = Policy { models: Some(vec![Glob::new("gpt-*")]), ..open() };
    assert!(decide_model(&policy, Some("gpt-5.4")).is_ok());
    assert_eq!(decide_model(&policy, Some("o3")).unwrap_err().reason, Reason::ModelNotAllowed);
    assert_eq!(decide_model(&policy, None).unwrap_err().reason, Reason::MissingModel);
    assert_eq!(decide_model(&open(), Some("")).unwrap_err().reason, Reason::MissingModel);
}

#[test]
fn what_is_left_out_is_inherited() {
    let project = Policy { requests_per_minute: Some(60), concurrency: Some(8), ..open() };
    let key = Policy { requests_per_minute: Some(10), ..Policy::default() };
    let effective = key.inheriting(&project);
    assert_eq!((effective.requests_per_minute, effective.concurrency), (Some(10), Some(8)));
    assert_eq!(effective.providers, project.providers);
}

#[test]
fn a_policy_reads_back_as_written_and_refuses_unknown_fields() {
    let policy = Policy { hours: Some("mon-fri 08:00-18:00 UTC".parse().unwrap()), concurrency: Some(1), ..open() };
    let text = serde_json::to_string(&policy).unwrap();
    assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy);
    assert!(serde_json::from_str::<Policy>(r#"{"modells":["x"]}"#).is_err());
}

#[test]
fn a_hostile_model_name_is_cut_before_it_is_shown() {
    let policy = Policy { models: Some(vec![]), ..open() };
    let refusal = decide_model(&policy, Some(&"\u{1b}[31m".repeat(1000))).unwrap_err();
    assert!(refusal.message.len() < 200 && !refusal.message.contains('\u{1b}'));
}
