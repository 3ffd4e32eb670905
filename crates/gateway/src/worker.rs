//! One thread of the gateway: its runtime, its client connections, its connections to providers, its open calls.
//! Threads share the tables and the journal, and nothing else that changes from call to call.

use crate::{
    alone::{Alone, Place as AlonePlace},
    call::{self, Client},
    clock,
    coarse::{self, Coarse},
    drain::Drain,
    listen::{self, Lane, Message, Place},
    near,
    random::Random,
    serve::Shared,
    stream::{self, Io},
    tls,
    upload::{self, Rests},
    upstream::{Upstreams, http2::Local},
    ward::{self, Wards},
};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    cell::Cell,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::spawn_local,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, TlsStream};

/// How much a connection buffers in each direction, and so the largest request head.
const BUFFER: usize = 64 << 10;
/// The most streams of one HTTP/2 client connection.
const STREAMS: u32 = 128;
/// The flow-control window of one request's body.
const WINDOW: u32 = 256 << 10;
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often a silent HTTP/2 client is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(30);
/// How often unused connections to providers are looked at, in ticks.
const SWEEP_TICKS: u32 = 10;
/// How often the node's money is looked through for what is not needed, in ticks.
const MONEY_TICKS: u32 = 10;
/// How often a thread looks whether everything has ended, once it should.
const DRAIN_TICK: Duration = Duration::from_millis(10);
/// After the end of all calls, the time in which clients are still told about it.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How often a thread says aloud that calls to a provider fail.
const WARN_EVERY: Duration = Duration::from_secs(10);
/// The longest pause before another look at a connection that has said only one or two letters.
const PREFACE_PAUSE: Duration = Duration::from_secs(2);
/// How HTTP/2 without TLS begins. No method starts like this.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What all calls of a thread use.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) upstreams: Upstreams,
    pub(crate) wards: Wards,
    pub(crate) random: Random,
    pub(crate) local: call::Local,
    /// Where bodies go that nobody reads to their end.
    pub(crate) rests: Rests,
    /// Whether the call that is being polled goes on when its client is gone; the call itself keeps it between two polls.
    pub(crate) lingers: Cell<bool>,
    warned: Cell<Option<Instant>>,
    drain: Drain,
    alone: Rc<Alone>,
    http1: http1::Builder,
    http2: http2::Builder<Local>,
}

/// Runs a thread until it is told to stop, or told to drain and everything has ended. Returns how many calls were cut.
pub(crate) async fn run(
    worker: Worker,
    lane: Lane,
    (mut messages, mut rests): (mpsc::UnboundedReceiver<Message>, mpsc::UnboundedReceiver<Incoming>),
    accepts: Option<(TcpListener, Vec<Lane>)>,
) -> usize {
    let worker = Rc::new(worker);
    let most = worker.shared.settings.limits.connections;
    let first = accepts.is_some();
    let acceptor = accepts.map(|(listener, lanes)| spawn_local(listen::accept(listener, lanes, most)));
    let mut tick = interval(ward::TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ended = interval(DRAIN_TICK);
    ended.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let housekeeping = first.then(|| spawn_local(housekeeping(Arc::clone(&worker.shared))));
    let mut ticks = 0_u32;
    let cut = loop {
        let message = tokio::select! {
            message = messages.recv() => message,
            Some(rest) = rests.recv() => {
                spawn_local(upload::discard(rest));
                continue;
            }
            _ = tick.tick() => {
                coarse::tick();
                worker.wards.tick();
                ticks = ticks.wrapping_add(1);
                if ticks.is_multiple_of(SWEEP_TICKS) {
                    worker.upstreams.sweep();
                    near::sweep();
                }
                if first && ticks.is_multiple_of(MONEY_TICKS) {
                    worker.shared.bank.look(clock::now());
                }
                continue;
            }
            _ = ended.tick(), if worker.drain.is_on() => {
                if lane.load.load(Ordering::Acquire) == 0 && worker.wards.len() == 0 {
                    break 0;
                }
                continue;
            }
        };
        match message {
            Some(Message::Connection(stream, peer)) => {
                let place = Place::counted(&lane.load);
                spawn_local(connection(Rc::clone(&worker), stream, peer, place));
            }
            Some(Message::Cut) => worker.wards.cut_revoked(),
            Some(Message::Drain) => {
                if let Some(acceptor) = &acceptor {
                    acceptor.abort();
                }
                worker.drain.start();
            }
            Some(Message::Stop) | None => {
                worker.drain.start();
                let open = worker.wards.len();
                worker.wards.stop();
                let _ = timeout(LAST_WORDS, idle(&lane)).await;
                break open;
            }
        }
    };
    worker.alone.close();
    if let Some(task) = housekeeping {
        task.abort();
    }
    cut
}

async fn idle(lane: &Lane) {
    while lane.load.load(Ordering::Acquire) > 0 {
        sleep(Duration::from_millis(5)).await;
    }
}

/// What only one thread does: looks whether files have changed.
async fn housekeeping(shared: Arc<Shared>) {
    let mut seen = shared.tls.as_ref().map(tls::ListenerTls::stamp);
    loop {
        sleep(tls::RELOAD_EVERY).await;
        shared.look_after();
        let Some(listener) = &shared.tls else { continue };
        let now = listener.stamp();
        if seen.as_ref() != Some(&now) {
            match listener.reload() {
                Ok(()) => tracing::info!("the listener's certificate was read again"),
                Err(error) => tracing::error!(%error, "the listener's certificate has changed and cannot be used"),
            }
            seen = Some(now);
        }
    }
}

async fn connection(worker: Rc<Worker>, stream: std::net::TcpStream, peer: SocketAddr, place: Place) {
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    if stream.set_nodelay(true).is_err() {
        return;
    }
    stream::keep_alive(&stream);
    // Whoever has not said anything when the service stops is not waited for.
    let Some((io, http2)) = worker.drain.unless(greet(&worker, stream)).await.flatten() else { return };
    let client = Client { peer: peer.ip(), place: Rc::new(place) };
    let calls = Rc::clone(&worker);
    let service = service_fn(move |request| call::answer(Rc::clone(&calls), client.clone(), request));
    let io = TokioIo::new(io);
    let ended = if http2 {
        let connection = worker.http2.serve_connection(io, service);
        worker.drain.drive(connection, |connection| connection.graceful_shutdown()).await
    } else {
        let connection = worker.http1.serve_connection(io, service).with_upgrades();
        worker.drain.drive(connection, |connection| connection.graceful_shutdown()).await
    };
    if let Err(error) = ended {
        // Hang-ups and cuts; whoever is interested turns the level up.
        tracing::trace!(%error, "a client connection ended");
    }
}

/// Does the TLS handshake if there is one, and finds out which version of HTTP the client speaks.
async fn greet(worker: &Worker, stream: TcpStream) -> Option<(Io, bool)> {
    if let Some(tls) = &worker.shared.tls {
        let accepted = timeout(HANDSHAKE, TlsAcceptor::from(tls.config()).accept(stream)).await.ok()?;
        let stream = accepted.inspect_err(|error| tracing::debug!(%error, "a TLS handshake failed")).ok()?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        return Some((Io::Tls(Box::new(TlsStream::Server(stream))), http2));
    }
    let limit = worker.shared.settings.limits.client_idle;
    let http2 = timeout(limit, begins_with_preface(&stream)).await.ok()?.ok()?;
    Some((Io::Plain(stream), http2))
}

async fn begins_with_preface(stream: &TcpStream) -> io::Result<bool> {
    let mut begin = [0; 4];
    let mut pause = Duration::from_millis(5);
    loop {
        let count = stream.peek(&mut begin).await?;
        let seen = begin.get(..count).unwrap_or_default();
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !PREFACE.starts_with(seen) {
            return Ok(false);
        }
        if count >= 3 {
            return Ok(true);
        }
        // One or two letters that could still become anything: what was peeked at stays ready, so wait a little.
        // Longer each time: whoever leaves it at that must not keep this thread busy.
        sleep(pause).await;
        pause = (pause * 2).min(PREFACE_PAUSE);
    }
}

impl Worker {
    /// A place among the calls that go on without a client, if there is one.
    pub(crate) fn alone(&self) -> Option<AlonePlace> {
        self.alone.place()
    }

    /// Whether something that happens at every call may be said aloud again.
    pub(crate) fn may_warn(&self) -> bool {
        let now = clock::instant();
        let quiet = self.warned.get().is_some_and(|last| now.duration_since(last) < WARN_EVERY);
        if !quiet {
            self.warned.set(Some(now));
        }
        !quiet
    }

    /// Sets a thread up. Must be called on its own runtime.
    pub(crate) fn new(shared: Arc<Shared>, local: call::Local, random: Random, rests: Rests) -> Self {
        let limits = shared.settings.limits;
        let mut http1 = http1::Builder::new();
        http1.timer(Coarse).header_read_timeout(limits.client_idle).max_buf_size(BUFFER);
        let mut http2 = http2::Builder::new(Local);
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW * 4)
            .max_header_list_size(u32::try_from(BUFFER).unwrap_or(u32::MAX))
            .max_send_buf_size(BUFFER)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_EVERY);
        Self {
            upstreams: Upstreams::new(&shared.upstream_tls, limits.connect, limits.keep_alive),
            wards: Wards::new(&limits),
            random,
            local,
            rests,
            lingers: Cell::new(false),
            warned: Cell::new(None),
            drain: Drain::default(),
            alone: Rc::new(Alone::new(limits.hangup_drains, limits.hangup_drain)),
            http1,
            http2,
            shared,
        }
    }
}
