//! TLS towards the server: the system's trust, or what a file names; TLS 1.2 and 1.3 with one crypto backend.

use crate::{connect::Target, failure::Failure};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
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

/// What is wrong with the other side's certificate, when that is what an error says.
pub(crate) fn certificate_fault(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// TLS towards providers: the platform's trust, and what a file names besides.
///
/// # Errors
/// When the file cannot be used, or the platform has no trust to offer.
pub(crate) fn towards_providers(extra: Option<&Path>) -> Result<ClientConfig, Failure> {
    let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
    let fault = |error: rustls::Error| Failure::failed(format!("cannot set up TLS: {error}"));
    let roots = extra.map(certificates).transpose()?.unwrap_or_default();
    let verifier =
        rustls_platform_verifier::Verifier::new_with_extra_roots(roots, Arc::clone(&provider)).map_err(fault)?;
    let mut configuration = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(fault)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(configuration)
}

fn configuration(target: &Target) -> Result<ClientConfig, Failure> {
    let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
    let fault = |error: rustls::Error| Failure::failed(format!("cannot set up TLS: {error}"));
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(fault)?;
    let builder = match &target.ca {
        Some(path) => {
            let named = Arc::new(Named::new(path, Arc::clone(&provider))?);
            builder.dangerous().with_custom_certificate_verifier(named)
        }
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

/// Trusts what a file names: its authorities, and its certificates themselves. A server on this machine names its own
/// certificate that way, whatever name stands in it.
#[derive(Debug)]
struct Named {
    certificates: Vec<CertificateDer<'static>>,
    authorities: Arc<WebPkiServerVerifier>,
}

impl Named {
    fn new(path: &Path, provider: Arc<CryptoProvider>) -> Result<Self, Failure> {
        let certificates = certificates(path)?;
        let bad = |error: &dyn std::fmt::Display| {
            Failure::failed(format!("{} holds a bad certificate: {error}", path.display()))
        };
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone()).map_err(|error| bad(&error))?;
        }
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        Ok(Self { certificates, authorities: builder.build().map_err(|error| bad(&error))? })
    }
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The handshake's signature, checked below, proves that the other side holds this certificate's key.
        if self.certificates.iter().any(|named| named.as_ref() == end_entity.as_ref()) {
            return Ok(ServerCertVerified::assertion());
        }
        self.authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
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
