//! `keyward serve`: starts everything in order, says when it is ready, and stops gracefully.

use crate::{
    admin,
    advice::{Advise, advised},
    args::ServeArgs,
    background,
    config::Config,
    data::{self, DataFolder},
    demo,
    environment::Environment,
    lend, logs,
    outbound::{self, Network},
    ready::{self, Demo, Ready},
    redact::{Lines, Redactor},
    restore,
    stop::Signals,
    terminal,
    tls::Certificates,
    vault, wire,
    wire::Outlet,
};
use anyhow::Context;
use keyward_catalogue::Catalogue;
use keyward_control::{
    Bootstrap, Control, Node, Settings,
    clock::{self, Clock},
};
use keyward_domain::{
    api_token::{self, NewApiToken},
    digest,
    token::TokenHash,
};
use keyward_gateway::Gateway;
use keyward_store::{Location, Store};
use keyward_vault::{Vault, harden};
use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;
use zeroize::Zeroizing;

/// The shortest token that automation may choose.
const SHORTEST_TOKEN: usize = 16;
/// How long control API calls may go on at a stop.
const ADMIN_GRACE: Duration = Duration::from_secs(5);

/// Runs the server until a signal stops it.
///
/// # Errors
/// What keeps it from starting, with what to do about it.
pub fn serve(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let environment = Environment::read();
    let print_only = args.print_config;
    let mut config = Config::read(args, &environment)?;
    if print_only {
        terminal::result(config.print()?.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let lines = logs::start(&config.log, config.data.format)?;
    prepare_process(&config)?;
    let demo_folder = if config.demo {
        let folder = tempfile::Builder::new().prefix("keyward-demo-").tempdir();
        Some(folder.context("making a folder for the demo")?)
    } else {
        None
    };
    if let Some(folder) = &demo_folder {
        config.data.folder = folder.path().to_path_buf();
        config.data.database = None;
        config.data.master_key = crate::master::Source::File(folder.path().join("master.key"));
    }
    let folder = DataFolder::take(&config.data.folder)?;
    refuse_unfinished(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .on_thread_start(background::give_way)
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .context("starting the control plane's runtime")?;
    let done = runtime.block_on(run(&config, &environment, &folder, &lines));
    folder.remove_local();
    // Jobs that wait for the database are not waited for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    done.map(|()| ExitCode::SUCCESS)
}

/// Makes no new installation where a restore was cut off: nobody wants that.
fn refuse_unfinished(config: &Config) -> anyhow::Result<()> {
    let folder = &config.data.folder;
    let unfinished = restore::unfinished(folder).exists() && !folder.join("keyward.db").exists();
    if config.data.database.is_none() && unfinished {
        return Err(advised(
            format!("a restore into {} was cut off", folder.display()),
            "run it again: keyward restore FILE --identity FILE --data-dir FOLDER",
        ));
    }
    Ok(())
}

/// Shuts core dumps and debuggers out, picks the one cryptographic library, and asks for enough file descriptors.
fn prepare_process(config: &Config) -> anyhow::Result<()> {
    let report = harden::process(config.data.allow_core_dumps)?;
    if !report.no_core_dumps || !report.not_dumpable {
        tracing::warn!(?report, "this process is not protected against core dumps and debuggers");
    }
    // The second of two servers in one process (tests) finds it installed.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    // The library gathers its first randomness for a tenth of a second: beside everything else, not before it.
    if let Some(provider) = rustls::crypto::CryptoProvider::get_default() {
        let random = provider.secure_random;
        std::thread::spawn(move || drop(random.fill(&mut [0; 32])));
    }
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, soft, "the limit on open files could not be raised");
    }
    Ok(())
}

/// The two listeners, bound, with the URLs they are reached at.
struct Bound {
    gateway: TcpListener,
    admin: TcpListener,
    gateway_url: String,
    admin_url: String,
}

impl Bound {
    fn bind(config: &Config) -> anyhow::Result<Self> {
        let bind = |address: SocketAddr, option: &str| {
            TcpListener::bind(address).with_context(|| format!("{option}: cannot listen on {address}")).hint(format!(
                "stop what listens there, or choose another address: {option} ADDRESS (port 0 is any free one)"
            ))
        };
        let gateway = bind(config.gateway_listen, "--gateway-listen")?;
        let admin = bind(config.admin_listen, "--admin-listen")?;
        let url = |listener: &TcpListener, stated: &Option<String>| -> anyhow::Result<String> {
            let address = listener.local_addr().context("the listener's address")?;
            Ok(stated.clone().unwrap_or_else(|| reachable(address, config.tls.is_some())))
        };
        let (gateway_url, admin_url) = (url(&gateway, &config.gateway_url)?, url(&admin, &config.admin_url)?);
        Ok(Self { gateway, admin, gateway_url, admin_url })
    }
}

/// A URL for an address; one that listens everywhere is reached on the machine itself.
fn reachable(address: SocketAddr, secure: bool) -> String {
    let scheme = if secure { "https" } else { "http" };
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("{scheme}://{}", SocketAddr::new(ip, address.port()))
}

/// The tokens of this start.
struct Tokens {
    local: NewApiToken,
    setup: NewApiToken,
    bootstrap: Option<Bootstrap>,
}

impl Tokens {
    fn make(environment: &Environment) -> anyhow::Result<Self> {
        let bootstrap = environment.bootstrap_token.as_ref().map(bootstrap).transpose()?;
        Ok(Self { local: clock::new_api_token()?, setup: clock::new_api_token()?, bootstrap })
    }
}

fn bootstrap(text: &Zeroizing<String>) -> anyhow::Result<Bootstrap> {
    if text.starts_with(api_token::PREFIX) {
        let hash = api_token::parse(text).map_err(|_| {
            advised("KEYWARD_BOOTSTRAP_TOKEN begins with kwt_ but is damaged", "copy it again, or choose another text")
        })?;
        return Ok(Bootstrap { hash, has_our_shape: true });
    }
    if text.len() < SHORTEST_TOKEN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(advised(
            format!("KEYWARD_BOOTSTRAP_TOKEN must have at least {SHORTEST_TOKEN} characters without spaces"),
            "make one with `openssl rand -hex 32`",
        ));
    }
    Ok(Bootstrap { hash: TokenHash(digest::sha256(text.as_bytes())), has_our_shape: false })
}

fn location(config: &Config) -> Location {
    match &config.data.database {
        Some(url) => Location::Postgres(url.clone()),
        None => Location::File(config.data.folder.join("keyward.db")),
    }
}

fn gateway_settings(config: &Config) -> keyward_gateway::Settings {
    let mut settings = keyward_gateway::Settings::new(config.data.folder.join("journal"));
    settings.threads = config.threads;
    settings.trusted_proxies.clone_from(&config.trusted_proxies);
    settings.country_database.clone_from(&config.country_database);
    settings.extra_roots.clone_from(&config.extra_ca);
    settings.tls = config.tls.as_ref().map(|tls| keyward_gateway::TlsFiles {
        cert: tls.cert.clone(),
        key: tls.key.clone(),
        client_ca: config.gateway_client_ca.clone(),
    });
    settings
}

/// Everything that runs.
struct Running {
    control: Control,
    outlet: Outlet,
    store: Store,
    stop_admin: watch::Sender<bool>,
    stop_collector: watch::Sender<bool>,
    collector: std::thread::JoinHandle<bool>,
    admin: tokio::task::JoinHandle<anyhow::Result<()>>,
    jobs: tokio::task::JoinSet<()>,
}

async fn run(config: &Config, environment: &Environment, folder: &DataFolder, lines: &Lines) -> anyhow::Result<()> {
    let folders = [config.config_dir.clone()];
    let loaded = if config.demo { Catalogue::embedded() } else { Catalogue::load(&folders) };
    let catalogue = Arc::new(loaded.hint("mend the file: `keyward provider check FILE` tells what is wrong with one")?);
    lines.know(Redactor::new(catalogue.providers().iter().map(AsRef::as_ref)).context("the catalogue's key shapes")?);
    let bound = Bound::bind(config)?;
    if config.shows_tokens() {
        tracing::warn!(
            address = %config.admin_listen,
            "other machines may reach the control API without TLS: give --tls-cert and --tls-key, or keep them out"
        );
    }
    let tokens = Tokens::make(environment)?;
    let (gateway_url, admin_url) = (bound.gateway_url.clone(), bound.admin_url.clone());
    let clock = Clock::system();
    // On a thread that gives way, so that the database's own threads do so too.
    let place = location(config);
    let opening = tokio::spawn(async move { Store::open(&place).await });
    let store = vault::opened(opening.await?).context("opening the database")?;
    let source = vault::source(&config.data, environment)?;
    let vault = vault::open(&store, source.as_ref(), clock.now()).await.context("opening the vault")?;
    // Not earlier: Ctrl-C must end the wait for a database that does not answer, or for a passphrase.
    let mut signals = Signals::listen().context("taking over the signals")?;
    let running = start(config, bound, &tokens, Opened { store, vault, catalogue, clock }).await?;
    let ca = config.tls.as_ref().map(|tls| tls.cert.as_path());
    folder.write_local(&admin_url, &tokens.local.text, ca)?;
    let demo_key = match config.demo {
        true => Some(demo::fill(&running.control.router(), &tokens.local.text).await?),
        false => None,
    };
    let demo = demo_key.as_deref().map(|key| Demo { key, folder: &config.data.folder, program: &environment.program });
    let link =
        running.control.needs_setup().then(|| Zeroizing::new(format!("{admin_url}/setup#{}", *tokens.setup.text)));
    let ready =
        Ready { gateway: &gateway_url, admin: &admin_url, setup_url: link.as_deref().map(String::as_str), demo };
    ready::say(&ready, config.data.format);
    signals.next().await;
    tracing::info!("stopping: no new calls; those in flight may end within {:?}", config.drain);
    tokio::select! {
        stopped = running.stop(config.drain) => stopped,
        () = signals.next() => anyhow::bail!("stopped at once by a second signal"),
    }
}

/// What is open before anything runs.
struct Opened {
    store: Store,
    vault: Arc<Vault>,
    catalogue: Arc<Catalogue>,
    clock: Clock,
}

async fn start(config: &Config, bound: Bound, tokens: &Tokens, opened: Opened) -> anyhow::Result<Running> {
    let Opened { store, vault, catalogue, clock } = opened;
    let outlet = Outlet::new();
    let metrics = outlet.clone();
    let settings = Settings {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        gateway_url: bound.gateway_url,
        // The lock on the data folder makes one node of all that ever open an embedded database.
        node: if config.data.database.is_some() { digest::hex(&clock::random::<8>()?) } else { "embedded".to_owned() },
        demo: config.demo,
        retention: i64::from(config.retention_days) * 86_400_000,
        bootstrap: tokens.bootstrap,
        local_token: tokens.local.hash,
        setup_token: tokens.setup.hash,
        clock,
        outbound: Arc::new(Network::new(outbound::tls(config.extra_ca.as_deref())?)),
        gateway_metrics: Arc::new(move || metrics.metrics()),
    };
    let publish = outlet.clone();
    let control =
        Control::open(store.clone(), Arc::clone(&vault), catalogue, settings, move |update| publish.publish(update))
            .await
            .context("starting the control plane")?;
    let boot = data::boot_id().unwrap_or_default();
    let node = Node {
        // The highest bit is the database's for the sign.
        incarnation: (u64::from_be_bytes(clock::random()?) >> 1).max(1),
        name: data::journal_name(&config.data.folder, &digest::hex(&clock::random::<8>()?))?,
        boot,
        alone: config.data.database.is_none(),
    };
    if let Err(error) = control.begin_node(node).await {
        tracing::error!(%error, "no budget can lend until the database takes writes again");
    }
    let stored = control.journal_positions().await?;
    let (recovered, all_recovered) = watch::channel(false);
    let desk = Arc::new(lend::open(control.clone(), all_recovered));
    let begin = |known| Gateway::start(bound.gateway, gateway_settings(config), vault, desk, known);
    let mut reader = outlet.connect(begin).context("starting the gateway")?;
    reader.resume_after(&stored);
    let (stop_collector, stopping) = watch::channel(false);
    let collector = wire::collector(reader, control.clone(), tokio::runtime::Handle::current(), stopping, recovered)
        .context("starting the collector")?;
    let certificates =
        config.tls.as_ref().map(|tls| Certificates::read(tls, config.admin_client_ca.as_deref())).transpose()?;
    let (stop_admin, stopping) = watch::channel(false);
    let admin = tokio::spawn(admin::serve(bound.admin, control.router(), certificates, stopping, ADMIN_GRACE));
    let jobs = control.start_jobs();
    Ok(Running { control, outlet, store, stop_admin, stop_collector, collector, admin, jobs })
}

impl Running {
    /// Stops in order: `/readyz` says no, the gateway lets calls end, the journal is emptied, the API closes, the
    /// background jobs end, the database closes.
    async fn stop(mut self, drain: Duration) -> anyhow::Result<()> {
        self.control.begin_stop();
        let outlet = self.outlet.clone();
        let report = tokio::task::spawn_blocking(move || outlet.stop(drain)).await.context("stopping the gateway")?;
        if let Some(report) = report.filter(|report| !report.in_time) {
            tracing::warn!(cut = report.cut, "calls were still running at the deadline and were cut");
        }
        self.stop_collector.send_replace(true);
        let collector = self.collector;
        let emptied = tokio::task::spawn_blocking(move || collector.join())
            .await
            .context("stopping the collector")?
            .map_err(|_| anyhow::anyhow!("the collector failed"))?;
        // Otherwise the next start does it, when it has collected the rest.
        if emptied {
            match self.control.end_node().await {
                Ok(true) => {}
                Ok(false) => tracing::warn!("calls have no end yet: the next start accounts for them"),
                Err(error) => tracing::warn!(%error, "leases could not be given back: the next start does it"),
            }
        }
        self.stop_admin.send_replace(true);
        self.admin.await.context("stopping the control API")??;
        if let Err(error) = self.control.flush().await {
            tracing::warn!(%error, "when tokens were last used could not be written");
        }
        self.jobs.shutdown().await;
        self.store.close().await;
        tracing::info!("stopped");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
