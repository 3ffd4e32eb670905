//! The real `keyward` binary, started in a folder of its own and driven from outside, as a user does.

use crate::{
    PATIENCE,
    cli::Run,
    wire::{Request, Response},
};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::Instant,
};
use tempfile::TempDir;

/// How a server is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Further arguments of `serve`.
    pub arguments: Vec<String>,
    /// Further environment variables of the server.
    pub environment: Vec<(String, String)>,
    /// Start as on a new machine: without an owner's token, so that the set-up link is told.
    pub without_token: bool,
    /// What starts the server in the place of the test: a program that becomes it, with its first arguments.
    pub through: Vec<String>,
}

/// A running server with its data in a temporary folder, and the command line that goes with it.
pub struct Keyward {
    binary: PathBuf,
    folder: TempDir,
    options: Options,
    token: String,
    child: Option<Child>,
    ready: Value,
}

impl Keyward {
    /// Starts a server. `binary` is `env!("CARGO_BIN_EXE_keyward")`.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(binary: &str) -> Self {
        Self::start_with(binary, Options::default())
    }

    /// Starts a server with options.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_with(binary: &str, options: Options) -> Self {
        let mut server = Self::prepared(binary, options);
        server.launch();
        server
    }

    /// A server that is not running yet.
    ///
    /// # Panics
    /// When no folder can be made.
    #[must_use]
    pub fn prepared(binary: &str, options: Options) -> Self {
        let mut random = [0; 128];
        getrandom::fill(&mut random).expect("the system has random bytes");
        let token = keyward_domain::api_token::generate(&random).expect("enough random bytes").text.to_string();
        let folder = TempDir::with_prefix("keyward-test-").expect("a temporary folder");
        fs::create_dir(folder.path().join("home")).expect("a home folder");
        Self { binary: binary.into(), folder, options, token, child: None, ready: Value::Null }
    }

    /// Starts the process and waits for its ready line.
    ///
    /// # Panics
    /// When it ends instead, or takes too long.
    pub fn launch(&mut self) {
        self.try_launch().unwrap_or_else(|said| panic!("keyward serve did not start: {said}"));
    }

    /// Starts the process and waits for its ready line.
    ///
    /// # Errors
    /// What the process said when it ended instead.
    ///
    /// # Panics
    /// When it does neither in time.
    pub fn try_launch(&mut self) -> Result<(), String> {
        let log = File::options().append(true).create(true).open(self.log_path()).expect("a log file");
        let mut command = self.command(&self.options.through);
        command.args(["serve", "--format", "json", "--gateway-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.arg("--data-dir").arg(self.data()).args(&self.options.arguments);
        if !self.options.without_token {
            command.env("KEYWARD_BOOTSTRAP_TOKEN", &self.token);
        }
        command.envs(self.options.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("starting {}: {error}", self.binary.display()));
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let (sender, lines) = mpsc::channel();
        let copy = self.stdout_path();
        std::thread::spawn(move || {
            let mut kept = File::options().append(true).create(true).open(copy).expect("a file for standard output");
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _kept_for_the_canary = std::io::Write::write_all(&mut kept, format!("{line}\n").as_bytes());
                // The receiver is gone once the ready line was read.
                let _nobody_waits_any_more = sender.send(line);
            }
        });
        self.child = Some(child);
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            let line = lines.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            match line {
                Ok(line) => {
                    if let Some(ready) =
                        serde_json::from_str::<Value>(&line).ok().filter(|value| value["gateway"].is_string())
                    {
                        self.ready = ready;
                        return Ok(());
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let status = self.wait_exit();
                    return Err(format!("{status}\n{}", self.log()));
                }
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("no ready line in time\n{}", self.log()),
            }
        }
    }

    fn command(&self, through: &[String]) -> Command {
        let mut command = match through {
            [] => Command::new(&self.binary),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&self.binary);
                command
            }
        };
        let home = self.folder.path().join("home");
        command.env_clear().env("PATH", search_path()).env("HOME", &home).env("TMPDIR", self.folder.path());
        command.env("XDG_DATA_HOME", home.join("data")).env("XDG_CONFIG_HOME", home.join("config"));
        command
    }

    /// The folder with everything: data, logs, home.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Changes how the server is started from now on.
    pub const fn options(&mut self) -> &mut Options {
        &mut self.options
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The owner's token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The ready line.
    #[must_use]
    pub const fn ready(&self) -> &Value {
        &self.ready
    }

    /// The process's id.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    fn address(&self, name: &str) -> SocketAddr {
        let url = self.ready[name].as_str().unwrap_or_default();
        let authority = url.split("//").nth(1).unwrap_or_default().trim_end_matches('/');
        authority.parse().unwrap_or_else(|_| panic!("the ready line's {name} is no address: {}", self.ready))
    }

    /// The gateway's address.
    ///
    /// # Panics
    /// When the ready line names none.
    #[must_use]
    pub fn gateway(&self) -> SocketAddr {
        self.address("gateway")
    }

    /// The control API's address.
    ///
    /// # Panics
    /// When the ready line names none.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.address("admin")
    }

    /// Everything that the server wrote to standard error, over all its starts.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.log_path()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.err")
    }

    fn stdout_path(&self) -> PathBuf {
        self.folder.path().join("server.out")
    }

    /// A command of the client against this server, with `--format json`.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, b"")
    }

    /// A command of the client with something on standard input.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn run_with(&self, arguments: &[&str], input: &[u8]) -> Run {
        Run::of(self.client(&[arguments, &["--format", "json"]].concat()), input)
    }

    /// A command of the client as people run it, without `--format json`.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn run_for_people(&self, arguments: &[&str]) -> Run {
        Run::of(self.client(arguments), b"")
    }

    fn client(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&[]);
        command.args(arguments).current_dir(self.folder.path());
        if self.ready != Value::Null && !self.options.without_token {
            command.env("KEYWARD_ADDR", format!("http://{}", self.admin())).env("KEYWARD_TOKEN", &self.token);
        }
        command
    }

    /// A command that must end well; its answer as JSON.
    ///
    /// # Panics
    /// When it does not, or says something else than JSON.
    #[must_use]
    pub fn tell(&self, arguments: &[&str]) -> Value {
        self.run(arguments).ok().json()
    }

    /// A call of the control API.
    ///
    /// # Panics
    /// When the server does not answer.
    #[must_use]
    pub fn api(&self, method: &str, path: &str, body: Option<&Value>) -> Response {
        let mut request = Request::new(method, path).bearer(&self.token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        request.send(self.admin())
    }

    /// Ends the process at once, as a crash does.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        let child = self.child.as_mut().expect("the server runs");
        child.kill().expect("the server can be killed");
        let _killed = self.wait_exit();
    }

    /// Sends the process a signal.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a process id");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).expect("a signal can be sent");
    }

    /// Asks the process to stop, without waiting.
    ///
    /// # Panics
    /// When it does not run.
    pub fn ask_to_stop(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Makes the process stand still wherever it is, and waits until it does.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
        let status = format!("/proc/{}/status", self.pid());
        let deadline = Instant::now() + PATIENCE;
        while !fs::read_to_string(&status).is_ok_and(|text| text.contains("State:\tT")) {
            assert!(Instant::now() < deadline, "the server does not stand still");
            std::thread::yield_now();
        }
    }

    /// Lets the process go on after [`Self::pause`].
    ///
    /// # Panics
    /// When it does not run.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Asks the process to stop and waits until it has.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn stop(&mut self) -> ExitStatus {
        self.ask_to_stop();
        self.wait_exit()
    }

    /// Waits until the process has ended.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the server runs");
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            if let Some(status) = child.try_wait().expect("the server can be waited for") {
                return status;
            }
            if Instant::now() > deadline {
                let _already_gone = child.kill();
                panic!("the server did not end in {:?}\n{}", 2 * PATIENCE, self.log());
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Peak resident memory of the process so far, in bytes.
    ///
    /// # Panics
    /// When the system does not tell.
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process has a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the status tells the peak");
        let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().expect("a number of kB");
        kilobytes << 10
    }

    /// Makes the recovery identity, into `identity.txt` of the folder.
    ///
    /// # Panics
    /// When the command fails.
    pub fn prepare_recovery(&self) {
        let file = self.folder.path().join("identity.txt").to_string_lossy().into_owned();
        let _recipient = self.tell(&["vault", "recovery", "create", "--output", &file]);
    }

    /// The recovery identity and a project: what nearly every test begins with.
    ///
    /// # Panics
    /// When one of the commands fails.
    pub fn prepare(&self, project: &str) {
        self.prepare_recovery();
        let _created = self.tell(&["project", "create", project]);
    }

    /// Adds a credential whose provider is at `base_url`; gives what the command told.
    ///
    /// # Panics
    /// When the command fails.
    #[must_use]
    pub fn add_credential(&self, project: &str, provider: &str, name: &str, base_url: &str, secret: &str) -> Value {
        let arguments = [
            "credential",
            "add",
            "--project",
            project,
            "--provider",
            provider,
            "--name",
            name,
            "--base-url",
            base_url,
            "--allow-private-address",
        ];
        self.run_with(&arguments, secret.as_bytes()).ok().json()
    }

    /// Makes a key; gives its text. Further arguments say what it may do.
    ///
    /// # Panics
    /// When the command fails.
    #[must_use]
    pub fn key(&self, project: &str, name: &str, arguments: &[&str]) -> String {
        let mut all = vec!["key", "create", "--project", project, "--env", "production", "--name", name];
        all.extend(arguments);
        let told = self.tell(&all);
        told["key"].as_str().unwrap_or_else(|| panic!("key create told no key: {told}")).to_owned()
    }
}

impl Drop for Keyward {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _already_gone = child.kill();
            let _reaped = child.wait();
        }
    }
}

/// Where programs are looked for.
#[expect(clippy::disallowed_methods, reason = "programs that tests start are found as the shell finds them")]
pub(crate) fn search_path() -> String {
    std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned())
}
