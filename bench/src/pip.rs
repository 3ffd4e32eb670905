//! Programs that `pip` installs into a folder beside the bench's binaries, once.

use anyhow::{Context, Result, ensure};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Installs a package in a version unless that was done before; gives its folder, a virtual environment. What runs here
/// sees nothing of the environment.
pub fn install(package: &str, version: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let name = package.split('[').next().unwrap_or(package);
    let folder = here.parent().context("no folder")?.join(format!("{name}-{version}"));
    let done = folder.join("installed");
    if done.exists() {
        return Ok(folder);
    }
    println!("  installing {package}=={version} into {}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(&folder);
    run(make, &folder).context("making a virtual environment")?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "20"]);
    pip.arg(format!("{package}=={version}"));
    run(pip, &folder).context("installing it")?;
    File::create(done)?;
    Ok(folder)
}

/// Runs a command to its end; what it complains of is the error.
fn run(mut command: Command, home: &Path) -> Result<()> {
    for (name, _) in std::env::vars_os() {
        // `pip` may need to be told where packages come from, and by whose certificates.
        let text = name.to_string_lossy().to_ascii_uppercase();
        let is_needed =
            text == "PATH" || text.starts_with("PIP_") || text.starts_with("SSL_") || text.ends_with("_PROXY");
        if !is_needed {
            command.env_remove(name);
        }
    }
    let output = command.env("HOME", home).stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", said.lines().rev().take(3).collect::<Vec<_>>().join("; "));
    Ok(())
}
