//! Certificate authorities of the moment, and connections that trust them.

use crate::{PATIENCE, wire::Duplex};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
};
use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
};

/// An authority that signs one server's and any client's certificate.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new authority.
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key pair");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("a self-signed certificate") }
    }

    fn signed(&self, purpose: ExtendedKeyUsagePurpose) -> (rcgen::Certificate, KeyPair) {
        let mut params =
            CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("two names");
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().expect("a key pair");
        let certificate = params.signed_by(&key, &self.issuer).expect("a signed certificate");
        (certificate, key)
    }

    /// Writes a server's certificate and key into a folder, over those that may be there; gives their names.
    ///
    /// # Panics
    /// When they cannot be written.
    #[must_use]
    pub fn server_files(&self, folder: &Path) -> (String, String) {
        self.files(ExtendedKeyUsagePurpose::ServerAuth, folder, "server")
    }

    /// Writes a client's certificate and key into a folder; gives their names.
    ///
    /// # Panics
    /// When they cannot be written.
    #[must_use]
    pub fn client_files(&self, folder: &Path) -> (String, String) {
        self.files(ExtendedKeyUsagePurpose::ClientAuth, folder, "client")
    }

    fn files(&self, purpose: ExtendedKeyUsagePurpose, folder: &Path, name: &str) -> (String, String) {
        let (certificate, key) = self.signed(purpose);
        let (cert_path, key_path) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        for (path, text) in [(&cert_path, certificate.pem()), (&key_path, key.serialize_pem())] {
            // Replaced as a whole, as tools that renew certificates do it.
            let draft = path.with_extension("draft");
            fs::write(&draft, text)
                .and_then(|()| private(&draft))
                .and_then(|()| fs::rename(&draft, path))
                .expect("a file");
        }
        (cert_path.to_string_lossy().into_owned(), key_path.to_string_lossy().into_owned())
    }

    /// Writes the authority's own certificate into a folder; gives its name.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn authority_file(&self, folder: &Path) -> String {
        let path = folder.join("authority.pem");
        fs::write(&path, self.issuer.pem()).expect("a file");
        path.to_string_lossy().into_owned()
    }

    /// Opens a connection that trusts this authority.
    ///
    /// # Panics
    /// When the server cannot be reached or shows another certificate.
    #[must_use]
    pub fn connect(&self, address: SocketAddr) -> Box<dyn Duplex> {
        Box::new(self.opened(address, None).expect("a connection over TLS"))
    }

    /// The same, showing a client's certificate signed by another authority.
    ///
    /// # Panics
    /// When the server cannot be reached or shows another certificate.
    #[must_use]
    pub fn connect_as(&self, address: SocketAddr, clients: &Self) -> Box<dyn Duplex> {
        Box::new(self.opened(address, Some(clients)).expect("a connection over TLS"))
    }

    /// Opens a connection and tells whether the handshake holds.
    ///
    /// # Errors
    /// When it does not.
    pub fn try_connect(&self, address: SocketAddr) -> io::Result<()> {
        self.opened(address, None).map(|_| ())
    }

    /// Opens a connection, asks for something and reads a byte: with TLS 1.3 a client learns only then whether its
    /// certificate was taken.
    ///
    /// # Errors
    /// When the server does not talk to this client.
    pub fn try_talk(&self, address: SocketAddr, clients: Option<&Self>) -> io::Result<()> {
        let mut stream = self.opened(address, clients)?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        stream.flush()?;
        stream.read_exact(&mut [0])
    }

    fn opened(
        &self,
        address: SocketAddr,
        clients: Option<&Self>,
    ) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).map_err(io::Error::other)?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots);
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(clients) => {
                let (certificate, key) = clients.signed(ExtendedKeyUsagePurpose::ClientAuth);
                let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
                let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
                config.with_client_auth_cert(chain, key).map_err(io::Error::other)?
            }
        };
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }
}

fn private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}
