//! Reads an earlier report of `keyward scan`, and says what is wrong with a file that is none: a baseline that names
//! nothing by mistake would pass for a decision.

use super::{BadList, is_fingerprint};
use serde_json::Value;

/// Who made a report in SARIF, as it says itself.
const DRIVER: &str = "Keyward";
/// What a report in SARIF calls a fingerprint of ours.
const PRINT: &str = "keyward/v1";
/// What is wrong with lines that end before the figures.
const CUT: &str = "it ends without its line of figures (`stats`): it was cut off";
/// How many characters of a foreign name are repeated.
const SHOWN: usize = 40;

/// The fingerprints in a report: in JSON, in JSON lines, or in SARIF.
///
/// # Errors
/// [`BadList`] when the text is no report of ours, or a finding in it has no fingerprint.
pub(super) fn fingerprints(text: &str) -> Result<Vec<Box<str>>, BadList> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(bad(0, "it is empty: even a report without findings is not"));
    }
    match serde_json::from_str(text) {
        Ok(value) => whole(&value),
        Err(whole) => lines(text, &whole),
    }
}

fn whole(value: &Value) -> Result<Vec<Box<str>>, BadList> {
    let Value::Object(report) = value else {
        return Err(bad(0, "it is JSON, but no report of `keyward scan`: a list or a single value"));
    };
    if let Some(runs) = report.get("runs") {
        return sarif(runs.as_array().ok_or_else(|| bad(0, "its `runs` are no list: it is no SARIF"))?);
    }
    match report.get("findings") {
        Some(Value::Array(findings)) => {
            let prints = findings.iter().zip(1..).map(|(finding, number)| {
                print(finding, "/fingerprint").ok_or_else(|| bad(0, &format!("finding {number} has no fingerprint")))
            });
            prints.collect()
        }
        Some(_) => Err(bad(0, "its `findings` are no list")),
        None if report.get("stats").is_some() => Ok(Vec::new()),
        // Of a report with a value on each line only the first is there.
        None => line(value, 1).and_then(|_| Err(bad(0, CUT))),
    }
}

/// A report with a value on each line. `whole`: why it is not one value.
fn lines(text: &str, whole: &serde_json::Error) -> Result<Vec<Box<str>>, BadList> {
    let (mut prints, mut is_whole) = (Vec::new(), false);
    for (content, number) in text.lines().zip(1..).filter(|(content, _)| !content.trim().is_empty()) {
        let value = serde_json::from_str(content).map_err(|error| {
            // A report in one value has many lines, of which no first one is a value.
            let (number, error) = if prints.is_empty() { (whole.line(), whole) } else { (number, &error) };
            bad(number, if error.is_eof() { "it ends within the report: it was cut off" } else { "it is not JSON" })
        })?;
        prints.extend(line(&value, number)?);
        is_whole = value.get("stats").is_some();
    }
    if is_whole { Ok(prints) } else { Err(bad(0, CUT)) }
}

/// What a line of a report names: a finding, or nothing.
fn line(value: &Value, number: usize) -> Result<Option<Box<str>>, BadList> {
    match print(value, "/fingerprint") {
        Some(print) => Ok(Some(print)),
        None if value.get("fingerprint").is_some() => Err(bad(number, "its fingerprint is none of Keyward's")),
        None if value.get("incomplete").is_some() || value.get("stats").is_some() => Ok(None),
        None => Err(bad(number, "it is JSON, but no report of `keyward scan`")),
    }
}

fn sarif(runs: &[Value]) -> Result<Vec<Box<str>>, BadList> {
    let driver = |run: &Value| run.pointer("/tool/driver/name").and_then(Value::as_str).map(str::to_owned);
    let ours: Vec<&Value> = runs.iter().filter(|run| driver(run).as_deref() == Some(DRIVER)).collect();
    if ours.is_empty() {
        let made = match runs.iter().find_map(driver) {
            Some(name) => {
                let name: String = name.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
                format!("it is a report of \"{name}\", whose fingerprints are not Keyward's")
            }
            None => "it is SARIF without a run of Keyward".to_owned(),
        };
        return Err(bad(0, &made));
    }
    let results = |run: &&Value| run.get("results").and_then(Value::as_array).cloned();
    let Some(results) = ours.iter().map(results).collect::<Option<Vec<_>>>() else {
        return Err(bad(0, "a run has no `results`: it is not whole"));
    };
    let prints = results.iter().flatten().zip(1..).map(|(result, number)| {
        let print = result.get("partialFingerprints").and_then(|prints| print(prints, &pointer()));
        print.ok_or_else(|| bad(0, &format!("result {number} has no fingerprint `{PRINT}`")))
    });
    prints.collect()
}

/// Where a fingerprint stands among others.
fn pointer() -> String {
    format!("/{}", PRINT.replace('/', "~1"))
}

fn print(value: &Value, pointer: &str) -> Option<Box<str>> {
    value.pointer(pointer)?.as_str().filter(|text| is_fingerprint(text)).map(Into::into)
}

fn bad(line: usize, what: &str) -> BadList {
    BadList { line, what: what.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(number: usize) -> String {
        format!("fp1_{number:040x}")
    }

    #[test]
    fn reports_of_all_three_forms_are_read() {
        let (a, b) = (one(1), one(2));
        let sarif = |name: &str, print: &str| {
            format!(
                r#"{{"tool":{{"driver":{{"name":"{name}"}}}},"results":[{{"partialFingerprints":{{"keyward/v1":"{print}"}}}}]}}"#
            )
        };
        for (text, prints) in [
            (format!(r#"{{"findings":[{{"fingerprint":"{a}"}},{{"fingerprint":"{b}"}}],"stats":{{}}}}"#), vec![&a, &b]),
            (r#"{"findings":[],"incomplete":[],"stats":{}}"#.to_owned(), vec![]),
            (format!("{{\"fingerprint\":\"{a}\"}}\n\n{{\"incomplete\":{{}}}}\r\n{{\"stats\":{{}}}}\n"), vec![&a]),
            (format!("{{\"fingerprint\":\"{a}\"}}\n{{\"stats\":{{}}}}"), vec![&a]),
            ("{\"stats\":{}}\n".to_owned(), vec![]),
            (format!("\u{feff}{{\"runs\":[{}]}}", sarif("Keyward", &a)), vec![&a]),
            (format!("{{\"runs\":[{},{}]}}", sarif("Other", "x"), sarif("Keyward", &b)), vec![&b]),
            (r#"{"runs":[{"tool":{"driver":{"name":"Keyward"}},"results":[]}]}"#.to_owned(), vec![]),
        ] {
            let read: Vec<String> = fingerprints(&text).unwrap().into_iter().map(Into::into).collect();
            assert_eq!(read.iter().collect::<Vec<_>>(), prints, "{text}");
        }
    }

    #[test]
    fn what_is_no_report_of_ours_says_why() {
        let print = one(1);
        let foreign = r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"gitleaks\u001b[2J"}},"results":[{"fingerprints":{"a":"b"}}]}]}"#;
        let bare = r#"{"runs":[{"tool":{"driver":{"name":"Keyward"}},"results":[{"ruleId":"a"}]}]}"#;
        let lone = format!("{{\"fingerprint\":\"{print}\"}}");
        let cut = format!("{lone}\n{lone}\n{{\"incomplete\":{{}}}}\n");
        let many = format!("{{\"fingerprint\":\"{print}\"}}\n{{\"fingerp");
        for (text, line, words) in [
            ("", 0, "it is empty"),
            (" \n\u{feff}", 2, "not JSON"),
            ("\u{feff} \r\n", 0, "it is empty"),
            ("nonsense", 1, "it is not JSON"),
            ("{\n\"findings\": [\n", 3, "it ends within"),
            ("[{\"Description\": \"x\", \"Fingerprint\": \"y\"}]", 0, "no report of `keyward scan`"),
            ("{\"a\": 1}", 1, "no report of `keyward scan`"),
            ("{\"findings\": 3}", 0, "no list"),
            ("{\"findings\": [{\"fingerprint\": \"abc\"}]}", 0, "finding 1 has no fingerprint"),
            ("{\"fingerprint\": \"abc\"}", 1, "none of Keyward's"),
            (foreign, 0, "it is a report of \"gitleaks[2J\""),
            (bare, 0, "result 1 has no fingerprint"),
            ("{\"runs\": []}", 0, "without a run of Keyward"),
            ("{\"runs\": {}}", 0, "no SARIF"),
            ("{\"runs\": [{\"tool\": {\"driver\": {\"name\": \"Keyward\"}}}]}", 0, "not whole"),
            (&many, 2, "it ends within"),
            (&lone, 0, "cut off"),
            (&cut, 0, "cut off"),
        ] {
            let told = fingerprints(text).unwrap_err();
            assert!(told.line == line && told.what.contains(words), "{text:?}: {told:?}");
        }
    }
}
