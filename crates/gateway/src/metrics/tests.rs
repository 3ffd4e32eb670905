use super::*;
use keyward_domain::{
    CredentialId, Environment, KeyId, Money, ProjectId, RequestId,
    usage::{Buckets, CostBasis, Outcome, Usage},
};

fn event(provider: &str, status: u16, micros: u64) -> UsageEvent<&str> {
    UsageEvent {
        id: RequestId::new(0, [0; 10]),
        at: 0,
        key: KeyId::new(0, [0; 10]),
        project: ProjectId::new(0, [0; 10]),
        environment: Environment::Production,
        provider,
        model: "m",
        operation: "chat",
        credential: CredentialId::new(0, [0; 10]),
        usage: Usage { buckets: Buckets { input: 7, output: 3, ..Buckets::default() }, ..Usage::default() },
        cost: Money::ZERO,
        basis: CostBasis::Priced,
        price_version: "v",
        status,
        outcome: Outcome::Completed,
        first_byte_us: micros,
        total_us: micros * 2,
        client: [127, 0, 0, 1].into(),
        user_agent: "u",
        secret_slot: 0,
        upstream_id: "x",
        held: None,
        leases: Vec::new(),
    }
}

fn bank() -> Arc<Bank> {
    Bank::new(Arc::new(crate::test_lender::Ledger::default()))
}

#[test]
fn threads_cells_add_up_to_one_text() {
    let metrics = Metrics::new();
    let (one, two) = (metrics.local(), metrics.local());
    one.call(&event("openai", 200, 900));
    two.call(&event("openai", 200, 40_000));
    two.call(&event("anthropic", 529, 999_999_999));
    one.refused(Reason::UnknownKey);
    two.refused(Reason::UnknownKey);
    one.opened();
    two.opened();
    two.closed();
    one.bytes(10, 20);
    two.bytes(1, 2);
    let text = metrics.render(Depth { bytes: 77, full: true, lost: 0 }, &bank());
    for line in [
        "keyward_gateway_calls_total{provider=\"openai\",status=\"2xx\"} 2",
        "keyward_gateway_calls_total{provider=\"anthropic\",status=\"5xx\"} 1",
        "keyward_gateway_refusals_total{reason=\"unknown_key\"} 2",
        "keyward_gateway_refusals_total{reason=\"rate_limited\"} 0",
        "keyward_gateway_tokens_total{direction=\"input\"} 21",
        "keyward_gateway_body_bytes_total{direction=\"sent\"} 22",
        "keyward_gateway_open_calls 1",
        "keyward_gateway_journal_bytes 77",
        "keyward_gateway_journal_full 1",
        "keyward_gateway_holds_total 0",
        "keyward_gateway_lease_requests_total{answer=\"denied\"} 0",
        "keyward_gateway_budget_usd{budget=\"key\",state=\"held\"} 0",
        "keyward_gateway_first_byte_seconds_bucket{le=\"0.001\"} 1",
        "keyward_gateway_first_byte_seconds_bucket{le=\"0.05\"} 2",
        "keyward_gateway_first_byte_seconds_bucket{le=\"300\"} 2",
        "keyward_gateway_first_byte_seconds_bucket{le=\"+Inf\"} 3",
        "keyward_gateway_first_byte_seconds_count 3",
        "keyward_gateway_call_seconds_sum 2000.081798",
    ] {
        assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
    }
}

#[test]
fn every_line_is_a_comment_or_a_sample() {
    let text = Metrics::new().render(Depth::default(), &bank());
    for line in text.lines() {
        let sample = line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<f64>().is_ok());
        assert!(line.starts_with("# ") || sample, "{line}");
    }
}
