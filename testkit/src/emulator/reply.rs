//! An answer as a list of steps: bytes, and what happens between them.

use super::{
    gate::Gate,
    script::{Fault, Script},
};
use bytes::Bytes;
use serde_json::Value;
use std::sync::Arc;

/// One step of an answer's body.
#[derive(Debug, Clone)]
pub enum Step {
    /// These bytes, as one write.
    Data(Bytes),
    /// These bytes over and over.
    Repeat(Bytes, usize),
    /// Wait until the test opens the gate.
    Wait(Arc<Gate>),
    /// Close the connection in the middle of the answer.
    Close,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: ReplyBody,
}

/// An answer's body.
#[derive(Debug, Clone)]
pub(crate) enum ReplyBody {
    /// Known in whole: sent with its length.
    Whole(Bytes),
    /// Sent step by step.
    Steps(Vec<Step>),
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::whole(status, "application/json", body.to_string())
    }

    pub(crate) fn whole(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: ReplyBody::Whole(body.into()),
        }
    }

    pub(crate) fn steps(content_type: &str, steps: Vec<Step>) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: ReplyBody::Steps(steps),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// A stream before the script's gates and faults are put in.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// What comes before the text.
    pub(crate) prelude: Vec<Bytes>,
    /// One entry for each piece of the text.
    pub(crate) pieces: Vec<Bytes>,
    /// What comes after it.
    pub(crate) finale: Vec<Bytes>,
    /// What the provider sends in place of the rest when it fails.
    pub(crate) failure: Vec<Bytes>,
}

impl Stream {
    /// The steps of the stream with the script's gates and faults.
    pub(crate) fn steps(self, script: &Script) -> Vec<Step> {
        let mut steps: Vec<Step> = self.prelude.into_iter().map(Step::Data).collect();
        let end = self.pieces.len();
        let gates_at = |steps: &mut Vec<Step>, number: usize| {
            let here = script.gates.iter().filter(|(at, _)| *at == number);
            steps.extend(here.map(|(_, gate)| Step::Wait(Arc::clone(gate))));
        };
        for (number, piece) in self.pieces.into_iter().map(Some).chain([None]).enumerate() {
            gates_at(&mut steps, number);
            match script.fault {
                Some(Fault::CloseAt(at)) if at == number => {
                    steps.push(Step::Close);
                    return steps;
                }
                Some(Fault::ErrorAt(at) | Fault::NoMoneyAt(at)) if at == number => {
                    steps.extend(self.failure.into_iter().map(Step::Data));
                    return steps;
                }
                _ => steps.extend(piece.map(Step::Data)),
            }
        }
        debug_assert!(script.gates.iter().all(|(at, _)| *at <= end), "a gate stands behind the stream's end");
        steps.extend(self.finale.into_iter().map(Step::Data));
        steps
    }
}

/// A server-sent event without a name.
pub(crate) fn data(value: &Value) -> Bytes {
    Bytes::from(format!("data: {value}\n\n"))
}

/// A server-sent event with a name.
pub(crate) fn event(name: &str, value: &Value) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {value}\n\n"))
}

/// Gzip with stored blocks: valid for every reader, and no compressor is needed.
pub(crate) fn gzip(body: &[u8]) -> Bytes {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = body.chunks(0xffff).peekable();
    if blocks.peek().is_none() {
        out.extend([1, 0, 0, 0xff, 0xff]);
    }
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).expect("a block is at most 65535 bytes");
        out.push(u8::from(blocks.peek().is_none()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    out.extend(keyward_domain::digest::crc32(body).to_le_bytes());
    out.extend(u32::try_from(body.len() % (1 << 32)).expect("taken modulo 2^32").to_le_bytes());
    Bytes::from(out)
}
