//! Reads a git configuration file: only what tells where a repository's parts lie. Nothing of it is run or included.

/// The values of a configuration file, in its order.
#[derive(Debug, Default)]
pub(crate) struct Config {
    values: Vec<Value>,
}

#[derive(Debug)]
struct Value {
    section: String,
    subsection: Vec<u8>,
    name: String,
    value: Vec<u8>,
}

impl Config {
    /// Reads what can be read; a line that makes no sense is passed over.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let mut config = Self::default();
        let (mut section, mut subsection) = (String::new(), Vec::new());
        let mut lines = bytes.split(|byte| *byte == b'\n');
        while let Some(line) = lines.next() {
            let mut line = line.trim_ascii();
            if let Some(head) = line.strip_prefix(b"[") {
                let (names, rest) = header(head);
                (section, subsection) = names;
                line = rest.trim_ascii();
            }
            if line.is_empty() || line.starts_with(b"#") || line.starts_with(b";") {
                continue;
            }
            let mut whole = line.to_vec();
            while whole.ends_with(b"\\") {
                whole.pop();
                let Some(next) = lines.next() else { break };
                whole.extend_from_slice(next.trim_ascii_end());
            }
            let (name, value) = match memchr::memchr(b'=', &whole) {
                Some(at) => (whole.get(..at), unquote(whole.get(at + 1..).unwrap_or_default())),
                None => (Some(&*whole), b"true".to_vec()),
            };
            let name = String::from_utf8_lossy(name.unwrap_or_default().trim_ascii()).to_ascii_lowercase();
            config.values.push(Value { section: section.clone(), subsection: subsection.clone(), name, value });
        }
        config
    }

    /// The last value of a name outside of subsections. Names are in lower case.
    pub(crate) fn get(&self, section: &str, name: &str) -> Option<&[u8]> {
        let fits = |value: &&Value| value.section == section && value.subsection.is_empty() && value.name == name;
        self.values.iter().rev().find(fits).map(|value| &*value.value)
    }

    /// All values in the subsections of a section: the subsection, the name, the value.
    pub(crate) fn below(&self, section: &str) -> impl Iterator<Item = (&[u8], &str, &[u8])> {
        let of = self.values.iter().filter(move |one| one.section == section && !one.subsection.is_empty());
        of.map(|one| (&*one.subsection, &*one.name, &*one.value))
    }

    /// Whether the last value of a name says yes.
    pub(crate) fn is(&self, section: &str, name: &str) -> bool {
        self.get(section, name).is_some_and(yes)
    }

    /// Whether any remote has promised to send what is missing.
    pub(crate) fn is_partial(&self) -> bool {
        self.get("extensions", "partialclone").is_some()
            || self.values.iter().any(|one| one.section == "remote" && one.name == "promisor" && yes(&one.value))
    }
}

fn yes(value: &[u8]) -> bool {
    [&b"true"[..], b"yes", b"on", b"1"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

/// `section "subsection"]`, and what follows it.
fn header(head: &[u8]) -> ((String, Vec<u8>), &[u8]) {
    let end = head.iter().position(|byte| matches!(byte, b'"' | b']' | b' ' | b'\t')).unwrap_or(head.len());
    let (name, mut rest) = head.split_at_checked(end).unwrap_or((head, &[]));
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let mut subsection = Vec::new();
    rest = rest.trim_ascii_start();
    if let Some(quoted) = rest.strip_prefix(b"\"") {
        rest = quoted;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            match byte {
                b'"' => break,
                b'\\' => {
                    if let Some((byte, after)) = rest.split_first() {
                        subsection.push(*byte);
                        rest = after;
                    }
                }
                _ => subsection.push(*byte),
            }
        }
    }
    let after = memchr::memchr(b']', rest).and_then(|at| rest.get(at + 1..)).unwrap_or_default();
    ((name, subsection), after)
}

/// A value without quotes, escapes and a comment.
fn unquote(value: &[u8]) -> Vec<u8> {
    let (mut out, mut quoted, mut kept) = (Vec::new(), false, 0);
    let mut bytes = value.trim_ascii().iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                quoted = !quoted;
                kept = out.len();
            }
            b'#' | b';' if !quoted => break,
            b'\\' => {
                let byte = match bytes.next() {
                    Some(b'n') => b'\n',
                    Some(b't') => b'\t',
                    Some(byte) => *byte,
                    None => break,
                };
                out.push(byte);
                kept = out.len();
            }
            _ => {
                out.push(*byte);
                if quoted || !byte.is_ascii_whitespace() {
                    kept = out.len();
                }
            }
        }
    }
    out.truncate(kept);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_read_as_git_reads_them() {
        let config = Config::parse(
            b"[core]\n\tworktree = \"../a b\" ; c\n  bare\n[Remote \"o\\\"x\"] url = u#v\n promisor = TRUE\n[extensions]\nobjectFormat=sha\\\n256\n",
        );
        assert_eq!(config.get("core", "worktree"), Some(&b"../a b"[..]));
        assert!(config.is("core", "bare"));
        assert!(config.is_partial());
        assert_eq!(config.get("extensions", "objectformat"), Some(&b"sha256"[..]));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = Config::parse(&bytes);
        }
    }
}
