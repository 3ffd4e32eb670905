//! Taking other people's objects out of a list answer. Elements are cut out of the text; the rest stays as it was.

use crate::inspect::json;
use bytes::Bytes;
use keyward_domain::provider::Lists;

/// Takes those elements out of a list answer that are not the caller's. The same bytes come back when nothing had to
/// go. `None` when the answer cannot be read: then nothing of it may be shown.
#[must_use]
pub fn filter_list(body: &Bytes, lists: &Lists, mine: impl Fn(&str) -> bool) -> Option<Bytes> {
    let elements = json::elements(body, &lists.items, &lists.id)?;
    let keep: Vec<bool> = elements.iter().map(|element| element.id.as_deref().is_some_and(&mine)).collect();
    if keep.iter().all(|keep| *keep) {
        return Some(body.clone());
    }
    let (first, last) = (elements.first()?, elements.last()?);
    let mut out = Vec::with_capacity(body.len());
    out.extend_from_slice(body.get(..first.span.start)?);
    let mut any = false;
    for (element, _) in elements.iter().zip(&keep).filter(|(_, keep)| **keep) {
        if any {
            out.push(b',');
        }
        any = true;
        out.extend_from_slice(body.get(element.span.clone())?);
    }
    out.extend_from_slice(body.get(last.span.end..)?);
    Some(out.into())
}
