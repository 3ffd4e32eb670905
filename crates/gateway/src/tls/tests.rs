//! Certificates made at run time, read, changed and damaged.

use super::*;
use std::fs;

fn certificate(name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

struct Folder {
    folder: tempfile::TempDir,
    files: TlsFiles,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        let files = TlsFiles { cert: path("cert.pem"), key: path("key.pem"), client_ca: None };
        let it = Self { folder, files };
        it.write(&certificate("one"));
        it
    }

    fn write(&self, (cert, key): &(String, String)) {
        fs::write(&self.files.cert, cert).unwrap();
        fs::write(&self.files.key, key).unwrap();
    }
}

#[test]
fn a_change_is_seen_and_taken_over() {
    let folder = Folder::new();
    let tls = ListenerTls::open(folder.files.clone()).unwrap();
    let (before, stamp) = (tls.config(), tls.stamp());
    assert_eq!(stamp, tls.stamp());
    folder.write(&certificate("another.example"));
    // Two writes within one tick of the file system's clock still differ in length.
    assert_ne!(stamp, tls.stamp());
    tls.reload().unwrap();
    assert!(!Arc::ptr_eq(&before, &tls.config()));
    assert_eq!(tls.config().alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
}

#[test]
fn a_change_that_cannot_be_used_leaves_the_old_certificate() {
    let folder = Folder::new();
    let tls = ListenerTls::open(folder.files.clone()).unwrap();
    let before = tls.config();
    fs::write(&folder.files.key, certificate("two").1).unwrap();
    assert!(matches!(tls.reload(), Err(ListenerTlsError::Pair { .. })));
    fs::write(&folder.files.cert, "nothing here").unwrap();
    assert!(matches!(tls.reload(), Err(ListenerTlsError::Empty { .. })));
    fs::remove_file(&folder.files.cert).unwrap();
    assert!(matches!(tls.reload(), Err(ListenerTlsError::File { .. })));
    assert!(Arc::ptr_eq(&before, &tls.config()));
}

#[test]
fn client_authorities_must_be_there_and_sound() {
    let folder = Folder::new();
    let authorities = folder.folder.path().join("ca.pem");
    let files = TlsFiles { client_ca: Some(authorities.clone()), ..folder.files };
    assert!(matches!(ListenerTls::open(files.clone()), Err(ListenerTlsError::File { .. })));
    fs::write(&authorities, certificate("authority").0).unwrap();
    assert!(ListenerTls::open(files).is_ok());
}
