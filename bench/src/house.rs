//! What every scenario starts from: the mock provider, and a data folder of Keyward's that was set up and stopped. Each
//! scenario gets a bare proxy and a Keyward of its own, fresh from the start.

use crate::{
    call::Call,
    keyward::{Keyward, copy_folder},
    options::Options,
    process::Process,
    rounds::Target,
};
use anyhow::{Context, Result};
use bytes::Bytes;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

/// What the journal's collector still does for the last calls belongs to them: it looks every fifth of a second.
const AFTERWARDS: Duration = Duration::from_millis(1_500);
const PATH_DIRECT: &str = "/v1/chat/completions";
/// Where the OpenAI dialect stands at Keyward's gateway.
pub const PATH_GATEWAY: &str = "/openai/v1/chat/completions";

/// The place in [`House::targets`] of the mock itself.
pub const DIRECT: usize = 0;
/// The place of the bare proxy.
pub const PROXY: usize = 1;
/// The place of Keyward.
pub const KEYWARD: usize = 2;

/// What every scenario starts from.
pub struct House<'a> {
    /// The settings.
    pub options: &'a Options,
    /// The virtual key of the set-up.
    pub key: String,
    folder: TempDir,
    mock: (Process, SocketAddr),
}

/// A bare proxy and a Keyward, running.
pub struct Pair {
    proxy: (Process, SocketAddr),
    /// Keyward.
    pub keyward: Keyward,
}

impl<'a> House<'a> {
    /// Starts the mock and sets a data folder up.
    pub fn build(options: &'a Options) -> Result<Self> {
        // Beside the binaries: temporary folders may be in memory, and Keyward's data is not.
        let here = std::env::current_exe()?;
        let folder = tempfile::Builder::new().prefix("run-").tempdir_in(here.parent().context("no folder")?)?;
        let mock = Process::sibling("mock", &[])?;
        let data = folder.path().join("template");
        std::fs::create_dir(&data)?;
        let key = Keyward::start(&options.binary, &data, &[])?.set_up(mock.1)?;
        Ok(Self { options, key, folder, mock })
    }

    /// A folder for a scenario, with what was set up in it.
    pub fn data(&self, name: &str) -> Result<PathBuf> {
        let data = self.folder.path().join(name);
        copy_folder(&self.folder.path().join("template"), &data)?;
        Ok(data)
    }

    /// A fresh Keyward on a fresh copy of the data.
    pub fn keyward(&self, name: &str, extra: &[&str]) -> Result<Keyward> {
        Keyward::start(&self.options.binary, &self.data(name)?, extra)
    }

    /// A Keyward in a folder of its own, whose provider is another one than the mock; and the folder.
    pub fn apart(&self, name: &str, upstream: SocketAddr) -> Result<(Keyward, PathBuf)> {
        let data = self.folder.path().join(name);
        std::fs::create_dir(&data)?;
        let keyward = Keyward::start(&self.options.binary, &data, &[])?;
        keyward.set_up(upstream)?;
        Ok((keyward, data))
    }

    /// A fresh proxy and a fresh Keyward; `tls` names certificate and key files.
    pub fn pair(&self, name: &str, tls: Option<(&Path, &Path)>) -> Result<Pair> {
        let mock = self.mock.1.to_string();
        let (mut proxy, mut keyward) = (vec![mock.as_str()], Vec::new());
        if let Some((cert, key)) = tls {
            let (cert, key) = (cert.to_str().context("odd path")?, key.to_str().context("odd path")?);
            proxy.extend(["--tls", cert, key]);
            keyward.extend(["--tls-cert", cert, "--tls-key", key]);
        }
        let pair = Pair { proxy: Process::sibling("proxy", &proxy)?, keyward: self.keyward(name, &keyward)? };
        if self.options.budgets {
            pair.keyward.bind()?;
        }
        Ok(pair)
    }

    /// A folder for a scenario's own files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A call to a Keyward, with a virtual key.
    pub fn call(&self, keyward: &Keyward, body: &Bytes) -> Call {
        Call {
            address: keyward.gateway,
            tls: None,
            path: PATH_GATEWAY,
            tokens: [self.key.clone()].into(),
            body: body.clone(),
            stream: None,
        }
    }

    /// Direct, proxy and Keyward, with the same body.
    pub fn targets<'b>(&self, pair: &'b Pair, body: &Bytes) -> [Target<'b>; 3] {
        let gateway = self.call(&pair.keyward, body);
        let direct = Call { address: self.mock.1, path: PATH_DIRECT, ..gateway.clone() };
        let proxy = Call { address: pair.proxy.1, tokens: ["bench".to_owned()].into(), ..direct.clone() };
        [
            Target { name: "direct", call: direct, process: None, afterwards: Duration::ZERO },
            Target { name: "proxy", call: proxy, process: Some(&pair.proxy.0), afterwards: Duration::ZERO },
            Self::target("keyward", &pair.keyward, gateway),
        ]
    }

    /// A Keyward as a target.
    pub fn target<'b>(name: &'static str, keyward: &'b Keyward, call: Call) -> Target<'b> {
        Target { name, call, process: Some(&keyward.process), afterwards: AFTERWARDS }
    }
}
