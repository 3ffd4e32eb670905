//! TLS of the listener: certificate, key and client authorities from files, read again when the files change.
//! A change that cannot be used is reported and the old certificate stays.

use crate::{settings::TlsFiles, upstream::tls::provider};
use arc_swap::ArcSwap;
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

/// How often the files are looked at.
pub(crate) const RELOAD_EVERY: std::time::Duration = std::time::Duration::from_secs(3);

/// Why the listener's TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ListenerTlsError {
    /// A file cannot be read, or is not PEM.
    #[error("{path} cannot be read as PEM")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// A file has no certificate in it.
    #[error("{path} has no certificate in it")]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// Certificate and key cannot be used, or not together.
    #[error("the certificate in {cert} and the key in {key} cannot be used together")]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The client authorities cannot be used.
    #[error("the client authorities in {path} cannot be used: {reason}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The listener's TLS as it is now.
pub(crate) struct ListenerTls {
    files: TlsFiles,
    current: ArcSwap<ServerConfig>,
}

/// When files were last changed; what cannot be told counts as a time of its own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stamp(Vec<Option<(SystemTime, u64)>>);

impl ListenerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`ListenerTlsError`]: which file is wrong and why.
    pub(crate) fn open(files: TlsFiles) -> Result<Self, ListenerTlsError> {
        let current = ArcSwap::new(Arc::new(read(&files)?));
        Ok(Self { files, current })
    }

    /// The configuration for the next connection.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// When the files were last changed.
    pub(crate) fn stamp(&self) -> Stamp {
        let files = [Some(&self.files.cert), Some(&self.files.key), self.files.client_ca.as_ref()];
        let look = |path: &PathBuf| std::fs::metadata(path).and_then(|meta| Ok((meta.modified()?, meta.len()))).ok();
        Stamp(files.into_iter().flatten().map(look).collect())
    }

    /// Reads the files again; new connections use what they say.
    ///
    /// # Errors
    /// [`ListenerTlsError`]: the old configuration stays.
    pub(crate) fn reload(&self) -> Result<(), ListenerTlsError> {
        self.current.store(Arc::new(read(&self.files)?));
        Ok(())
    }
}

fn read(files: &TlsFiles) -> Result<ServerConfig, ListenerTlsError> {
    let chain = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|source| ListenerTlsError::File { path: files.key.clone(), source })?;
    let pair = |source| ListenerTlsError::Pair { cert: files.cert.clone(), key: files.key.clone(), source };
    let builder =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(pair)?;
    let builder = if let Some(path) = &files.client_ca {
        let refused = |reason: String| ListenerTlsError::Authorities { path: path.clone(), reason };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|error| refused(error.to_string()))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        builder.with_client_cert_verifier(verifier.build().map_err(|error| refused(error.to_string()))?)
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_single_cert(chain, key).map_err(pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ListenerTlsError> {
    let wrong = |source| ListenerTlsError::File { path: path.to_owned(), source };
    let all: Vec<_> = CertificateDer::pem_file_iter(path).map_err(wrong)?.collect::<Result<_, _>>().map_err(wrong)?;
    if all.is_empty() { Err(ListenerTlsError::Empty { path: path.to_owned() }) } else { Ok(all) }
}

#[cfg(test)]
mod tests;
