//! What is asked, in which order, and what follows from the answers.

use super::*;
use crate::Catalogue;
use keyward_domain::provider::{Cause, Fact};
use std::collections::BTreeMap;

const SECRET: &[u8] = b"sk-none-0123456789abcdef";

fn with<T>(id: &str, test: impl FnOnce(&Provider) -> T) -> T {
    test(Catalogue::embedded().unwrap().provider(id).unwrap())
}

fn target(provider: &Provider) -> Target<'_> {
    Target { provider, base_url: "https://api.test/v1/", own: false }
}

fn hear(inquiry: &mut Inquiry<'_>, status: u16, body: &str) {
    let headers = BTreeMap::from([("openai-organization".into(), "org-x".into())]);
    let answer = Answer { status: Some(status), content_type: "application/json", headers: &headers, body };
    inquiry.heard(answer, SECRET);
}

/// The verdict after these answers, all of which must have been asked for.
fn verdict(id: &str, depth: Depth<'_>, answers: &[(u16, &str)]) -> Verdict {
    with(id, |provider| {
        let mut inquiry = Inquiry::new(target(provider), depth).unwrap();
        for (status, body) in answers {
            assert!(inquiry.next().is_some(), "{id}: nothing more was asked");
            hear(&mut inquiry, *status, body);
        }
        assert_eq!(inquiry.next().map(|question| question.url), None, "{id}");
        inquiry.verdict()
    })
}

#[test]
fn one_answer_is_enough_for_a_living_key() {
    let found = verdict("openai", Depth::default(), &[(200, r#"{"data":[{"id":"a"},{"id":"b"}]}"#)]);
    assert_eq!((found.state, found.usable, found.cause), (State::Live, Some(true), Cause::Healthy));
    assert_eq!(found.facts.of(Fact::Models), ["a", "b"]);
    assert_eq!(found.facts.of(Fact::Organization), ["org-x"]);
    assert!(found.notes[0].contains("for free"), "{found:?}");
}

#[test]
fn a_question_has_everything_but_the_secret() {
    with("anthropic", |provider| {
        let depth = Depth { model: Some("cl\"aude/x y"), ..Depth::default() };
        let mut inquiry = Inquiry::new(target(provider), depth).unwrap();
        let question = inquiry.next().unwrap();
        assert_eq!((question.method, &*question.url), ("GET", "https://api.test/v1/v1/models?limit=1000"));
        assert!(question.headers.contains(&("anthropic-version", "2023-06-01")), "{question:?}");
        assert_eq!((question.secret_header, question.secret_prefix), ("x-api-key", ""));
        hear(&mut inquiry, 200, "{}");
        let question = inquiry.next().unwrap();
        assert_eq!(question.method, "POST");
        assert!(serde_json::from_str::<serde_json::Value>(&question.body).unwrap()["model"] == "cl\"aude/x y");
    });
    with("gemini", |provider| {
        let depth = Depth { model: Some("../a b?c"), ..Depth::default() };
        let mut inquiry = Inquiry::new(target(provider), depth).unwrap();
        hear(&mut inquiry, 200, "{}");
        let question = inquiry.next().unwrap();
        assert_eq!(question.url, "https://api.test/v1/v1beta/models/%2E%2E/a%20b%3Fc:generateContent");
    });
}

#[test]
fn a_second_call_settles_a_doubt() {
    let restricted = r#"{"detail":{"status":"missing_permissions","message":"needs user_read"}}"#;
    let found = verdict("elevenlabs", Depth::default(), &[(401, restricted), (200, r#"{"voices":[]}"#)]);
    assert_eq!((found.state, found.usable), (State::Restricted, Some(true)));
    assert!(found.remedy.contains("permission"), "{found:?}");
    let found = verdict(
        "azure-openai",
        Depth::default(),
        &[(404, r#"{"error":{"message":"Resource not found"}}"#), (200, "{}")],
    );
    assert_eq!(found.state, State::Live);
    let found = verdict("azure-openai", Depth::default(), &[(404, "{}"), (404, "{}")]);
    assert_eq!((found.state, found.usable), (State::Unknown, None));
}

#[test]
fn money_shows_only_when_a_call_is_paid_for() {
    let depth = Depth { deep: true, model: Some("gpt-5.4"), admin: false };
    let broke = r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    let found = verdict("openai", depth, &[(200, r#"{"data":[{"id":"a"}]}"#), (429, broke)]);
    assert_eq!((found.state, found.usable), (State::NoMoney, Some(false)));
    assert_eq!(found.facts.of(Fact::Models), ["a"]);
    assert!(found.trial.is_some_and(|trial| !trial.answered && trial.cause == "no_money"));
    let gone = r#"{"error":{"message":"The model `x` does not exist","type":"invalid_request_error","code":"model_not_found"}}"#;
    let found = verdict("openai", depth, &[(200, "{}"), (404, gone)]);
    assert_eq!((found.state, found.usable), (State::Live, Some(false)));
    assert!(found.remedy.contains("model"), "{found:?}");
    let found = verdict("openai", depth, &[(200, "{}"), (200, "{}")]);
    assert_eq!((found.state, found.usable, found.notes.len()), (State::Live, Some(true), 0));
    let dead = r#"{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}"#;
    let found = verdict("openai", depth, &[(401, dead)]);
    assert_eq!((found.state, found.trial), (State::Invalid, None));
}

#[test]
fn deep_lists_tell_nothing_about_the_key() {
    let depth = Depth { deep: true, ..Depth::default() };
    let balance = r#"{"is_available":true,"balance_infos":[{"currency":"CNY","total_balance":"110.00"},{"currency":"USD","total_balance":"2.50"}]}"#;
    let found = verdict("deepseek", depth, &[(200, balance), (200, r#"{"data":[{"id":"m"}]}"#)]);
    assert_eq!(found.facts.of(Fact::Credit), ["110.00 CNY", "2.50 USD"]);
    assert_eq!(found.facts.of(Fact::Models), ["m"]);
    let found = verdict("deepseek", depth, &[(200, balance), (503, "busy")]);
    assert_eq!(found.state, State::Live);
    assert!(found.notes.iter().any(|note| note.contains("more could not")), "{found:?}");
}

#[test]
fn answers_that_are_no_answers_prove_nothing() {
    for (status, body) in [(200, "<html>welcome</html>"), (302, ""), (404, "{}"), (500, "{}"), (418, "tea")] {
        let found = verdict("together", Depth::default(), &[(status, body)]);
        assert_eq!((found.state, found.usable), (State::Unknown, None), "{status}");
        assert!(!found.remedy.is_empty() && !found.because.is_empty(), "{status}");
    }
    with("openai", |provider| {
        let mut inquiry = Inquiry::new(target(provider), Depth::default()).unwrap();
        inquiry.unheard("nobody there", "Check the way out.");
        assert!(inquiry.next().is_none());
        let found = inquiry.verdict();
        assert_eq!(
            (found.state, &*found.because, &*found.remedy),
            (State::Unreachable, "nobody there", "Check the way out.")
        );
    });
}

#[test]
fn a_key_that_manages_others_is_not_for_calls() {
    let body = r#"{"data":{"is_management_key":true,"limit_remaining":1}}"#;
    let found = verdict("openrouter", Depth::default(), &[(200, body)]);
    assert_eq!((found.state, found.usable), (State::Restricted, Some(false)));
    let found = with("openai", |provider| {
        let depth = Depth { admin: true, ..Depth::default() };
        let mut inquiry = Inquiry::new(target(provider), depth).unwrap();
        assert!(inquiry.next().unwrap().url.contains("admin_api_keys"));
        hear(&mut inquiry, 200, "{}");
        inquiry.verdict().of_admin(provider)
    });
    assert_eq!((found.state, found.usable, &*found.named), (State::Restricted, Some(false), "admin_key"));
}

#[test]
fn a_secret_for_an_own_api_root_goes_nowhere_else() {
    let catalogue = Catalogue::embedded().unwrap();
    let mut absolute = 0;
    for provider in catalogue.providers() {
        for admin in [false, true] {
            let depth = Depth { admin, deep: true, model: Some("m") };
            let Ok(mut inquiry) = Inquiry::new(Target { own: true, ..target(provider) }, depth) else { continue };
            while let Some(question) = inquiry.next() {
                assert!(question.url.starts_with("https://api.test/v1/"), "{}: {}", provider.id, question.url);
                hear(&mut inquiry, 418, "{}");
            }
        }
        absolute += provider.probes.iter().filter(|probe| is_absolute(probe)).count();
    }
    assert!(absolute > 0, "Hugging Face's check is not below its API root");
    let own = with("huggingface", |provider| {
        Inquiry::new(Target { own: true, ..target(provider) }, Depth::default()).map(drop)
    });
    assert_eq!(own, Err(NoProbe));
}

#[test]
fn nothing_secret_is_kept_of_what_is_said() {
    let secret = std::str::from_utf8(SECRET).unwrap();
    let body = format!(r#"{{"error":{{"message":"Incorrect API key provided: {secret}","code":"invalid_api_key"}}}}"#);
    let found = verdict("openai", Depth::default(), &[(401, &body)]);
    let all = serde_json::to_string(&found).unwrap();
    assert!(!all.contains(secret) && all.contains("Incorrect"), "{all}");
    let body = format!(r#"{{"data":[{{"id":"model-{secret}"}}]}}"#);
    let found = verdict("openai", Depth::default(), &[(200, &body)]);
    assert!(!serde_json::to_string(&found).unwrap().contains(secret));
}
