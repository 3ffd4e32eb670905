//! Secrets beside which bytes stand that look like theirs.

use super::*;

#[test]
fn what_curl_logs_in_with_is_a_secret() {
    let matcher = matcher();
    for seed in 0..6 {
        for (rule, host) in
            [("mistral/api", "api.mistral.ai"), ("cohere/api", "api.cohere.com"), ("mailgun/new", "api.mailgun.net")]
        {
            let key = key(&matcher, rule, seed);
            for text in [
                format!("curl --user api:{key} https://{host}/v1/models"),
                format!("curl -s --user 'api:{key}' https://{host}/v1/models"),
                format!("curl --user=\"api:{key}\" https://{host}/v1/models"),
                format!("curl -u api:{key} https://{host}/v1/models"),
                format!("curl -uapi:{key} https://{host}/v1/models"),
                format!("curl -u {key}: https://{host}/v1/models"),
                format!("curl https://{host}/v1/models -u '{key}:'"),
                format!("curl https://{host}/v1/models \\\n  --user 'api:{key}'"),
            ] {
                let found = sure(&matcher, &text);
                assert!(found.len() == 1 && found[0].0 == rule && found[0].1 == key, "{text} {found:?}");
            }
        }
    }
}

/// Writes a text as mail does: `=` in signs, lines of 76 characters that go on below.
fn quoted_printable(text: &str, end: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for character in text.chars() {
        let sign = match character {
            '\n' => {
                out.push_str(end);
                column = 0;
                continue;
            }
            _ if character == '=' || !character.is_ascii() => {
                character.to_string().bytes().map(|byte| format!("={byte:02X}")).collect()
            }
            _ => character.to_string(),
        };
        if column + sign.len() > 75 {
            out.push('=');
            out.push_str(end);
            column = 0;
        }
        out.push_str(&sign);
        column += sign.len();
    }
    out
}

#[test]
fn keys_in_quoted_printable_mail_are_found() {
    let matcher = matcher();
    let mut wrong = Vec::new();
    for seed in 0..3 {
        for (rule, word) in [
            ("openai/project", "OPENAI"),
            ("anthropic/api", "ANTHROPIC"),
            ("mistral/api", "MISTRAL"),
            ("gemini/standard", "GEMINI"),
            ("groq/api", "GROQ"),
            ("github/pat", "GITHUB"),
            ("deepseek/api", "DEEPSEEK"),
            ("openrouter/api", "OPENROUTER"),
        ] {
            let key = key(&matcher, rule, seed);
            for indent in [0, 20, 33, 50, 61] {
                let before = "x ".repeat(indent / 2);
                for text in [
                    format!("Hello,\n{before}{word}_API_KEY={key}\nRegards\n"),
                    format!("{before}<a href=\"https://x.example/?{word}_key={key}&a=1\">\n"),
                ] {
                    for end in ["\n", "\r\n"] {
                        let mail = quoted_printable(&text, end);
                        let found = sure(&matcher, &mail);
                        if !(found.len() == 1 && found[0].1 == key) {
                            wrong.push(format!("{rule} {found:?}\n{mail}"));
                        }
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{} wrong", wrong[..wrong.len().min(12)].join("\n"), wrong.len());
}

#[test]
fn texts_whose_length_stands_before_them_are_found() {
    let matcher = matcher();
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for rule in matcher.rules.iter().filter(|rule| {
        !rule.pattern.is_empty() && !rule.public && rule.proof != Proof::Jwt && rule.proof != Proof::Ours
    }) {
        // What is no run, or may be of any length, has more than one reading; `$` and `%` mean something else before a text.
        let Some(extent) = rule::extent(&rule.pattern).filter(|extent| extent.least == extent.most) else { continue };
        let word = rule.context.first().map_or("some", |word| &**word);
        for seed in 0..2 {
            let key = sample::text(&rule.pattern, seed).unwrap();
            let is_run = key.bytes().all(|byte| runs::is_run(byte) || byte == b'.' && !rule.prefixes.is_empty());
            if !is_run || (36..=37).contains(&extent.most) {
                continue;
            }
            tried += 1;
            let length = |text: &str| match text.len() {
                short @ ..0x80 => vec![u8::try_from(short).unwrap()],
                long => vec![u8::try_from(long & 0x7f).unwrap() | 0x80, u8::try_from(long >> 7).unwrap()],
            };
            let name = format!("{word}_key");
            for (first, second, third) in [(0x0a, 0x12, 0x1a), (0x2a, 0x32, 0x38), (0x3a, 0x42, 0x48)] {
                let mut text = vec![0x08, 0x01, first];
                text.extend(length(&name));
                text.extend(name.bytes());
                text.push(second);
                text.extend(length(&key));
                text.extend(key.bytes());
                text.extend([third, 0x02]);
                let mut found = Vec::new();
                matcher.look(&text, &Hints::default(), &mut |hit| found.push(hit.secret.expose().to_vec()));
                if !found.iter().any(|found| *found == key.as_bytes()) {
                    wrong.push(format!("{} {} {third:x}", rule.kind.rule, key.len()));
                }
            }
        }
    }
    assert!(tried > 300, "{tried}");
    assert!(wrong.is_empty(), "{}\n{} wrong", wrong.join("\n"), wrong.len());
}

#[test]
fn names_of_places_are_read_in_whole_words() {
    let matcher = matcher();
    let secret = key(&matcher, "aws/secret-access-key", 3);
    let in_a_member = |name: &str| {
        let (within, mut told) = ([Box::<str>::from(name)], Vec::new());
        let hints = Hints { path: b"backup.zip", within: &within };
        let text = format!("some lines before it\n    {secret}\nand behind it");
        matcher.look(text.as_bytes(), &hints, &mut |hit| told.push((hit.kind.rule.to_string(), hit.confidence)));
        told.retain(|(_, confidence)| *confidence > Confidence::Low);
        told
    };
    let aws = [("aws/secret-access-key".to_owned(), Confidence::Medium)];
    for name in ["aws.txt", "keys/aws_prod", "notes/AwsKeys.txt", "my-aws/keys"] {
        assert_eq!(in_a_member(name), aws, "{name}");
    }
    for name in ["test/asian_codecs.py", "laws.txt", "notes.txt"] {
        assert_eq!(in_a_member(name), [], "{name}");
    }
}
