//! What an accepted key gets for an answer: its text, its true use, and what goes wrong on the way.

use super::{gate::Gate, reply::Step};
use keyward_domain::usage::{Buckets, Units};
use std::sync::Arc;

/// How a key's calls are answered. The emulator of each provider writes the same truth in that provider's own words:
/// the disjoint `buckets` come out as overlapping counters, as the provider reports them.
#[derive(Debug, Clone)]
pub struct Script {
    /// The answer's text.
    pub text: String,
    /// Into how many pieces a stream cuts the text; at least one.
    pub chunks: usize,
    /// The tokens that the call truly used.
    pub buckets: Buckets,
    /// What else it truly used.
    pub units: Units,
    /// The tokens that another model used within the same answer, for the pictures it made (`units.images`) or for
    /// each piece of a session's sound that it wrote down.
    pub aside: Buckets,
    /// Where the call was computed, in the words of a provider that says so.
    pub region: Option<String>,
    /// What the provider says that it cost, in nano-USD, where the provider says so at all.
    pub cost_nano: Option<i64>,
    /// The service tier that was billed, in the provider's words.
    pub tier: Option<String>,
    /// The model that the answer names, where it is not the one asked for.
    pub model: Option<String>,
    /// Wait here before anything of the answer is sent.
    pub hold: Option<Arc<Gate>>,
    /// Wait here before the request's body is read (and so before `100 Continue`).
    pub hold_body: Option<Arc<Gate>>,
    /// Answer without reading the request's body.
    pub answer_early: bool,
    /// Wait at the gate before the piece with this number (0 is the first; the number of pieces is the stream's end).
    pub gates: Vec<(usize, Arc<Gate>)>,
    /// What goes wrong.
    pub fault: Option<Fault>,
    /// How much of the caller's key error answers repeat.
    pub echo: Echo,
    /// Further headers of every answer.
    pub headers: Vec<(String, String)>,
    /// Send unary answers of bodies as gzip when the caller accepts it.
    pub gzip: bool,
    /// An answer for every call, taken as it is instead of one of the provider's.
    pub raw: Option<Raw>,
}

/// What goes wrong with an accepted call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed before an answer.
    CloseBeforeAnswer,
    /// The connection is closed before the piece with this number.
    CloseAt(usize),
    /// The provider reports an error within the stream, under HTTP 200, before the piece with this number.
    ErrorAt(usize),
    /// As `ErrorAt`, with "no money" for the error.
    NoMoneyAt(usize),
}

/// How much of the key an error answer repeats.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Echo {
    /// As the provider does it: the first or last characters, or none.
    #[default]
    AsProvider,
    /// All of it, in every error message: a provider at its worst.
    Whole,
}

/// An answer given as it is.
#[derive(Debug, Clone)]
pub struct Raw {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub steps: Vec<Step>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            text: "Hello from the emulator, in several pieces.".to_owned(),
            chunks: 4,
            buckets: Buckets { input: 19, output: 10, ..Buckets::default() },
            units: Units::default(),
            aside: Buckets::default(),
            region: None,
            cost_nano: None,
            tier: None,
            model: None,
            hold: None,
            hold_body: None,
            answer_early: false,
            gates: Vec::new(),
            fault: None,
            echo: Echo::AsProvider,
            headers: Vec::new(),
            gzip: false,
            raw: None,
        }
    }
}

impl Script {
    /// The default with other tokens.
    #[must_use]
    pub fn using(buckets: Buckets) -> Self {
        Self { buckets, ..Self::default() }
    }

    /// The same, stopping at a gate before the piece with this number.
    #[must_use]
    pub fn stopping_at(mut self, piece: usize, gate: &Arc<Gate>) -> Self {
        self.gates.push((piece, Arc::clone(gate)));
        self
    }

    /// The same, with something going wrong.
    #[must_use]
    pub const fn failing(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// The same, cut into this many pieces.
    #[must_use]
    pub const fn in_pieces(mut self, chunks: usize) -> Self {
        self.chunks = chunks;
        self
    }

    /// A raw answer with a content type.
    #[must_use]
    pub fn raw(status: u16, content_type: &str, body: impl Into<bytes::Bytes>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { raw: Some(Raw { status, headers, steps: vec![Step::Data(body.into())] }), ..Self::default() }
    }

    /// The text in pieces, as even as whole characters allow. There are always `chunks` of them; the last ones of a
    /// short text are empty.
    #[must_use]
    pub fn pieces(&self) -> Vec<String> {
        let characters: Vec<char> = self.text.chars().collect();
        let count = self.chunks.max(1);
        let size = characters.len().div_ceil(count).max(1);
        let mut pieces: Vec<String> = characters.chunks(size).map(|piece| piece.iter().collect()).collect();
        pieces.resize(count, String::new());
        pieces
    }
}
