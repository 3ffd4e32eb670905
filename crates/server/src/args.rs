//! What can be said on the command line of the server's own commands. Every option can also stand in the
//! environment (`KEYWARD_…`) and, where it makes sense, in `keyward.toml`; the command line wins.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// How a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For scripts.
    Json,
}

/// Where the data is; shared by all server commands.
#[derive(Debug, Clone, Default, Args)]
pub struct DataArgs {
    /// Folder for the database, the master key and the journal [default: the platform's data folder]
    #[arg(long, env = "KEYWARD_DATA_DIR", value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// PostgreSQL to use instead of the embedded database, such as postgres:///keyward?host=/run/postgresql
    #[arg(long, env = "KEYWARD_DATABASE", value_name = "URL", hide_env_values = true)]
    pub database: Option<String>,
    /// Where the master key is kept: file:PATH, passphrase, passphrase-fd:N, systemd:NAME or env:VARIABLE
    /// [default: file:master.key in the data folder]
    #[arg(long, env = "KEYWARD_MASTER_KEY_SOURCE", value_name = "SOURCE")]
    pub master_key: Option<String>,
    /// Settings file [default: keyward.toml in the data folder, when it is there]
    #[arg(long, env = "KEYWARD_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How to print
    #[arg(long, env = "KEYWARD_FORMAT", value_enum, default_value_t)]
    pub format: Format,
    /// Let the system write core dumps and debuggers attach; they can contain keys
    #[arg(long = "allow-unhardened", visible_alias = "allow-core-dumps")]
    pub allow_core_dumps: bool,
}

/// Options of `keyward serve`.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
    /// Address of the gateway, which applications call [default: 127.0.0.1:8700]
    #[arg(long, env = "KEYWARD_GATEWAY_LISTEN", value_name = "ADDRESS")]
    pub gateway_listen: Option<String>,
    /// Address of the control API and the set-up page [default: 127.0.0.1:8701]
    #[arg(long, env = "KEYWARD_ADMIN_LISTEN", value_name = "ADDRESS")]
    pub admin_listen: Option<String>,
    /// URL under which applications reach the gateway, when it is not the address itself
    #[arg(long, env = "KEYWARD_GATEWAY_URL", value_name = "URL")]
    pub gateway_url: Option<String>,
    /// URL under which people reach the control API, when it is not the address itself
    #[arg(long, env = "KEYWARD_ADMIN_URL", value_name = "URL")]
    pub admin_url: Option<String>,
    /// Folder with `providers/` and `prices/` of your own [default: the data folder]
    #[arg(long, env = "KEYWARD_CONFIG_DIR", value_name = "FOLDER")]
    pub config_dir: Option<PathBuf>,
    /// Certificate chain (PEM) for both listeners; read again when it changes
    #[arg(long, env = "KEYWARD_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM) of that certificate
    #[arg(long, env = "KEYWARD_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Authorities (PEM) whose certificates clients of the gateway must show
    #[arg(long, env = "KEYWARD_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// Authorities (PEM) whose certificates clients of the control API must show
    #[arg(long, env = "KEYWARD_ADMIN_TLS_CLIENT_CA", value_name = "FILE")]
    pub admin_tls_client_ca: Option<PathBuf>,
    /// Network whose forwarded client addresses are believed; may be given several times
    #[arg(long = "trusted-proxy", env = "KEYWARD_TRUSTED_PROXIES", value_name = "CIDR", value_delimiter = ',')]
    pub trusted_proxies: Vec<String>,
    /// Country database in MaxMind's format, for keys that name countries
    #[arg(long, env = "KEYWARD_COUNTRY_DATABASE", value_name = "FILE")]
    pub country_database: Option<PathBuf>,
    /// Threads of the gateway [default: one per processor]
    #[arg(long, env = "KEYWARD_THREADS", value_name = "COUNT")]
    pub threads: Option<usize>,
    /// More authorities (PEM) to trust towards providers
    #[arg(long, env = "KEYWARD_EXTRA_CA", value_name = "FILE")]
    pub extra_ca: Option<PathBuf>,
    /// Days for which single calls are kept; hourly and daily sums stay [default: 90]
    #[arg(long, env = "KEYWARD_RETENTION_DAYS", value_name = "DAYS")]
    pub retention_days: Option<u32>,
    /// How long calls may finish after a stop was asked for [default: 30s]
    #[arg(long, env = "KEYWARD_DRAIN", value_name = "DURATION")]
    pub drain: Option<String>,
    /// What to log, such as info, debug or keyward_gateway=debug,info [default: info]
    #[arg(long, env = "KEYWARD_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// Start with a sandbox provider, a sample project and a key in a throw-away folder
    #[arg(long)]
    pub demo: bool,
    /// Print the settings as they will be used, without secrets, and stop
    #[arg(long)]
    pub print_config: bool,
}

/// Options of `keyward restore`.
#[derive(Debug, Clone, Args)]
pub struct RestoreArgs {
    /// The backup file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// File with the recovery identity (AGE-SECRET-KEY-…)
    #[arg(long, value_name = "FILE")]
    pub identity: PathBuf,
    /// Where the data goes. It must not exist yet: restore never overwrites.
    #[command(flatten)]
    pub data: DataArgs,
}

/// Options of `keyward vault recover`.
#[derive(Debug, Clone, Args)]
pub struct RecoverArgs {
    /// File with the recovery identity (AGE-SECRET-KEY-…)
    #[arg(long, value_name = "FILE")]
    pub identity: PathBuf,
    /// Only prove that the identity opens this vault; change nothing
    #[arg(long)]
    pub check: bool,
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
}
