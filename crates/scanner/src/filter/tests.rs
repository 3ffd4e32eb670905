use super::*;
use crate::{Kind, Place, Secret, Where};
use std::sync::Arc;

const NOW: Millis = 1_800_000_000_000; // 2027-01-15

fn finding(confidence: Confidence, allowed: Option<&str>) -> Finding {
    Finding {
        kind: Arc::new(Kind { rule: "a/b".into(), provider: None, name: "A".into(), admin: false }),
        confidence,
        reasons: Vec::new(),
        place: Place {
            place: Where::Worktree,
            path: b"x".as_slice().into(),
            within: Vec::new(),
            object: None,
            commits: Vec::new(),
            more_commits: 0,
        },
        line: 1,
        column: 1,
        units: 1,
        end: (1, 7),
        span: 0..1,
        secret: Secret::new(b"s"),
        allowed: allowed.map(Into::into),
    }
}

fn print(number: usize) -> Box<str> {
    format!("fp1_{number:040x}").into()
}

#[test]
fn a_comment_says_why_and_until_when() {
    let end = times::moment("2027-02-01").unwrap();
    for text in [
        "a test key until 2027-01-31",
        "# keyward:allow a test key until 2027-01-31",
        "keyward:allow: a test key, until=2027-01-31",
        "KEYWARD:ALLOW reason=\"a test key\" expires: 2027-01-31",
        "<!-- keyward:allow a test key (until 2027-01-31) -->",
        "/* keyward:allow until 2027-01-31 a test key */",
    ] {
        let permission = Permission::parse(text);
        assert_eq!((&*permission.reason, permission.ends), ("a test key", Some(end)), "{text}");
        assert!(permission.holds(end - 1) && !permission.holds(end), "{text}");
    }
    assert_eq!(Permission::parse("").ends, None);
    assert!(Permission::parse("").holds(NOW));
}

#[test]
fn a_day_that_cannot_be_read_allows_nothing() {
    for text in ["until 2027-13-45", "until tomorrow", "reason until", "until="] {
        assert!(!Permission::parse(text).holds(NOW), "{text}");
    }
}

#[test]
fn comments_fingerprints_and_baselines_leave_out_what_they_name() {
    let mut filter = Filter::new(Confidence::Medium, NOW);
    let list =
        format!("# decided on Monday\n\n{}  # a sample, until 2027-03-01\n{} # until 2026-12-31\n", print(1), print(2));
    filter.ignore(&list).unwrap();
    filter.baseline(&format!(r#"{{"findings":[{{"fingerprint":"{}"}}],"stats":{{}}}}"#, print(3))).unwrap();
    filter
        .baseline(&format!(
            "{{\"fingerprint\":\"{}\"}}\n{{\"fingerprint\":\"{}\"}}\n{{\"stats\":{{}}}}\n",
            print(4),
            print(5)
        ))
        .unwrap();
    let sarif = format!(
        r#"{{"runs":[{{"tool":{{"driver":{{"name":"Keyward"}}}},"results":[{{"partialFingerprints":{{"keyward/v1":"{}"}}}}]}}]}}"#,
        print(6)
    );
    filter.baseline(&sarif).unwrap();
    let told = |confidence, comment, number| filter.left_out(&finding(confidence, comment), &[print(number)]);
    let high = Confidence::High;
    assert_eq!(told(high, None, 1), Some(LeftOut::Ignored));
    assert_eq!(told(high, None, 2), None, "it ended");
    for known in 3..=6 {
        assert_eq!(told(high, None, known), Some(LeftOut::Known), "{known}");
    }
    assert_eq!(told(high, None, 7), None);
    assert_eq!(told(high, Some("why"), 7), Some(LeftOut::Allowed));
    assert_eq!(told(high, Some("why until 2026-12-31"), 7), None);
    assert_eq!(told(Confidence::Low, None, 7), Some(LeftOut::BelowConfidence));
    assert_eq!(told(Confidence::Medium, None, 7), None);
    let ended = filter.ended(&finding(high, Some("why until 2026-12-31")), &[]);
    assert_eq!(ended.as_deref(), Some("it was allowed until 2026-12-31"));
    assert!(filter.ended(&finding(high, None), &[print(2)]).is_some());
    assert_eq!(filter.ended(&finding(high, None), &[print(7)]), None);
}

#[test]
fn a_comment_without_a_reason_allows_nothing_and_says_so() {
    let filter = Filter::new(Confidence::Medium, NOW);
    for bare in
        ["keyward:allow", "keyward:allow until 2027-03-01", "keyward:allow -", "keyward:allow: */", "keyward:allow\"}"]
    {
        let found = finding(Confidence::High, Some(bare));
        assert_eq!(filter.left_out(&found, &[]), None, "{bare}");
        let note = filter.ended(&found, &[]).unwrap();
        assert!(note.contains("without a reason"), "{bare}: {note}");
    }
    let given = finding(Confidence::High, Some("keyward:allow x"));
    assert_eq!((filter.left_out(&given, &[]), filter.ended(&given, &[])), (Some(LeftOut::Allowed), None));
}

#[test]
fn only_the_word_itself_allows() {
    for line in [
        "# keyward:allowance reason",
        "xkeyward:allow reason",
        "_keyward:allow a",
        "keyward:allow-list a",
        "keyward:allow_x",
    ] {
        assert_eq!(allowing(line.as_bytes()), None, "{line}");
    }
    for line in ["--keyward:allow a", "#keyward:allow: a", "<!--keyward:allow-->", "keyward:allowed, keyward:allow a"] {
        assert!(allowing(line.as_bytes()).is_some(), "{line}");
    }
}

#[test]
fn the_last_day_of_the_calendar_is_a_day() {
    let permission = Permission::parse("keyward:allow a test key until 9999-12-31");
    assert!(permission.holds(NOW) && permission.ends.is_some(), "{permission:?}");
    assert!(!Permission::parse("keyward:allow a test key until 9999-12-32").holds(NOW));
}

#[test]
fn a_list_may_begin_with_a_mark_of_the_byte_order() {
    let mut filter = Filter::new(Confidence::Medium, NOW);
    filter.ignore(&format!("\u{feff}{}\n", print(9))).unwrap();
    assert_eq!(filter.left_out(&finding(Confidence::High, None), &[print(9)]), Some(LeftOut::Ignored));
}

#[test]
fn a_list_with_a_mistake_is_refused() {
    let mut filter = Filter::new(Confidence::Medium, NOW);
    let refused = filter.ignore("# fine\nfp1_123\n").unwrap_err();
    assert_eq!(refused.line, 2);
    for text in ["nonsense", "{\"a\":1}", "[1, 2]", "<xml/>"] {
        assert!(filter.baseline(text).is_err(), "{text}");
    }
    assert!(filter.baseline("{\"findings\":[]}").is_ok());
    assert!(filter.baseline("").is_err(), "a report without findings has its figures");
    assert!(!filter.needs_key());
    filter.ignore(&format!("fp2_{}", "0".repeat(40))).unwrap();
    assert!(filter.needs_key());
}
