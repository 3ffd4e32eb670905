//! The lists a scan reads: ignore files beside what is scanned, and baselines.

use crate::failure::Failure;
use keyward_scanner::{Hook, Push};
use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

/// Where a folder's decisions stand.
const IGNORE: &str = ".keyward/ignore";
/// The longest list, in bytes.
const LONGEST: u64 = 256 << 20;

/// The ignore files that count for these places: that of each place itself and those above it, up to the root of its
/// repository. Outside of a repository only a place's own counts.
///
/// # Errors
/// When one is there and cannot be read.
pub(super) fn ignore_files(places: &[PathBuf]) -> Result<Vec<(PathBuf, String)>, Failure> {
    let mut found: Vec<PathBuf> = Vec::new();
    for place in places {
        // What is not there is told by the scan.
        let Ok(place) = fs::canonicalize(place) else { continue };
        let folder = if place.is_dir() { place.as_path() } else { place.parent().unwrap_or(&place) };
        let above: Vec<&Path> = folder.ancestors().collect();
        let root = above.iter().position(|folder| folder.join(".git").symlink_metadata().is_ok());
        for folder in above.into_iter().take(root.map_or(1, |root| root + 1)) {
            let list = folder.join(IGNORE);
            if list.symlink_metadata().is_ok_and(|about| about.is_file()) && !found.contains(&list) {
                found.push(list);
            }
        }
    }
    found.into_iter().map(|path| read(&path).map(|text| (path, text))).collect()
}

/// The ignore files of commits: of those that are pushed to this repository, else of the one that `HEAD` leads to, where
/// nobody works in a repository.
///
/// # Errors
/// When one is not text.
pub(super) fn committed(
    places: &[PathBuf],
    push: Option<&Push>,
    hook: &Hook,
) -> Result<Vec<(PathBuf, String)>, Failure> {
    let pushed = push.filter(|push| push.to.is_none());
    let pushed: Option<Vec<String>> = pushed.map(|push| push.new.iter().map(|(_, id)| id.clone()).collect());
    let found = places.iter().flat_map(|place| keyward_scanner::committed(place, pushed.as_deref(), IGNORE, hook));
    found
        .map(|(commit, bytes)| {
            let path = PathBuf::from(format!("{commit}:{IGNORE}"));
            let text = String::from_utf8(bytes)
                .map_err(|_| Failure::failed(format!("cannot read {}: it is not text", path.display())))?;
            Ok((path, text))
        })
        .collect()
}

/// A list's text.
///
/// # Errors
/// When it is not there, is not a file, is not text or is far too long.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let cannot = |why: &dyn std::fmt::Display| Failure::failed(format!("cannot read {}: {why}", path.display()));
    // Opening a pipe would wait for whoever writes to it.
    if !fs::metadata(path).map_err(|error| cannot(&error))?.is_file() {
        return Err(cannot(&"it is not a file"));
    }
    let mut text = String::new();
    let file = File::open(path).map_err(|error| cannot(&error))?;
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(|error| cannot(&error))?;
    if text.len() as u64 > LONGEST { Err(cannot(&"it is far too long for a list")) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_count_up_to_the_root_of_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let list = |at: &str| {
            let file = root.join(at).join(IGNORE);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, at).unwrap();
        };
        for at in ["", "repo", "repo/a"] {
            list(at);
        }
        fs::create_dir_all(root.join("repo/.git")).unwrap();
        fs::create_dir_all(root.join("repo/a/b")).unwrap();
        fs::write(root.join("repo/a/b/file"), "").unwrap();
        let texts = |at: &str| -> Vec<String> {
            ignore_files(&[root.join(at)]).unwrap().into_iter().map(|(_, text)| text).collect()
        };
        assert_eq!(texts("repo/a/b/file"), ["repo/a", "repo"]);
        assert_eq!(texts("repo"), ["repo"]);
        assert_eq!(texts(""), [""]);
        assert_eq!(texts("not/there"), [""; 0]);
        let both = ignore_files(&[root.join("repo/a"), root.join("repo/a/b")]).unwrap();
        assert_eq!(both.len(), 2, "each once");
    }

    #[test]
    fn a_pipe_is_no_list() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(read(&pipe).unwrap_err().error.contains("not a file"));
        assert!(read(&folder.path().join("nothing")).is_err());
    }
}
