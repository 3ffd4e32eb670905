//! The gateway as the server sees it: started with a listener, told about changes, read from, stopped.
//! It owns its threads and their runtimes; nothing of the control plane runs on them.

use crate::{
    call,
    geo::Geo,
    journal::{self, Journal},
    lender::Lender,
    listen::{Lane, Message},
    metrics::Metrics,
    purse::bank::Bank,
    random::{NoRandom, Random},
    settings::Settings,
    tables::Tables,
    tls::{ListenerTls, ListenerTlsError},
    upstream::tls::{Configs, TlsError, provider},
    worker::{self, Worker},
};
use keyward_domain::snapshot::Update;
use keyward_vault::Vault;
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, atomic::AtomicUsize, mpsc as std_mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::mpsc,
    time::Instant,
};

/// Threads for resolving names; a burst must not start hundreds of them.
const RESOLVERS: usize = 4;

/// Why the gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listener or a thread cannot be set up.
    #[error("the gateway's {part} cannot be set up")]
    Start {
        /// Which part.
        part: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The listener's TLS.
    #[error(transparent)]
    ListenerTls(#[from] ListenerTlsError),
    /// TLS towards providers.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The journal.
    #[error("the gateway's journal cannot be opened")]
    Journal(#[from] journal::Error),
    /// The country database.
    #[error("the country database cannot be opened")]
    Geo(#[from] crate::geo::Error),
    /// The system's random numbers.
    #[error(transparent)]
    Random(#[from] NoRandom),
}

/// What all threads share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) vault: Arc<Vault>,
    pub(crate) tables: Tables,
    pub(crate) journal: Journal,
    pub(crate) bank: Arc<Bank>,
    pub(crate) metrics: Metrics,
    pub(crate) geo: Option<Geo>,
    pub(crate) tls: Option<ListenerTls>,
    pub(crate) upstream_tls: Configs,
}

impl Shared {
    /// Looks whether files have changed. Called every few seconds.
    pub(crate) fn look_after(&self) {
        if let Some(geo) = &self.geo {
            geo.reload();
        }
    }
}

/// A running gateway.
pub struct Gateway {
    shared: Arc<Shared>,
    address: SocketAddr,
    lanes: Vec<Lane>,
    threads: Vec<JoinHandle<()>>,
    /// From each thread at its end: how many calls it had to cut.
    ended: std_mpsc::Receiver<usize>,
}

/// How a stop went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopReport {
    /// Whether everything ended by itself before the deadline.
    pub in_time: bool,
    /// How many calls were still open at the deadline, and were cut.
    pub cut: usize,
}

impl Gateway {
    /// Starts the gateway on a bound listener. It knows from its first call on what `known` says: no key that is good
    /// is ever told that it is unknown. Money comes from `lender`, and goes back to it.
    ///
    /// # Errors
    /// [`Error`]: which part cannot be set up and why.
    pub fn start(
        listener: TcpListener,
        settings: Settings,
        vault: Arc<Vault>,
        lender: Arc<dyn Lender>,
        known: impl IntoIterator<Item = Update>,
    ) -> Result<Self, Error> {
        let part = |part| move |source| Error::Start { part, source };
        let address = listener.local_addr().map_err(part("listener"))?;
        listener.set_nonblocking(true).map_err(part("listener"))?;
        let system = provider().secure_random;
        let seed = Random::seeded(system)?;
        let shared = Arc::new(Shared {
            tables: Tables::new(),
            journal: Journal::open(&settings.journal_dir, journal::Options::default(), || seed.next())?,
            bank: Bank::new(lender),
            metrics: Metrics::new(),
            geo: settings.country_database.as_deref().map(Geo::open).transpose()?,
            tls: settings.tls.clone().map(ListenerTls::open).transpose()?,
            upstream_tls: Configs::new(settings.extra_roots.as_deref())?,
            settings,
            vault,
        });
        known.into_iter().for_each(|update| shared.tables.apply(update));
        let wanted = shared.settings.threads;
        let count = if wanted == 0 { thread::available_parallelism().map_or(1, usize::from) } else { wanted };
        let (lanes, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| lane()).unzip();
        let (done, ended) = std_mpsc::channel();
        let mut gateway = Self { shared, address, lanes, threads: Vec::new(), ended };
        let mut accepts = Some(listener);
        for (index, messages) in receivers.into_iter().enumerate() {
            let accepts = accepts.take().map(|listener| (listener, gateway.lanes.clone()));
            let random = Random::seeded(system)?;
            let Some(lane) = gateway.lanes.get(index).cloned() else { continue };
            let thread = Thread { shared: Arc::clone(&gateway.shared), lane, messages, accepts, random };
            let done = done.clone();
            let spawned = thread::Builder::new().name(format!("gateway-{index}")).spawn(move || {
                let _keeps = keyward_heap::keep();
                let cut = thread.run().unwrap_or_else(|error| {
                    tracing::error!(%error, "a gateway thread cannot run");
                    0
                });
                // Nobody listens when the gateway is dropped without a stop.
                let _ = done.send(cut);
            });
            gateway.threads.push(spawned.map_err(part("thread"))?);
        }
        Ok(gateway)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes a change over. When this returns, new calls see it, and the calls in flight of keys that it revokes are
    /// being cut.
    pub fn apply(&self, update: Update) {
        let of_money = matches!(update, Update::Everything(_) | Update::Budgets(_) | Update::ForgetBudgets(_));
        let may_revoke = matches!(update, Update::Everything(_) | Update::Grants(_) | Update::Forget(_));
        self.shared.tables.apply(update);
        if of_money {
            self.shared.bank.recall();
        }
        if may_revoke {
            self.tell(|| Message::Cut);
        }
    }

    /// Reads what has happened: usage, objects, the health of credentials.
    #[must_use]
    pub fn journal(&self) -> journal::Reader {
        self.shared.journal.reader()
    }

    /// The counters, as Prometheus text.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.shared.metrics.render(self.shared.journal.depth(), &self.shared.bank)
    }

    /// Stops: accepts nothing more, lets calls end until the deadline, cuts and settles the rest, ends the threads.
    /// Blocks until all that is done. What has happened stays in the journal for its reader.
    #[must_use]
    pub fn stop(mut self, deadline: Duration) -> StopReport {
        self.tell(|| Message::Drain);
        let until = Instant::now() + deadline;
        let mut left = self.threads.len();
        let mut cut = 0;
        while left > 0
            && let Ok(count) = self.ended.recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            cut += count;
            left -= 1;
        }
        let in_time = left == 0;
        self.tell(|| Message::Stop);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a gateway thread ended in a panic");
            }
        }
        cut += self.ended.try_iter().sum::<usize>();
        self.shared.journal.sync();
        self.shared.bank.stop();
        StopReport { in_time, cut }
    }

    fn tell(&self, message: impl Fn() -> Message) {
        for lane in &self.lanes {
            // A thread that has ended has nothing left to do.
            let _ = lane.messages.send(message());
        }
    }
}

impl Drop for Gateway {
    /// A gateway that is dropped without a stop ends at once; its calls are settled.
    fn drop(&mut self) {
        self.tell(|| Message::Stop);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.shared.bank.stop();
    }
}

fn lane() -> (Lane, mpsc::UnboundedReceiver<Message>) {
    let (messages, receiver) = mpsc::unbounded_channel();
    (Lane { messages, load: Arc::new(AtomicUsize::new(0)) }, receiver)
}

/// What a thread starts with.
struct Thread {
    shared: Arc<Shared>,
    lane: Lane,
    messages: mpsc::UnboundedReceiver<Message>,
    accepts: Option<(TcpListener, Vec<Lane>)>,
    random: Random,
}

impl Thread {
    fn run(self) -> io::Result<usize> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(RESOLVERS)
            .thread_keep_alive(Duration::from_secs(10))
            .build_local(LocalOptions::default())?;
        runtime.block_on(async move {
            let local = call::Local::new(&self.shared);
            let (rests, unread) = mpsc::unbounded_channel();
            let worker = Worker::new(self.shared, local, self.random, rests);
            let accepts = match self.accepts {
                Some((listener, lanes)) => Some((tokio::net::TcpListener::from_std(listener)?, lanes)),
                None => None,
            };
            Ok(worker::run(worker, self.lane, (self.messages, unread), accepts).await)
        })
    }
}
