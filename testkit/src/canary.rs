//! The search for a marked key: in plain and in the forms it would take if it slipped through an encoder.

use crate::encode::{base64, percent};
use keyward_domain::digest::hex;
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

/// How many characters in a row count as a find. Shorter pieces (the last four characters that some providers show)
/// occur by chance.
const WINDOW: usize = 14;

/// How many bits of a window's first bytes the filter before the table looks at.
const FILTER_BITS: u32 = 20;

/// Keys that must not be anywhere.
pub struct Canary {
    windows: HashMap<[u8; WINDOW], &'static str>,
    /// One bit for each hash that some window's first eight bytes have: nearly every place ends here.
    filter: Vec<bool>,
}

fn bucket(bytes: [u8; 8]) -> usize {
    (u64::from_le_bytes(bytes).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - FILTER_BITS)) as usize
}

impl Canary {
    /// Prepares the search for any piece of the secrets that is long enough to be no accident.
    #[must_use]
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Self {
        let mut canary = Self { windows: HashMap::new(), filter: vec![false; 1 << FILTER_BITS] };
        for secret in secrets {
            canary.add_secret(secret.as_bytes());
        }
        canary
    }

    fn add(&mut self, form: &'static str, text: &[u8]) {
        for window in text.windows(WINDOW) {
            if let (Ok(window), Some(first)) = (<[u8; WINDOW]>::try_from(window), window.first_chunk::<8>()) {
                self.windows.insert(window, form);
                self.filter[bucket(*first)] = true;
            }
        }
    }

    fn add_secret(&mut self, bytes: &[u8]) {
        let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
        self.add("plain", bytes);
        self.add("reversed", &reversed);
        self.add("hex", hex(bytes).as_bytes());
        self.add("hex", hex(bytes).to_uppercase().as_bytes());
        self.add("percent", percent(bytes).as_bytes());
        self.add("percent", percent(bytes).to_lowercase().as_bytes());
        for skipped in 0..3 {
            // Base64 looks different by the position of the first byte; the last group differs by what follows.
            let text = base64(bytes.get(skipped..).unwrap_or_default());
            let inner = text.trim_end_matches('=');
            let inner = inner.get(..inner.len().saturating_sub(2)).unwrap_or_default();
            self.add("base64", inner.as_bytes());
            self.add("base64", inner.replace('+', "-").replace('/', "_").as_bytes());
        }
        let wide: Vec<u8> = bytes.iter().flat_map(|byte| [*byte, 0]).collect();
        self.add("UTF-16", &wide);
    }

    /// In which form a secret stands in the bytes, and where; none when it does not.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Option<(&'static str, usize)> {
        for (at, first) in bytes.array_windows::<8>().enumerate() {
            if self.filter[bucket(*first)]
                && let Some(window) = bytes.get(at..).and_then(<[u8]>::first_chunk)
                && let Some(form) = self.windows.get(window)
            {
                return Some((form, at));
            }
        }
        None
    }

    /// Tells where the secret stands in the bytes of a place, and not what it is; none when it does not.
    #[must_use]
    pub fn seen(&self, place: &str, bytes: &[u8]) -> Option<String> {
        let (form, at) = self.find(bytes)?;
        Some(format!("{place}, at byte {at} of {}, form {form}", bytes.len()))
    }

    /// Looks through every file of a folder and below, and the files' names. Gives the finds, and how many files were
    /// looked at, so that a test can see that there were any.
    ///
    /// # Panics
    /// When a file cannot be read.
    #[must_use]
    pub fn seen_in_folder(&self, folder: &Path) -> (Vec<String>, usize) {
        let mut files = Vec::new();
        list(folder, &mut files).expect("the folder can be read");
        let mut finds = Vec::new();
        for file in &files {
            let place = file.display().to_string();
            finds.extend(self.seen("a file's name", place.as_bytes()));
            match fs::read(file) {
                Ok(bytes) => finds.extend(self.seen(&place, &bytes)),
                // A server's temporary file may go between listing and reading.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => panic!("reading {place}: {error}"),
            }
        }
        (finds, files.len())
    }
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let kind = fs::symlink_metadata(&path)?.file_type();
        if kind.is_dir() {
            list(&path, files)?;
        } else if kind.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{URL_SAFE, text};

    #[test]
    fn every_form_is_found() {
        let secret = text(URL_SAFE, 60);
        let canary = Canary::new([secret.as_str()]);
        for shift in 0..3 {
            let framed = format!("{}{secret} and more", "x".repeat(shift));
            assert!(canary.find(base64(framed.as_bytes()).as_bytes()).is_some(), "base64, {shift}");
            assert!(canary.find(hex(framed.as_bytes()).as_bytes()).is_some());
            assert!(canary.find(percent(framed.as_bytes()).as_bytes()).is_some());
            assert_eq!(canary.find(framed.as_bytes()), Some(("plain", shift)));
        }
        assert!(canary.find(&secret.as_bytes()[20..40]).is_some(), "a piece is enough");
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let canary = Canary::new([text(URL_SAFE, 60).as_str()]);
        assert_eq!(canary.find(text(URL_SAFE, 20_000).as_bytes()), None);
        assert_eq!(canary.find(b""), None);
    }
}
