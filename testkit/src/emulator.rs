//! Servers that answer as the AI providers do, each in its own dialect, with the failures and the odd habits that
//! naive gateways stumble over. What a key gets is scripted per key; what was asked is recorded whole.
//!
//! An emulator runs on a thread of its own and stops when it is dropped.

mod account;
mod anthropic;
mod bedrock;
mod call;
mod chat;
mod form;
mod frames;
mod gate;
mod gemini;
mod native;
mod objects;
mod openai;
mod record;
mod refusals;
mod reply;
mod responses;
mod route;
mod script;
mod serve;
mod socket;
mod usage;

pub use account::State;
pub use gate::Gate;
pub use openai::long_body;
pub use record::{End, Recorded};
pub use reply::Step;
pub use script::{Echo, Fault, Raw, Script};

use crate::keys::Service;
use account::Account;
use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};
use tokio::{net::TcpListener, sync::oneshot};

/// What the server and the test share.
#[derive(Debug)]
pub(crate) struct Shared {
    service: Service,
    records: record::Records,
    accounts: Mutex<HashMap<String, Account>>,
    objects: objects::Objects,
}

impl Shared {
    fn account(&self, secret: &str) -> Option<Account> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).get(secret).cloned()
    }
}

/// A running emulator.
#[derive(Debug)]
pub struct Emulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Emulator {
    /// Starts an emulator of a provider on a free port of the loopback address.
    ///
    /// # Panics
    /// When no port or thread can be had.
    #[must_use]
    pub fn start(service: Service) -> Self {
        Self::start_at(service, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Starts an emulator of a provider at an address.
    ///
    /// # Panics
    /// When the address cannot be had.
    #[must_use]
    pub fn start_at(service: Service, address: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind(address).expect("the emulator's address is free");
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            service,
            records: record::Records::default(),
            accounts: Mutex::default(),
            objects: objects::Objects::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                tokio::select! {
                    () = serve::serve(listener, serving) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { shared, address, stop: Some(stop), thread: Some(thread) }
    }

    /// The provider.
    #[must_use]
    pub fn service(&self) -> Service {
        self.shared.service
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, what stands for the vendor's host.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base URL as the vendor documents its own: the origin and the API's root.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}{}", self.origin(), self.service().api_root())
    }

    /// Makes a key in the provider's shape and in this state.
    #[must_use]
    pub fn key(&self, state: State) -> String {
        let secret = self.service().new_key();
        self.accept(&secret, state);
        secret
    }

    /// Makes a live key whose calls are answered by a script.
    #[must_use]
    pub fn key_with(&self, script: Script) -> String {
        let secret = self.key(State::Live);
        self.script(&secret, script);
        secret
    }

    /// Takes a given secret for a key of the provider.
    pub fn accept(&self, secret: &str, state: State) {
        let account = Account::new(self.service(), secret, state);
        self.shared.accounts.lock().unwrap_or_else(PoisonError::into_inner).insert(secret.to_owned(), account);
    }

    /// Changes a key's state.
    ///
    /// # Panics
    /// When the key is not known.
    pub fn set_state(&self, secret: &str, state: State) {
        self.change(secret, |account| account.state = state);
    }

    /// Changes how a key's calls are answered from now on.
    ///
    /// # Panics
    /// When the key is not known.
    pub fn script(&self, secret: &str, script: Script) {
        self.change(secret, |account| account.script = script);
    }

    fn change(&self, secret: &str, change: impl FnOnce(&mut Account)) {
        let mut accounts = self.shared.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        change(accounts.get_mut(secret).expect("the emulator knows the key"));
    }

    /// What names a key's real account in answer headers.
    ///
    /// # Panics
    /// When the key is not known.
    #[must_use]
    pub fn organisation(&self, secret: &str) -> String {
        self.shared.account(secret).expect("the emulator knows the key").organisation
    }

    /// Everything that was asked so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.records.all()
    }

    /// How many requests came so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.records.look(<[Recorded]>::len)
    }

    /// The request that came last.
    ///
    /// # Panics
    /// When none came.
    #[must_use]
    pub fn last(&self) -> Recorded {
        self.shared.records.look(|list| list.last().cloned()).expect("the upstream was called")
    }

    /// Waits until `find` finds something in the list of requests.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn wait_for<T>(&self, what: &str, find: impl Fn(&[Recorded]) -> Option<T>) -> T {
        self.shared.records.wait(what, find)
    }

    /// Waits until the answer to request number `at` has ended, and says how.
    ///
    /// # Panics
    /// When it does not in time.
    #[must_use]
    pub fn wait_end(&self, at: usize) -> End {
        self.wait_for("the answer's end", |list| list.get(at).map(|record| record.end).filter(|end| *end != End::Open))
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the emulator's thread has already been printed; the test fails by what it then misses.
            let _ended = thread.join();
        }
    }
}
