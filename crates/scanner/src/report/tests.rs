use super::*;
use crate::{Cause, Commit, Confidence, Finding, Kind, Matcher, Missed, Place, Secret, Stats, Where};
use std::sync::Arc;

/// Everything that a reader could take for something else.
const HOSTILE: &[u8] =
    b"a\n::error::x\r]]>--><script>alert(1)</script>&amp;'\"\x1b[2J\x07\xff\xfe\xe2\x80\xae\xc2\x9b%0A,:\\ \xef\xbf\xbf.env";

const SECRET: &str = "prefix-0123456789012345678901234567890123456789-ending";

fn place(path: &[u8]) -> Place {
    Place {
        place: Where::Blob,
        path: path.into(),
        within: vec!["in\u{1b}[31m<b>".into()],
        object: Some("12".repeat(20).into()),
        commits: vec![Commit {
            id: "ab".repeat(20).into(),
            author: "Eve <eve@example.com>\u{202e}\n::warning::".into(),
            seconds: 1_700_000_000,
        }],
        more_commits: 2,
    }
}

fn row(path: &[u8], confidence: Confidence, group: &str) -> Row {
    let kind = Kind {
        rule: "open<ai>/\u{7}".into(),
        provider: Some("openai".into()),
        name: "A <key>\n\u{1b}[31m".into(),
        admin: false,
    };
    Row {
        finding: Finding {
            kind: Arc::new(kind),
            confidence,
            reasons: vec!["\"x\" stands <before>\u{1b}".into()],
            place: place(path),
            line: 3,
            column: 7,
            units: 5,
            end: (4, 2),
            span: 40..94,
            secret: Secret::new(SECRET.as_bytes()),
            allowed: None,
        },
        fingerprint: "fp1_00".into(),
        group: group.into(),
        ours: None,
        verified: None,
        note: None,
    }
}

fn report(rows: Vec<Row>) -> Report {
    let mut report = Report {
        rows,
        missed: vec![Missed { place: place(HOSTILE), cause: Cause::Corrupt, detail: "odd\u{1b}\n<x>".into() }],
        stats: Stats { items: 2, bytes: 3 << 20, commits: 4, ..Stats::default() },
        left: Left { allowed: 1, ..Left::default() },
        unlisted: Vec::new(),
        reveal: false,
        stopped: false,
        subject: "<\u{1b}tree>".to_owned(),
        at: 1_800_000_000_000,
        version: "0.0.0",
    };
    report.sort();
    report
}

fn hostile() -> Report {
    let mut own = row(HOSTILE, Confidence::High, "g1");
    own.ours = Some(Ours {
        kind: "key".to_owned(),
        id: "key_1".to_owned(),
        name: "<web>\u{1b}\n".to_owned(),
        project: Some("shop".to_owned()),
        environment: Some("production".to_owned()),
        provider: None,
        status: "active".to_owned(),
        current: true,
        last_used_at: None,
        limits: vec!["3.20 of 5 USD left".to_owned()],
        contained: None,
    });
    report(vec![row(b"plain/.env", Confidence::Medium, "g2"), own, row(b"\xff", Confidence::Certain, "g1")])
}

const ALL: [Format; 7] =
    [Format::Text, Format::Json, Format::Jsonl, Format::Sarif, Format::Junit, Format::Github, Format::Html];

#[test]
fn nothing_steers_a_terminal_and_no_secret_shows_in_any_format() {
    let report = hostile();
    for format in ALL {
        let text = report.write(format, false);
        let steering = text.chars().find(|c| *c != '\n' && escape::steers(*c));
        assert_eq!(steering, None, "{format:?}: {text}");
        assert!(!text.contains(SECRET) && !text.contains("0123456789"), "{format:?}");
    }
    let mut revealed = hostile();
    revealed.reveal = true;
    for format in ALL {
        assert!(revealed.write(format, false).contains(SECRET), "{format:?}");
    }
}

#[test]
fn names_from_strangers_stay_names() {
    let report = hostile();
    let markup = [report.write(Format::Html, false), report.write(Format::Junit, false)];
    for text in markup {
        assert!(
            !text.contains("<script") && !text.contains("<key>") && !text.contains("<b>") && !text.contains("<web>")
        );
        assert!(text.contains("&lt;script&gt;") && text.contains("\\xff") && text.contains("\\n::error::"), "{text}");
    }
    let github = report.write(Format::Github, false);
    assert_eq!(github.lines().count(), 4, "{github}");
    assert!(
        github.lines().all(|line| line.starts_with("::error file=") || line.starts_with("::warning file=")),
        "{github}"
    );
    let text = report.write(Format::Text, false);
    assert!(!text.lines().any(|line| line.trim_start().starts_with("::")), "{text}");
}

#[test]
fn json_is_exact() {
    let report = hostile();
    let value: Value = serde_json::from_str(&report.write(Format::Json, false)).unwrap();
    let findings = value["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 3);
    let odd = findings.iter().find(|finding| finding["ours"].is_object()).unwrap();
    assert_eq!(odd["path"], String::from_utf8_lossy(HOSTILE).into_owned());
    assert_eq!(odd["path_hex"], keyward_domain::digest::hex(HOSTILE));
    assert_eq!((odd["line"].as_u64(), odd["column"].as_u64()), (Some(3), Some(7)));
    assert_eq!(odd["span"], serde_json::json!([40, 94]));
    assert_eq!(odd["commit"], "ab".repeat(20));
    assert_eq!(odd["commits"][0]["author"], "Eve <eve@example.com>\u{202e}\n::warning::");
    assert_eq!(odd["commits"][0]["date"], "2023-11-14T22:13:20Z");
    assert_eq!((&odd["where"], &odd["confidence"]), (&"blob".into(), &"high".into()));
    assert_eq!(odd["within"][0], "in\u{1b}[31m<b>");
    assert_eq!(odd["ours"]["name"], "<web>\u{1b}\n");
    assert!(odd.get("secret").is_none());
    let plain = findings.iter().find(|finding| finding["path"] == "plain/.env").unwrap();
    assert!(plain.get("path_hex").is_none());
    assert_eq!(value["incomplete"][0]["cause"], "corrupt");
    assert_eq!(value["stats"]["left_out"]["allowed"], 1);
    assert_eq!(value["stats"]["secrets"], 2);
    let lines = report.write(Format::Jsonl, false);
    let values: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(values.len(), 5);
    assert_eq!(values[..3], findings[..]);
    assert!(values[3]["incomplete"]["path"].is_string() && values[4]["stats"]["items"] == 2);
}

#[test]
fn sarif_names_rules_places_and_what_was_not_scanned() {
    let value: Value = serde_json::from_str(&hostile().write(Format::Sarif, false)).unwrap();
    assert_eq!(value["version"], "2.1.0");
    let run = &value["runs"][0];
    assert_eq!(run["columnKind"], "utf16CodeUnits");
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~/%".contains(&b);
        assert!(uri.bytes().all(allowed), "{uri}");
        let region = ["startLine", "startColumn", "endLine", "endColumn"].map(|name| place["region"][name].as_u64());
        assert_eq!(region, [Some(3), Some(5), Some(4), Some(2)], "not the column in bytes");
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        assert!(result["message"]["text"].is_string() && result["partialFingerprints"]["keyward/v1"].is_string());
    }
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    assert_eq!(run["invocations"][0]["toolExecutionNotifications"].as_array().unwrap().len(), 1);
    let uris: Vec<_> = run["results"].as_array().unwrap().iter().map(|result| &result["locations"]).collect();
    assert!(uris.iter().any(|place| place[0]["physicalLocation"]["artifactLocation"]["uri"] == "%FF"), "{uris:?}");
    assert_eq!(escape::uri(b"/a b"), "file:///a%20b");
}

/// Walks through markup and checks that every element that is opened is closed, and that nothing else looks like one.
fn balanced(text: &str, void: &[&str]) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let end = rest[at..].find('>').map(|end| at + end).unwrap_or_else(|| panic!("unclosed tag: {}", &rest[at..]));
        let tag = &rest[at + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "a quote is open in {tag}");
        rest = &rest[end + 1..];
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap_or_default();
        if tag.starts_with(['?', '!']) || tag.ends_with('/') || void.contains(&name) {
            continue;
        }
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "before {rest}");
        } else {
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric()), "{tag}");
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    let entities = text.split('&').skip(1);
    for entity in entities {
        assert!(["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|known| entity.starts_with(known)), "&{entity}");
    }
}

#[test]
fn markup_is_well_formed() {
    for report in [hostile(), report(Vec::new())] {
        balanced(&report.write(Format::Junit, false), &[]);
        let page = report.write(Format::Html, false);
        balanced(&page, &["meta"]);
        for outside in ["http://", "https://", "src=", "<link", "url(", "@import", "<script", "<iframe"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
    let empty = report(Vec::new());
    assert!(empty.write(Format::Junit, false).contains("errors=\"1\" "));
}

#[test]
fn text_is_grouped_ours_first_and_coloured_only_where_told() {
    let report = hostile();
    let text = report.write(Format::Text, false);
    let ours = text.find("this is your key").unwrap();
    assert!(ours < text.find("plain/.env").unwrap(), "{text}");
    assert!(text.contains("2 secrets in 3 places. Looked at 2 items (3.0 MiB) in 4 commits."), "{text}");
    assert!(text.contains("Left out: 1 allowed by a comment."), "{text}");
    assert!(text.contains("and 2 more commits"), "{text}");
    assert!(report.write(Format::Text, true).contains("\u{1b}[31;1mCERTAIN"));
}

#[test]
fn a_preview_tells_nothing_of_a_short_secret() {
    assert_eq!(preview(b"hunter2"), "[7 bytes]");
    assert_eq!(preview(&[b'x'; 19]), "[19 bytes]");
    assert_eq!(preview(b"ab34567890123456789z"), "ab…9z");
    assert_eq!(preview(SECRET.as_bytes()), "prefix…ding");
    let long = format!("prefix-x{}tail", "0".repeat(90));
    assert_eq!(preview(long.as_bytes()), "prefix-x…tail");
    assert_eq!(preview("ü".repeat(30).as_bytes()), "[60 bytes]");
    let header = ["-----BEGIN ", "OPENSSH PRIVATE KEY-----\nabc"].concat();
    assert_eq!(preview(header.as_bytes()), "-----BEGIN OPENSSH PRIVATE KEY-----…");
}

#[test]
fn no_secret_shows_in_a_name_in_any_format() {
    let matcher = Matcher::embedded().unwrap();
    let catalogue = keyward_catalogue::Catalogue::embedded().unwrap();
    let shape = catalogue.shapes().iter().find(|shape| &*shape.provider == "groq").unwrap();
    let key = keyward_catalogue::sample::text(&shape.pattern, 11).unwrap();
    // One that no shape gives away: it is known because it was found.
    let password = "tr0ub4dor-and-3";
    let named = |reveal| {
        let mut found = row(format!("team/{key}/{password}.env").as_bytes(), Confidence::High, "g1");
        found.finding.secret = Secret::new(password.as_bytes());
        found.finding.reasons.push(format!("{key} stands near").into());
        found.note = Some(key.as_str().into());
        let lies = &mut found.finding.place;
        lies.within = vec![format!("table_{password}").into(), format!("some_key={key}").into()];
        lies.commits[0].author = format!("{key} <{key}@example.com>").into();
        let mut report = report(vec![found]);
        report.missed.push(Missed {
            place: place(format!("refs/heads/{key}").as_bytes()),
            cause: Cause::Corrupt,
            detail: format!("cannot read {key}").into(),
        });
        report.subject = format!("./{key} {password}");
        report.reveal = reveal;
        report
    };
    let mut concealed = named(false);
    concealed.conceal(&matcher);
    for format in ALL {
        let text = concealed.write(format, false);
        assert!(!text.contains(&key) && !text.contains(password), "{format:?}: {text}");
        assert!(text.contains(".env") && text.contains("team/"), "{format:?}: what is no secret stays: {text}");
    }
    assert_eq!(concealed.rows[0].fingerprint, named(false).rows[0].fingerprint);
    let mut revealed = named(true);
    revealed.conceal(&matcher);
    assert!(revealed.write(Format::Json, false).contains(&format!("team/{key}/{password}.env")));
    let mut plain = hostile();
    let before = plain.write(Format::Json, false);
    plain.conceal(&matcher);
    assert_eq!(plain.write(Format::Json, false), before, "names without secrets stay as they are");
}
