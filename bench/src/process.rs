//! Child processes and what the kernel says of them: processor time and resident memory.

use anyhow::{Context, Result, bail};
use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

/// A child that is stopped when it is dropped.
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.0.id()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
        }
        let _ = self.0.wait();
    }
}

impl Process {
    /// Starts a program and returns the first line it prints.
    pub fn start(mut command: Command) -> Result<(Self, String)> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().with_context(|| name.clone())?;
        let stdout = child.stdout.take().context("no standard output")?;
        let process = Self(child);
        let mut lines = BufReader::new(stdout);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        if line.trim().is_empty() {
            bail!("{name} ended before it was ready");
        }
        std::thread::spawn(move || lines.lines().map_while(Result::ok).for_each(drop));
        Ok((process, line.trim().to_owned()))
    }

    /// Starts a program of this package that prints its address.
    pub fn sibling(name: &str, arguments: &[&str]) -> Result<(Self, SocketAddr)> {
        let path = std::env::current_exe()?.with_file_name(name);
        let mut command = Command::new(path);
        command.args(arguments);
        let (process, line) = Self::start(command)?;
        Ok((process, line.parse()?))
    }

    /// Processor time used so far, in seconds.
    pub fn cpu(&self) -> Result<f64> {
        // schedstat counts nanoseconds; stat only counts ticks of 10 ms.
        let mut nanos = 0_u64;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.0.id()))? {
            let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            nanos += text.split_ascii_whitespace().next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(nanos as f64 / 1e9)
    }

    /// A memory figure of `/proc/PID/status`, in MiB: `VmRSS` now, `VmHWM` at its highest.
    pub fn memory(&self, field: &str) -> Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = text.lines().find(|line| line.starts_with(field)).context("no such field")?;
        let kib: f64 = line.split_ascii_whitespace().nth(1).context("no figure")?.parse()?;
        Ok(kib / 1024.0)
    }

    /// Forgets the highest memory so far.
    pub fn forget_peak(&self) {
        let _ = std::fs::write(format!("/proc/{}/clear_refs", self.0.id()), "5");
    }
}

/// A running Keyward in a folder of its own, set up by its own command line.
pub struct Keyward {
    /// The process.
    pub process: Process,
    /// The gateway's address.
    pub gateway: SocketAddr,
    binary: std::path::PathBuf,
    data: std::path::PathBuf,
}

impl Keyward {
    /// Starts the server on free ports.
    pub fn start(binary: &Path, data: &Path, extra: &[&str]) -> Result<Self> {
        let mut command = Command::new(binary);
        command
            .args(["serve", "--format", "json", "--gateway-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .arg("--data-dir")
            .arg(data)
            .args(extra)
            .stderr(std::fs::File::create(data.with_extension("log"))?);
        let (process, line) = Process::start(command)?;
        let ready: serde_json::Value = serde_json::from_str(&line).with_context(|| format!("ready line: {line}"))?;
        let gateway = ready["gateway"].as_str().context("no gateway address")?;
        let gateway = gateway.trim_start_matches("https://").trim_start_matches("http://").parse()?;
        Ok(Self { process, gateway, binary: binary.to_owned(), data: data.to_owned() })
    }

    /// Runs a command of the client against this server and reads its JSON answer.
    pub fn cli(&self, arguments: &[&str], stdin: &str) -> Result<serde_json::Value> {
        let mut child = Command::new(&self.binary)
            .args(arguments)
            .args(["--format", "json"])
            .env("KEYWARD_DATA_DIR", &self.data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        child.stdin.take().context("no standard input")?.write_all(stdin.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("keyward {} failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stdout));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Makes a project, a recovery recipient, a credential for the upstream and a key; returns the key.
    pub fn set_up(&self, upstream: SocketAddr) -> Result<String> {
        let identity = self.data.join("recovery.txt");
        let identity = identity.to_str().context("odd path")?;
        self.cli(&["vault", "recovery", "create", "--output", identity], "")?;
        self.cli(&["project", "create", "bench"], "")?;
        let base = format!("http://{upstream}/v1");
        let add = ["credential", "add", "--project", "bench", "--provider", "openai", "--name", "main"];
        self.cli(&[&add[..], &["--base-url", &base, "--allow-private-address"]].concat(), "sk-upstream-for-the-bench")?;
        let key = self.cli(
            &[
                "key",
                "create",
                "--project",
                "bench",
                "--env",
                "production",
                "--name",
                "bench",
                "--provider",
                "openai",
                "--model",
                "gpt-*",
                "--operation",
                "chat",
                "--cidr",
                "127.0.0.0/8",
                "--expires",
                "1d",
                "--rpm",
                "100000000",
                "--tpm",
                "100000000000",
                "--concurrency",
                "100000",
            ],
            "",
        )?;
        Ok(key["key"].as_str().context("no key in the answer")?.to_owned())
    }
}
