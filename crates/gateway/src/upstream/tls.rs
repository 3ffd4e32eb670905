//! TLS towards providers: the platform's roots, an operator's extra roots, and nothing that could switch checks off.

use rustls::{ClientConfig, crypto::CryptoProvider};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::{path::Path, sync::Arc};

/// Why TLS towards providers cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file with extra roots cannot be read.
    #[error("the file with extra root certificates cannot be read")]
    Roots(#[source] rustls_pki_types::pem::Error),
    /// The file with extra roots has none.
    #[error("the file with extra root certificates has no certificate in it")]
    NoRoots,
    /// The TLS library refused.
    #[error("tls towards providers cannot be set up")]
    Setup(#[from] rustls::Error),
}

/// One configuration per HTTP version: what is offered must be what is spoken.
pub(crate) struct Configs {
    pub(crate) http1: Arc<ClientConfig>,
    pub(crate) http2: Arc<ClientConfig>,
}

/// The cryptography of this room, towards clients as well as towards providers.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

impl Configs {
    /// Reads the roots and makes both configurations.
    ///
    /// # Errors
    /// [`TlsError`] when the extra roots cannot be read or the platform's verifier cannot start.
    pub(crate) fn new(extra_roots: Option<&Path>) -> Result<Self, TlsError> {
        let mut roots = Vec::new();
        if let Some(path) = extra_roots {
            for certificate in CertificateDer::pem_file_iter(path).map_err(TlsError::Roots)? {
                roots.push(certificate.map_err(TlsError::Roots)?);
            }
            if roots.is_empty() {
                return Err(TlsError::NoRoots);
            }
        }
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let mut config = match rustls_platform_verifier::Verifier::new_with_extra_roots(roots, provider()) {
            Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)),
            Err(error) if extra_roots.is_none() => {
                // A machine without root certificates still serves providers inside its own network.
                tracing::warn!(%error, "no root certificates on this machine: calls over TLS will fail; install \
                    ca-certificates or configure extra roots");
                builder.with_root_certificates(rustls::RootCertStore::empty())
            }
            Err(error) => return Err(error.into()),
        }
        .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let http1 = Arc::new(config.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { http1, http2: Arc::new(config) })
    }
}
