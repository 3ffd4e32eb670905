//! What is sent, and what came back.

use anyhow::{Result, ensure};
use bytes::Bytes;
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// What is sent.
#[derive(Clone)]
pub struct Call {
    /// Where to.
    pub address: SocketAddr,
    /// TLS, when the target speaks it.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// The path.
    pub path: &'static str,
    /// Bearer tokens. With one connection they take turns, call by call; otherwise the first is used.
    pub tokens: Arc<[String]>,
    /// The JSON body.
    pub body: Bytes,
    /// For the mock: how many chunks a stream has, and how many microseconds lie between them.
    pub stream: Option<(u32, u32)>,
}

impl Call {
    /// The headers of a call with one of the tokens.
    pub fn headers(&self, token: &str) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("host", "localhost".to_owned()),
            ("content-type", "application/json".to_owned()),
            ("authorization", format!("Bearer {token}")),
        ];
        if let Some((chunks, pace)) = self.stream {
            headers.push(("x-chunks", chunks.to_string()));
            headers.push(("x-pace-us", pace.to_string()));
        }
        headers
    }
}

/// A chat call's body: streamed or not, with a prompt of about so many bytes.
pub fn body(streamed: bool, prompt: usize) -> Bytes {
    let text = if prompt == 0 { "Say hello to the benchmark.".to_owned() } else { "word ".repeat(prompt / 5) };
    let stream = if streamed { r#""stream":true,"stream_options":{"include_usage":true},"# } else { "" };
    Bytes::from(format!(
        r#"{{"model":"gpt-4o-mini",{stream}"messages":[{{"role":"user","content":"{text}"}}],"max_tokens":50}}"#
    ))
}

/// What came back.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Calls per second.
    pub rate: f64,
    /// Median time of a whole call, in microseconds.
    pub p50_us: f64,
    /// 99th percentile, in microseconds.
    pub p99_us: f64,
    /// Calls, all of them answered with 200.
    pub calls: usize,
    /// Bytes of each answer's body.
    pub bytes: usize,
}

/// Collects the calls of a run. An answer that differs from the first in size ends the run: something was lost.
#[derive(Default)]
pub struct Tally {
    nanos: Vec<u64>,
    bytes: usize,
}

impl Tally {
    /// One more call.
    pub fn add(&mut self, took: Duration, bytes: usize) -> Result<()> {
        ensure!(bytes > 0 && (self.bytes == 0 || self.bytes == bytes), "answers of {} and {bytes} bytes", self.bytes);
        self.bytes = bytes;
        self.nanos.push(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Those of another connection.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        ensure!(self.bytes == 0 || self.bytes == other.bytes, "answers of {} and {} bytes", self.bytes, other.bytes);
        self.bytes = other.bytes;
        self.nanos.extend(other.nanos);
        Ok(())
    }

    /// The sums, for a run that took so long.
    pub fn figures(mut self, elapsed: Duration) -> Result<Figures> {
        ensure!(!self.nanos.is_empty(), "no call was made");
        self.nanos.sort_unstable();
        let calls = self.nanos.len();
        let at = |share: f64| self.nanos[((calls - 1) as f64 * share) as usize] as f64 / 1e3;
        let rate = calls as f64 / elapsed.as_secs_f64();
        Ok(Figures { rate, p50_us: at(0.50), p99_us: at(0.99), calls, bytes: self.bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_odd_answers() {
        let mut tally = Tally::default();
        for micros in 1..=101 {
            tally.add(Duration::from_micros(micros), 10).unwrap();
        }
        assert!(tally.add(Duration::from_micros(1), 11).is_err());
        let figures = tally.figures(Duration::from_secs(1)).unwrap();
        assert_eq!((figures.p50_us, figures.p99_us, figures.calls, figures.bytes), (51.0, 100.0, 101, 10));
        assert!(Tally::default().figures(Duration::from_secs(1)).is_err());
    }
}
