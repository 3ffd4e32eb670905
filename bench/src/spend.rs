//! Clients that spend money: calls of several kinds, each with a name of its own, on a connection of its own, until
//! there is nothing left to spend. Bounded in calls and in time.

use crate::books::MODEL;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request,
    client::conn::http1,
    header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, runtime::Runtime};

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a client rests after a refusal.
const REST: Duration = Duration::from_millis(10);

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Waits for the whole answer.
    Unary,
    /// Reads a stream to its end.
    Stream,
    /// Hangs up after so many chunks of a stream.
    HangUp(usize),
}

/// Who spends, and how.
#[derive(Clone)]
pub struct Spender {
    /// The gateway.
    pub address: SocketAddr,
    /// Where calls go there.
    pub path: &'static str,
    /// The virtual key.
    pub key: String,
    /// The kinds of calls, in turn.
    pub kinds: Arc<[Kind]>,
    /// The cap that clients set.
    pub cap: Option<u64>,
    /// What names of calls begin with.
    pub name: String,
}

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub struct Until {
    /// Calls that failed since the last that did not.
    pub failures: usize,
    /// Calls altogether.
    pub calls: usize,
    /// Time.
    pub time: Duration,
}

/// What the clients saw: status, with Keyward's own reason where there is one, and how often.
#[derive(Debug, Default)]
pub struct Seen(Mutex<BTreeMap<String, usize>>);

impl Seen {
    fn add(&self, what: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
    }

    /// How many calls came to an end that begins so.
    pub fn count(&self, what: &str) -> usize {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|(name, _)| name.starts_with(what)).map(|(_, count)| count).sum()
    }

    /// All in words.
    pub fn words(&self) -> String {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().map(|(name, count)| format!("{count} × {name}")).collect::<Vec<_>>().join(", ")
    }
}

/// What all clients of a run share.
struct Shared {
    spender: Spender,
    until: Until,
    begun: Instant,
    number: AtomicUsize,
    failures: AtomicUsize,
    seen: Seen,
}

/// Spends with so many clients at once until told to stop, or until nothing can be spent any more.
pub fn run(runtime: &Runtime, spender: &Spender, clients: usize, until: Until) -> Result<Seen> {
    let shared = Arc::new(Shared {
        spender: spender.clone(),
        until,
        begun: Instant::now(),
        number: AtomicUsize::new(0),
        failures: AtomicUsize::new(0),
        seen: Seen::default(),
    });
    let tasks: Vec<_> = (0..clients).map(|_| runtime.spawn(client(Arc::clone(&shared)))).collect();
    runtime.block_on(async {
        for task in tasks {
            tokio::time::timeout(until.time + PATIENCE, task).await.context("a client does not end")??;
        }
        anyhow::Ok(())
    })?;
    let shared = Arc::into_inner(shared).context("a client still runs")?;
    ensure!(shared.number.into_inner() > 0, "no call was made");
    Ok(shared.seen)
}

async fn client(shared: Arc<Shared>) {
    loop {
        let number = shared.number.fetch_add(1, Relaxed);
        let until = shared.until;
        let failed = shared.failures.load(Relaxed);
        if number >= until.calls || failed >= until.failures || shared.begun.elapsed() >= until.time {
            return;
        }
        let spender = &shared.spender;
        let kind = spender.kinds[number % spender.kinds.len()];
        let name = format!("{}-{number}", spender.name);
        let outcome = tokio::time::timeout(PATIENCE, fire(spender, kind, &name)).await;
        let (ok, said) = match outcome {
            Ok(Ok(said)) => (said == "200", said),
            Ok(Err(_)) => (false, "broken".to_owned()),
            Err(_) => (false, "no answer".to_owned()),
        };
        shared.seen.add(said);
        if ok {
            shared.failures.store(0, Relaxed);
        } else {
            shared.failures.fetch_add(1, Relaxed);
            tokio::time::sleep(REST).await;
        }
    }
}

/// One call; gives its status, and the reason when Keyward refused it.
async fn fire(spender: &Spender, kind: Kind, name: &str) -> Result<String> {
    let stream = TcpStream::connect(spender.address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = Abort(tokio::spawn(async move {
        let _ = connection.await;
    }));
    let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": "Spend my budget, please."}]});
    if let Some(cap) = spender.cap {
        body["max_tokens"] = cap.into();
    }
    if kind != Kind::Unary {
        body["stream"] = true.into();
    }
    let request = Request::post(spender.path)
        .header(HOST, "localhost")
        .header(CONNECTION, "close")
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, name)
        .header(AUTHORIZATION, format!("Bearer {}", spender.key))
        .body(Full::new(Bytes::from(body.to_string())))?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let reason = response.headers().get("keyward-error").and_then(|reason| reason.to_str().ok()).map(str::to_owned);
    let mut body = response.into_body();
    let mut chunks = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        chunks += frame.data_ref().map_or(0, |data| data.windows(6).filter(|part| *part == b"data: ").count());
        if matches!(kind, Kind::HangUp(after) if status == 200 && chunks >= after) {
            break;
        }
    }
    drop((body, sender, connection));
    Ok(reason.map_or_else(|| status.to_string(), |reason| format!("{status} {reason}")))
}

/// Closes the connection when dropped.
struct Abort(tokio::task::JoinHandle<()>);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Empty;
    use hyper::{Response, service::service_fn};
    use std::convert::Infallible;

    /// A gateway with money for so many calls, which says the name of each.
    async fn gateway(calls: usize, names: tokio::sync::mpsc::UnboundedSender<String>) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let left = Arc::new(AtomicUsize::new(calls));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (left, names) = (Arc::clone(&left), names.clone());
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let paid = left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
                    names.send(request.headers()[USER_AGENT].to_str().unwrap().to_owned()).unwrap();
                    let answer = Response::builder().status(if paid { 200 } else { 402 });
                    let answer = if paid { answer } else { answer.header("keyward-error", "budget_exhausted") };
                    async move { Ok::<_, Infallible>(answer.body(Empty::<Bytes>::new()).unwrap()) }
                });
                let serving =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move {
                    let _ = serving.await;
                });
            }
        });
        address
    }

    #[test]
    fn clients_spend_until_everything_is_refused() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (told, mut names) = tokio::sync::mpsc::unbounded_channel();
        let spender = Spender {
            address: runtime.block_on(gateway(10, told)),
            path: "/v1/chat/completions",
            key: "kw_test".to_owned(),
            kinds: [Kind::Unary, Kind::Stream, Kind::HangUp(1)].into(),
            cap: Some(5),
            name: "burst".to_owned(),
        };
        let until = Until { failures: 8, calls: 1_000, time: PATIENCE };
        let seen = run(&runtime, &spender, 4, until).unwrap();
        assert_eq!(seen.count("200"), 10, "{}", seen.words());
        let refused = seen.count("402 budget_exhausted");
        assert!((8..=12).contains(&refused), "{}", seen.words());
        let mut all = std::collections::BTreeSet::new();
        while let Ok(name) = names.try_recv() {
            assert!(name.starts_with("burst-") && all.insert(name), "every call has a name of its own");
        }
        assert_eq!(all.len(), 10 + refused);
    }
}
