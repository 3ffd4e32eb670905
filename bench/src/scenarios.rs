//! What is measured, and against what. Each round takes direct, bare proxy and Keyward one after the other; a figure is
//! the median of the rounds' ratios.

use crate::{
    load::{self, Call, Figures},
    process::{Keyward, Process},
    report::Report,
};
use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::BodyExt;
use std::{net::SocketAddr, path::Path, time::Duration};

/// How large the runs are.
#[derive(Clone, Copy)]
pub struct Size {
    /// Rounds per scenario.
    pub rounds: usize,
    /// Seconds that one run is sized for.
    pub seconds: usize,
}

struct Setup {
    mock: SocketAddr,
    proxy: (Process, SocketAddr),
    keyward: Keyward,
    key: String,
    size: Size,
}

struct Round {
    direct: Figures,
    proxy: (Figures, f64),
    keyward: (Figures, f64),
}

const PATH_DIRECT: &str = "/v1/chat/completions";
const PATH_GATEWAY: &str = "/openai/v1/chat/completions";

fn body(streamed: bool, prompt: usize) -> Bytes {
    let text = if prompt == 0 { "Say hello to the benchmark.".to_owned() } else { "word ".repeat(prompt / 5) };
    let stream = if streamed { r#""stream":true,"stream_options":{"include_usage":true},"# } else { "" };
    Bytes::from(format!(
        r#"{{"model":"gpt-4o-mini",{stream}"messages":[{{"role":"user","content":"{text}"}}],"max_tokens":50}}"#
    ))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Setup {
    fn call(&self, address: SocketAddr, path: &'static str, token: &str, body: &Bytes, pace_us: u64) -> Call {
        Call { address, tls: None, path, token: token.to_owned(), body: body.clone(), pace_us }
    }

    async fn rounds(&self, connections: usize, body: &Bytes, pace_us: u64) -> Result<Vec<Round>> {
        let direct = self.call(self.mock, PATH_DIRECT, "direct", body, pace_us);
        let proxy = self.call(self.proxy.1, PATH_DIRECT, "bench", body, pace_us);
        let keyward = self.call(self.keyward.gateway, PATH_GATEWAY, &self.key, body, pace_us);
        let mut sizes = Vec::new();
        for call in [&direct, &proxy, &keyward] {
            let trial = load::run(call, connections, connections * 20).await?;
            sizes.push(((trial.rate * self.size.seconds as f64) as usize).clamp(connections * 4, 400_000));
        }
        let mut rounds = Vec::new();
        for _ in 0..self.size.rounds {
            let first = load::run(&direct, connections, sizes[0]).await?;
            let before = self.proxy.0.cpu()?;
            let second = load::run(&proxy, connections, sizes[1]).await?;
            let proxy_cpu = (self.proxy.0.cpu()? - before) / second.good as f64 * 1e6;
            let before = self.keyward.process.cpu()?;
            let third = load::run(&keyward, connections, sizes[2]).await?;
            // What the journal's collector still does for these calls belongs to them.
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            let keyward_cpu = (self.keyward.process.cpu()? - before) / third.good as f64 * 1e6;
            ensure!(third.bad == 0 && second.bad == 0, "{} + {} bad answers", second.bad, third.bad);
            rounds.push(Round { direct: first, proxy: (second, proxy_cpu), keyward: (third, keyward_cpu) });
        }
        Ok(rounds)
    }
}

fn ratio(rounds: &[Round], of: impl Fn(&Round) -> (f64, f64)) -> f64 {
    median(
        rounds
            .iter()
            .map(|round| {
                let (a, b) = of(round);
                a / b
            })
            .collect(),
    )
}

/// Runs the scenarios that were asked for.
pub async fn run(binary: &Path, wanted: &[String], size: Size) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    std::fs::create_dir(&data)?;
    let (_mock, mock) = Process::sibling("mock", &[])?;
    let proxy = Process::sibling("proxy", &[&mock.to_string()])?;
    let keyward = Keyward::start(binary, &data, &[])?;
    let key = keyward.set_up(mock)?;
    let setup = Setup { mock, proxy, keyward, key, size };
    let mut report = Report::default();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    println!("{:<10} {:<44} {:>10}       target", "scenario", "what", "figure");
    if wants("idle") {
        report.at_most("idle", "resident memory", setup.keyward.process.memory("VmRSS")?, 32.0, "MiB");
    }
    if wants("c1") {
        latency(&setup, &mut report).await?;
    }
    if wants("c64") {
        unary(&setup, &mut report, "c64", 64, 0, 0.80).await?;
    }
    if wants("c256") {
        setup.keyward.process.forget_peak();
        unary(&setup, &mut report, "c256", 256, 0, 0.85).await?;
        report.at_most("c256", "resident memory, peak", setup.keyward.process.memory("VmHWM")?, 50.0, "MiB");
    }
    if wants("64k") {
        unary(&setup, &mut report, "64k", 64, 65_536, 0.0).await?;
    }
    if wants("sse") {
        streams(&setup, &mut report).await?;
    }
    if wants("paced") {
        let rounds = setup.rounds(64, &body(true, 0), 10_000).await?;
        report.note("paced", "CPU per stream, proxy", median(rounds.iter().map(|r| r.proxy.1).collect()), "µs");
        report.at_most("paced", "CPU per stream ÷ proxy", ratio(&rounds, |r| (r.keyward.1, r.proxy.1)), 1.15, "×");
    }
    if wants("open") {
        open_streams(&setup, &mut report).await?;
    }
    if wants("tls") {
        tls(binary, folder.path(), &setup, &mut report).await?;
    }
    report.finish("bench/target/bench.json")
}

async fn latency(setup: &Setup, report: &mut Report) -> Result<()> {
    let rounds = setup.rounds(1, &body(false, 0), 0).await?;
    let added = |of: fn(&Round) -> (f64, f64)| {
        median(
            rounds
                .iter()
                .map(|r| {
                    let (a, b) = of(r);
                    a - b
                })
                .collect(),
        )
    };
    report.note("c1", "added median, proxy", added(|r| (r.proxy.0.p50_us, r.direct.p50_us)), "µs");
    report.at_most("c1", "added median", added(|r| (r.keyward.0.p50_us, r.direct.p50_us)), 40.0, "µs");
    report.note("c1", "added p99, proxy", added(|r| (r.proxy.0.p99_us, r.direct.p99_us)), "µs");
    report.at_most("c1", "added p99", added(|r| (r.keyward.0.p99_us, r.direct.p99_us)), 80.0, "µs");
    Ok(())
}

async fn unary(
    setup: &Setup,
    report: &mut Report,
    name: &'static str,
    connections: usize,
    prompt: usize,
    rate: f64,
) -> Result<()> {
    let rounds = setup.rounds(connections, &body(false, prompt), 0).await?;
    report.note(name, "calls/s, direct", median(rounds.iter().map(|r| r.direct.rate).collect()), "");
    report.note(name, "calls/s, proxy", median(rounds.iter().map(|r| r.proxy.0.rate).collect()), "");
    report.note(name, "calls/s, keyward", median(rounds.iter().map(|r| r.keyward.0.rate).collect()), "");
    report.note(name, "CPU per call, proxy", median(rounds.iter().map(|r| r.proxy.1).collect()), "µs");
    report.note(name, "CPU per call, keyward", median(rounds.iter().map(|r| r.keyward.1).collect()), "µs");
    let cpu = ratio(&rounds, |r| (r.keyward.1, r.proxy.1));
    let speed = ratio(&rounds, |r| (r.keyward.0.rate, r.proxy.0.rate));
    if rate > 0.0 {
        report.at_most(name, "CPU per call ÷ proxy", cpu, 1.5, "×");
        report.at_least(name, "calls/s ÷ proxy", speed, rate, "×");
    } else {
        report.note(name, "CPU per call ÷ proxy", cpu, "×");
        report.note(name, "calls/s ÷ proxy", speed, "×");
    }
    Ok(())
}

async fn streams(setup: &Setup, report: &mut Report) -> Result<()> {
    let rounds = setup.rounds(64, &body(true, 0), 0).await?;
    report.note("sse", "streams/s, proxy", median(rounds.iter().map(|r| r.proxy.0.rate).collect()), "");
    report.note("sse", "CPU per stream, proxy", median(rounds.iter().map(|r| r.proxy.1).collect()), "µs");
    report.at_most("sse", "CPU per stream ÷ proxy", ratio(&rounds, |r| (r.keyward.1, r.proxy.1)), 1.0, "×");
    report.at_least("sse", "streams/s ÷ proxy", ratio(&rounds, |r| (r.keyward.0.rate, r.proxy.0.rate)), 1.0, "×");
    Ok(())
}

/// A thousand streams that have begun and do not end: what each costs in memory.
async fn open_streams(setup: &Setup, report: &mut Report) -> Result<()> {
    let call = setup.call(setup.keyward.gateway, PATH_GATEWAY, &setup.key, &body(true, 0), 200_000);
    let mut open = Vec::new();
    for _ in 0..1_000 {
        let mut sender = load::connect(&call).await?;
        let mut response = sender.send_request(load::request(&call)?).await?;
        ensure!(response.status() == 200, "a stream was refused: {}", response.status());
        ensure!(response.frame().await.is_some(), "a stream ended before its first chunk");
        open.push((sender, response));
    }
    report.at_most("open", "resident memory, 1,000 open streams", setup.keyward.process.memory("VmRSS")?, 120.0, "MiB");
    Ok(())
}

/// The same unary load with TLS between client and gateway.
async fn tls(binary: &Path, folder: &Path, plain: &Setup, report: &mut Report) -> Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    let data = folder.join("tls-data");
    std::fs::create_dir(&data)?;
    // The client reaches the set-up over plain HTTP first; TLS is switched on by a restart on the same data.
    let token = {
        let keyward = Keyward::start(binary, &data, &[])?;
        keyward.set_up(plain.mock)?
    };
    let (cert, key) = (cert.to_string_lossy().into_owned(), key.to_string_lossy().into_owned());
    let keyward = Keyward::start(binary, &data, &["--tls-cert", &cert, "--tls-key", &key])?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone())?;
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let mut call = plain.call(keyward.gateway, PATH_GATEWAY, &token, &body(false, 0), 0);
    call.tls = Some(config.into());
    let trial = load::run(&call, 64, 2_000).await?;
    let before = keyward.process.cpu()?;
    let figures = load::run(&call, 64, (trial.rate * plain.size.seconds as f64) as usize).await?;
    let cpu = (keyward.process.cpu()? - before) / figures.good as f64 * 1e6;
    report.note("tls", "calls/s, keyward", figures.rate, "");
    report.note("tls", "CPU per call, keyward", cpu, "µs");
    Ok(())
}
