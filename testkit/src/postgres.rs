//! A private PostgreSQL from the system's package: on a socket in a folder of its own, no TCP port, as an ordinary user,
//! gone with the test.

use crate::cli::Run;
use std::{
    cell::Cell,
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// A server that ends with this value.
pub struct Postgres {
    child: Option<Child>,
    user: Ordinary,
    binaries: PathBuf,
    databases: Cell<u32>,
    folder: TempDir,
}

impl Postgres {
    /// Makes a server and starts it.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        // The socket's path has a limit of about 100 characters, so the folder is not below the build's.
        let folder = tempfile::Builder::new().prefix("kw-pg-").tempdir_in("/tmp").expect("a folder");
        let user = Ordinary::find();
        user.own(folder.path());
        let mut server = Self { child: None, user, binaries: binaries(), databases: Cell::new(0), folder };
        let mut make = server.user.command(&server.binaries.join("initdb"));
        make.args(["--username=keyward", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "-D"]);
        make.arg(server.folder.path().join("data"));
        let _said = Run::of(make, b"").ok();
        server.launch();
        server
    }

    /// Starts the server again after [`Self::stop`].
    ///
    /// # Panics
    /// When it does not start.
    pub fn launch(&mut self) {
        let mut command = self.user.command(&self.binaries.join("postgres"));
        command.arg("-D").arg(self.folder.path().join("data")).arg("-k").arg(self.folder.path());
        command.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"]);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("PostgreSQL can be started");
        wait_until_ready(&mut child);
        self.child = Some(child);
    }

    /// Ends the server at once, without a word to who is connected.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // `setpriv` has replaced itself with the server. This signal ends it at once, and it still cleans up after itself.
        if let Ok(id) = i32::try_from(child.id()) {
            let _already_gone =
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGQUIT);
        }
        let _reaped = child.wait();
    }

    /// A new, empty database; gives its URL.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn database(&self) -> String {
        let name = format!("story{}", self.databases.replace(self.databases.get() + 1));
        let mut make = Command::new(self.binaries.join("createdb"));
        make.args(["--template=template0", "--username=keyward", "--host"]).arg(self.folder.path()).arg(&name);
        let _said = Run::of(make, b"").ok();
        format!("postgres://keyward@localhost/{name}?host={}", self.folder.path().display())
    }

    /// Runs SQL on a database, behind everybody's back; gives what it answered, rows in lines.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn sql(&self, url: &str, statement: &str) -> String {
        ask(url, statement)
    }
}

/// Runs SQL on a database of any server; gives what it answered, rows in lines.
///
/// # Panics
/// When it is refused.
#[must_use]
pub fn ask(url: &str, statement: &str) -> String {
    let mut command = Command::new(binaries().join("psql"));
    command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--command"]);
    command.arg(statement).arg(url);
    Run::of(command, b"").ok().stdout
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The server says on its error output when it accepts connections. The rest is read on, so that it never blocks.
fn wait_until_ready(child: &mut Child) {
    let mut said = String::new();
    let mut lines = BufReader::new(child.stderr.take().expect("standard error is a pipe")).lines();
    let ready = lines.by_ref().map_while(Result::ok).any(|line| {
        said.push_str(&line);
        said.push('\n');
        line.contains("ready to accept connections")
    });
    assert!(ready, "PostgreSQL did not start:\n{said}");
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
}

fn binaries() -> PathBuf {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.retain(|bin| bin.join("initdb").exists() && bin.join("postgres").exists());
    versions.sort();
    versions.pop().expect("PostgreSQL is not installed: run scripts/setup.sh")
}

/// PostgreSQL refuses to run as root, so root lends it another user.
struct Ordinary(Option<(u32, u32)>);

impl Ordinary {
    fn find() -> Self {
        if fs::metadata("/proc/self").expect("there is /proc").uid() != 0 {
            return Self(None);
        }
        let passwd = fs::read_to_string("/etc/passwd").expect("there are users");
        let entry = |name: &str| {
            let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut ids = line.split(':').skip(2).map(|id| id.parse().ok());
            Some((ids.next()??, ids.next()??))
        };
        Self(Some(entry("postgres").or_else(|| entry("nobody")).expect("no user but root")))
    }

    fn own(&self, path: &Path) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("the folder is ours");
        if let Self(Some((user, group))) = self {
            chown(path, Some(*user), Some(*group)).expect("root may give a folder away");
        }
    }

    /// The kernel ends the command when this test dies, however it dies.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "QUIT"]);
        if let Self(Some((user, group))) = self {
            command.args(["--clear-groups", "--reuid", &user.to_string(), "--regid", &group.to_string()]);
        }
        command.arg(program).env("LC_ALL", "C.UTF-8").current_dir("/");
        command
    }
}
