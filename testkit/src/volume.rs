//! A real file system of a few megabytes, in memory, for one server's data: it fills up as disks do, and is gone with
//! the test however that ends, since it is mounted where only a process of the test's own can see it.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A mounted file system.
pub struct Volume {
    holder: Child,
    at: PathBuf,
}

impl Volume {
    /// Mounts one on a folder that is made. None: this user may not mount.
    ///
    /// # Panics
    /// When the folder cannot be made.
    #[must_use]
    pub fn mount(at: &Path, bytes: u64) -> Option<Self> {
        fs::create_dir(at).expect("a folder");
        let line = format!("mount -t tmpfs -o size={bytes},mode=0700 keyward-test \"$0\" && echo mounted && exec cat");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "sh", "-c", &line]);
        let command = command.arg(at).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut holder = command.spawn().ok()?;
        let mut said = String::new();
        let read = holder.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut said));
        let volume = Self { holder, at: at.to_path_buf() };
        (matches!(read, Some(Ok(_))) && said.trim() == "mounted").then_some(volume)
    }

    /// What a command must begin with so that it sees the volume.
    #[must_use]
    pub fn enter(&self) -> Vec<String> {
        ["nsenter", "--mount", "--target", &self.holder.id().to_string()].map(str::to_owned).to_vec()
    }

    /// Where a file of the volume is for everybody else.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.at.strip_prefix("/").unwrap_or(&self.at)).join(name)
    }

    /// Takes all the room that is left.
    ///
    /// # Panics
    /// When it cannot be taken.
    pub fn fill(&self) {
        let mut ballast = File::options().append(true).create(true).open(self.path("ballast")).expect("a file");
        let block = vec![0; 64 << 10];
        let mut size = block.len();
        while size > 0 {
            match ballast.write(block.get(..size).unwrap_or(&block)) {
                Ok(written) if written > 0 => {}
                _ => size /= 2,
            }
        }
    }

    /// Gives the room back.
    ///
    /// # Panics
    /// When it was not taken.
    pub fn free(&self) {
        fs::remove_file(self.path("ballast")).expect("the volume was filled");
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _already_gone = self.holder.kill();
        let _reaped = self.holder.wait();
    }
}
