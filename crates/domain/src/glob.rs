//! The one wildcard people know from shells: `*` stands for any run of characters, everything else for itself.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A pattern such as `gpt-*`, compared without regard to ASCII case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Glob(Box<str>);

impl Glob {
    /// Takes a pattern as it is.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    /// Whether the whole text fits the pattern.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut p, mut t) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        while let Some(byte) = text.get(t) {
            match pattern.get(p) {
                Some(b'*') => {
                    retry = Some((p + 1, t));
                    p += 1;
                }
                Some(wanted) if wanted.eq_ignore_ascii_case(byte) => {
                    p += 1;
                    t += 1;
                }
                _ => {
                    // Let the last star swallow one more byte and try again from there.
                    let Some((after_star, from)) = retry else { return false };
                    retry = Some((after_star, from + 1));
                    p = after_star;
                    t = from + 1;
                }
            }
        }
        pattern.get(p..).is_none_or(|rest| rest.iter().all(|byte| *byte == b'*'))
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_texts() {
        for (pattern, text, fits) in [
            ("gpt-*", "gpt-5.4", true),
            ("gpt-*", "GPT-5.4", true),
            ("gpt-*", "xgpt-5.4", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("*-mini", "gpt-5.4-mini", true),
            ("*-mini", "gpt-5.4-mini-2", false),
            ("a*b*c", "a__b__b__c", true),
            ("a*b*c", "a__c__b", false),
            ("claude-sonnet-5", "claude-sonnet-5", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), fits, "{pattern} ~ {text}");
        }
    }
}
