//! The project's chores. `cargo run -p xtask -- tidy` and `cargo run -p xtask -- walls`; tidy also runs as a test.

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

mod tidy;
mod walls;

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

fn main() -> Result<()> {
    let problems = match std::env::args().nth(1).as_deref() {
        Some("tidy") => tidy::problems(&root())?,
        Some("walls") => walls::problems(&root())?,
        _ => bail!("usage: cargo run -p xtask -- tidy|walls"),
    };
    if problems.is_empty() {
        return Ok(());
    }
    bail!("{} problem(s):\n{}", problems.len(), problems.join("\n"));
}
