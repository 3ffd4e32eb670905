//! TLS towards the server: the system's trust, or the certificates of a file; TLS 1.2 and 1.3 with one crypto backend.

use crate::{connect::Target, failure::Failure};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls_platform_verifier::BuilderVerifierExt;
use std::{path::Path, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Speaks TLS over a connection.
pub(super) async fn wrap(target: &Target, stream: TcpStream) -> Result<TlsStream<TcpStream>, Failure> {
    let name = ServerName::try_from(target.address.host.clone())
        .map_err(|_| Failure::usage(format!("'{}' is not a name that a certificate can have", target.address.host)))?;
    let connector = TlsConnector::from(Arc::new(configuration(target)?));
    connector.connect(name, stream).await.map_err(|error| {
        let failure = Failure::failed(format!("cannot speak TLS with {}: {error}", target.address));
        match certificate_fault(&error) {
            Some(rustls::Error::InvalidCertificate(_)) if target.ca.is_none() => {
                failure.hint("for a certificate of your own authority name its file with --ca or KEYWARD_CA")
            }
            Some(rustls::Error::InvalidCertificate(_)) => {
                failure.hint("does the file of --ca hold the authority of this very certificate?")
            }
            _ => failure.hint("does this port speak plain HTTP?"),
        }
    })
}

fn certificate_fault(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn configuration(target: &Target) -> Result<ClientConfig, Failure> {
    let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
    let fault = |error: rustls::Error| Failure::failed(format!("cannot set up TLS: {error}"));
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(fault)?;
    let builder = match &target.ca {
        Some(path) => builder.with_root_certificates(authorities(path)?),
        None => builder.with_platform_verifier().map_err(fault)?,
    };
    let mut configuration = match &target.identity {
        Some((certificate, key)) => {
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| bad_file(key, "private key", &error))?;
            builder.with_client_auth_cert(certificates(certificate)?, key).map_err(fault)?
        }
        None => builder.with_no_client_auth(),
    };
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(configuration)
}

fn authorities(path: &Path) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| Failure::failed(format!("{} holds a bad certificate: {error}", path.display())))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found: Vec<CertificateDer<'static>> = read.map_err(|error| bad_file(path, "certificate", &error))?;
    if found.is_empty() {
        return Err(Failure::failed(format!("{} holds no certificate in PEM form", path.display())));
    }
    Ok(found)
}

fn bad_file(path: &Path, what: &str, error: &rustls_pki_types::pem::Error) -> Failure {
    Failure::failed(format!("cannot read a {what} from {}: {error}", path.display()))
}
