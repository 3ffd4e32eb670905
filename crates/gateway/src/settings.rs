//! What the gateway can be told. Read once by the binary's configuration; nothing here reads files or the environment.

use ipnet::IpNet;
use std::{path::PathBuf, time::Duration};

/// All settings of the gateway.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many threads serve calls; 0 is one per core.
    pub threads: usize,
    /// Proxies in front of the gateway whose `X-Forwarded-For` is believed. Empty: nobody's is.
    pub trusted_proxies: Vec<IpNet>,
    /// A MaxMind-format country database, for policies that name countries.
    pub country_database: Option<PathBuf>,
    /// Certificate and key of the listener; without, it speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Where the journal is kept. Made if it is not there.
    pub journal_dir: PathBuf,
    /// Root certificates (PEM) to trust towards providers besides the platform's.
    pub extra_roots: Option<PathBuf>,
    /// How long things may take.
    pub limits: Limits,
}

impl Settings {
    /// Settings with a journal directory and defaults for all else.
    #[must_use]
    pub fn new(journal_dir: PathBuf) -> Self {
        Self {
            threads: 0,
            trusted_proxies: Vec::new(),
            country_database: None,
            tls: None,
            journal_dir,
            extra_roots: None,
            limits: Limits::default(),
        }
    }
}

/// The files of the listener's TLS. They are read again when they change.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate chain, PEM.
    pub cert: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
    /// Authorities (PEM) one of which must have signed the client's certificate; without, none is asked for.
    pub client_ca: Option<PathBuf>,
}

/// How long things may take. There is no limit for a whole call: only for nothing happening.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A client's silence before and between its requests, and within a request's head.
    pub client_idle: Duration,
    /// A client's silence within its request's body.
    pub request_body: Duration,
    /// A client that does not take what is ready for it.
    pub client_stall: Duration,
    /// Making a connection to a provider: name, TCP and TLS together.
    pub connect: Duration,
    /// From the whole request sent to the answer's head.
    pub first_byte: Duration,
    /// Silence within a provider's answer.
    pub answer_idle: Duration,
    /// Silence of both sides of a WebSocket.
    pub websocket_idle: Duration,
    /// How long an unused connection to a provider is kept; below what load balancers keep (30 to 60 s).
    pub keep_alive: Duration,
    /// The most client connections at once; more are not accepted until others close.
    pub connections: usize,
    /// How long an answer is read at most whose client is gone.
    pub hangup_drain: Duration,
    /// How many such answers a thread reads at once. Of others, all that was held is charged.
    pub hangup_drains: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            client_idle: Duration::from_secs(75),
            request_body: Duration::from_secs(60),
            client_stall: Duration::from_secs(120),
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(3600),
            answer_idle: Duration::from_secs(1800),
            websocket_idle: Duration::from_secs(3600),
            keep_alive: Duration::from_secs(25),
            connections: 20_000,
            hangup_drain: Duration::from_secs(600),
            hangup_drains: 1_024,
        }
    }
}
