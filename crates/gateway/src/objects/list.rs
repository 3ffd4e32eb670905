//! Taking other people's objects out of a list answer. Elements are cut out of the text; the rest stays as it was, but
//! for the marks at which the next page begins: they must not name what was cut out.

use crate::{
    inspect::json::{self, Element},
    tap::paths::Paths,
};
use bytes::Bytes;
use keyward_domain::provider::Lists;
use std::ops::Range;

/// The first and the last object of a page, as OpenAI and Anthropic name them.
const MARKS: [&str; 2] = ["first_id", "last_id"];

/// Takes those elements out of a list answer that are not the caller's. The same bytes come back when nothing had to
/// go. `None` when the answer cannot be read: then nothing of it may be shown.
#[must_use]
pub fn filter_list(body: &Bytes, lists: &Lists, mine: impl Fn(&str) -> bool) -> Option<Bytes> {
    let elements = json::elements(body, &lists.items, &lists.id)?;
    let kept: Vec<&Element> = elements.iter().filter(|element| element.id.as_deref().is_some_and(&mine)).collect();
    let mut edits = marks(body, &kept, &mine)?;
    if kept.len() < elements.len() {
        let (first, last) = (elements.first()?, elements.last()?);
        let texts: Option<Vec<&[u8]>> = kept.iter().map(|element| body.get(element.span.clone())).collect();
        edits.push((first.span.start..last.span.end, texts?.join(&b','.to_owned())));
    }
    if edits.is_empty() {
        return Some(body.clone());
    }
    edits.sort_by_key(|(span, _)| span.start);
    let mut out = Vec::with_capacity(body.len());
    let mut at = 0;
    for (span, text) in edits {
        out.extend_from_slice(body.get(at..span.start)?);
        out.extend_from_slice(&text);
        at = span.end;
    }
    out.extend_from_slice(body.get(at..)?);
    Some(out.into())
}

/// What the marks become where they name somebody else's object: the id of the first or last element that stays, or
/// null when none does.
fn marks(body: &[u8], kept: &[&Element], mine: impl Fn(&str) -> bool) -> Option<Vec<(Range<usize>, Vec<u8>)>> {
    let mut paths = Paths::default();
    for (id, name) in (0..).zip(MARKS) {
        paths.add(name, id);
    }
    let scan = json::scan(body, &paths, &[]).ok()?;
    let mut edits = Vec::new();
    for hit in &scan.hits {
        if json::text_of(body, hit).is_none_or(|id| mine(&id)) {
            continue;
        }
        let stays = if hit.id == 0 { kept.first() } else { kept.last() };
        let text = stays.and_then(|element| element.id.as_deref()).map(serde_json::to_vec);
        edits.push((hit.span.clone(), text.transpose().ok()?.unwrap_or_else(|| b"null".to_vec())));
    }
    Some(edits)
}
