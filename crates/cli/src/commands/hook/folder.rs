//! The folder of a repository's hooks, as git itself finds it.

use super::{
    Name, line,
    script::{self, BEFORE, OURS},
};
use crate::{
    failure::Failure,
    files::{beside, cannot_write},
};
use clap::ValueEnum;
use serde_json::{Value, json};
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::{
        ffi::OsStringExt,
        fs::{OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    process::Command,
};

/// The longest hook that is looked into, in bytes.
const LONGEST: u64 = 1 << 20;

/// A repository's hooks.
pub(super) struct Folder {
    path: PathBuf,
    /// Whether nobody works in the repository.
    pub(super) bare: bool,
    /// Whether the folder is named by the configuration, and may be others' as well.
    pub(super) shared: bool,
}

impl Folder {
    /// Asks git, which knows about `core.hooksPath`, worktrees and its own variables.
    ///
    /// # Errors
    /// When there is no git or no repository, or the folder is another tool's own.
    pub(super) fn of(repository: Option<&Path>) -> Result<Self, Failure> {
        let at = repository.unwrap_or_else(|| Path::new("."));
        let path = PathBuf::from(ask(at, &["rev-parse", "--git-path", "hooks"])?);
        let path = if path.is_absolute() { path } else { at.join(path) };
        let bare = ask(at, &["rev-parse", "--is-bare-repository"])? == "true";
        let shared = ask(at, &["config", "--get", "core.hooksPath"]).is_ok_and(|path| !path.is_empty());
        if path.ends_with(".husky/_") {
            return Err(Failure::failed(format!("{} belongs to husky, which writes it anew", path.display()))
                .hint("put this line into .husky/pre-commit: keyward scan --staged"));
        }
        Ok(Self { path, bare, shared })
    }

    /// Puts a hook in place. What is there goes on running.
    ///
    /// # Errors
    /// When a file cannot be written, or an earlier hook is set aside already.
    pub(super) fn put(&self, hook: &str, text: &str) -> Result<(), Failure> {
        fs::create_dir_all(&self.path).map_err(|error| cannot_write(&self.path, &error))?;
        let place = self.path.join(hook);
        if read(&place)?.is_some_and(|there| !script::is_ours(&there)) {
            let aside = beside(&place, BEFORE);
            if aside.symlink_metadata().is_ok() {
                return Err(Failure::failed(format!("{} is there already", aside.display()))
                    .hint("a hook was set aside before: move it away, or put both into one"));
            }
            fs::rename(&place, &aside).map_err(|error| cannot_write(&aside, &error))?;
        }
        // Written beside and moved: git never runs half a hook.
        let draft = beside(&place, ".keyward-new");
        let write = |path: &Path| -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o755).open(path)?;
            file.write_all(text.as_bytes())?;
            file.set_permissions(PermissionsExt::from_mode(0o755))?;
            fs::rename(path, &place)
        };
        write(&draft).map_err(|error| cannot_write(&place, &error))
    }

    /// Takes our hook away and puts back what was there before it. Others' hooks stay.
    ///
    /// # Errors
    /// When a file cannot be moved.
    pub(super) fn take(&self, hook: &str) -> Result<(), Failure> {
        let place = self.path.join(hook);
        if !read(&place)?.is_some_and(|there| script::is_ours(&there)) {
            return Ok(());
        }
        let aside = beside(&place, BEFORE);
        let done = if aside.symlink_metadata().is_ok() { fs::rename(&aside, &place) } else { fs::remove_file(&place) };
        done.map_err(|error| cannot_write(&place, &error))
    }

    /// What is in place.
    ///
    /// # Errors
    /// When a hook cannot be read.
    pub(super) fn report(&self) -> Result<Value, Failure> {
        let mut items = Vec::new();
        for hook in Name::value_variants() {
            let place = self.path.join(hook.text());
            let state = match read(&place)? {
                Some(text) if script::is_ours(&text) => OURS,
                Some(_) => "another's",
                None => "none",
            };
            let aside = format!("{}{BEFORE}", hook.text());
            let before = self.path.join(&aside).symlink_metadata().is_ok().then_some(aside);
            items.push(line(hook.text(), state, before.as_deref()));
        }
        Ok(json!({"folder": self.path.to_string_lossy(), "items": items}))
    }
}

fn read(place: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let cannot = |error: &io::Error| Failure::failed(format!("cannot read {}: {error}", place.display()));
    match fs::metadata(place) {
        Ok(about) if !about.is_file() => return Err(Failure::failed(format!("{} is not a file", place.display()))),
        Ok(_) => {}
        // A link that leads nowhere is a hook all the same: it is not ours.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(place.symlink_metadata().is_ok().then(Vec::new));
        }
        Err(error) => return Err(cannot(&error)),
    }
    let mut text = Vec::new();
    let file = File::open(place).map_err(|error| cannot(&error))?;
    file.take(LONGEST).read_to_end(&mut text).map_err(|error| cannot(&error))?;
    Ok(Some(text))
}

fn ask(at: &Path, arguments: &[&str]) -> Result<OsString, Failure> {
    let said = Command::new("git").arg("-C").arg(at).args(arguments).output();
    let said = said.map_err(|error| Failure::failed(format!("cannot run git: {error}")))?;
    if !said.status.success() {
        let why = String::from_utf8_lossy(&said.stderr);
        let why = why.trim().trim_start_matches("fatal: ");
        return Err(Failure::failed(format!("git does not know {}: {why}", at.display())));
    }
    let mut text = said.stdout;
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    Ok(OsString::from_vec(text))
}
