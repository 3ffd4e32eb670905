//! Path templates of operations: `/files/{file}/content`, `/models/{model}:generate`, `/models/{model...}`.

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// This text.
    Literal(String),
    /// A parameter, followed by this text within the segment.
    Parameter {
        /// Its name.
        name: String,
        /// What follows it, such as `:generateContent`; often empty.
        suffix: String,
    },
    /// All that is left, at least one segment.
    Rest {
        /// Its name.
        name: String,
    },
}

/// Reads a template.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse(template: &str) -> Result<Vec<Segment>, String> {
    let body = template.strip_prefix('/').ok_or_else(|| format!("the path `{template}` must begin with `/`"))?;
    let parts: Vec<_> = body.split('/').collect();
    let mut segments = Vec::with_capacity(parts.len());
    let mut names: Vec<String> = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let segment = segment(part).map_err(|wrong| format!("the path `{template}`: {wrong}"))?;
        if matches!(segment, Segment::Rest { .. }) && index + 1 != parts.len() {
            return Err(format!("the path `{template}`: `{part}` takes the rest, so it must come last"));
        }
        if let Segment::Parameter { name, .. } | Segment::Rest { name } = &segment {
            if names.contains(name) {
                return Err(format!("the path `{template}` names the parameter `{name}` twice"));
            }
            names.push(name.clone());
        }
        segments.push(segment);
    }
    Ok(segments)
}

/// The names of a template's parameters.
#[must_use]
pub fn parameters(segments: &[Segment]) -> Vec<&str> {
    segments
        .iter()
        .filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Parameter { name, .. } | Segment::Rest { name } => Some(&**name),
        })
        .collect()
}

/// Whether a path fits a template.
#[must_use]
pub fn fits(segments: &[Segment], path: &str) -> bool {
    let Some(body) = path.strip_prefix('/') else { return false };
    let mut parts = body.split('/');
    for segment in segments {
        let Some(part) = parts.next() else { return false };
        let fits = match segment {
            Segment::Literal(text) => text == part,
            Segment::Parameter { suffix, .. } => part.strip_suffix(&**suffix).is_some_and(|value| !value.is_empty()),
            Segment::Rest { .. } => return !part.is_empty(),
        };
        if !fits {
            return false;
        }
    }
    parts.next().is_none()
}

fn segment(part: &str) -> Result<Segment, String> {
    if part.is_empty() {
        return Err("it has an empty segment".to_owned());
    }
    let Some(rest) = part.strip_prefix('{') else {
        if part.contains(['{', '}']) {
            return Err(format!("in `{part}` a parameter must stand at the beginning"));
        }
        return literal(part).map(Segment::Literal);
    };
    let (name, suffix) = rest.split_once('}').ok_or_else(|| format!("`{part}` is not closed by `}}`"))?;
    let (name, takes_rest) = name.strip_suffix("...").map_or((name, false), |name| (name, true));
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
        return Err(format!("the parameter `{name}` must be named in lower-case letters"));
    }
    let name = name.to_owned();
    if takes_rest {
        return if suffix.is_empty() {
            Ok(Segment::Rest { name })
        } else {
            Err(format!("nothing may follow `{part}`"))
        };
    }
    if suffix.contains(['{', '}']) {
        return Err(format!("`{part}` has two parameters in one segment"));
    }
    Ok(Segment::Parameter { name, suffix: literal(suffix)? })
}

fn literal(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:@!$&'()*+,;=".contains(&byte);
    if text.bytes().all(plain) { Ok(text.to_owned()) } else { Err(format!("`{text}` is not plain text of a path")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_fit_the_paths_they_name() {
        let fits = |template: &str, path: &str| fits(&parse(template).unwrap(), path);
        assert!(fits("/chat/completions", "/chat/completions"));
        assert!(!fits("/chat/completions", "/chat/completions/"));
        assert!(!fits("/chat/completions", "/chat"));
        assert!(fits("/files/{file}", "/files/file-1"));
        assert!(!fits("/files/{file}", "/files/"));
        assert!(!fits("/files/{file}", "/files/a/content"));
        assert!(fits("/models/{model}:generateContent", "/models/gemini-3:generateContent"));
        assert!(!fits("/models/{model}:generateContent", "/models/gemini-3:streamGenerateContent"));
        assert!(fits("/models/{model...}", "/models/org/name"));
        assert!(!fits("/models/{model...}", "/models/"));
    }

    #[test]
    fn broken_templates_are_refused() {
        for template in
            ["chat", "/", "/a//b", "/{}", "/{a", "/{a}{b}", "/{a...}/b", "/{a}/{a}", "/x{a}", "/a?b", "/{A}"]
        {
            assert!(parse(template).is_err(), "{template}");
        }
    }
}
