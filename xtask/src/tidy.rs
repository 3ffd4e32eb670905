//! What a compiler does not check: sizes, file headers, the map's paths, and that nothing slipped into the tree that
//! must not be there.

use anyhow::Result;
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

const MAX_LINES: usize = 600;
const MAX_ARCHITECTURE_LINES: usize = 150;

/// Files that are data or one table and may be longer than the limit.
const LONG_BY_NATURE: &[&str] = &[];

/// Every problem, in words.
///
/// # Errors
/// When a file of the tree cannot be read.
pub(crate) fn problems(root: &Path) -> Result<Vec<String>> {
    fs::metadata(root)?;
    let mut files = Vec::new();
    walk(root, &mut files)?;
    let mut problems = Vec::new();
    for file in &files {
        let name = file.strip_prefix(root).unwrap_or(file).to_string_lossy().replace('\\', "/");
        let Ok(text) = fs::read_to_string(file) else { continue };
        if name.ends_with(".rs") {
            problems.extend(rust_file(&name, &text));
        }
        problems.extend(secrets(&name, &text));
    }
    problems.extend(map(root)?);
    problems.extend(providers(root)?);
    problems.extend(refusals(root)?);
    Ok(problems)
}

/// The files under a folder. What vanishes during the walk (a test's scratch folder) is not part of the tree.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // What fuzzing has come upon is nobody's text, and may look like anything.
        let fuzzed = ["fuzz/corpus", "fuzz/artifacts"].iter().any(|folder| path.ends_with(folder));
        let skipped = fuzzed
            || matches!(name, "target" | ".git" | ".cache" | "node_modules" | "Cargo.lock" | "package-lock.json");
        if path.is_dir() && !skipped && !path.is_symlink() {
            walk(&path, files)?;
        } else if path.is_file() && !skipped {
            files.push(path);
        }
    }
    Ok(())
}

fn rust_file(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_LINES && !LONG_BY_NATURE.contains(&name) {
        problems.push(format!("{name}: {lines} lines, the limit is {MAX_LINES}: one idea a file"));
    }
    let in_source = name.contains("/src/") && !name.ends_with("tests.rs") && !name.contains("/tests/");
    if in_source && !text.trim_start_matches("#!").starts_with("//!") && !text.starts_with("#![") {
        problems.push(format!("{name}: does not open with a //! comment that says what lives here"));
    }
    if name.ends_with("/mod.rs") && !name.contains("/tests/") {
        problems.push(format!("{name}: modules are name.rs beside name/, never mod.rs"));
    }
    problems
}

/// Long runs that have the shape of a live key. Tests make their keys at run time.
fn secrets(name: &str, text: &str) -> Vec<String> {
    let shapes: &[(&str, usize)] = &[
        ("sk-ant-api03-", 80),
        ("sk-proj-", 60),
        ("sk-svcacct-", 60),
        ("AIza", 35),
        ("gsk_", 50),
        ("xai-", 70),
        ("hf_", 34),
    ];
    let mut problems = Vec::new();
    for (prefix, length) in shapes {
        for (at, _) in text.match_indices(prefix) {
            let rest = text.get(at + prefix.len()..).unwrap_or_default();
            let run =
                rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')).count();
            if run >= *length {
                problems.push(format!("{name}: holds something shaped like a key ({prefix}…)"));
            }
        }
    }
    problems
}

/// Every path that ARCHITECTURE.md names in backticks exists.
fn map(root: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(root.join("ARCHITECTURE.md"))?;
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_ARCHITECTURE_LINES {
        problems.push(format!("ARCHITECTURE.md: {lines} lines, the limit is {MAX_ARCHITECTURE_LINES}"));
    }
    for quoted in text.split('`').skip(1).step_by(2) {
        let is_path =
            quoted.contains('/') && !quoted.contains([' ', '<', '{', '*', ':', '(']) && !quoted.starts_with('/');
        if is_path && !root.join(quoted).exists() {
            problems.push(format!("ARCHITECTURE.md: `{quoted}` does not exist"));
        }
    }
    Ok(problems)
}

/// Every provider of the catalogue is in the reference documentation.
fn providers(root: &Path) -> Result<Vec<String>> {
    let documented = fs::read_to_string(root.join("docs/reference/providers.md"))?;
    let mut problems = Vec::new();
    for entry in fs::read_dir(root.join("crates/catalogue/providers"))? {
        let path = entry?.path();
        let id = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if !documented.contains(&format!("`{id}`")) {
            problems.push(format!("docs/reference/providers.md: does not mention `{id}`"));
        }
    }
    Ok(problems)
}

/// Every reason to refuse is in the reference documentation.
fn refusals(root: &Path) -> Result<Vec<String>> {
    let source = fs::read_to_string(root.join("crates/domain/src/refusal.rs"))?;
    let documented = fs::read_to_string(root.join("docs/reference/errors.md"))?;
    let codes = source.lines().filter_map(|line| {
        let (_, rest) = line.trim().split_once(" = \"")?;
        let (code, rest) = rest.split_once("\", ")?;
        rest.ends_with(';').then_some(code)
    });
    Ok(codes
        .filter(|code| !documented.contains(&format!("`{code}`")))
        .map(|code| format!("docs/reference/errors.md: does not explain `{code}`"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let problems = problems(&crate::root()).expect("the tree can be read");
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }

    #[test]
    fn each_check_can_fail() {
        assert_eq!(rust_file("crates/x/src/a.rs", "fn main() {}\n").len(), 1);
        assert_eq!(rust_file("crates/x/src/a.rs", &format!("//! A.\n{}", "\n".repeat(MAX_LINES))).len(), 1);
        assert_eq!(rust_file("crates/x/src/a/mod.rs", "//! A.\n").len(), 1);
        assert!(rust_file("crates/x/src/a.rs", "//! A.\n").is_empty());
        assert_eq!(secrets("a", &format!("key = gsk_{}", "a".repeat(52))).len(), 1);
        assert!(secrets("a", "key = gsk_EXAMPLE").is_empty());
        assert!(problems(Path::new("no/such/tree")).is_err());
    }
}
