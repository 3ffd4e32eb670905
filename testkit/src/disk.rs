//! A disk that can be filled and freed at will, without any privilege: a small library that is loaded before the C
//! library makes writes fail that need new room below a folder.

use crate::cli::Run;
use std::{fs, path::Path, process::Command};
use tempfile::TempDir;

/// The library's source.
const SOURCE: &str = include_str!("disk.c");

/// A disk for one server.
pub struct Disk {
    folder: TempDir,
}

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}

impl Disk {
    /// A disk with room.
    ///
    /// # Panics
    /// When there is no C compiler.
    #[must_use]
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("keyward-disk-").expect("a temporary folder");
        let source = folder.path().join("disk.c");
        fs::write(&source, SOURCE).expect("a file");
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(folder.path().join("disk.so")).arg(source).arg("-ldl");
        let _said = Run::of(compile, b"").ok();
        Self { folder }
    }

    /// What a server's environment needs so that it lives on this disk.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let at = |name: &str| self.folder.path().join(name).to_string_lossy().into_owned();
        vec![("LD_PRELOAD".to_owned(), at("disk.so")), ("KEYWARD_TEST_FULL_DISK".to_owned(), at("full"))]
    }

    /// From now on nothing below a folder grows.
    ///
    /// # Panics
    /// When the file that says so cannot be written.
    pub fn fill(&self, below: &Path) {
        // Under another name first: half a path would stand for another folder.
        let draft = self.folder.path().join("draft");
        fs::write(&draft, below.to_string_lossy().as_bytes()).expect("a file");
        fs::rename(draft, self.folder.path().join("full")).expect("a file");
    }

    /// There is room again.
    ///
    /// # Panics
    /// When there was room before.
    pub fn free(&self) {
        fs::remove_file(self.folder.path().join("full")).expect("the disk was full");
    }
}
