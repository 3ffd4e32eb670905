//! One page for people without a terminal: it needs no script, no network and no other file, follows the reader's light
//! or dark setting, folds on a phone, and every part is reached by keyboard.

use super::{
    Report, Row,
    escape::markup,
    printable,
    sheet::{count, day, name, path, size, sure},
};
use keyward_domain::times;
use std::fmt::Write as _;

/// How many places of a secret and how many things not scanned are shown; more would not be read.
const MOST: usize = 500;

const STYLE: &str = include_str!("page.css");

pub(super) fn write(report: &Report) -> String {
    let title = markup(&format!("Leaked secrets in {}", report.subject));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#findings\">Skip to the findings</a>\n<header>\n<h1>{title}</h1>\n"
    );
    let at = times::show(report.at);
    let minute = at.get(..16).unwrap_or(&at).replace('T', " ");
    put(
        &mut out,
        format_args!(
            "<p>Made by <code>keyward scan</code> {} on <time datetime=\"{}\">{} UTC</time>.</p>\n</header>\n<main>\n",
            markup(report.version),
            markup(&at),
            markup(&minute)
        ),
    );
    summary(&mut out, report);
    out.push_str(
        "<section id=\"findings\" aria-labelledby=\"findings-title\">\n<h2 id=\"findings-title\">Findings</h2>\n",
    );
    if report.rows.is_empty() {
        out.push_str("<p class=\"good\">No secrets were found.</p>\n");
    }
    for (number, group) in report.groups().enumerate() {
        secret(&mut out, report, group, number);
    }
    out.push_str("</section>\n");
    missed(&mut out, report);
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn summary(out: &mut String, report: &Report) {
    let secrets = report.secrets();
    let ours = report.groups().filter(|group| group.iter().any(|row| row.ours.is_some())).count();
    let (class, words) = match (secrets, report.missed.is_empty() && !report.stopped) {
        (0, true) => ("good", "Nothing has to be done.".to_owned()),
        (0, false) => ("warn", "Nothing was found, but not everything was looked at.".to_owned()),
        (_, whole) => {
            let rest = if whole { "" } else { " Not everything was looked at." };
            (
                "bad",
                format!(
                    "Each secret below can be read by whoever can read this place. Revoke it where it was made, put a \
                     new one where it belongs, then take it out of here.{rest}"
                ),
            )
        }
    };
    put(
        out,
        format_args!(
            "<section aria-label=\"Summary\">\n<p class=\"{class}\">{}</p>\n<dl class=\"cards\">\n",
            markup(&words)
        ),
    );
    let number = |number: usize| number.to_string();
    for (label, value) in [
        ("secrets", number(secrets)),
        ("places", number(report.rows.len())),
        ("of your own installation", number(ours)),
        ("not scanned", number(report.missed.len())),
        ("items looked at", report.stats.items.to_string()),
        ("looked at", size(report.stats.bytes)),
    ] {
        put(out, format_args!("<div><dt>{label}</dt><dd>{}</dd></div>\n", markup(&value)));
    }
    out.push_str("</dl>\n");
    let left = report.left_words();
    if !left.is_empty() {
        put(out, format_args!("<p class=\"quiet\">Left out: {}.</p>\n", markup(&left.join(", "))));
    }
    out.push_str("</section>\n");
}

fn secret(out: &mut String, report: &Report, group: &[Row], number: usize) {
    let Some(first) = group.first() else { return };
    let found = &first.finding;
    let confidence = group.iter().map(|row| row.finding.confidence).max().unwrap_or(found.confidence);
    put(
        out,
        format_args!(
            "<article aria-labelledby=\"s{number}\">\n<h3 id=\"s{number}\"><span class=\"tag {0}\">{0}</span> {1} \
             <code>{2}</code></h3>\n",
            sure(confidence),
            markup(&found.kind.name),
            markup(&report.shown(first))
        ),
    );
    if let Some(ours) = group.iter().find_map(|row| row.ours.as_ref()) {
        put(out, format_args!("<p class=\"ours\">This is {}.</p>\n", markup(&ours.words())));
    }
    if let Some(verified) = group.iter().find_map(|row| row.verified.as_ref()) {
        let words = format!("At the provider: {} ({})", verified.state, verified.reason);
        put(out, format_args!("<p>{}.</p>\n", markup(&words)));
    }
    let reasons = first.reasons();
    if !reasons.is_empty() {
        put(out, format_args!("<p class=\"quiet\">Taken for a secret because {}.</p>\n", markup(&reasons.join("; "))));
    }
    let open = if group.len() <= 5 { " open" } else { "" };
    let places = count(u64::try_from(group.len()).unwrap_or(u64::MAX), "place");
    put(out, format_args!("<details{open}>\n<summary>{places}</summary>\n<ul>\n"));
    for row in group.iter().take(MOST) {
        place(out, row);
    }
    if group.len() > MOST {
        put(out, format_args!("<li>and {} more</li>\n", group.len() - MOST));
    }
    out.push_str("</ul>\n</details>\n</article>\n");
}

fn place(out: &mut String, row: &Row) {
    let found = &row.finding;
    put(
        out,
        format_args!(
            "<li><code>{}</code> line {}, column {} <span class=\"quiet\">({}, {})</span>",
            markup(&row.path()),
            found.line,
            found.column,
            name(found.place.place),
            markup(&row.fingerprint)
        ),
    );
    if !found.place.commits.is_empty() {
        out.push_str("<ul>\n");
        for commit in &found.place.commits {
            put(
                out,
                format_args!(
                    "<li>commit <code>{}</code>, {}, {}</li>\n",
                    markup(commit.id.get(..12).unwrap_or(&commit.id)),
                    markup(&day(commit)),
                    markup(&printable(commit.author.as_bytes()))
                ),
            );
        }
        if found.place.more_commits > 0 {
            put(out, format_args!("<li>and {}</li>\n", count(found.place.more_commits, "more commit")));
        }
        out.push_str("</ul>");
    }
    out.push_str("</li>\n");
}

fn missed(out: &mut String, report: &Report) {
    if report.missed.is_empty() {
        return;
    }
    out.push_str("<section aria-labelledby=\"missed-title\">\n<h2 id=\"missed-title\">Not scanned</h2>\n<ul>\n");
    for missed in report.missed.iter().take(MOST) {
        let (path, detail) = (markup(&path(&missed.place)), markup(&printable(missed.detail.as_bytes())));
        put(out, format_args!("<li><code>{path}</code> <span class=\"quiet\">{detail}</span></li>\n"));
    }
    if report.missed.len() > MOST {
        put(out, format_args!("<li>and {} more</li>\n", report.missed.len() - MOST));
    }
    out.push_str("</ul>\n</section>\n");
}

fn put(out: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _written = out.write_fmt(words);
}
