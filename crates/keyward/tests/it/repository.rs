//! A git repository of a test's own, and the program in it as a developer runs it.

use crate::world::{BINARY, World};
use keyward_catalogue::{Catalogue, sample};
use keyward_testkit::cli::Run;
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A repository.
pub(crate) struct Repository {
    folder: tempfile::TempDir,
    server: Option<(String, String)>,
}

impl Repository {
    /// An empty repository on a machine that knows of no server.
    pub(crate) fn new() -> Self {
        let repository = Self { folder: tempfile::tempdir().expect("a folder"), server: None };
        fs::create_dir(repository.path()).expect("a folder");
        let _made = repository.git(&["init", "-q", "-b", "main"]).ok();
        repository
    }

    /// The same on a machine that knows a server.
    pub(crate) fn of(world: &World) -> Self {
        let server = Some((format!("http://{}", world.server.admin()), world.server.token().to_owned()));
        Self { server, ..Self::new() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("written");
    }

    #[expect(clippy::disallowed_methods, reason = "git is found where the test's own programs are")]
    fn command(&self, program: impl AsRef<OsStr>, at: &Path) -> Command {
        let mut command = Command::new(program);
        let home = self.folder.path();
        command.current_dir(at).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", home).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", home.join("gitconfig"));
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Shop").env(format!("GIT_{who}_EMAIL"), "shop@example.com");
        }
        if let Some((address, token)) = &self.server {
            command.env("KEYWARD_ADDR", address).env("KEYWARD_TOKEN", token);
        }
        command
    }

    /// Runs git in the repository.
    pub(crate) fn git(&self, arguments: &[&str]) -> Run {
        self.git_at(&self.path(), arguments)
    }

    /// Runs git in another folder of the same machine.
    pub(crate) fn git_at(&self, at: &Path, arguments: &[&str]) -> Run {
        let mut command = self.command("git", at);
        command.args(arguments);
        Run::of(command, b"")
    }

    /// Runs the program in the repository.
    pub(crate) fn keyward(&self, arguments: &[&str]) -> Run {
        self.keyward_at(&self.path(), arguments, b"")
    }

    /// Runs the program in another folder of the same machine.
    pub(crate) fn keyward_at(&self, at: &Path, arguments: &[&str], input: &[u8]) -> Run {
        let mut command = self.command(BINARY, at);
        command.args(arguments);
        Run::of(command, input)
    }

    /// Commits everything, past all hooks.
    pub(crate) fn commit_anyway(&self, message: &str) {
        let _added = self.git(&["add", "-A"]).ok();
        let _made = self.git(&["commit", "-q", "--no-verify", "-m", message]).ok();
    }
}

/// A made-up key of a provider's shape, another for each seed.
pub(crate) fn made_up(provider: &str, shape: &str, seed: u64) -> String {
    let catalogue = Catalogue::embedded().expect("the catalogue is sound");
    let shapes = catalogue.shapes();
    let shape =
        shapes.iter().find(|one| &*one.provider == provider && &*one.name == shape).expect("there is this shape");
    sample::text(&shape.pattern, seed).expect("a sample")
}
