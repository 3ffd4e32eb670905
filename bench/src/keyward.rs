//! A running Keyward in a data folder of its own. The folder is set up once, by Keyward's own command line, and copied
//! for every scenario, so that none inherits another's journal, database or memory.

use crate::process::Process;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// The project of the bench.
pub const PROJECT: &str = "bench";

/// A budget that is more than any run spends.
pub const AMPLE: &str = "1000000 USD/month";

/// Limits that are on and never reached: what is measured includes counting against them.
const POLICY: &[&str] = &[
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
];

/// A server that runs.
pub struct Keyward {
    /// The process.
    pub process: Process,
    /// The gateway's address.
    pub gateway: SocketAddr,
    /// From the start of the process to the line that says it is ready.
    pub start: Duration,
    binary: PathBuf,
    data: PathBuf,
}

/// A command of the binary without settings of whoever runs the bench.
fn command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KEYWARD_") {
            command.env_remove(name);
        }
    }
    command
}

impl Keyward {
    /// Starts the server on free ports.
    pub fn start(binary: &Path, data: &Path, extra: &[&str]) -> Result<Self> {
        let log = data.with_extension("log");
        let mut serve = command(binary);
        serve
            .args(["serve", "--format", "json", "--gateway-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .arg("--data-dir")
            .arg(data)
            .args(extra)
            .stderr(File::create(&log)?);
        let (process, line, start) =
            Process::start(serve).with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        let ready: Value = serde_json::from_str(&line).with_context(|| format!("ready line: {line}"))?;
        let gateway = ready["gateway"].as_str().context("no gateway address")?;
        let gateway = gateway.trim_start_matches("https://").trim_start_matches("http://").parse()?;
        Ok(Self { process, gateway, start, binary: binary.to_owned(), data: data.to_owned() })
    }

    /// The end of what the server logged.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.data.with_extension("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// Budgets of the key, its project and the organisation, and rates of the latter two: the key's own are always on.
    pub fn bind(&self) -> Result<()> {
        for scope in [&["--key", "bench"][..], &["--project", PROJECT], &["--organisation"]] {
            self.cli(&[&["budget", "set"], scope, &[AMPLE]].concat(), "")?;
        }
        for scope in [&["--project", PROJECT][..], &["--organisation"]] {
            let rates = ["--rpm", "100000000", "--tpm", "100000000000", "--concurrency", "100000"];
            self.cli(&[&["rate", "set"], scope, &rates[..]].concat(), "")?;
        }
        Ok(())
    }

    /// Runs a command of the client against this server and reads its JSON answer.
    pub fn cli(&self, arguments: &[&str], stdin: &str) -> Result<Value> {
        let mut child = command(&self.binary)
            .args(arguments)
            .args(["--format", "json"])
            .env("KEYWARD_DATA_DIR", &self.data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        child.stdin.take().context("no standard input")?.write_all(stdin.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            bail!("keyward {} failed: {}", arguments.join(" "), String::from_utf8_lossy(&said));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Makes a project, a recovery recipient, a credential for the upstream and a key; returns the key.
    pub fn set_up(&self, upstream: SocketAddr) -> Result<String> {
        let identity = self.data.with_extension("recovery");
        let identity = identity.to_str().context("odd path")?;
        self.cli(&["vault", "recovery", "create", "--output", identity], "")?;
        self.cli(&["project", "create", PROJECT], "")?;
        let base = format!("http://{upstream}/v1");
        let add = ["credential", "add", "--project", PROJECT, "--provider", "openai", "--name", "main"];
        self.cli(&[&add[..], &["--base-url", &base, "--allow-private-address"]].concat(), "sk-upstream-for-the-bench")?;
        let create = ["key", "create", "--project", PROJECT, "--env", "production", "--name", "bench"];
        let key = self.cli(&[&create[..], POLICY].concat(), "")?;
        Ok(key["key"].as_str().context("no key in the answer")?.to_owned())
    }
}

/// What a key's budget stands at, in nano-dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The limit.
    pub limit: u64,
    /// What is spent.
    pub spent: u64,
    /// What nodes have set aside.
    pub leased: u64,
}

impl Keyward {
    /// A key with a budget of its own; returns its text.
    pub fn key(&self, name: &str, budget: &str) -> Result<String> {
        let create = ["key", "create", "--project", PROJECT, "--env", "production", "--name", name];
        let may = ["--provider", "openai", "--model", "gpt-*", "--operation", "chat", "--budget", budget];
        let key = self.cli(&[create, may].concat(), "")?;
        Ok(key["key"].as_str().context("no key in the answer")?.to_owned())
    }

    /// The budget of a key that has one.
    pub fn standing(&self, key: &str) -> Result<Standing> {
        let shown = self.cli(&["budget", "show", "--key", key], "")?;
        let budget = shown.pointer("/items/0").unwrap_or(&shown);
        let nano = |field: &str| budget[field].as_u64().with_context(|| format!("no {field} in {shown}"));
        Ok(Standing {
            limit: nano("limit_nano_usd")?,
            spent: nano("spent_nano_usd")?,
            leased: nano("leased_nano_usd")?,
        })
    }

    /// The same when it has not changed for a while: when all that has ended is in the ledger.
    pub fn settled_standing(&self, key: &str) -> Result<Standing> {
        let mut before = self.standing(key)?;
        let mut same = 0;
        for _ in 0..100 {
            std::thread::sleep(Duration::from_millis(200));
            let now = self.standing(key)?;
            same = if now == before { same + 1 } else { 0 };
            if same == 5 {
                return Ok(now);
            }
            before = now;
        }
        bail!("the budget of {key} does not come to rest: {before:?}")
    }
}

/// Copies a data folder that no server uses.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &place)?;
        } else {
            fs::copy(entry.path(), place)?;
        }
    }
    Ok(())
}
