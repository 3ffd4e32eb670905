//! A private PostgreSQL from the system's package: on a socket in a directory of its own, no TCP port, as an ordinary
//! user, gone with the test.

use keyward_store::Location;
use std::{
    cell::Cell,
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

pub(crate) struct Server {
    child: Child,
    sockets: PathBuf,
    binaries: PathBuf,
    databases: Cell<u32>,
    _files: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let binaries = binaries();
        // The socket's path has a limit of about 100 characters, so the directory is not below the build's.
        let files = tempfile::Builder::new().prefix("kw-pg-").tempdir_in("/tmp").unwrap();
        let (data, sockets) = (files.path().join("data"), files.path().to_owned());
        let user = Ordinary::find();
        user.own(files.path());
        let made = user
            .command(&binaries.join("initdb"))
            .args(["--username=keyward", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        let mut child = user
            .command(&binaries.join("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&sockets)
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_until_ready(&mut child);
        Self { child, sockets, binaries, databases: Cell::new(0), _files: files }
    }

    /// A new, empty database.
    pub(crate) fn database(&self) -> Location {
        let name = format!("story{}", self.databases.replace(self.databases.get() + 1));
        let made = Command::new(self.binaries.join("createdb"))
            .args(["--template=template0", "--username=keyward", "--host"])
            .arg(&self.sockets)
            .arg(&name)
            .output()
            .unwrap();
        assert!(made.status.success(), "createdb failed: {}", String::from_utf8_lossy(&made.stderr));
        Location::Postgres(format!("postgres://keyward@localhost/{name}?host={}", self.sockets.display()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // `setpriv` has replaced itself with the server. This signal ends it at once, and it still cleans up after itself.
        if let Ok(id) = i32::try_from(self.child.id()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGQUIT);
        }
        let _ = self.child.wait();
    }
}

/// The server says on its error output when it accepts connections. The rest is read on, so that it never blocks.
fn wait_until_ready(child: &mut Child) {
    let mut said = String::new();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
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
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            return Self(None);
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let entry = |name: &str| {
            let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut ids = line.split(':').skip(2).map(|id| id.parse().ok());
            Some((ids.next()??, ids.next()??))
        };
        Self(Some(entry("postgres").or_else(|| entry("nobody")).expect("no user but root")))
    }

    fn own(&self, path: &Path) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        if let Self(Some((user, group))) = self {
            chown(path, Some(*user), Some(*group)).unwrap();
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
