//! The vendors' own SDKs, as `scripts/sdk.sh` installs them.

use crate::cli::Run;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// A Python script of `tests/sdk/python`, run by the installed SDKs with these environment variables and no others.
///
/// # Panics
/// When the SDKs are not installed.
#[must_use]
pub fn python(script: &str, environment: &[(&str, String)]) -> Run {
    let home = root().join(".cache/sdk/python");
    let mut command = Command::new(present(home.join("bin/python")));
    command.arg(root().join("tests/sdk/python").join(script));
    run(command, environment)
}

/// A Node script of `tests/sdk/node`, run by the installed SDKs with these environment variables and no others.
///
/// # Panics
/// When the SDKs are not installed.
#[must_use]
pub fn node(script: &str, environment: &[(&str, String)]) -> Run {
    let modules = present(root().join(".cache/sdk/node/node_modules"));
    let mut command = Command::new("node");
    command.arg(root().join("tests/sdk/node").join(script)).env("NODE_PATH", modules);
    run(command, environment)
}

fn present(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "the SDKs are not installed ({} is missing): run scripts/setup.sh", path.display());
    path
}

fn run(mut command: Command, environment: &[(&str, String)]) -> Run {
    let modules: Vec<_> =
        command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
    command.env_clear();
    for (name, value) in modules {
        command.env(name, value.unwrap_or_default());
    }
    command.env("PATH", crate::server::search_path()).env("HOME", "/nonexistent").env("PYTHONDONTWRITEBYTECODE", "1");
    command.envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
    Run::of(command, b"")
}
