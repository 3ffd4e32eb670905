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

/// A key that must not be anywhere.
pub struct Canary {
    windows: HashMap<[u8; WINDOW], &'static str>,
}

impl Canary {
    /// Prepares the search for any piece of a secret that is long enough to be no accident.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        let bytes = secret.as_bytes();
        let mut windows = HashMap::new();
        let mut add = |form: &'static str, text: &[u8]| {
            for window in text.windows(WINDOW) {
                if let Ok(window) = <[u8; WINDOW]>::try_from(window) {
                    windows.insert(window, form);
                }
            }
        };
        let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
        add("plain", bytes);
        add("reversed", &reversed);
        add("hex", hex(bytes).as_bytes());
        add("hex", hex(bytes).to_uppercase().as_bytes());
        add("percent", percent(bytes).as_bytes());
        add("percent", percent(bytes).to_lowercase().as_bytes());
        for skipped in 0..3 {
            // Base64 looks different by the position of the first byte; the last group differs by what follows.
            let text = base64(bytes.get(skipped..).unwrap_or_default());
            let inner = text.trim_end_matches('=');
            let inner = inner.get(..inner.len().saturating_sub(2)).unwrap_or_default();
            add("base64", inner.as_bytes());
            add("base64", inner.replace('+', "-").replace('/', "_").as_bytes());
        }
        let wide: Vec<u8> = bytes.iter().flat_map(|byte| [*byte, 0]).collect();
        add("UTF-16", &wide);
        Self { windows }
    }

    /// In which form the secret stands in the bytes, and where; none when it does not.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Option<(&'static str, usize)> {
        bytes.windows(WINDOW).enumerate().find_map(|(at, window)| {
            let window = <[u8; WINDOW]>::try_from(window).ok()?;
            self.windows.get(&window).map(|form| (*form, at))
        })
    }

    /// Fails the test when the secret stands in the bytes.
    ///
    /// # Panics
    /// When it does; the message tells where, and not what.
    pub fn absent(&self, place: &str, bytes: &[u8]) {
        if let Some((form, at)) = self.find(bytes) {
            panic!("the marked key stands in {place} at byte {at} of {}, form {form}", bytes.len());
        }
    }

    /// Fails the test when the secret stands in a file of the folder, in a file's name, or below. Gives the number of
    /// files looked at, so that a test can see that there were any.
    ///
    /// # Panics
    /// When it does, or a file cannot be read.
    pub fn absent_from_folder(&self, folder: &Path) -> usize {
        let mut files = Vec::new();
        list(folder, &mut files).expect("the folder can be read");
        for file in &files {
            let place = file.display().to_string();
            self.absent("a file's name", place.as_bytes());
            match fs::read(file) {
                Ok(bytes) => self.absent(&place, &bytes),
                // A server's temporary file may go between listing and reading.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => panic!("reading {place}: {error}"),
            }
        }
        files.len()
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
        let canary = Canary::new(&secret);
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
        let canary = Canary::new(&text(URL_SAFE, 60));
        assert_eq!(canary.find(text(URL_SAFE, 20_000).as_bytes()), None);
        assert_eq!(canary.find(b""), None);
    }
}
