//! What the biller (`src/bin/biller.rs`) has written down, and what that costs.

use crate::process::Process;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// What all calls of these scenarios ask for, and its price in nano-dollars per token: input and output.
pub const MODEL: &str = "gpt-4o-mini";
const PRICE: (u64, u64) = (150, 600);

/// The longest that calls may stay open at the biller after their clients are gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// The biller.
pub struct Biller {
    /// Its process; stopped when dropped.
    _process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

/// How the biller answers.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// What a call generates that sets no cap.
    pub tokens: u64,
    /// Before an answer begins, in microseconds.
    pub latency_us: u64,
    /// Between tokens, in microseconds.
    pub pace_us: u64,
    /// It generates that much whatever the cap.
    pub ignore_caps: bool,
}

/// One call that the biller took up.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The client's name for the call.
    pub name: String,
    /// Its cost in nano-dollars if generating stops when the connection closes.
    pub sent: u64,
    /// And if it goes on to its end.
    pub full: u64,
}

impl Biller {
    /// Starts it.
    pub fn start() -> Result<Self> {
        let (process, address) = Process::sibling("biller", &[])?;
        Ok(Self { _process: process, address })
    }

    /// Begins new books.
    pub fn reset(&self, manner: Manner) -> Result<()> {
        let asked = json!({
            "tokens": manner.tokens, "latency_us": manner.latency_us, "pace_us": manner.pace_us,
            "ignore_caps": manner.ignore_caps,
        });
        self.ask("POST /__reset", &asked.to_string()).map(drop)
    }

    /// All calls, when none is open any more.
    pub fn books(&self) -> Result<Vec<Entry>> {
        let begun = Instant::now();
        loop {
            let books: Value = serde_json::from_str(&self.ask("GET /__books", "")?).context("the books")?;
            if books["open"] == 0 {
                return books["calls"].as_array().context("no calls")?.iter().map(Entry::read).collect();
            }
            ensure!(begun.elapsed() < PATIENCE, "{} calls are still open at the provider", books["open"]);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn ask(&self, line: &str, body: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        ensure!(head.starts_with("HTTP/1.1 200 "), "{line}: {head}");
        Ok(body.to_owned())
    }
}

impl Entry {
    fn read(row: &Value) -> Result<Self> {
        let number = |at: usize| row[at].as_u64().context("a row of the books");
        let (prompt, sent, full) = (number(1)? * PRICE.0, number(2)?, number(3)?);
        let name = row[0].as_str().context("a name")?.to_owned();
        Ok(Self { name, sent: prompt + sent * PRICE.1, full: prompt + full * PRICE.1 })
    }
}

/// The sums of both ways to bill, in nano-dollars.
pub fn sums(books: &[Entry]) -> (u64, u64) {
    (books.iter().map(|entry| entry.sent).sum(), books.iter().map(|entry| entry.full).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_priced_both_ways() {
        let books = [Entry::read(&json!(["a", 10, 20, 100])).unwrap(), Entry::read(&json!(["b", 10, 0, 1])).unwrap()];
        assert_eq!(sums(&books), (2 * 1_500 + 20 * 600, 2 * 1_500 + 101 * 600));
        assert!(Entry::read(&json!(["a", 10, 20])).is_err());
    }
}
