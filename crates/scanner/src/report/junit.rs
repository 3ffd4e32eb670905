//! JUnit's XML, as CI servers read it: each finding a test that failed, each thing not scanned a test with an error.

use super::{Report, escape::markup, sheet::path, sheet::sure};
use std::fmt::Write as _;

pub(super) fn write(report: &Report) -> String {
    let (failures, errors) = (report.rows.len(), report.missed.len());
    let tests = (failures + errors).max(1);
    let counts = format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\"");
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"keyward scan\" {counts}>\n  \
         <testsuite name=\"{}\" {counts} skipped=\"0\">\n",
        markup(&report.subject)
    );
    for row in &report.rows {
        let found = &row.finding;
        let mut body = format!("fingerprint {}\n", row.fingerprint);
        row.reasons().iter().for_each(|reason| put(&mut body, format_args!("because {reason}\n")));
        row.ours.iter().for_each(|ours| put(&mut body, format_args!("{}\n", ours.words())));
        for commit in &found.place.commits {
            put(&mut body, format_args!("in commit {} by {}\n", commit.id, super::printable(commit.author.as_bytes())));
        }
        put(
            &mut out,
            format_args!(
                "    <testcase classname=\"{}\" name=\"{} at {}:{}\">\n      \
                 <failure type=\"{}\" message=\"{}\">{}</failure>\n    </testcase>\n",
                markup(&row.path()),
                markup(&found.kind.rule),
                found.line,
                found.column,
                sure(found.confidence),
                markup(&format!("{} ({})", found.kind.name, report.shown(row))),
                markup(&body)
            ),
        );
    }
    for missed in &report.missed {
        put(
            &mut out,
            format_args!(
                "    <testcase classname=\"{}\" name=\"not scanned\">\n      \
                 <error type=\"incomplete\" message=\"{}\"/>\n    </testcase>\n",
                markup(&path(&missed.place)),
                markup(&missed.detail)
            ),
        );
    }
    if failures + errors == 0 {
        out.push_str("    <testcase classname=\"keyward\" name=\"no secrets found\"/>\n");
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

fn put(out: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _written = out.write_fmt(words);
}
