//! What `.gitignore` files name, for those who want it left out.

use rustix::fs::{self, Mode, OFlags};
use std::{fs::File, io::Read, os::fd::OwnedFd, sync::Arc};

/// How large an ignore file may be, in bytes.
const LARGEST: u64 = 4 << 20;

/// How many steps one pattern may take to match: a hostile one must not take for ever.
const STEPS: u32 = 10_000;

/// The patterns of a folder, and those above it.
#[derive(Debug)]
pub(super) struct Ignore {
    above: Option<Arc<Self>>,
    /// How long the path of the folder is that the patterns are relative to.
    base: usize,
    patterns: Vec<Pattern>,
}

#[derive(Debug, PartialEq, Eq)]
struct Pattern {
    glob: Box<[u8]>,
    /// Whether it takes back what others ignore.
    takes_back: bool,
    only_folders: bool,
    /// Whether it is matched against the path from its folder, and not only the name.
    anchored: bool,
}

impl Ignore {
    /// Reads the patterns of a folder. None: neither it nor any above it has some.
    pub(super) fn enter(folder: &OwnedFd, above: Option<Arc<Self>>, path: &[u8]) -> Option<Arc<Self>> {
        let mut patterns = read(folder, ".git/info/exclude");
        patterns.extend(read(folder, ".gitignore"));
        if patterns.is_empty() {
            return above;
        }
        let base = path.len() + usize::from(!path.ends_with(b"/"));
        Some(Arc::new(Self { above, base, patterns }))
    }

    /// Whether a path below the folder is ignored: the last pattern that fits says so.
    pub(super) fn is_ignored(&self, path: &[u8], is_folder: bool) -> bool {
        let mut here = Some(self);
        while let Some(ignore) = here {
            let relative = path.get(ignore.base..).unwrap_or_default();
            if let Some(pattern) = ignore.patterns.iter().rev().find(|pattern| pattern.fits(relative, is_folder)) {
                return !pattern.takes_back;
            }
            here = ignore.above.as_deref();
        }
        false
    }
}

fn read(folder: &OwnedFd, name: &str) -> Vec<Pattern> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let Ok(file) = fs::openat(folder, name, flags, Mode::empty()) else { return Vec::new() };
    let mut text = Vec::new();
    if File::from(file).take(LARGEST).read_to_end(&mut text).is_err() {
        return Vec::new();
    }
    text.split(|byte| *byte == b'\n').filter_map(Pattern::parse).collect()
}

impl Pattern {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut glob = line.strip_suffix(b"\r").unwrap_or(line);
        while let Some(rest) = glob.strip_suffix(b" ").filter(|rest| !rest.ends_with(b"\\")) {
            glob = rest;
        }
        if glob.starts_with(b"#") {
            return None;
        }
        let takes_back = glob.starts_with(b"!");
        glob = glob.strip_prefix(b"!").unwrap_or(glob);
        let only_folders = glob.ends_with(b"/");
        glob = glob.strip_suffix(b"/").unwrap_or(glob);
        let anchored = glob.contains(&b'/');
        glob = glob.strip_prefix(b"/").unwrap_or(glob);
        (!glob.is_empty()).then(|| Self { glob: glob.into(), takes_back, only_folders, anchored })
    }

    fn fits(&self, path: &[u8], is_folder: bool) -> bool {
        if self.only_folders && !is_folder {
            return false;
        }
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        matches(&self.glob, if self.anchored { path } else { name }, &mut STEPS.clone())
    }
}

/// Whether a glob fits a text: `*` and `?` stop at slashes, `**` does not.
fn matches(glob: &[u8], text: &[u8], steps: &mut u32) -> bool {
    let Some(left) = steps.checked_sub(1) else { return false };
    *steps = left;
    match glob {
        [] => text.is_empty(),
        [b'*', b'*', b'/', rest @ ..] => {
            matches(rest, text, steps)
                || memchr::memchr_iter(b'/', text)
                    .any(|at| matches(rest, text.get(at + 1..).unwrap_or_default(), steps))
        }
        [b'/', b'*', b'*'] => text.len() > 1 && text.starts_with(b"/"),
        [b'*', b'*'] => true,
        [b'*', rest @ ..] => {
            let end = memchr::memchr(b'/', text).unwrap_or(text.len());
            (0..=end).any(|at| matches(rest, text.get(at..).unwrap_or_default(), steps))
        }
        [b'?', rest @ ..] => matches!(text, [byte, after @ ..] if *byte != b'/' && matches(rest, after, steps)),
        [b'[', class @ ..] => match (text.split_first(), in_class(class, text.first().copied())) {
            (Some((_, after)), Some((true, rest))) => matches(rest, after, steps),
            (_, Some(_)) => false,
            (Some((b'[', after)), None) => matches(class, after, steps),
            (_, None) => false,
        },
        [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
            matches!(text, [first, after @ ..] if first == byte && matches(rest, after, steps))
        }
    }
}

/// Whether a byte is in a class, and what follows the class. None: it has no end, and is no class.
fn in_class(class: &[u8], byte: Option<u8>) -> Option<(bool, &[u8])> {
    let negated = matches!(class.first(), Some(b'!' | b'^'));
    let mut rest = class.get(usize::from(negated)..)?;
    let (mut inside, mut first) = (false, true);
    loop {
        match rest {
            [b']', after @ ..] if !first => {
                return Some((byte.is_some_and(|byte| byte != b'/') && inside != negated, after));
            }
            [from, b'-', to, after @ ..] if *to != b']' => {
                inside |= byte.is_some_and(|byte| (*from..=*to).contains(&byte));
                rest = after;
            }
            [b'\\', one, after @ ..] | [one, after @ ..] => {
                inside |= byte == Some(*one);
                rest = after;
            }
            [] => return None,
        }
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignore(lines: &str) -> Ignore {
        let patterns = lines.lines().filter_map(|line| Pattern::parse(line.as_bytes())).collect();
        Ignore { above: None, base: 2, patterns }
    }

    #[test]
    fn patterns_fit_as_git_says() {
        let ignore =
            ignore("*.log\n!keep.log\n/top\nbuild/\ndoc/**/x\na/*/b\n[ab]?\n# note\n\\#real\n**/deep\nall/**\n");
        for (path, is_folder, expected) in [
            ("r/x.log", false, true),
            ("r/s/x.log", false, true),
            ("r/s/keep.log", false, false),
            ("r/top", false, true),
            ("r/s/top", false, false),
            ("r/s/build", true, true),
            ("r/s/build", false, false),
            ("r/doc/x", false, true),
            ("r/doc/1/2/x", false, true),
            ("r/a/1/b", false, true),
            ("r/a/1/2/b", false, false),
            ("r/b7", false, true),
            ("r/c7", false, false),
            ("r/#real", false, true),
            ("r/# note", false, false),
            ("r/1/2/deep", false, true),
            ("r/all/1", false, true),
            ("r/all", true, false),
        ] {
            assert_eq!(ignore.is_ignored(path.as_bytes(), is_folder), expected, "{path}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends() {
        let ignore = ignore(&"*a".repeat(60));
        assert!(!ignore.is_ignored(format!("r/{}b", "a".repeat(4000)).as_bytes(), false));
    }
}
