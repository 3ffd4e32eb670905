//! From where a path counts in a fingerprint: from the root of its repository, else from the folder that was scanned.
//! So it is the same whether somebody scans from the root or from below, the files or the history.

use keyward_scanner::{Finding, Fingerprinter, Place, Where};
use std::{
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// The places that are scanned, each with the path that stands for it.
#[derive(Debug, Default)]
pub(super) struct Anchors(Vec<(Vec<u8>, PathBuf)>);

impl Anchors {
    /// Looks where the places lie.
    pub(super) fn of(places: &[PathBuf]) -> Self {
        let known = places.iter().filter_map(|place| {
            let real = fs::canonicalize(place).ok()?;
            let repository = real.ancestors().find(|folder| folder.join(".git").symlink_metadata().is_ok());
            let base = match repository {
                Some(root) => real.strip_prefix(root).ok()?.to_owned(),
                None if real.is_dir() => PathBuf::new(),
                None => PathBuf::from(real.file_name()?),
            };
            Some((tidied(place.as_os_str().as_bytes()).to_owned(), base))
        });
        Self(known.collect())
    }

    /// A finding's fingerprint.
    pub(super) fn print(&self, prints: &Fingerprinter, finding: &Finding) -> Box<str> {
        let place = &finding.place;
        let path = if place.place == Where::Worktree { self.path(&place.path) } else { place.path.to_vec() };
        prints.of(finding.secret.expose(), &path, &place.within)
    }

    fn path(&self, path: &[u8]) -> Vec<u8> {
        let path = tidied(path);
        let below = |given: &[u8]| match path.strip_prefix(given) {
            Some(rest) if given.is_empty() && !rest.starts_with(b"/") && !rest.starts_with(b"../") => Some(rest),
            Some(rest) if rest.is_empty() || given.ends_with(b"/") => Some(rest),
            Some(rest) if !given.is_empty() => rest.strip_prefix(b"/"),
            _ => None,
        };
        let found = self.0.iter().filter_map(|(given, base)| Some((given.len(), base, below(given)?)));
        match found.max_by_key(|(length, ..)| *length) {
            Some((_, base, [])) => base.as_os_str().as_bytes().to_vec(),
            Some((_, base, rest)) => {
                base.join(Path::new(std::ffi::OsStr::from_bytes(rest))).into_os_string().into_encoded_bytes()
            }
            None => path.to_vec(),
        }
    }
}

/// Takes away what says nothing: `./` in front.
pub(super) fn tidy(place: &mut Place) {
    if place.place == Where::Worktree && place.path.starts_with(b"./") {
        place.path = tidied(&place.path).into();
    }
}

fn tidied(mut path: &[u8]) -> &[u8] {
    if path == b"." {
        return b"";
    }
    while let Some(rest) = path.strip_prefix(b"./") {
        path = rest;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_count_from_the_root_of_the_repository_or_the_scanned_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("repo/.git")).unwrap();
        fs::create_dir_all(root.join("repo/src")).unwrap();
        fs::create_dir_all(root.join("plain")).unwrap();
        for file in ["repo/src/a", "plain/b"] {
            fs::write(root.join(file), "").unwrap();
        }
        let path = |place: &str, found: &str| {
            let anchors = Anchors::of(&[root.join(place)]);
            String::from_utf8(anchors.path(root.join(found).as_os_str().as_bytes())).unwrap()
        };
        assert_eq!(path("repo", "repo/src/a"), "src/a");
        assert_eq!(path("repo/src", "repo/src/a"), "src/a");
        assert_eq!(path("repo/src/a", "repo/src/a"), "src/a");
        assert_eq!(path("plain", "plain/b"), "b");
        assert_eq!(path("plain/b", "plain/b"), "b");
        let elsewhere = format!("{}/plainer/b", root.display());
        assert_eq!(path("plain", "plainer/b"), elsewhere);
    }

    #[test]
    fn a_dot_in_front_says_nothing() {
        let anchors = Anchors(vec![(Vec::new(), "sub".into())]);
        for (found, path) in [("./a/b", "sub/a/b"), ("a/b", "sub/a/b"), ("-", "sub/-"), ("../x", "../x"), ("/x", "/x")]
        {
            assert_eq!(String::from_utf8(anchors.path(found.as_bytes())).unwrap(), path);
        }
        assert_eq!(tidied(b"././a"), b"a");
        assert_eq!(tidied(b"."), b"");
    }
}
