//! One connection, one thread, blocking reads and writes and next to no work of its own: what such a client sees is the
//! servers' latency. (An asynchronous client adds a wake-up of another thread to every call, which costs more than a
//! proxy does.)

use crate::call::{Call, Figures, Tally};
use anyhow::{Context, Result, bail, ensure};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

/// The largest answer that is understood: head and body.
const LARGEST: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(10);

fn requests(call: &Call) -> Vec<Vec<u8>> {
    let request = |token: &String| {
        let mut text = format!("POST {} HTTP/1.1\r\ncontent-length: {}\r\n", call.path, call.body.len());
        for (name, value) in call.headers(token) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        [text.as_bytes(), &call.body].concat()
    };
    call.tokens.iter().map(request).collect()
}

/// Calls over one connection, for so long.
pub fn run(call: &Call, time: Duration) -> Result<Figures> {
    ensure!(call.tls.is_none(), "this client does not speak TLS");
    let requests = requests(call);
    let mut stream = TcpStream::connect(call.address).context("connecting")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = vec![0; LARGEST];
    let mut tally = Tally::default();
    let start = Instant::now();
    for request in requests.iter().cycle() {
        let begun = Instant::now();
        if begun.duration_since(start) >= time {
            break;
        }
        stream.write_all(request)?;
        let bytes = answer(&mut stream, &mut buffer)?;
        tally.add(begun.elapsed(), bytes)?;
    }
    tally.figures(start.elapsed())
}

/// Reads one answer to its end; gives the size of its body.
fn answer(stream: &mut impl Read, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    loop {
        let count = stream.read(&mut buffer[filled..]).context("reading an answer")?;
        ensure!(count > 0, "the connection ended within an answer");
        filled += count;
        let seen = &buffer[..filled];
        let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        ensure!(seen.starts_with(b"HTTP/1.1 200 "), "answered {}", String::from_utf8_lossy(seen));
        let Some(length) = content_length(&seen[..end]) else { bail!("an answer without a length") };
        if filled >= end + 4 + length {
            ensure!(filled == end + 4 + length, "more than one answer");
            return Ok(length);
        }
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let line = head
        .split(|byte| *byte == b'\n')
        .find(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))?;
    std::str::from_utf8(&line[NAME.len()..]).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its parts read by read.
    struct Parts(Vec<&'static [u8]>);

    impl Read for Parts {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let part = self.0.remove(0);
            buffer[..part.len()].copy_from_slice(part);
            Ok(part.len())
        }
    }

    fn read(parts: &[&'static [u8]]) -> Result<usize> {
        answer(&mut Parts(parts.to_vec()), &mut [0; 200])
    }

    #[test]
    fn answers_end_where_their_length_says() {
        assert_eq!(read(&[b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"]).unwrap(), 3);
        assert_eq!(read(&[b"HTTP/1.1 200 OK\r\nx: y\r\ncontent-le", b"ngth: 3\r\n\r", b"\na", b"bc"]).unwrap(), 3);
        assert!(read(&[b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab"]).is_err(), "cut off");
        assert!(read(&[b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcd"]).is_err(), "too much");
        assert!(read(&[b"HTTP/1.1 429 No\r\ncontent-length: 0\r\n\r\n"]).is_err(), "refused");
        assert!(read(&[b"HTTP/1.1 200 OK\r\n\r\nabc"]).is_err(), "no length");
    }
}
