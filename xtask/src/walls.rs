//! The walls between the rooms, proven with `cargo tree`. Each wall has a positive twin: a query with a misspelt name
//! fails in the same way as a wall that holds, so the same query must succeed somewhere else.

use anyhow::{Context, Result, ensure};
use std::{path::Path, process::Command};

/// (from, to): `from` must not reach `to`.
const WALLS: &[(&str, &str)] = &[
    ("keyward-gateway", "keyward-store"),
    ("keyward-gateway", "sqlx"),
    ("keyward-gateway", "keyward-control"),
    ("keyward-control", "keyward-gateway"),
    ("keyward-cli", "keyward-vault"),
    ("keyward-cli", "keyward-store"),
    ("keyward-cli", "keyward-gateway"),
    ("keyward-cli", "sqlx"),
    ("keyward-scanner", "keyward-vault"),
    ("keyward-vault", "sqlx"),
    ("keyward-vault", "hyper"),
    ("keyward-store", "keyward-vault"),
    ("keyward-store", "hyper"),
    ("keyward-domain", "tokio"),
    ("keyward-domain", "sqlx"),
    ("keyward-catalogue", "hyper"),
];

/// (from, to): `from` must reach `to`. Every name on the right of a wall stands here too.
const DOORS: &[(&str, &str)] = &[
    ("keyward-control", "keyward-store"),
    ("keyward-store", "sqlx"),
    ("keyward-server", "keyward-control"),
    ("keyward-server", "keyward-gateway"),
    ("keyward-server", "keyward-vault"),
    ("keyward-gateway", "hyper"),
    ("keyward-gateway", "tokio"),
];

/// Rooms that may name a crate in their manifest; everyone else goes through them.
const OWNERS: &[(&str, &[&str])] = &[("sqlx", &["store"]), ("memmap2", &["gateway"]), ("age", &["vault", "cli"])];

/// What cargo says when `from` does not depend on `to` at all.
const NOT_THERE: &str = "did not match any packages";

/// Every wall that does not hold, in words.
///
/// # Errors
/// When cargo cannot be run or a manifest cannot be read.
pub(crate) fn problems(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for (from, to) in WALLS {
        if !DOORS.iter().any(|(_, door)| door == to) {
            problems.push(format!("wall {from} -> {to} has no positive twin"));
        }
        if reaches(root, from, to)? {
            problems.push(format!("{from} reaches {to}: see the walls in ARCHITECTURE.md"));
        }
    }
    for (from, to) in DOORS {
        if !reaches(root, from, to)? {
            problems.push(format!("{from} does not reach {to}: is the name still right?"));
        }
    }
    for (dependency, rooms) in OWNERS {
        problems.extend(wrong_owners(root, dependency, rooms)?);
    }
    Ok(problems)
}

fn reaches(root: &Path, from: &str, to: &str) -> Result<bool> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal,build", "--package", from, "--invert", to])
        .current_dir(root)
        .output()
        .context("running cargo tree")?;
    let said = String::from_utf8_lossy(&output.stderr);
    // Any other failure (no registry, a broken manifest) is not an answer, least of all "the wall holds".
    ensure!(output.status.success() || said.contains(NOT_THERE), "cargo tree --package {from} --invert {to}: {said}");
    Ok(output.status.success() && !output.stdout.is_empty())
}

fn wrong_owners(root: &Path, dependency: &str, rooms: &[&str]) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for entry in std::fs::read_dir(root.join("crates"))? {
        let room = entry?.path();
        let name = room.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let manifest = std::fs::read_to_string(room.join("Cargo.toml"))?;
        let normal = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        let names_it = normal
            .lines()
            .any(|line| line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with([' ', '.', '='])));
        if names_it && !rooms.contains(&name.as_str()) {
            problems.push(format!("crates/{name} depends on {dependency}, which belongs to {}", rooms.join(", ")));
        }
    }
    Ok(problems)
}
