//! Finding the server and the token: options and variables first, then the stored login, then the server that the
//! same user runs on this machine.

mod address;

pub(crate) use address::Address;

use crate::{context::Variables, failure::Failure, files};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The code of the failure that no server was found, where none was named either.
pub(crate) const NO_SERVER: &str = "no_server";
/// Where `keyward serve` listens for the control API unless told otherwise.
pub(crate) const USUAL_ADDRESS: &str = "http://127.0.0.1:8701";

/// What options said about the connection; variables fill in what they left open.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// `--addr`.
    pub(crate) addr: Option<String>,
    /// `--token-file`.
    pub(crate) token_file: Option<PathBuf>,
    /// `--ca`.
    pub(crate) ca: Option<PathBuf>,
    /// `--client-cert`.
    pub(crate) client_cert: Option<PathBuf>,
    /// `--client-key`.
    pub(crate) client_key: Option<PathBuf>,
    /// `--data-dir`.
    pub(crate) data_dir: Option<PathBuf>,
    /// `--insecure-http`.
    pub(crate) insecure_http: bool,
    /// `--timeout`, in milliseconds.
    pub(crate) timeout_ms: Option<u64>,
    /// Where a server that runs as a system service keeps its data.
    pub(crate) system_dir: Option<PathBuf>,
}

/// A server and how to speak to it.
pub(crate) struct Target {
    /// Where it is.
    pub(crate) address: Address,
    /// The token for the control API.
    pub(crate) token: Zeroizing<String>,
    /// Where the address and the token came from, in words.
    pub(crate) source: String,
    /// Certificates to trust instead of the system's.
    pub(crate) ca: Option<PathBuf>,
    /// The client's own certificate and its key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
    /// Whether the token may travel over plain HTTP to another machine.
    pub(crate) insecure_http: bool,
    /// How long to wait for an answer, in milliseconds.
    pub(crate) timeout_ms: u64,
}

/// The stored login.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Login {
    /// The server.
    pub(crate) addr: String,
    /// The token.
    #[serde(with = "wiped")]
    pub(crate) token: Zeroizing<String>,
    /// Certificates to trust instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
    /// Whether plain HTTP to another machine was agreed to.
    #[serde(default)]
    pub(crate) insecure_http: bool,
}

/// What a running server leaves for its own user.
#[derive(Deserialize)]
struct Local {
    admin: String,
    #[serde(with = "wiped")]
    token: Zeroizing<String>,
    #[serde(default)]
    ca: Option<PathBuf>,
}

/// How a token stands in a file: as text. On its way it is wiped where it was.
mod wiped {
    use serde::{Deserialize, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(token: &Zeroizing<String>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(token)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
        String::deserialize(deserializer).map(Zeroizing::new)
    }
}

/// How long to wait for an answer unless told otherwise, in milliseconds.
const USUAL_TIMEOUT: u64 = 60_000;

/// Finds the server.
///
/// # Errors
/// When there is none to be found, or what was found cannot be used; says what was tried and what to do.
pub(crate) fn find(wishes: &Wishes, variables: &Variables) -> Result<Target, Failure> {
    let addr = wishes.addr.clone().or_else(|| variables.text("KEYWARD_ADDR"));
    let token = given_token(wishes, variables)?;
    let wanted = addr.as_deref().map(Address::parse).transpose()?;
    let mut tried = Vec::new();
    for place in places(wishes, variables) {
        match place.look() {
            Ok(Some(found)) => {
                let address = Address::parse(&found.addr)?;
                let fits = wanted.as_ref().is_none_or(|wanted| *wanted == address);
                if fits {
                    return Ok(target(wishes, variables, address, token, found));
                }
                tried.push(format!("{place} (is for {address})"));
            }
            Ok(None) => tried.push(format!("{place} (not there)")),
            Err(failure) if place.must_work() => return Err(failure),
            Err(failure) => tried.push(format!("{place} ({})", failure.error)),
        }
    }
    match (wanted, token) {
        (Some(address), Some(token)) => Ok(target(wishes, variables, address, Some(token), Found::default())),
        (None, Some(token)) => {
            let address = Address::parse(USUAL_ADDRESS)?;
            Ok(target(wishes, variables, address, Some(token), Found::default()))
        }
        (Some(address), None) => Err(nothing(format!("there is no token for {address}"), &tried)
            .hint("set KEYWARD_TOKEN or KEYWARD_TOKEN_FILE")
            .hint(format!("or store one with `keyward login --addr {address}`"))),
        (None, None) => Err(nothing("no Keyward server was found".to_owned(), &tried)
            .with_code(NO_SERVER)
            .hint("start one here with `keyward serve`")
            .hint("or point to one with KEYWARD_ADDR and KEYWARD_TOKEN, or `keyward login --addr https://…`")),
    }
}

/// The file of the stored login: `$XDG_CONFIG_HOME/keyward/client.json`, else below `~/.config`.
#[must_use]
pub(crate) fn login_file(variables: &Variables) -> Option<PathBuf> {
    let config = variables.path("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    config
        .or_else(|| variables.path("HOME").map(|home| home.join(".config")))
        .map(|path| path.join("keyward/client.json"))
}

/// Completes what was found with what was wished.
#[must_use]
pub(crate) fn target(
    wishes: &Wishes,
    variables: &Variables,
    address: Address,
    token: Option<(Zeroizing<String>, String)>,
    found: Found,
) -> Target {
    let (token, source) = match token {
        Some((token, source)) => (token, source),
        None => (found.token, found.source),
    };
    let certificate = wishes.client_cert.clone().or_else(|| variables.path("KEYWARD_CLIENT_CERT"));
    let key = wishes.client_key.clone().or_else(|| variables.path("KEYWARD_CLIENT_KEY"));
    Target {
        address,
        token,
        source,
        ca: wishes.ca.clone().or_else(|| variables.path("KEYWARD_CA")).or(found.ca),
        identity: certificate.map(|certificate| (certificate.clone(), key.unwrap_or(certificate))),
        insecure_http: wishes.insecure_http || found.insecure_http,
        timeout_ms: wishes.timeout_ms.unwrap_or(USUAL_TIMEOUT),
    }
}

/// What a place held.
#[derive(Default)]
pub(crate) struct Found {
    addr: String,
    token: Zeroizing<String>,
    ca: Option<PathBuf>,
    insecure_http: bool,
    source: String,
}

fn nothing(error: String, tried: &[String]) -> Failure {
    tried.iter().fold(Failure::failed(error), |failure, place| failure.hint(format!("looked at {place}")))
}

/// A token that was handed over on purpose, and where it came from.
fn given_token(wishes: &Wishes, variables: &Variables) -> Result<Option<(Zeroizing<String>, String)>, Failure> {
    let from_file = |path: PathBuf, name: &str| {
        // Deployments mount such files with modes of their own, so only the stored login insists on 0600.
        let bytes = files::read_small(&path)?
            .ok_or_else(|| Failure::failed(format!("{name} names {}, which is not there", path.display())))?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Failure::failed(format!("{} does not hold a token", path.display())))?;
        Ok(Some((Zeroizing::new(text.trim().to_owned()), format!("{name} ({})", path.display()))))
    };
    if let Some(path) = wishes.token_file.clone() {
        return from_file(path, "--token-file");
    }
    if let Some(token) = variables.text("KEYWARD_TOKEN") {
        return Ok(Some((Zeroizing::new(token.trim().to_owned()), "KEYWARD_TOKEN".to_owned())));
    }
    variables.path("KEYWARD_TOKEN_FILE").map_or(Ok(None), |path| from_file(path, "KEYWARD_TOKEN_FILE"))
}

/// A place that may say where the server is.
enum Place {
    /// The stored login.
    Login(PathBuf),
    /// A data folder that somebody named.
    Named(PathBuf),
    /// A data folder where one usually is.
    Usual(PathBuf),
}

/// The places in the order they are looked at. A data folder that was named on purpose stands for itself alone.
fn places(wishes: &Wishes, variables: &Variables) -> Vec<Place> {
    if let Some(folder) = wishes.data_dir.clone().or_else(|| variables.path("KEYWARD_DATA_DIR")) {
        return vec![Place::Named(folder)];
    }
    let home = variables.path("HOME");
    let data = variables.path("XDG_DATA_HOME").filter(|path| path.is_absolute()).map(|path| path.join("keyward"));
    let folders = [data, home.map(|home| home.join(".local/share/keyward")), wishes.system_dir.clone()];
    let mut places: Vec<Place> = login_file(variables).map(Place::Login).into_iter().collect();
    places.extend(folders.into_iter().flatten().map(Place::Usual));
    places
}

impl Place {
    /// Whether a fault there ends the search: it does where somebody meant this very place.
    const fn must_work(&self) -> bool {
        matches!(self, Self::Login(_) | Self::Named(_))
    }

    fn look(&self) -> Result<Option<Found>, Failure> {
        Ok(match self {
            Self::Login(path) => files::read_private::<Login>(path)?.map(|login| Found {
                addr: login.addr,
                token: login.token,
                ca: login.ca,
                insecure_http: login.insecure_http,
                source: self.to_string(),
            }),
            Self::Named(folder) | Self::Usual(folder) => {
                files::read_private::<Local>(&folder.join("local.json"))?.map(|local| Found {
                    addr: local.admin,
                    token: local.token,
                    ca: local.ca,
                    insecure_http: false,
                    source: self.to_string(),
                })
            }
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Login(path) => write!(f, "the stored login {}", path.display()),
            Self::Named(folder) | Self::Usual(folder) => {
                write!(f, "the local server's {}", folder.join("local.json").display())
            }
        }
    }
}

#[cfg(test)]
mod tests;
