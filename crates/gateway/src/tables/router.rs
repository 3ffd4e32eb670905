//! From a method and a path to an operation. Literal paths are one look-up; the rest is matched segment by segment.
//! Matching is exact: no case folding, no decoding of literal text, no forgiveness for slashes.

use super::OperationPlan;
use std::{collections::HashMap, sync::Arc};

/// The operations of one provider, ready to be found.
#[derive(Debug, Default)]
pub struct Router {
    literal: HashMap<Box<str>, Vec<Arc<OperationPlan>>>,
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    segments: Vec<Segment>,
    rest: Option<Box<str>>,
    plan: Arc<OperationPlan>,
}

#[derive(Debug)]
enum Segment {
    Literal(Box<str>),
    /// Text, a parameter, text.
    Param {
        before: Box<str>,
        name: Box<str>,
        after: Box<str>,
    },
}

/// The parameters of a path, still percent-encoded.
pub type RawParams<'r, 'p> = Vec<(&'r str, &'p str)>;

/// What was found at a path.
#[derive(Debug)]
pub enum Found<'r, 'p> {
    /// An operation, and its parameters.
    Operation(&'r Arc<OperationPlan>, RawParams<'r, 'p>),
    /// The path exists with other methods.
    OtherMethods(Vec<&'r str>),
    /// Nothing.
    Nothing,
}

impl Router {
    /// Builds the router. Of two operations with the same method and path the first is used.
    #[must_use]
    pub fn new(operations: &[Arc<OperationPlan>]) -> Self {
        let mut router = Self::default();
        for plan in operations {
            let path = &*plan.operation.path;
            if path.contains('{') {
                router.patterns.push(Pattern::new(plan));
            } else {
                router.literal.entry(path.into()).or_default().push(Arc::clone(plan));
            }
        }
        // More literal text first, so that `/files/content` is not taken for the file called `content`.
        router.patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.weight()));
        router
    }

    /// Finds what is at a path that begins with a slash.
    #[must_use]
    pub fn find<'r, 'p>(&'r self, method: &str, path: &'p str) -> Found<'r, 'p> {
        let mut others = Vec::new();
        for plan in self.literal.get(path).map_or(&[][..], Vec::as_slice) {
            if fits_method(plan, method) {
                return Found::Operation(plan, Vec::new());
            }
            others.push(&*plan.operation.method);
        }
        for pattern in &self.patterns {
            let Some(params) = pattern.matches(path) else { continue };
            if fits_method(&pattern.plan, method) {
                return Found::Operation(&pattern.plan, params);
            }
            others.push(&*pattern.plan.operation.method);
        }
        if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others) }
    }
}

fn fits_method(plan: &OperationPlan, method: &str) -> bool {
    *plan.operation.method == *method
}

impl Pattern {
    fn new(plan: &Arc<OperationPlan>) -> Self {
        let mut segments = Vec::new();
        let mut rest = None;
        for text in plan.operation.path.trim_start_matches('/').split('/') {
            let param = text.split_once('{').and_then(|(before, tail)| {
                let (name, after) = tail.split_once('}')?;
                Some((before, name, after))
            });
            match param {
                None => segments.push(Segment::Literal(text.into())),
                Some((_, name, _)) if name.ends_with("...") => rest = Some(name.trim_end_matches('.').into()),
                Some((before, name, after)) => {
                    segments.push(Segment::Param { before: before.into(), name: name.into(), after: after.into() });
                }
            }
        }
        Self { segments, rest, plan: Arc::clone(plan) }
    }

    /// How particular the pattern is: literal segments, then segments with some literal text, then length.
    fn weight(&self) -> (bool, usize, usize, usize) {
        let literal = self.segments.iter().filter(|segment| matches!(segment, Segment::Literal(_))).count();
        let text = self.segments.iter().map(|segment| match segment {
            Segment::Literal(_) => 0,
            Segment::Param { before, after, .. } => before.len() + after.len(),
        });
        (self.rest.is_none(), literal, text.sum(), self.segments.len())
    }

    fn matches<'r, 'p>(&'r self, path: &'p str) -> Option<RawParams<'r, 'p>> {
        let mut params = Vec::new();
        let mut remaining = Some(path.strip_prefix('/')?);
        for segment in &self.segments {
            let text = remaining?;
            let (part, next) = text.split_once('/').map_or((text, None), |(part, next)| (part, Some(next)));
            match segment {
                Segment::Literal(wanted) if **wanted == *part => {}
                Segment::Literal(_) => return None,
                Segment::Param { before, name, after } => {
                    let value = part.strip_prefix(&**before)?.strip_suffix(&**after)?;
                    // Where text follows a parameter (`{model}:generate`), the parameter holds no such mark itself.
                    let mark = after.chars().next();
                    if value.is_empty() || mark.is_some_and(|mark| value.contains(mark)) {
                        return None;
                    }
                    params.push((&**name, value));
                }
            }
            remaining = next;
        }
        match (&self.rest, remaining) {
            (None, None) => Some(params),
            (Some(name), Some(rest)) if !rest.is_empty() => {
                params.push((&**name, rest));
                Some(params)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::tests::{operation, plan_of};

    fn router() -> Router {
        let plans: Vec<_> = [
            ("POST", "/chat/completions"),
            ("GET", "/files"),
            ("POST", "/files"),
            ("GET", "/files/{file}"),
            ("GET", "/files/{file}/content"),
            ("GET", "/files/special"),
            ("POST", "/models/{model}:generateContent"),
            ("POST", "/models/{model}:streamGenerateContent"),
            ("GET", "/models/{model...}"),
        ]
        .map(|(method, path)| plan_of(&operation(method, path)))
        .into();
        Router::new(&plans)
    }

    fn found(method: &str, path: &str) -> String {
        match router().find(method, path) {
            Found::Operation(plan, params) => format!("{} {params:?}", plan.operation.path),
            Found::OtherMethods(methods) => format!("only {methods:?}"),
            Found::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn paths_lead_to_operations() {
        for (method, path, expected) in [
            ("POST", "/chat/completions", "/chat/completions []"),
            ("GET", "/chat/completions", "only [\"POST\"]"),
            ("POST", "/Chat/completions", "nothing"),
            ("POST", "/chat/completions/", "nothing"),
            ("GET", "/files/f1", "/files/{file} [(\"file\", \"f1\")]"),
            ("GET", "/files/special", "/files/special []"),
            ("GET", "/files/f1/content", "/files/{file}/content [(\"file\", \"f1\")]"),
            ("GET", "/files/", "nothing"),
            ("DELETE", "/files/f1", "only [\"GET\"]"),
            ("POST", "/models/g:generateContent", "/models/{model}:generateContent [(\"model\", \"g\")]"),
            ("POST", "/models/g:streamGenerateContent", "/models/{model}:streamGenerateContent [(\"model\", \"g\")]"),
            ("POST", "/models/g:x:generateContent", "only [\"GET\"]"),
            ("POST", "/models/:generateContent", "only [\"GET\"]"),
            ("GET", "/models/a/b", "/models/{model...} [(\"model\", \"a/b\")]"),
            ("GET", "/models", "nothing"),
            ("GET", "", "nothing"),
        ] {
            assert_eq!(found(method, path), expected, "{method} {path}");
        }
    }
}
