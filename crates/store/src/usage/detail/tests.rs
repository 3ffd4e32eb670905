use super::{decode, encode};
use keyward_domain::{
    CredentialId, Environment, KeyId, Money, ProjectId, RequestId,
    usage::{Buckets, CostBasis, Outcome, Units, Usage, UsageEvent},
};
use uuid::Uuid;

/// The value of [`call`] as the first form writes it. INVARIANT: never changed; rows that look like this are stored.
const FIRST: &str = "0101020304050607080980010801020304050607080503c803010c9001010101020100000000000000000000000000000001\
     0276310763757270312f31027231010001087072696f7269747900";

fn call() -> UsageEvent {
    UsageEvent {
        id: RequestId::from_uuid(Uuid::nil()),
        at: 0,
        key: KeyId::from_uuid(Uuid::nil()),
        project: ProjectId::from_uuid(Uuid::nil()),
        environment: Environment::Production,
        provider: "openai".into(),
        model: "m".into(),
        operation: "chat".into(),
        credential: CredentialId::from_uuid(Uuid::nil()),
        usage: Usage {
            buckets: Buckets {
                input: 1,
                cache_read: 2,
                cache_write: 3,
                cache_write_long: 4,
                output: 5,
                reasoning: 6,
                audio_input: 7,
                audio_output: 8,
                image_input: 9,
                image_output: 128,
            },
            units: Units {
                searches: 1,
                millis: 2,
                characters: 3,
                images: 4,
                pages: 5,
                preview_searches: 6,
                file_searches: 7,
                code_runs: 8,
            },
            provider_cost: Some(Money::from_nano(-1)),
            tier: Some("priority".into()),
            model: Some("m".into()),
            region: None,
        },
        cost: Money::from_nano(77),
        basis: CostBasis::Incomplete,
        price_version: "v1".into(),
        status: 456,
        outcome: Outcome::UpstreamLost,
        first_byte_us: 12,
        total_us: 144,
        client: "::1".parse().unwrap(),
        user_agent: "curp1/1".into(),
        secret_slot: 1,
        upstream_id: "r1".into(),
        held: Some(Money::from_nano(1)),
        leases: Vec::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_first_form_is_read_for_ever() {
    let value = encode(&call());
    assert_eq!(hex(&value), FIRST);
    let (call, read) = (call(), decode(&value, "m").unwrap());
    assert_eq!(
        (read.usage, read.basis, read.outcome, read.status),
        (call.usage, call.basis, call.outcome, call.status)
    );
    assert_eq!((read.first_byte_us, read.total_us, read.held), (call.first_byte_us, call.total_us, call.held));
    assert_eq!(
        (read.client, read.secret_slot, read.price_version),
        (call.client, call.secret_slot, call.price_version)
    );
    assert_eq!((read.user_agent, read.upstream_id), (call.user_agent, call.upstream_id));
}

#[test]
fn what_a_call_does_not_have_takes_little_room() {
    let call = UsageEvent { usage: Usage::default(), ..call() };
    assert!(encode(&call).len() < 60);
}

#[test]
fn a_damaged_value_is_no_value() {
    let value = encode(&call());
    for end in 0..value.len() {
        assert!(decode(&value[..end], "m").is_none(), "cut at {end}");
    }
    let longer = [&*value, &[0]].concat();
    assert!(decode(&longer, "m").is_none());
    let later = [&[2], &value[1..]].concat();
    assert!(decode(&later, "m").is_none(), "a later version's");
}
