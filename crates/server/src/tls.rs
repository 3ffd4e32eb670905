//! TLS for the admin listener: certificate files that are read again when they change, optional client certificates.

use crate::config::Tls;
use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The current TLS settings of a listener.
#[derive(Clone)]
pub(crate) struct Certificates {
    current: Arc<ArcSwap<ServerConfig>>,
    files: Tls,
    client_ca: Option<PathBuf>,
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// When a file is missing, is not PEM, or key and certificate do not belong together.
    pub(crate) fn read(files: &Tls, client_ca: Option<&Path>) -> anyhow::Result<Self> {
        let config = load(files, client_ca)?;
        Ok(Self {
            current: Arc::new(ArcSwap::from_pointee(config)),
            files: files.clone(),
            client_ca: client_ca.map(Path::to_path_buf),
        })
    }

    /// The settings for a new connection.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// Looks at the files for ever and takes over what has changed. A change that cannot be read is logged; the old
    /// certificate stays.
    pub(crate) async fn follow(self) {
        let mut seen = self.stamp();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = self.stamp();
            if now == seen {
                continue;
            }
            seen = now;
            match load(&self.files, self.client_ca.as_deref()) {
                Ok(config) => {
                    self.current.store(Arc::new(config));
                    tracing::info!(file = %self.files.cert.display(), "new certificate in use on the admin listener");
                }
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "the changed certificate is not usable: the old one stays"
                ),
            }
        }
    }

    fn stamp(&self) -> [Option<(SystemTime, u64)>; 3] {
        let of = |path: &Path| std::fs::metadata(path).ok().and_then(|data| Some((data.modified().ok()?, data.len())));
        [of(&self.files.cert), of(&self.files.key), self.client_ca.as_deref().and_then(of)]
    }
}

/// The certificates of a PEM file.
///
/// # Errors
/// When the file cannot be read or holds none.
pub(crate) fn read_certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let all: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .with_context(|| format!("reading certificates from {}", path.display()))?;
    if all.is_empty() {
        bail!("there is no certificate in {}", path.display());
    }
    Ok(all)
}

fn load(files: &Tls, client_ca: Option<&Path>) -> anyhow::Result<ServerConfig> {
    let chain = read_certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("reading the private key from {}", files.key.display()))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier: Arc<dyn ClientCertVerifier> = match client_ca {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in read_certificates(path)? {
                roots.add(certificate).with_context(|| format!("the authority in {}", path.display()))?;
            }
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .with_context(|| format!("the authorities in {}", path.display()))?
        }
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS versions")?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .with_context(|| format!("{} and {} do not fit together", files.cert.display(), files.key.display()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str) -> Tls {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
        let files = Tls { cert: folder.join("cert.pem"), key: folder.join("key.pem") };
        std::fs::write(&files.cert, made.cert.pem()).expect("written");
        std::fs::write(&files.key, made.signing_key.serialize_pem()).expect("written");
        files
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_certificate_is_taken_over_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = write(folder.path(), "one.test");
        let certificates = Certificates::read(&files, None).expect("readable");
        let first = certificates.current();
        let follower = tokio::spawn(certificates.clone().follow());
        tokio::time::sleep(LOOK / 2).await;

        std::fs::write(&files.cert, "not a certificate").expect("written");
        tokio::time::sleep(LOOK * 2).await;
        assert!(Arc::ptr_eq(&first, &certificates.current()), "a broken file changes nothing");

        write(folder.path(), "a-longer-name.test");
        tokio::time::sleep(LOOK * 2).await;
        assert!(!Arc::ptr_eq(&first, &certificates.current()), "a new file is used");
        follower.abort();
    }

    #[test]
    fn what_is_wrong_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = write(folder.path(), "one.test");
        let missing = Tls { cert: folder.path().join("none.pem"), key: files.key.clone() };
        let error = Certificates::read(&missing, None).err().expect("missing");
        assert!(format!("{error:#}").contains("none.pem"), "{error:#}");
        std::fs::write(&files.key, "").expect("written");
        let error = Certificates::read(&files, None).err().expect("empty");
        assert!(format!("{error:#}").contains("key.pem"), "{error:#}");
    }
}
