//! LiteLLM, for comparison: installed by `pip` and started before the same biller. Its keys are checked by a few lines of
//! Python that give each the budget that its name says, as its documentation tells for installations without a database:
//! so it reserves in memory, and is measured at its best.

use crate::process::Process;
use anyhow::{Result, ensure};
use std::{
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// Where its API stands.
pub const PATH: &str = "/v1/chat/completions";
/// The longest that it may take to start.
const PATIENCE: Duration = Duration::from_secs(180);

/// The check of keys: `sk-bench-NAME-DOLLARS`.
const AUTH: &str = "\
from litellm.proxy._types import UserAPIKeyAuth


async def check(request, api_key: str) -> UserAPIKeyAuth:
    name, dollars = api_key.removeprefix('sk-bench-').rsplit('-', 1)
    return UserAPIKeyAuth(api_key=api_key, token=api_key, key_alias=name, max_budget=float(dollars))
";

/// A running LiteLLM.
pub struct LiteLlm {
    process: Option<Process>,
    /// Where it listens.
    pub address: SocketAddr,
    log: PathBuf,
}

/// The key with a budget, in dollars.
pub fn key(name: &str, dollars: &str) -> String {
    format!("sk-bench-{}-{dollars}", name.replace('-', "_"))
}

impl LiteLlm {
    /// Starts the one that is installed in a folder, before a provider.
    pub fn start(installed: &Path, folder: &Path, upstream: SocketAddr) -> Result<Self> {
        fs::create_dir(folder)?;
        fs::write(folder.join("bench_auth.py"), AUTH)?;
        fs::write(folder.join("config.yaml"), config(upstream))?;
        // Free a moment ago; nothing else here takes ports.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = folder.join("log");
        let mut serve = Command::new(installed.join("bin/litellm"));
        serve
            .args(["--config", "config.yaml", "--host", "127.0.0.1", "--telemetry", "False", "--port"])
            .arg(address.port().to_string())
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder)
            .env("PYTHONPATH", folder)
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            .env("LITELLM_MASTER_KEY", format!("sk-{:016x}", RandomState::new().hash_one(address)))
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?);
        let one = Self { process: Some(Process::launch(serve)?), address, log };
        let begun = Instant::now();
        while !one.is_ready() {
            ensure!(begun.elapsed() < PATIENCE, "it does not start: {}", one.said());
            std::thread::sleep(Duration::from_millis(250));
        }
        Ok(one)
    }

    fn is_ready(&self) -> bool {
        let ask = || -> Result<bool> {
            let mut stream = TcpStream::connect(self.address)?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            write!(stream, "GET /health/liveliness HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer.starts_with("HTTP/1.1 200 "))
        };
        ask().unwrap_or(false)
    }

    /// The end of what it logged.
    pub fn said(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

impl Drop for LiteLlm {
    fn drop(&mut self) {
        // It would wait for calls that were left.
        let _ = self.process.take().map(Process::kill);
    }
}

fn config(upstream: SocketAddr) -> String {
    let model = crate::books::MODEL;
    format!(
        "model_list:\n  - model_name: {model}\n    litellm_params:\n      model: openai/{model}\n      \
         api_base: http://{upstream}/v1\n      api_key: sk-upstream-for-the-bench\n\
         litellm_settings:\n  num_retries: 0\n  request_timeout: 60\n  telemetry: false\n\
         general_settings:\n  custom_auth: bench_auth.check\n  custom_auth_run_common_checks: true\n\
         router_settings:\n  num_retries: 0\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_its_budget() {
        assert_eq!(key("no-caps", "0.02"), "sk-bench-no_caps-0.02");
        assert!(
            config(([127, 0, 0, 1], 80).into()).contains("      api_base: http://127.0.0.1:80/v1\n      api_key: ")
        );
    }
}
