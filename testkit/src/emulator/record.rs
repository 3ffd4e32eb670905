//! Everything an emulator was asked, for tests to look at.

use crate::PATIENCE;
use std::sync::{Condvar, Mutex, PoisonError};

/// How an answer ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum End {
    /// It has not ended.
    #[default]
    Open,
    /// The caller got it all.
    Complete,
    /// The caller hung up first.
    HungUp,
    /// The emulator closed the connection, as it was told to.
    Closed,
}

/// One request, and how far it has got.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query, without its `?`; empty when there is none.
    pub query: String,
    /// Whether it came over HTTP/2.
    pub http2: bool,
    /// The number of the connection it came over, from 0.
    pub connection: usize,
    /// All headers in the order they came, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, as far as it has come.
    pub body: Vec<u8>,
    /// Whether the whole body has come.
    pub body_complete: bool,
    /// Text messages of the client, on a WebSocket.
    pub messages: Vec<String>,
    /// The answer's status; 0 while there is none.
    pub status: u16,
    /// Bytes of the answer's body that went out.
    pub sent: u64,
    /// How the answer ended.
    pub end: End,
}

impl Recorded {
    /// The values of a header.
    pub fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every byte that the caller sent: method, path, query, headers, body and messages.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut all = format!("{} {}?{}\n", self.method, self.path, self.query).into_bytes();
        for (name, value) in &self.headers {
            all.extend(format!("{name}: {value}\n").into_bytes());
        }
        all.extend(&self.body);
        for message in &self.messages {
            all.extend(message.as_bytes());
        }
        all
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the upstream got JSON")
    }
}

/// All requests of an emulator, in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Records {
    list: Mutex<Vec<Recorded>>,
    changed: Condvar,
}

impl Records {
    pub(crate) fn add(&self, record: Recorded) -> usize {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.push(record);
        self.changed.notify_all();
        list.len() - 1
    }

    pub(crate) fn change(&self, at: usize, change: impl FnOnce(&mut Recorded)) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = list.get_mut(at) {
            change(record);
        }
        self.changed.notify_all();
    }

    pub(crate) fn all(&self) -> Vec<Recorded> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&[Recorded]) -> T) -> T {
        look(&self.list.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until `find` finds what it looks for.
    pub(crate) fn wait<T>(&self, what: &str, find: impl Fn(&[Recorded]) -> Option<T>) -> T {
        let deadline = std::time::Instant::now() + PATIENCE;
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = find(&list) {
                return found;
            }
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            assert!(!left.is_zero(), "waited {PATIENCE:?} for {what}; {} requests came", list.len());
            (list, _) = self.changed.wait_timeout(list, left).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
