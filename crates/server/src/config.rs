//! The settings, read once into their final types: command line over environment over `keyward.toml` over defaults.
//! What is unknown or cannot be is refused with its name; nothing here is a secret, except a password in a database URL,
//! which is masked when settings are printed.

use crate::{
    advice::{Advise, advised},
    args::{DataArgs, Format, ServeArgs},
    environment::Environment,
    master::Source,
};
use anyhow::Context;
use ipnet::IpNet;
use keyward_domain::times;
use serde::{Deserialize, Serialize};
use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
    time::Duration,
};

/// `keyward.toml` as it is written.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    master_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway_listen: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_listen: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config_dir: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cert: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_key: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_ca: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_tls_client_ca: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trusted_proxies: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country_database: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_ca: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_core_dumps: Option<bool>,
}

/// Certificate files of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    /// The chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// What every server command needs to get at the data.
#[derive(Debug, Clone)]
pub(crate) struct DataConfig {
    /// The data folder.
    pub folder: PathBuf,
    /// PostgreSQL, when not the embedded database.
    pub database: Option<String>,
    /// Where the master key is.
    pub master_key: Source,
    /// Whether core dumps stay possible.
    pub allow_core_dumps: bool,
    /// How to print.
    pub format: Format,
}

/// The settings of `serve`.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Where the data is.
    pub data: DataConfig,
    /// The gateway's address.
    pub gateway_listen: SocketAddr,
    /// The control API's address.
    pub admin_listen: SocketAddr,
    /// The gateway's public URL, when it is not the address.
    pub gateway_url: Option<String>,
    /// The control API's public URL, when it is not the address.
    pub admin_url: Option<String>,
    /// The operator's `providers/` and `prices/`.
    pub config_dir: PathBuf,
    /// Certificates for both listeners.
    pub tls: Option<Tls>,
    /// Authorities for clients of the gateway.
    pub gateway_client_ca: Option<PathBuf>,
    /// Authorities for clients of the control API.
    pub admin_client_ca: Option<PathBuf>,
    /// Proxies whose forwarded addresses are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The country database.
    pub country_database: Option<PathBuf>,
    /// The gateway's threads.
    pub threads: usize,
    /// More authorities towards providers.
    pub extra_ca: Option<PathBuf>,
    /// Days for which single calls are kept.
    pub retention_days: u32,
    /// Time to finish calls at a stop.
    pub drain: Duration,
    /// The log filter.
    pub log: String,
    /// Whether this is a demo.
    pub demo: bool,
}

fn read_file(path: Option<&Path>, folder: Option<&Path>) -> anyhow::Result<File> {
    let (path, must_exist) = match (path, folder) {
        (Some(path), _) => (path.to_path_buf(), true),
        (None, Some(folder)) => (folder.join("keyward.toml"), false),
        (None, None) => return Ok(File::default()),
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => return Ok(File::default()),
        Err(error) => {
            return Err(error)
                .with_context(|| format!("reading the settings file {}", path.display()))
                .hint("run this as the user whose file it is, or name another: --data-dir FOLDER, --config FILE");
        }
    };
    toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        advised(
            format!("the settings file {} does not fit: line {line}: {}", path.display(), error.message()),
            "mend the line; `keyward serve --help` names every setting, in the file with _ for -",
        )
    })
}

fn data_config(args: DataArgs, file: &File, environment: &Environment) -> anyhow::Result<DataConfig> {
    let folder = args
        .data_dir
        .or_else(|| file.data_dir.clone())
        .or_else(|| environment.data_folder())
        .context("there is no home folder to keep data in")
        .hint("name a folder with --data-dir FOLDER")?;
    let folder = std::path::absolute(&folder).with_context(|| format!("the data folder {}", folder.display()))?;
    let database = args.database.or_else(|| file.database.clone());
    if let Some(url) = &database
        && !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme))
    {
        return Err(advised(
            "--database must be a PostgreSQL URL",
            "write it like postgres://user@host/keyward, or leave it out for the embedded database",
        ));
    }
    let master_key = match args.master_key.or_else(|| file.master_key.clone()) {
        Some(text) => Source::parse(&text)?,
        None => Source::File(folder.join("master.key")),
    };
    let allow_core_dumps = args.allow_core_dumps || file.allow_core_dumps.unwrap_or(false);
    Ok(DataConfig { folder, database, master_key, allow_core_dumps, format: args.format })
}

impl DataConfig {
    /// Reads what the offline commands need.
    ///
    /// # Errors
    /// When something is unknown, missing or impossible; the text names it.
    pub(crate) fn read(args: DataArgs, environment: &Environment) -> anyhow::Result<Self> {
        let folder = args.data_dir.clone().or_else(|| environment.data_folder());
        let file = read_file(args.config.as_deref(), folder.as_deref())?;
        data_config(args, &file, environment)
    }
}

impl Config {
    /// Reads the settings of `serve`.
    ///
    /// # Errors
    /// When something is unknown, missing or impossible; the text names it.
    pub(crate) fn read(args: ServeArgs, environment: &Environment) -> anyhow::Result<Self> {
        let folder = args.data.data_dir.clone().or_else(|| environment.data_folder());
        let file = if args.demo && args.data.config.is_none() {
            File::default()
        } else {
            read_file(args.data.config.as_deref(), folder.as_deref())?
        };
        let data = data_config(args.data, &file, environment)?;
        let tls = match (args.tls_cert.or(file.tls_cert), args.tls_key.or(file.tls_key)) {
            (Some(cert), Some(key)) => Some(Tls { cert, key }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(advised("--tls-cert needs --tls-key beside it", "name the private key: --tls-key FILE"));
            }
            (None, Some(_)) => {
                return Err(advised("--tls-key needs --tls-cert beside it", "name the certificate: --tls-cert FILE"));
            }
        };
        let gateway_client_ca = args.tls_client_ca.or(file.tls_client_ca);
        let admin_client_ca = args.admin_tls_client_ca.or(file.admin_tls_client_ca);
        if tls.is_none() && (gateway_client_ca.is_some() || admin_client_ca.is_some()) {
            return Err(advised("client certificates need TLS", "give --tls-cert and --tls-key too"));
        }
        let proxies = if args.trusted_proxies.is_empty() {
            file.trusted_proxies.unwrap_or_default()
        } else {
            args.trusted_proxies
        };
        let retention_days = args.retention_days.or(file.retention_days).unwrap_or(90);
        if retention_days == 0 {
            return Err(advised("--retention-days must be at least 1", "leave it out for 90 days"));
        }
        let threads = match args.threads.or(file.threads) {
            Some(0) => return Err(advised("--threads must be at least 1", "leave it out for one per processor")),
            Some(threads) => threads,
            None => std::thread::available_parallelism().map_or(1, usize::from),
        };
        Ok(Self {
            gateway_listen: address("--gateway-listen", args.gateway_listen.or(file.gateway_listen), 8700)?,
            admin_listen: address("--admin-listen", args.admin_listen.or(file.admin_listen), 8701)?,
            gateway_url: url("--gateway-url", args.gateway_url.or(file.gateway_url))?,
            admin_url: url("--admin-url", args.admin_url.or(file.admin_url))?,
            config_dir: args.config_dir.or(file.config_dir).unwrap_or_else(|| data.folder.clone()),
            tls,
            gateway_client_ca,
            admin_client_ca,
            trusted_proxies: proxies.iter().map(|text| network(text)).collect::<anyhow::Result<_>>()?,
            country_database: args.country_database.or(file.country_database),
            threads,
            extra_ca: args.extra_ca.or(file.extra_ca),
            retention_days,
            drain: drain(args.drain.or(file.drain).as_deref().unwrap_or("30s"))?,
            log: args.log.or(file.log).unwrap_or_else(|| "info".to_owned()),
            demo: args.demo,
            data,
        })
    }

    /// Whether tokens for the control API travel in the clear between machines.
    pub(crate) fn shows_tokens(&self) -> bool {
        self.tls.is_none() && !self.admin_listen.ip().is_loopback()
    }

    /// The settings without secrets, as TOML or JSON: what `--print-config` shows.
    ///
    /// # Errors
    /// When they cannot be written so.
    pub(crate) fn print(&self) -> anyhow::Result<String> {
        let file = File {
            data_dir: Some(self.data.folder.clone()),
            database: self.data.database.as_deref().map(mask_url),
            master_key: Some(self.data.master_key.to_string()),
            gateway_listen: Some(self.gateway_listen.to_string()),
            admin_listen: Some(self.admin_listen.to_string()),
            gateway_url: self.gateway_url.clone(),
            admin_url: self.admin_url.clone(),
            config_dir: Some(self.config_dir.clone()),
            tls_cert: self.tls.as_ref().map(|tls| tls.cert.clone()),
            tls_key: self.tls.as_ref().map(|tls| tls.key.clone()),
            tls_client_ca: self.gateway_client_ca.clone(),
            admin_tls_client_ca: self.admin_client_ca.clone(),
            trusted_proxies: Some(self.trusted_proxies.iter().map(ToString::to_string).collect()),
            country_database: self.country_database.clone(),
            threads: Some(self.threads),
            extra_ca: self.extra_ca.clone(),
            retention_days: Some(self.retention_days),
            drain: Some(format!("{}ms", self.drain.as_millis())),
            log: Some(self.log.clone()),
            allow_core_dumps: Some(self.data.allow_core_dumps),
        };
        match self.data.format {
            Format::Text => toml::to_string(&file).context("writing the settings"),
            Format::Json => serde_json::to_string(&file).context("writing the settings"),
        }
    }
}

fn address(option: &str, text: Option<String>, port: u16) -> anyhow::Result<SocketAddr> {
    let Some(text) = text else { return Ok(SocketAddr::from(([127, 0, 0, 1], port))) };
    text.to_socket_addrs()
        .ok()
        .and_then(|mut all| all.next())
        .with_context(|| format!("{option}: '{text}' is not an address"))
        .hint(format!("write it like 127.0.0.1:{port} or [::]:{port}"))
}

fn url(option: &str, text: Option<String>) -> anyhow::Result<Option<String>> {
    let Some(text) = text else { return Ok(None) };
    if !text.starts_with("http://") && !text.starts_with("https://") {
        return Err(advised(
            format!("{option}: '{text}' does not begin with http:// or https://"),
            "write it like https://keyward.example.com",
        ));
    }
    Ok(Some(text.trim_end_matches('/').to_owned()))
}

fn network(text: &str) -> anyhow::Result<IpNet> {
    let text = text.trim();
    text.parse::<IpNet>()
        .or_else(|error| text.parse::<std::net::IpAddr>().map(IpNet::from).map_err(|_| error))
        .with_context(|| format!("--trusted-proxy: '{text}' is not a network"))
        .hint("write it like 10.0.0.0/8 or 192.168.1.7")
}

fn drain(text: &str) -> anyhow::Result<Duration> {
    times::duration(text).map(Duration::from_millis).with_context(|| format!("--drain: '{text}'"))
}

/// A database URL without its password.
fn mask_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "…".to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => format!("{}:…@{host}", user.split(':').next().unwrap_or("")),
        None => authority.to_owned(),
    };
    // A password may also stand among the parameters.
    let path: Vec<String> = path
        .split_inclusive(['?', '&'])
        .map(|part| match part.split_once('=') {
            Some((name, value)) if name.eq_ignore_ascii_case("password") => {
                format!("{name}=…{}", if value.ends_with('&') { "&" } else { "" })
            }
            _ => part.to_owned(),
        })
        .collect();
    format!("{scheme}://{authority}{}", path.concat())
}

#[cfg(test)]
mod tests;
