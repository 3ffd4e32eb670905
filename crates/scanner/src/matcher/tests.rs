use super::*;
use crate::{
    Confidence,
    rule::{Proof, written},
};
use keyward_catalogue::{Catalogue, sample};

mod beside;

fn matcher() -> Matcher {
    Matcher::new(&Catalogue::embedded().expect("the embedded files are right"))
}

/// What is found in a text: rule, secret, confidence.
fn told(matcher: &Matcher, text: &str) -> Vec<(String, String, Confidence)> {
    let mut told = Vec::new();
    matcher.look(text.as_bytes(), &Hints::default(), &mut |hit| {
        let secret = String::from_utf8_lossy(hit.secret.expose()).into_owned();
        told.push((hit.kind.rule.to_string(), secret, hit.confidence));
    });
    told
}

fn sure(matcher: &Matcher, text: &str) -> Vec<(String, String, Confidence)> {
    told(matcher, text).into_iter().filter(|one| one.2 > Confidence::Low).collect()
}

fn key(matcher: &Matcher, rule: &str, seed: u64) -> String {
    let rule = matcher.rules.iter().find(|one| &*one.kind.rule == rule).expect("there is such a rule");
    sealed(rule.proof, sample::text(&rule.pattern, seed).unwrap())
}

/// A key with the checksum that it must have.
fn sealed(proof: Proof, key: String) -> String {
    let body = key.find('_').map_or(0, |at| at + 1);
    match key.split_at_checked(key.len() - 6) {
        Some((front, _)) if proof == Proof::Crc => {
            let checksum = proof::checksum(&front.as_bytes()[body..]);
            format!("{front}{}", String::from_utf8_lossy(&checksum))
        }
        _ => key,
    }
}

#[test]
fn every_shape_of_the_catalogue_is_found_and_named() {
    let catalogue = Catalogue::embedded().unwrap();
    let matcher = Matcher::new(&catalogue);
    for shape in catalogue.shapes() {
        let word = shape.context.first().map_or("some", |word| &**word);
        for seed in 0..5 {
            let key = sample::text(&shape.pattern, seed).unwrap();
            let text = format!("ä export {word}_key='{key}'; echo done");
            let found = told(&matcher, &text);
            assert_eq!(found.len(), 1, "{}/{}: {found:?} {text}", shape.provider, shape.name);
            assert_eq!(found[0].1, key);
            assert!(found[0].0.starts_with(&format!("{}/", shape.provider)), "{}: {found:?}", shape.name);
            assert!(found[0].2 > Confidence::Low, "{found:?}");
        }
    }
}

/// A web token that nobody signed.
fn token(seed: u64) -> String {
    let part =
        |text: &str| String::from_utf8(base64::encode(text.as_bytes())).unwrap().trim_end_matches('=').to_owned();
    let signature = sample::text("[A-Za-z0-9_-]{43}", seed).unwrap();
    let (head, body) = (part("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"), part("{\"sub\":\"shop\",\"exp\":4102444800}"));
    format!("{head}.{body}.{signature}")
}

#[test]
fn every_rule_finds_its_own_and_its_examples_and_not_its_counters() {
    let matcher = matcher();
    let written = written().expect("the embedded files are right");
    assert!(written.len() > 180, "{}", written.len());
    let mut wrong = Vec::new();
    for rule in &written {
        let word = rule.context.first().map_or("some", |word| &**word);
        for seed in 0..4 {
            let key = match rule.proof.as_deref() {
                // Its parts must read like those of a token.
                Some("jwt") => token(seed),
                Some("crc") => {
                    sealed(Proof::Crc, sample::text(&rule.pattern, seed).expect("the pattern can be sampled"))
                }
                _ => sample::text(&rule.pattern, seed).expect("the pattern can be sampled"),
            };
            let mut texts = vec![
                format!("export {word}_key='{key}'; echo done"),
                format!("{{\"{word}\": {{\"apiKey\": \"{key}\"}}}}"),
            ];
            texts.extend(rule.examples.iter().map(|example| example.replace("{}", &key)));
            for text in texts {
                let found = told(&matcher, &text);
                let as_meant = match found.as_slice() {
                    [] => rule.public,
                    [(id, secret, confidence)] => {
                        let provider = rule.provider.as_deref().unwrap_or_default();
                        let level = *confidence > Confidence::Low || rule.told == Some(Confidence::Low);
                        (*id == *rule.id || id.starts_with(&format!("{provider}/")))
                            && *secret == key
                            && level
                            && !rule.public
                    }
                    _ => false,
                };
                if !as_meant {
                    wrong.push(format!("{}: {text}\n    {found:?}", rule.id));
                }
            }
            for counter in &rule.counters {
                let text = counter.replace("{}", &key);
                let found = sure(&matcher, &text);
                if !found.is_empty() {
                    wrong.push(format!("{} counter: {text}\n    {found:?}", rule.id));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{} wrong", wrong.join("\n"), wrong.len());
}

#[test]
fn ids_are_used_once_and_patterns_compile() {
    let matcher = matcher();
    let mut ids: Vec<_> = matcher.rules.iter().map(|rule| rule.kind.rule.clone()).collect();
    ids.sort();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all);
    for rule in matcher.rules.iter().filter(|rule| !rule.pattern.is_empty()) {
        assert!(rule.compiled().is_some(), "{}", rule.kind.rule);
        assert!(
            !rule.prefixes.is_empty() || !rule.context.is_empty() || rule.alone.is_some(),
            "{} finds nothing",
            rule.kind.rule
        );
        let lower = |word: &str| !word.bytes().any(|byte| byte.is_ascii_uppercase());
        assert!(rule.context.iter().all(|word| lower(word)), "{}", rule.kind.rule);
        let sampled = (0..8).map(|seed| sample::text(&rule.pattern, seed).unwrap());
        for text in sampled {
            assert!(
                rule.prefixes.is_empty() || rule.prefixes.iter().any(|prefix| text.starts_with(&**prefix)),
                "{}",
                rule.kind.rule
            );
        }
    }
}

#[test]
fn encoded_keys_are_found_as_they_read() {
    let matcher = matcher();
    let key = key(&matcher, "anthropic/api", 3);
    let percent: String = key.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let entity: String = key.bytes().map(|byte| format!("&#{byte};")).collect();
    let unicode: String = key.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let hex: String = key.bytes().map(|byte| format!("\\x{byte:02X}")).collect();
    let digits: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
    let some = key.replace('-', "%2D").replace('_', "%5F");
    let coded = |text: &str| String::from_utf8(base64::encode(text.as_bytes())).unwrap();
    let mut texts = vec![
        percent,
        entity,
        unicode,
        hex,
        digits,
        some,
        key.replace('-', "&#x2d;"),
        key.replace('-', "\\u002d"),
        coded(&key),
    ];
    for before in ["a=", "ab=", "abc=", "\u{1}\u{2}=", "\u{1}="] {
        texts.push(coded(&format!("{before}{key}\nMORE=1")));
    }
    texts.push(coded(&coded(&format!("K={key}"))));
    for text in texts {
        for (left, right) in [("", ""), ("x=\"", "\","), ("?q=", "&r=1"), ("\\n", "\\n"), (": ", "\n")] {
            let whole = format!("{left}{text}{right}");
            let found = sure(&matcher, &whole);
            assert_eq!(found.len(), 1, "{whole} {found:?}");
            assert_eq!((&*found[0].0, &found[0].1), ("anthropic/api", &key), "{whole}");
        }
    }
}

#[test]
fn keys_in_parts_are_found_whole() {
    let matcher = matcher();
    let key = key(&matcher, "openai/project", 5);
    for (first, second) in [(8, 60), (30, 90), (3, 100)] {
        let (a, b, c) = (&key[..first], &key[first..second], &key[second..]);
        for text in [
            format!("x = \"{a}\" +\n    \"{b}\" +\n    \"{c}\";"),
            format!("x = '{a}' . '{b}'\n . '{c}';"),
            format!("x = (\"{a}\"\n     \"{b}\"\n     \"{c}\")"),
            format!("x = \"{a}\\\n{b}\\\n{c}\""),
            format!("KEY={a}=\r\n{b}=\r\n{c}\r\n"),
        ] {
            let found = sure(&matcher, &text);
            assert_eq!(found.len(), 1, "{text} {found:?}");
            assert_eq!(found[0].1, key, "{text}");
        }
    }
}

#[test]
fn edges_are_the_bytes_that_are_not_the_keys() {
    let matcher = matcher();
    let key = key(&matcher, "openrouter/api", 5);
    for (left, right) in [
        ("%3D", "%26"),
        ("\\n", "\\n"),
        ("=", "&"),
        (">", "<"),
        ("&quot;", "&quot;"),
        ("\\\"", "\\\""),
        ("\u{1b}[32m", "\u{1b}[0m"),
        ("\\u003d", "\\u0026"),
        ("|", "|"),
        ("ä", "ö"),
        ("(", ")."),
        ("=3D", "="),
    ] {
        let text = format!("a{left}{key}{right}b");
        assert_eq!(sure(&matcher, &text).len(), 1, "{text}");
    }
    for (left, right) in [("ta", ""), ("a", ""), ("", "a"), ("", "0"), ("x-", "")] {
        let text = format!("{left}{key}{right}");
        assert!(sure(&matcher, &text).is_empty(), "{text}");
    }
}

#[test]
fn keys_right_behind_each_other_are_all_found() {
    let matcher = matcher();
    let rules = ["anthropic/api", "openai/project", "groq/api", "github/pat", "openrouter/api", "sendgrid/key"];
    let rules =
        rules.map(|rule| matcher.rules.iter().find(|one| &*one.kind.rule == rule).map(|one| one.kind.rule.clone()));
    let rules: Vec<_> = rules.into_iter().flatten().collect();
    assert!(rules.len() >= 5, "{rules:?}");
    for (first, second) in rules.iter().flat_map(|one| rules.iter().map(move |other| (one, other))) {
        let all = [key(&matcher, first, 1), key(&matcher, second, 2), key(&matcher, first, 3)];
        for count in 2..=3 {
            let text = format!("keys: {}\n", all[..count].concat());
            let found: Vec<_> = sure(&matcher, &text).into_iter().map(|one| one.1).collect();
            assert_eq!(found, all[..count], "{first} {second}");
        }
    }
    let many: String = (0..2_000).map(|seed| key(&matcher, "groq/api", seed)).collect();
    assert_eq!(sure(&matcher, &many).len(), 2_000);
}

#[test]
fn what_markdown_stresses_is_found() {
    let matcher = matcher();
    for rule in ["anthropic/api", "openai/project", "mistral/api", "github/pat", "openrouter/api"] {
        for seed in 0..5 {
            let key = key(&matcher, rule, seed);
            for sign in ["_", "__", "___", "*", "**", "`", "~~", "_**"] {
                let text = format!("The mistral key is {sign}{key}{}.", sign.chars().rev().collect::<String>());
                let found = sure(&matcher, &text);
                assert_eq!(found.len(), 1, "{text} {found:?}");
                assert_eq!((&*found[0].0, &found[0].1), (rule, &key), "{text}");
            }
        }
    }
    // A part of a name is none.
    let key = key(&matcher, "anthropic/api", 1);
    for text in [format!("a_{key}_"), format!("_{key}"), format!("x-_{key}_b")] {
        assert!(sure(&matcher, &text).is_empty(), "{text}");
    }
}

#[test]
fn a_checksum_that_does_not_hold_makes_a_key_doubtful() {
    let matcher = matcher();
    for rule in ["github/pat", "github/oauth", "npm/token"] {
        if !matcher.rules.iter().any(|one| &*one.kind.rule == rule) {
            continue;
        }
        let key = key(&matcher, rule, 4);
        assert_eq!(told(&matcher, &format!("TOKEN={key}"))[0].2, Confidence::Certain, "{key}");
        let last = if key.ends_with('0') { "1" } else { "0" };
        let wrong = format!("TOKEN={}{last}", &key[..key.len() - 1]);
        let found = told(&matcher, &wrong);
        assert_eq!(found.iter().map(|one| one.2).collect::<Vec<_>>(), [Confidence::Low], "{wrong}");
    }
}

#[test]
fn keys_with_colons_and_equals_are_read_out_of_escapes() {
    let matcher = matcher();
    for (rule, name) in
        [("telegram/bot", "TELEGRAM_BOT_TOKEN"), ("fal/api", "FAL_KEY"), ("azure/storage-old", "AccountKey")]
    {
        let Some(rule) = matcher.rules.iter().find(|one| &*one.kind.rule == rule) else { panic!("no rule {rule}") };
        for seed in 0..5 {
            let key = sample::text(&rule.pattern, seed).unwrap();
            let plain = told(&matcher, &format!("{name}={key}"));
            for (colon, equals, plus, slash) in [
                ("%3A", "%3D", "%2B", "%2F"),
                ("%3a", "%3d", "%2b", "%2f"),
                ("%253A", "%253D", "%252B", "%252F"),
                ("\\u003a", "\\u003d", "\\u002b", "\\/"),
                ("&#58;", "&#61;", "&#43;", "&#47;"),
                ("&#x3a;", "&#x3d;", "&#x2b;", "&#x2f;"),
            ] {
                let coded = key.replace('&', "%26").replace(':', colon).replace('=', equals);
                let coded = coded.replace('+', plus).replace('/', slash);
                let text = format!("{name}={coded}");
                assert_eq!(told(&matcher, &text), plain, "{text}");
                assert_eq!(plain[0].1, key, "{plain:?}");
            }
        }
    }
}

#[test]
fn what_is_no_secret_is_not_told() {
    let matcher = matcher();
    let hex = |count: usize, seed| sample::text(&format!("[a-f0-9]{{{count}}}"), seed).unwrap();
    let mut wrong = Vec::new();
    for seed in 0..20 {
        let (md5, sha1, sha256) = (hex(32, seed), hex(40, seed), hex(64, seed));
        for text in [
            format!("mistral_request_id: {md5}"),
            format!("\"mistral\": {{\"etag\": \"{md5}\"}}"),
            format!("# cohere sdk, commit {sha1}"),
            format!("image: together@sha256:{sha256}"),
            format!("deepgram request_id={md5}"),
            format!("checksum = \"{sha256}\""),
            format!("sk-ant-api03-{}AA", "x".repeat(93)),
            format!("sk-proj-{}", "your-key-here-".repeat(6)),
            format!("task-{md5}"),
            format!("disk-{}", hex(48, seed)),
            "postgres://user:password@localhost/db".to_owned(),
            "postgres://$USER:${PASSWORD}@db.internal.net/db".to_owned(),
            format!("AKIAIOSFODNN7{}", "EXAMPLE"),
        ] {
            let found = sure(&matcher, &text);
            if !found.is_empty() {
                wrong.push(format!("{text} {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn look_alikes_are_told_apart_by_what_stands_around_them() {
    let matcher = matcher();
    for seed in 0..10 {
        let key = sample::text("sk-[a-f0-9]{32}", seed).unwrap();
        assert_eq!(told(&matcher, &format!("DASHSCOPE_API_KEY={key}"))[0].0, "dashscope/api");
        assert_eq!(told(&matcher, &format!("DEEPSEEK_API_KEY={key}"))[0].0, "deepseek/api");
        let both = format!("curl https://api.deepseek.com/v1\nQWEN_KEY={key}");
        assert_eq!(told(&matcher, &both)[0].0, "dashscope/api");
        let long = sample::text("sk-[A-Za-z0-9]{48}", seed).unwrap();
        assert_eq!(told(&matcher, &format!("stability.key: {long}"))[0].0, "stability/api");
        assert_eq!(told(&matcher, &format!("client = Moonshot(api_key=\"{long}\")"))[0].0, "moonshot/api");
        assert_eq!(told(&matcher, &format!("KEY={long}"))[0].0, "lookalike/sk-48");
    }
}

#[test]
fn private_keys_and_passwords_in_addresses_are_found() {
    let matcher = matcher();
    let body: String = (0..6).map(|seed| sample::text("[A-Za-z0-9+/]{64}", seed).unwrap() + "\n").collect();
    let block = format!("-----BEGIN RSA PRIVATE KEY{0}\n{body}{0}END RSA PRIVATE KEY{0}", "-----");
    assert_eq!(sure(&matcher, &block).len(), 1);
    let escaped = format!("\"private_key\": \"{}\\n\"", block.replace('\n', "\\n"));
    assert_eq!(sure(&matcher, &escaped).len(), 1);
    let password = sample::text("[A-Za-z0-9]{18}", 3).unwrap();
    let found = sure(&matcher, &format!("DATABASE_URL=postgres://app:{password}@db.prod.internal.net:5432/app"));
    assert_eq!((&*found[0].0, &found[0].1), ("address/password", &password));
}

#[test]
fn programs_that_read_private_keys_are_none() {
    let matcher = matcher();
    let begin = ["-----BEGIN RSA PRIVATE", " KEY-----"].concat();
    let program = format!(
        "fn key(input: &str) -> IResult<&str, Identity> {{\n    preceded(\n        pair(tag(\"{begin}\"), line_ending),\n        \
         terminated(\n            map_opt(pair(opt(terminated(rsa_pem_encryption_header, line_ending)), wrapped_base64),\n\
         |(header, body)| Identity::unencrypted(header, SecretVec::new(body))),\n            \
         pair(line_ending, tag(\"{}\")),\n        ),\n    )(input)\n}}",
        begin.replace("BEGIN", "END")
    );
    assert_eq!(told(&matcher, &program), []);
    // A key stays one wherever it stands: parts of a program, indented, in quotes.
    let body: String =
        (0..4).map(|seed| sample::text("[A-Za-z0-9+/]{64}", seed).unwrap() + "\\n\" +\n        \"").collect();
    let real = format!("KEY = \"{begin}\\n\" +\n        \"{body}{}\"", begin.replace("BEGIN", "END"));
    assert_eq!(sure(&matcher, &real).len(), 1, "{real}");
}

#[test]
fn hashes_are_no_keys_that_are_made_of_all_letters() {
    let matcher = matcher();
    for seed in 0..20 {
        let hash = sample::text("[a-f0-9]{40}", seed).unwrap();
        assert_eq!(sure(&matcher, &format!("github.com/aws/aws-sdk-go {hash}")), []);
        assert_eq!(sure(&matcher, &format!("github.com/aws/aws-sdk-go/aws/credentials {hash}")), []);
        // Whoever says that it is one is believed.
        assert_eq!(sure(&matcher, &format!("AWS_SECRET_ACCESS_KEY={hash}")).len(), 1);
        let key = sample::text("[A-Za-z0-9+/]{40}", seed).unwrap();
        assert_eq!(sure(&matcher, &format!("aws key: {key}")).len(), 1, "{key}");
    }
}

#[test]
fn keys_are_found_behind_the_name_of_a_user() {
    let matcher = matcher();
    for seed in 0..10 {
        let key = sample::text("[a-f0-9]{32}", seed).unwrap();
        for user in ["-u api:", "--user api:", "-u ", "-u \"api:"] {
            let found = sure(&matcher, &format!("curl https://api.elevenlabs.io/v1/voices {user}{key}"));
            assert_eq!(found, [("elevenlabs/legacy".to_owned(), key.clone(), Confidence::Medium)], "{user}");
        }
        // Only there does a name tell anything.
        assert_eq!(sure(&matcher, &format!("fetch https://api.elevenlabs.io/v1/voices -p api:{key}")), []);
    }
}

#[test]
fn escapes_make_no_password_a_mixture() {
    let matcher = matcher();
    assert_eq!(sure(&matcher, "URL=$PROTO://user%40host:pass%40host@$DEST/smart"), []);
    let password = sample::text("[A-Za-z0-9]{9}%40[A-Za-z0-9]{9}", 3).unwrap();
    assert_eq!(sure(&matcher, &format!("DATABASE_URL=postgres://app:{password}@db.prod.internal.net/app")).len(), 1);
}

#[test]
fn hits_come_in_order_and_do_not_overlap() {
    let matcher = matcher();
    let all: String = (0..40)
        .map(|at| format!("k{at}={}\n", key(&matcher, ["groq/api", "xai/api", "github/pat"][at % 3], at as u64)))
        .collect();
    let mut end = 0;
    let mut count = 0;
    matcher.look(all.as_bytes(), &Hints::default(), &mut |hit| {
        assert!(hit.span.start >= end);
        end = hit.span.end;
        count += 1;
        assert!(!hit.reasons.is_empty());
    });
    assert_eq!(count, 40);
}

mod properties {
    use super::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static MATCHER: LazyLock<Matcher> = LazyLock::new(matcher);

    /// Whatever is found lies in the text, in order, none over another.
    fn sound(text: &[u8]) {
        let mut end = 0;
        MATCHER.look(text, &Hints::default(), &mut |hit| {
            assert!(hit.span.start >= end && hit.span.end <= text.len() && !hit.span.is_empty());
            end = hit.span.end;
        });
    }

    proptest! {
        #[test]
        fn any_bytes_are_borne(text in proptest::collection::vec(any::<u8>(), 0..2000)) {
            sound(&text);
        }

        #[test]
        fn any_text_of_escapes_is_borne(text in "([a-zA-Z0-9+/=_.:~-]{0,40}|%[0-9A-F]{0,3}|&#x?[0-9a-f]{0,4};?|\\\\u?[0-9a-f]{0,5}|[\"' +\n\r,=@$]|://|sk-|AKIA|-----BEGIN PRIVATE KEY-----){0,60}") {
            sound(text.as_bytes());
        }

        #[test]
        fn what_stands_around_a_key_does_not_hide_it(left in "[ -,:;<=>?@\\[\\]^`{|}~\n\t]{0,12}", right in "[ -,:;<=>?@\\[\\]^`{|}~\n\t]{0,12}", seed in 0..1000_u64) {
            let key = key(&MATCHER, "anthropic/api", seed);
            let text = format!("{left}{key}{right}");
            let found = sure(&MATCHER, &text);
            prop_assert!(found.iter().any(|one| one.1 == key), "{} {:?}", text, found);
        }
    }
}

#[test]
fn every_finding_says_why() {
    let matcher = matcher();
    for rule in &matcher.rules {
        let Some(key) = sample::text(&rule.pattern, 1) else { continue };
        // Nothing around it tells whose it is.
        matcher.look(format!("x [{key}]").as_bytes(), &Hints::default(), &mut |hit| {
            assert!(!hit.reasons.is_empty(), "{}", hit.kind.rule);
        });
    }
}
