//! Counts what a walk will come to, for those who show how far it has come.

use super::{Walk, distinct};
use crate::Scan;
use std::{fs, os::unix::ffi::OsStrExt, path::PathBuf};

impl Scan<'_> {
    /// Counts the files below the paths and says so to the progress: names only, nothing is opened. It costs about a tenth
    /// of the scan itself, and is meant to run beside it where somebody watches. What `.gitignore` leaves out counts.
    pub fn expect_paths(&self, roots: &[PathBuf], options: &Walk) {
        let mut folders = Vec::new();
        let mut count = 0_u64;
        for root in distinct(roots) {
            if root.is_dir() { folders.push(root) } else { count += 1 }
        }
        while let Some(folder) = folders.pop() {
            if self.progress.is_stopped() {
                return;
            }
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name();
                let is_hidden = options.skip_hidden && name.as_bytes().starts_with(b".");
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() && name != ".git" && !is_hidden => folders.push(entry.path()),
                    Ok(kind) if kind.is_file() && !is_hidden => count += 1,
                    _ => {}
                }
            }
        }
        self.progress.expect(Some(count), None);
    }
}
