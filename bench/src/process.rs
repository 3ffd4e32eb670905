//! Child processes and what the kernel says of them: processor time and resident memory.

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    time::ClockId,
    unistd::Pid,
};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A child that is stopped when it is dropped.
pub struct Process {
    child: Child,
    pid: Pid,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill(self.pid, Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// Processor time of a process since it began, in nanoseconds, with that of its threads that have ended.
fn processor_time(pid: Pid) -> Result<f64> {
    let spent = ClockId::pid_cpu_clock_id(pid)?.now()?;
    Ok(spent.tv_sec() as f64 * 1e9 + spent.tv_nsec() as f64)
}

/// Processor time of the bench itself, in microseconds.
pub fn own_cpu_us() -> Result<f64> {
    Ok(processor_time(Pid::this())? / 1e3)
}

/// How many processors the whole machine is using, over a second.
pub fn machine_busy() -> Result<f64> {
    // user, nice, system, idle, iowait, irq, softirq, steal; in ticks of a hundredth of a second
    let busy = || -> Result<f64> {
        let text = std::fs::read_to_string("/proc/stat")?;
        let line = text.lines().next().context("/proc/stat is empty")?;
        let ticks: Vec<f64> = line.split_ascii_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
        Ok(ticks.iter().take(8).sum::<f64>() - ticks.iter().skip(3).take(2).sum::<f64>())
    };
    let (before, begun) = (busy()?, Instant::now());
    std::thread::sleep(Duration::from_secs(1));
    Ok((busy()? - before) / 100.0 / begun.elapsed().as_secs_f64())
}

impl Process {
    /// Starts a program; returns the first line it prints, and how long it took to say it.
    pub fn start(mut command: Command) -> Result<(Self, String, Duration)> {
        let name = command.get_program().to_string_lossy().into_owned();
        let begun = Instant::now();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().with_context(|| name.clone())?;
        let stdout = child.stdout.take().context("no standard output")?;
        let pid = Pid::from_raw(i32::try_from(child.id())?);
        let process = Self { child, pid };
        let mut lines = BufReader::new(stdout);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        let took = begun.elapsed();
        if line.trim().is_empty() {
            bail!("{name} ended before it was ready");
        }
        std::thread::spawn(move || lines.lines().map_while(Result::ok).for_each(drop));
        Ok((process, line.trim().to_owned(), took))
    }

    /// Starts a program that says nothing when it is ready; where its output goes is the command's matter.
    pub fn launch(mut command: Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).spawn().with_context(|| format!("{:?}", command.get_program()))?;
        let pid = Pid::from_raw(i32::try_from(child.id())?);
        Ok(Self { child, pid })
    }

    /// Starts a program of this package that prints its address.
    pub fn sibling(name: &str, arguments: &[&str]) -> Result<(Self, SocketAddr)> {
        let path = std::env::current_exe()?.with_file_name(name);
        let mut command = Command::new(path);
        command.args(arguments);
        let (process, line, _) = Self::start(command)?;
        Ok((process, line.parse()?))
    }

    /// Ends it as `kill -9` does.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Processor time used so far, in microseconds.
    pub fn cpu_us(&self) -> Result<f64> {
        Ok(processor_time(self.pid)? / 1e3)
    }

    /// Waits until the process has done what is left to do: at least as long as told, then until it uses less than a
    /// fiftieth of a processor, at most 20 seconds more.
    pub fn settle(&self, at_least: Duration) -> Result<()> {
        const LOOK: Duration = Duration::from_millis(250);
        std::thread::sleep(at_least);
        for _ in 0..80 {
            let before = self.cpu_us()?;
            std::thread::sleep(LOOK);
            if self.cpu_us()? - before < LOOK.as_micros() as f64 / 50.0 {
                break;
            }
        }
        Ok(())
    }

    /// A memory figure of `/proc/PID/status`, in MiB: `VmRSS` now, `VmHWM` at its highest.
    pub fn memory(&self, field: &str) -> Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = text.lines().find(|line| line.starts_with(field)).context("no such field")?;
        mib(line).context("no figure")
    }

    /// What the resident memory consists of, in MiB: the kernel's sums, then every kind of mapping. Empty where the
    /// kernel does not tell: Keyward hides its memory from everyone but root.
    pub fn memory_parts(&self) -> BTreeMap<String, f64> {
        let mut parts = BTreeMap::new();
        let sums = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid)).unwrap_or_default();
        let sum = |name: &str| sums.lines().find(|line| line.starts_with(name)).and_then(mib);
        if let (Some(rss), Some(pss), Some(anonymous)) = (sum("Rss:"), sum("Pss:"), sum("Anonymous:")) {
            let shared = sum("Shared_Clean:").unwrap_or(0.0) + sum("Shared_Dirty:").unwrap_or(0.0);
            parts.insert("proportional share (PSS)".to_owned(), pss);
            parts.insert("anonymous: heap, stacks, written data".to_owned(), anonymous);
            parts.insert("of files".to_owned(), rss - anonymous);
            parts.insert("of files, shared with other processes".to_owned(), shared);
        }
        let maps = std::fs::read_to_string(format!("/proc/{}/smaps", self.pid)).unwrap_or_default();
        let mut kind = String::new();
        for line in maps.lines() {
            let mut words = line.split_ascii_whitespace();
            let first = words.next().unwrap_or_default();
            if !first.ends_with(':') {
                // address, permissions, offset, device, inode, path
                kind = mapping(words.nth(4).unwrap_or_default());
            } else if first == "Rss:" {
                *parts.entry(kind.clone()).or_default() += mib(line).unwrap_or(0.0);
            }
        }
        parts.retain(|_, size| *size > 0.0);
        parts
    }
}

fn mib(line: &str) -> Option<f64> {
    Some(line.split_ascii_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

fn mapping(path: &str) -> String {
    let kind = if path.is_empty() || path.starts_with('[') {
        "memory without a file"
    } else if path.contains("/journal") {
        "the journal"
    } else if path.contains("keyward.db") {
        "the database"
    } else if path.contains(".so") {
        "libraries"
    } else {
        "the program"
    };
    format!("mapped: {kind}")
}
