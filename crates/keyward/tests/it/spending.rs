//! Callers that spend what keys have, each call with a name of its own: its model. An operator's price list knows all
//! of those names, and whatever the provider, the ledger and the tables of holds write down of a call says which it was.

use crate::world::World;
use keyward_testkit::{
    Service,
    calls::main_call,
    server::Options,
    wire::{Connection, Request},
};
use serde_json::json;
use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

/// How many calls have a name.
const NAMES: usize = 24_000;
/// The price of a token, in nano-dollars.
const INPUT: i64 = 150;
const OUTPUT: i64 = 600;
/// What the emulator bills for a call: 19 tokens of input, 10 of output.
pub(crate) const BILL: i64 = 19 * INPUT + 10 * OUTPUT;
/// The output cap of every call: no less than what the emulator bills.
const CAP: u64 = 12;

/// Options for a server that knows the prices of the names that calls will have; `folder` is to outlive it.
pub(crate) fn priced(folder: &Path, mut options: Options, calls: &Calls) -> Options {
    let mut aliases = String::new();
    for number in 0..NAMES {
        let _infallible = write!(aliases, "\"{}\",", calls.0.name(number));
    }
    let text = format!(
        "provider = \"openai\"\nas_of = \"2026-11-21\"\n[[prices]]\nmodel = \"call\"\naliases = [{aliases}]\n\
         rates = {{ input = {INPUT}_000_000, output = {OUTPUT}_000_000 }}\ncontext = 128_000\nmax_output = 16_384\n\
         source = \"made up\"\nas_of = \"2026-11-21\"\n"
    );
    fs::create_dir(folder.join("prices"))
        .and_then(|()| fs::write(folder.join("prices/calls.toml"), text))
        .expect("a file");
    options.arguments.extend(["--config-dir".to_owned(), folder.to_string_lossy().into_owned()]);
    options
}

/// Sets a budget; gives its id.
pub(crate) fn budget(world: &World, mut scope: serde_json::Value, limit: &str) -> String {
    scope["limit"] = json!(limit);
    let made = world.server.api("POST", "/api/v1/budgets", Some(&scope));
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()["id"].as_str().expect("an id").to_owned()
}

/// What a caller does with its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Waits for the whole answer.
    Unary,
    /// Reads a stream to its end.
    Stream,
    /// Hangs up after the first piece of a stream.
    HangUp,
}

/// All kinds, as they take turns.
pub(crate) const MIXED: &[Kind] = &[Kind::Unary, Kind::Stream, Kind::Unary, Kind::Stream, Kind::HangUp];

/// How a call ended for its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// With a whole answer of the provider's.
    Answered,
    /// The caller left.
    Left,
    /// Refused by Keyward, before anything was sent: status, reason, message.
    Refused(u16, String, String),
    /// The connection broke off, or nothing came.
    Broken,
}

/// A call, and how it ended.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) name: String,
    /// The gateway that was called.
    pub(crate) at: SocketAddr,
    /// The key that was used.
    pub(crate) key: String,
    pub(crate) told: Told,
}

/// The names that no call has yet, and the calls that were made: for all loads of a test.
#[derive(Clone)]
pub(crate) struct Calls(Arc<Kept>);

struct Kept {
    /// What every name ends with.
    tail: String,
    free: Mutex<Vec<usize>>,
    made: Mutex<Vec<Made>>,
    more: Condvar,
}

impl Kept {
    fn name(&self, number: usize) -> String {
        format!("call-{number}{}", self.tail)
    }
}

impl Calls {
    pub(crate) fn new() -> Self {
        Self::with_names_longer_by(0)
    }

    /// With long names, everything that is written down of a call takes more room.
    pub(crate) fn with_names_longer_by(letters: usize) -> Self {
        let (tail, free) = ("-x".repeat(letters / 2), Mutex::new((0..NAMES).rev().collect()));
        Self(Arc::new(Kept { tail, free, made: Mutex::default(), more: Condvar::new() }))
    }

    /// All calls that have ended.
    pub(crate) fn made(&self) -> MutexGuard<'_, Vec<Made>> {
        self.0.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many more calls have ended in some way.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, more: usize, is_one: impl Fn(&Made) -> bool) {
        let made = self.made();
        let from = made.len();
        let found = |made: &[Made]| made.iter().skip(from).filter(|call| is_one(call)).count();
        let patience = 2 * keyward_testkit::PATIENCE;
        let waited = self.0.more.wait_timeout_while(made, patience, |made| found(made) < more);
        let (made, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        let last = made.iter().rev().take(12).collect::<Vec<_>>();
        assert!(!waited.timed_out(), "{} of {more} {what}; {} calls, the last: {last:?}", found(&made), made.len());
    }

    /// A name that no call has; the caller of [`Self::end`] gives it back when it was not used.
    pub(crate) fn name(&self) -> String {
        let number = self.0.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        self.0.name(number.expect("there are enough names"))
    }

    fn end(&self, made: Made) {
        if matches!(made.told, Told::Refused(..)) {
            let number = made.name.split('-').nth(1).and_then(|number| number.parse::<usize>().ok());
            self.0.free.lock().unwrap_or_else(PoisonError::into_inner).extend(number);
        }
        self.made().push(made);
        self.0.more.notify_all();
    }
}

/// The request of a call.
pub(crate) fn request(world: &World, key: &str, name: &str, stream: bool) -> Request {
    let path = world.gateway_path(Service::OpenAi, "/v1/chat/completions");
    body(name, stream).request_at(&path, key)
}

fn body(name: &str, stream: bool) -> keyward_testkit::calls::Sample {
    main_call(Service::OpenAi, stream).with("model", json!(name)).with("max_tokens", json!(CAP))
}

/// How a load goes about it.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// What the callers do, in turn.
    pub(crate) kinds: &'static [Kind],
    /// How many there are.
    pub(crate) callers: usize,
    /// What each rests between two calls, so that a load without end stays bounded.
    pub(crate) rest: Duration,
}

/// Callers at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Begins so many callers at a gateway, each going through the keys and the kinds in turn, until they are told to stop
    /// or the server is gone.
    pub(crate) fn begin(world: &World, gateway: SocketAddr, keys: &[&str], pace: Pace, calls: &Calls) -> Self {
        let Pace { kinds, callers, rest } = pace;
        let path = world.gateway_path(Service::OpenAi, "/v1/chat/completions");
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let one = |number: usize| {
            let (path, keys, stop, calls) = (path.clone(), keys.clone(), Arc::clone(&stop), calls.clone());
            std::thread::spawn(move || {
                let turns = (number..).take_while(|_| !stop.load(Relaxed));
                for turn in turns {
                    let Some(kind) = kinds.get(turn % kinds.len()) else { return };
                    let Some(key) = keys.get((turn / kinds.len()) % keys.len()) else { return };
                    let name = calls.name();
                    let request = body(&name, *kind != Kind::Unary).request_at(&path, key);
                    let told = call(gateway, &request, *kind);
                    let is_over = told == Told::Broken;
                    calls.end(Made { name, at: gateway, key: key.clone(), told });
                    if is_over {
                        return;
                    }
                    std::thread::park_timeout(rest);
                }
            })
        };
        let callers = (0..callers).map(one).collect();
        Self { stop, callers }
    }

    /// Lets every caller end its call, and waits for that.
    pub(crate) fn end(self) {
        self.stop.store(true, Relaxed);
        for caller in self.callers {
            caller.join().expect("a caller ends");
        }
    }
}

fn call(gateway: SocketAddr, request: &Request, kind: Kind) -> Told {
    told(gateway, request, kind).unwrap_or(Told::Broken)
}

fn told(gateway: SocketAddr, request: &Request, kind: Kind) -> std::io::Result<Told> {
    let mut connection = Connection::try_open(gateway)?;
    connection.try_send(request)?;
    let mut answer = connection.answer()?;
    if let Some(reason) = answer.header("keyward-error").map(str::to_owned) {
        let status = answer.status;
        let message = answer.whole()?.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
        return Ok(Told::Refused(status, reason, message));
    }
    assert_eq!(answer.status, 200, "the emulator answers well");
    if kind == Kind::HangUp {
        let _first = answer.next_data()?;
        return Ok(Told::Left);
    }
    let (body, complete) = answer.rest();
    let whole = complete && (kind == Kind::Unary || String::from_utf8_lossy(&body).contains("[DONE]"));
    Ok(if whole { Told::Answered } else { Told::Broken })
}

/// A small generator (xorshift) whose seed is printed, so that a run can be had again.
pub(crate) struct Random(u64);

impl Random {
    /// A fresh one, or that of `KEYWARD_TEST_SEED`.
    #[expect(clippy::disallowed_methods, reason = "whoever runs the tests may name the seed")]
    #[expect(clippy::print_stdout, reason = "and must be told it")]
    pub(crate) fn new() -> Self {
        let said = std::env::var("KEYWARD_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = said.unwrap_or_else(|| {
            let text = keyward_testkit::random::text(keyward_testkit::random::HEX, 15);
            u64::from_str_radix(&text, 16).unwrap_or(1).max(1)
        });
        println!("KEYWARD_TEST_SEED={seed}");
        Self(seed)
    }

    /// A number below a bound.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
