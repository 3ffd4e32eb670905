//! Files of rules as gitleaks and betterleaks write them.

use super::compile::build;
use crate::{Confidence, Kind, matcher::entropy};
use aho_corasick::AhoCorasick;
use regex::bytes::Regex;
use std::{ops::Range, sync::Arc};

/// How much around a keyword is read for a rule's pattern.
const AROUND: usize = 2048;

/// How much must have been read after a keyword for it to count as seen.
const LEFT_OVER: usize = 512;

/// Rules of others, ready to be looked for.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Foreign>,
    keywords: Option<AhoCorasick>,
    /// Which rule each keyword is of.
    keyed: Vec<usize>,
    /// What no rule may find.
    allowed: Vec<Allowed>,
}

/// Why a file of rules was refused.
#[derive(Debug, thiserror::Error)]
pub enum RuleProblem {
    /// It is not TOML, or a field has the wrong kind of value.
    #[error("the file of rules cannot be read: {0}")]
    Toml(#[from] toml::de::Error),
    /// A rule says something that is not right, or that this program cannot do.
    #[error("rule `{rule}`: {problem}")]
    Rule {
        /// Its id, or its place in the file.
        rule: Box<str>,
        /// What is wrong.
        problem: Box<str>,
    },
    /// The file as a whole asks for something that this program cannot do.
    #[error("{0}")]
    File(Box<str>),
}

#[derive(Debug)]
struct Foreign {
    kind: Arc<Kind>,
    regex: Regex,
    path: Option<Regex>,
    group: usize,
    entropy: f64,
    allowed: Vec<Allowed>,
}

/// What is not a finding. All that is said must hold if `all`, else any of it.
#[derive(Debug)]
struct Allowed {
    all: bool,
    regexes: Vec<Regex>,
    target: Target,
    stopwords: Vec<Box<str>>,
    paths: Vec<Regex>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Secret,
    Match,
    Line,
}

#[derive(Debug, serde::Deserialize)]
struct File {
    #[serde(default)]
    rules: Vec<Written>,
    #[serde(default)]
    allowlist: Option<WrittenAllowed>,
    #[serde(default)]
    allowlists: Vec<WrittenAllowed>,
    #[serde(default)]
    extend: Option<toml::Table>,
}

#[derive(Debug, serde::Deserialize)]
struct Written {
    #[serde(default)]
    id: Box<str>,
    #[serde(default)]
    description: Box<str>,
    #[serde(default)]
    regex: Box<str>,
    #[serde(default)]
    path: Option<Box<str>>,
    #[serde(default)]
    keywords: Vec<Box<str>>,
    #[serde(default)]
    entropy: f64,
    #[serde(default, rename = "secretGroup")]
    group: usize,
    #[serde(default)]
    allowlist: Option<WrittenAllowed>,
    #[serde(default)]
    allowlists: Vec<WrittenAllowed>,
    #[serde(flatten)]
    more: toml::Table,
}

#[derive(Debug, serde::Deserialize)]
struct WrittenAllowed {
    #[serde(default)]
    condition: Box<str>,
    #[serde(default)]
    regexes: Vec<Box<str>>,
    #[serde(default, rename = "regexTarget")]
    target: Box<str>,
    #[serde(default)]
    stopwords: Vec<Box<str>>,
    #[serde(default)]
    paths: Vec<Box<str>>,
    #[serde(default)]
    commits: Vec<Box<str>>,
}

impl Rules {
    /// Reads a file as gitleaks or betterleaks write it.
    ///
    /// # Errors
    /// [`RuleProblem`]: it is no such file, a pattern is wrong, or a rule asks for what cannot be done here. Nothing is
    /// left out in silence.
    pub fn parse(text: &str) -> Result<Self, RuleProblem> {
        let file: File = toml::from_str(text)?;
        if file.extend.as_ref().is_some_and(|extend| extend.contains_key("path") || extend.contains_key("url")) {
            return Err(RuleProblem::File("`extend` of another file is not supported: give that file as well".into()));
        }
        if file.rules.is_empty() {
            return Err(RuleProblem::File("the file has no [[rules]]".into()));
        }
        let whole = |problem: String| RuleProblem::File(problem.into());
        let lists = file.allowlist.into_iter().chain(file.allowlists);
        let allowed = lists.map(allowed).collect::<Result<_, _>>().map_err(whole)?;
        let mut out = Self { allowed, ..Self::default() };
        let mut keywords = Vec::new();
        for (index, written) in file.rules.into_iter().enumerate() {
            let id: Box<str> =
                if written.id.is_empty() { format!("#{}", index + 1).into() } else { written.id.clone() };
            let words = written.keywords.clone();
            let foreign =
                foreign(written, &id).map_err(|problem| RuleProblem::Rule { rule: id, problem: problem.into() })?;
            if words.is_empty() {
                // An empty keyword is everywhere: the rule is tried on the whole text.
                keywords.push(("".into(), out.rules.len()));
            }
            keywords.extend(words.into_iter().map(|word| (word, out.rules.len())));
            out.rules.push(foreign);
        }
        let automaton =
            AhoCorasick::builder().ascii_case_insensitive(true).build(keywords.iter().map(|(word, _)| word.as_bytes()));
        out.keywords = Some(automaton.map_err(|error| whole(format!("the keywords cannot be looked for: {error}")))?);
        out.keyed = keywords.into_iter().map(|(_, rule)| rule).collect();
        Ok(out)
    }

    /// How many rules there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What these rules find in a text: what it is and where the secret stands.
    pub(crate) fn each(&self, text: &[u8], path: &[u8], mut found: impl FnMut(&Arc<Kind>, Range<usize>)) {
        let Some(keywords) = &self.keywords else { return };
        // Up to where each rule has found something, and up to where it has looked.
        let mut done = vec![(0, 0); self.rules.len()];
        for word in keywords.find_overlapping_iter(text) {
            let Some(index) = self.keyed.get(word.pattern().as_usize()).copied() else { continue };
            let (Some(rule), Some((free, seen))) = (self.rules.get(index), done.get_mut(index)) else { continue };
            if word.end() + LEFT_OVER <= *seen
                || *seen >= text.len()
                || rule.path.as_ref().is_some_and(|of| !of.is_match(path))
            {
                continue;
            }
            let everywhere = word.is_empty();
            let from = if everywhere { 0 } else { word.start().saturating_sub(AROUND).max(*free) };
            let to = if everywhere { text.len() } else { text.len().min(word.end() + AROUND) };
            *seen = to;
            for captures in rule.regex.captures_iter(text.get(from..to).unwrap_or_default()) {
                let Some(whole) = captures.get(0) else { continue };
                let group =
                    if rule.group > 0 { captures.get(rule.group) } else { captures.iter().skip(1).flatten().next() };
                let secret = group.filter(|group| !group.is_empty()).unwrap_or(whole);
                let whole = from + whole.start()..from + whole.end();
                *free = whole.end;
                if rule.entropy > 0.0 && entropy(secret.as_bytes()) <= rule.entropy {
                    continue;
                }
                let secret = from + secret.start()..from + secret.end();
                if !self.allowed.iter().chain(&rule.allowed).any(|allowed| allowed.fits(text, &whole, &secret, path)) {
                    found(&rule.kind, secret);
                }
            }
        }
    }
}

/// How sure a hit of a foreign rule is: it says nothing of it.
pub(crate) const CONFIDENCE: Confidence = Confidence::Medium;

fn foreign(written: Written, id: &str) -> Result<Foreign, String> {
    if let Some(field) =
        ["required", "filter", "validate", "expr"].into_iter().find(|field| written.more.contains_key(*field))
    {
        return Err(format!("`{field}` is not supported"));
    }
    if written.regex.is_empty() {
        return Err("it has no `regex`: rules for paths alone are not supported".to_owned());
    }
    let regex = pattern(&written.regex)?;
    if written.group >= regex.captures_len() {
        return Err(format!("secretGroup {} is not in the regex", written.group));
    }
    let lists = written.allowlist.into_iter().chain(written.allowlists);
    Ok(Foreign {
        kind: Arc::new(Kind {
            rule: id.into(),
            provider: None,
            name: if written.description.is_empty() { id.into() } else { written.description },
            admin: false,
        }),
        regex,
        path: written.path.as_deref().map(pattern).transpose()?,
        group: written.group,
        entropy: written.entropy,
        allowed: lists.map(allowed).collect::<Result<_, _>>()?,
    })
}

fn allowed(written: WrittenAllowed) -> Result<Allowed, String> {
    if !written.commits.is_empty() {
        return Err("an allowlist of commits is not supported: use .keyward/ignore".to_owned());
    }
    let list = |patterns: Vec<Box<str>>| patterns.iter().map(|text| pattern(text)).collect::<Result<Vec<_>, _>>();
    Ok(Allowed {
        all: match &*written.condition {
            "" | "OR" | "or" | "||" => false,
            "AND" | "and" | "&&" => true,
            other => return Err(format!("the condition `{other}` of an allowlist is not known")),
        },
        target: match &*written.target {
            "" | "secret" => Target::Secret,
            "match" => Target::Match,
            "line" => Target::Line,
            other => return Err(format!("the regexTarget `{other}` of an allowlist is not known")),
        },
        regexes: list(written.regexes)?,
        stopwords: written.stopwords.iter().map(|word| word.to_ascii_lowercase().into()).collect(),
        paths: list(written.paths)?,
    })
}

/// Go's patterns are nearly ours: what differs is how the end of a text and classes of Unicode are written.
fn pattern(text: &str) -> Result<Regex, String> {
    build(&text.replace(r"\Z", r"\z"))
        .map_err(|error| format!("the pattern is wrong: {}", error.to_string().lines().last().unwrap_or("")))
}

impl Allowed {
    fn fits(&self, text: &[u8], whole: &Range<usize>, secret: &Range<usize>, path: &[u8]) -> bool {
        let slice = |range: Range<usize>| text.get(range).unwrap_or_default();
        let target = match self.target {
            Target::Secret => slice(secret.clone()),
            Target::Match => slice(whole.clone()),
            Target::Line => {
                let start = slice(0..whole.start).iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                let end = memchr::memchr(b'\n', slice(whole.end..text.len())).map_or(text.len(), |at| whole.end + at);
                slice(start..end)
            }
        };
        let lower = String::from_utf8_lossy(slice(secret.clone())).to_ascii_lowercase();
        let checks = [
            (!self.regexes.is_empty(), self.regexes.iter().any(|regex| regex.is_match(target))),
            (!self.stopwords.is_empty(), self.stopwords.iter().any(|word| lower.contains(&**word))),
            (!self.paths.is_empty(), self.paths.iter().any(|regex| regex.is_match(path))),
        ];
        let mut said = checks.into_iter().filter(|(said, _)| *said).map(|(_, holds)| holds).peekable();
        said.peek().is_some() && if self.all { said.all(|holds| holds) } else { said.any(|holds| holds) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
title = "config"
[[rules]]
id = "acme"
description = "Acme key"
regex = '''(?i)acme[ =:"']{1,4}([a-z0-9]{16})\b'''
entropy = 2.5
keywords = ["acme"]
[[rules.allowlists]]
regexTarget = "line"
regexes = ["not-a-leak"]
[[rules]]
id = "grouped"
regex = '''(foo|bar)-([0-9]{6})'''
secretGroup = 2
[allowlist]
paths = ['''\.lock$''']
stopwords = ["abcabc"]
"#;

    fn found(text: &str, path: &str) -> Vec<(String, String)> {
        let mut out = Vec::new();
        Rules::parse(TEXT).unwrap().each(text.as_bytes(), path.as_bytes(), |kind, span| {
            out.push((kind.rule.to_string(), text[span].to_owned()));
        });
        out
    }

    #[test]
    fn rules_of_others_are_followed() {
        let acme = |secret: &str| vec![("acme".to_owned(), secret.to_owned())];
        assert_eq!(found("x\nACME = \"a1b2c3d4e5f6g7h8\"\n", "a.rs"), acme("a1b2c3d4e5f6g7h8"));
        assert_eq!(found("acme=a1b2c3d4e5f6g7h8 acme=b1b2c3d4e5f6g7h8", "a").len(), 2);
        assert_eq!(found("acme=aaaaaaaaaaaaaaaa", "a"), [], "its entropy is too low");
        assert_eq!(found("acme=a1b2c3d4e5f6g7h8 # not-a-leak", "a"), []);
        assert_eq!(found("acme=a1b2c3d4e5f6g7h8", "Cargo.lock"), []);
        assert_eq!(found("acme=a1abcabc2c3d4e5f", "a"), []);
        assert_eq!(found("see bar-123456", "a"), [("grouped".to_owned(), "123456".to_owned())]);
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let problem = |text: &str| Rules::parse(text).unwrap_err().to_string();
        assert!(problem("rules = 3").contains("cannot be read"));
        assert!(problem("title = 'x'").contains("no [[rules]]"));
        assert!(problem("[[rules]]\nid = 'a'\nregex = '('").starts_with("rule `a`: the pattern is wrong"));
        assert!(problem("[[rules]]\nid = 'a'\nregex = 'a'\nsecretGroup = 1").contains("secretGroup"));
        assert!(problem("[[rules]]\nid = 'a'\npath = 'a'").contains("regex"));
        assert!(problem("[[rules]]\nregex = 'a'\nfilter = 'x'").starts_with("rule `#1`: `filter`"));
        assert!(problem("[extend]\npath = 'x'\n[[rules]]\nregex = 'a'").contains("extend"));
    }
}
