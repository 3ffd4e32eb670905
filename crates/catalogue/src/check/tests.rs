const GOOD: &str = r#"
id = "x"
name = "X"
as_of = "2026-11-21"
[api]
base_url = "https://api.example.com"
root = "/x"
dialect = "openai"
[auth]
header = "authorization"
[[operations]]
name = "chat"
method = "POST"
path = "/chat"
request = "json"
model = { body = "model" }
usage = "chat"
[usage.chat]
roots = ["usage"]
counters = { input = ["in"] }
[error_fields]
code = ["error.code"]
[[errors]]
code = ["gone"]
cause = "key_unknown"
remedy = "Put in a new key."
[[keys]]
name = "api"
pattern = 'xk-[a-z0-9]{32}'
prefixes = ["xk-"]
[[examples]]
name = "use"
usage = "chat"
body = '{"usage":{"in":3}}'
counts = { input = 3 }
[[examples]]
name = "dead"
status = 401
body = '{"error":{"code":"gone"}}'
cause = "key_unknown"
"#;

/// What is wrong after one line was replaced, as `line:column: message`.
fn after(from: &str, to: &str) -> Vec<String> {
    assert_eq!(GOOD.matches(from).count(), 1, "{from}");
    let text = GOOD.replace(from, to);
    text_problems(&text)
}

fn text_problems(text: &str) -> Vec<String> {
    super::text(text)
        .iter()
        .map(|problem| format!("{}:{}: {}", problem.line, problem.column, problem.message))
        .collect()
}

#[test]
fn a_right_file_has_no_problems() {
    assert_eq!(text_problems(GOOD), Vec::<String>::new());
}

#[test]
fn syntax_errors_have_their_place() {
    let problems = after("name = \"X\"", "name = \"X");
    assert!(problems.iter().all(|problem| problem.starts_with("3:")), "{problems:?}");
    assert!(!problems.is_empty());
}

#[test]
fn unknown_fields_and_wrong_types_are_all_told() {
    let text = GOOD.replace("method = \"POST\"", "metod = \"POST\"").replace("prefixes = [\"xk-\"]", "prefixes = 3");
    let problems = super::text(&text);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_eq!((problems[0].line, problems[0].column), (13, 1));
    assert!(problems[0].message.contains("unknown field `metod`"), "{:?}", problems[0]);
    assert_eq!(problems[0].hint, "did you mean `method`?");
    assert_eq!((problems[1].line, problems[1].column), (30, 12));
    assert!(problems[1].message.contains("invalid type"), "{:?}", problems[1]);
}

#[test]
fn what_makes_no_sense_is_told_with_its_place() {
    for (from, to, expected) in [
        ("id = \"x\"", "id = \"X!\"", "2:6: `X!` is not an id"),
        ("as_of = \"2026-11-21\"", "as_of = \"today\"", "4:9: `today` is not a day"),
        ("https://api.example.com", "http://api.example.com", "6:12: the API root must begin with https://"),
        (
            "https://api.example.com",
            "https://api.example.com/",
            "6:12: the API root must not end in `/` or have a query",
        ),
        ("root = \"/x\"", "root = \"/y\"", "7:8: the path on the gateway must begin with /x"),
        ("\"authorization\"", "\"Authorization\"", "10:10: `Authorization` is not the name of a header"),
        ("method = \"POST\"", "method = \"post\"", "13:10: `post` is not a method"),
        ("path = \"/chat\"", "path = \"/{a\"", "14:8: the path `/{a`: `{a` is not closed by `}`"),
        ("usage = \"chat\"\n[usage", "usage = \"cat\"\n[usage", "17:9: there is no usage shape `cat`"),
        ("{ body = \"model\" }", "{ path = \"model\" }", "16:9: the path has no parameter `model`"),
        (
            "counters = { input = [\"in\"] }",
            "counters = { input = [\"in[\"] }",
            "20:23: `in[`: a `[` is not closed by `]`",
        ),
        ("remedy = \"Put in a new key.\"", "remedy = \"\"", "26:10: the remedy is not a sentence"),
        ("xk-[a-z0-9]{32}", "xk-[a-z0-9{32}", "29:11: the pattern is wrong: error: unclosed character class"),
        ("xk-[a-z0-9]{32}", "xk-[a-z0-9]{3}", "29:11: the pattern fits texts shorter than 16 characters"),
        (
            "prefixes = [\"xk-\"]",
            "prefixes = [\"yk-\"]",
            "30:12: the pattern fits texts that begin with none of the prefixes",
        ),
        ("counts = { input = 3 }", "counts = { input = 4 }", "35:10: the example gives input 3, not input 4"),
        ("counts = { input = 3 }", "counts = { inputs = 3 }", "35:10: `inputs` is not a count"),
        ("\"code\":\"gone\"", "\"code\":\"off\"", "40:9: the error table gives Unknown for this example"),
    ] {
        let problems = after(from, to);
        assert!(problems.iter().any(|problem| problem == expected), "{to}: {problems:#?}");
    }
}

#[test]
fn what_is_billed_besides_tokens_must_be_counted() {
    let line = r#"counters = { input = ["in"] }"#;
    assert_eq!(
        after(
            line,
            &format!("{line}\naside = {{ roots = [\"b\"], counters = {{ input = [\"in\"] }}, model = [\"m\"] }}")
        ),
        [""; 0]
    );
    for (add, message) in [
        (r#"apart = ["searches"]"#, "Searches is billed apart, but it is not counted"),
        (
            r#"aside = { roots = ["b"], counters = { input = ["in"] } }"#,
            "what another model is billed for needs counters and the model",
        ),
        (
            r#"aside = { roots = ["b"], counters = { input = ["in["] }, model = ["m"] }"#,
            "`in[`: a `[` is not closed by `]`",
        ),
    ] {
        let told = after(line, &format!("{line}\n{add}"));
        assert!(told.len() == 1 && told[0].ends_with(message), "{told:?}");
    }
    let told = after("usage = \"chat\"\n[usage", "usage = \"chat\"\ncharacters = \"text\"\n[usage");
    assert_eq!(told, [""; 0]);
    let told = after("usage = \"chat\"\n[usage", "usage = \"chat\"\ncharacters = \"a[]\"\n[usage");
    assert!(told.len() == 1 && told[0].contains("not the path of a field"), "{told:?}");
}

#[test]
fn the_same_call_twice_is_told() {
    let twice = "[[operations]]\nname = \"chat\"\nmethod = \"POST\"\npath = \"/a/{x}\"\n[[operations]]\nname = \"chat\"\nmethod = \"POST\"\npath = \"/a/{y}\"\n[usage.chat]";
    assert_eq!(after("[usage.chat]", twice), ["25:8: POST /a/{y} is already the operation `chat`"]);
}

#[test]
fn price_files_are_checked_too() {
    let good = "as_of = \"2026-11-21\"\nprovider = \"x\"\n[[prices]]\nmodel = \"m\"\nrates = { input = 1 }\n";
    assert_eq!(text_problems(good), Vec::<String>::new());
    for (extra, expected) in [
        ("[[prices]]\nmodel = \"M\"\nrates = { input = 2 }\n", "6:1: `M` already has a price for this time, under `m`"),
        ("[[prices]]\nmodel = \"n\"\n", "6:1: the price has neither rates nor fees"),
        ("[[prices]]\nmodel = \"n\"\nrates = { input = -2 }\n", "6:1: an amount is negative or absurd"),
        ("[[prices]]\nmodel = \"n\"\nrates = { inputs = 2 }\n", "8:11: unknown field `inputs`"),
        (
            "[[prices]]\nmodel = \"n\"\nrates = { input = 2 }\nfrom = \"2026-01-02\"\nuntil = \"2026-01-01\"\n",
            "10:9: the price ends before it begins",
        ),
    ] {
        let problems = text_problems(&format!("{good}{extra}"));
        assert!(problems.iter().any(|problem| problem.starts_with(expected)), "{extra}: {problems:?}");
    }
}

#[test]
fn what_bounds_need_must_make_sense() {
    for (line, problem) in [
        ("tools = \"t\"", "there is no tool set `t`"),
        ("unseen = [\"a[\"]", "is not closed"),
        ("default_answers = 0", "nought"),
        ("thinking = \"a[]\"", "not the path of a field"),
        ("tier = { path = \"\", fixed = [] }", "not the path of a field"),
    ] {
        let found = after("usage = \"chat\"\n[usage", &format!("usage = \"chat\"\n{line}\n[usage")).join("\n");
        assert!(found.contains(problem), "{line}: {found}");
    }
    let with = |set: &str| after("[usage.chat]", &format!("{set}\n[usage.chat]")).join("\n");
    assert!(with("[tools.t]\nkinds = {}").contains("looks nowhere"));
    assert!(with("[tools.t]\nlists = [\"tools\"]").contains("no operation has"));
    assert!(with("[tools.t]\nlists = [\"tools\"]\nturns = 0").contains("at least one turn"));
}
