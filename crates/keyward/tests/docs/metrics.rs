//! `docs/reference/metrics.md`: every metric that the server really shows, with its type and labels.

use crate::{page, stage::Stage};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

const PAGE: &str = "docs/reference/metrics.md";

/// A metric: its type and the names of its labels.
type Metric = (String, BTreeSet<String>);

/// What `/metrics` shows.
fn shown(text: &str) -> BTreeMap<String, Metric> {
    let mut all: BTreeMap<String, Metric> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            current = name.to_owned();
            all.insert(current.clone(), (kind.to_owned(), BTreeSet::new()));
        } else if !line.starts_with('#') {
            assert!(line.starts_with(&current), "a sample stands below its type: {line}");
            let labels = line.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(labels, _)| labels);
            let names = labels
                .into_iter()
                .flat_map(|labels| labels.split(','))
                .filter_map(|label| label.split_once('=').map(|(name, _)| name.to_owned()));
            all.get_mut(&current).expect("a type came first").1.extend(names);
        }
    }
    all
}

#[test]
fn every_metric_stands_there_with_its_type_and_labels() {
    let stage = Stage::set();
    let key = stage.key("web", &json!({"providers": ["openai"]}));
    assert_eq!(stage.call(&key).status, 200);
    let text = stage.admin("/metrics").text();
    let page = page::text(PAGE);
    let told: BTreeMap<String, Metric> = page::rows(&page, "Metrics")
        .iter()
        .map(|row| {
            let labels = page::code(&row[2]).into_iter().map(str::to_owned).collect();
            (page::code(&row[0]).concat(), (row[1].clone(), labels))
        })
        .collect();
    assert_eq!(told, shown(&text));
    assert!(told.len() > 8, "{told:?}");
}

#[test]
fn every_query_of_the_page_names_metrics_that_exist() {
    let page = page::text(PAGE);
    let rows = page::rows(&page, "Metrics");
    let known: BTreeSet<&str> = rows.iter().flat_map(|row| page::code(&row[0])).collect();
    for (at, _) in page.match_indices("keyward_") {
        let rest = page.get(at..).unwrap_or_default();
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or_default();
        let bare = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(known.contains(bare) || known.contains(name), "{PAGE}: there is no metric {name}");
    }
}
