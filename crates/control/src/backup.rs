//! A backup as a stream: the store's form, encrypted on the way to the recovery recipient, in pieces that wait for the
//! reader.

use bytes::Bytes;
use keyward_store::Store;
use keyward_vault::recovery;
use std::io::{self, Write};
use tokio::sync::mpsc;

/// As much as is sent at once.
const PIECE: usize = 64 << 10;
/// How many pieces may wait for the reader.
const AHEAD: usize = 4;

/// Pieces of a backup; the last is an error when it could not be finished.
pub(crate) type Pieces = mpsc::Receiver<io::Result<Bytes>>;

/// Collects what is written and hands it over in pieces.
struct Sender {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    waiting: Vec<u8>,
}

impl Sender {
    fn send(&mut self) -> io::Result<()> {
        let piece = Bytes::from(std::mem::take(&mut self.waiting));
        self.pieces
            .blocking_send(Ok(piece))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "whoever asked for the backup went away"))
    }
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= PIECE {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() { Ok(()) } else { self.send() }
    }
}

/// Starts a backup.
///
/// # Errors
/// When the recipient cannot be encrypted to.
pub(crate) fn start(store: Store, recipient: &str) -> Result<Pieces, keyward_vault::Error> {
    let (sender, pieces) = mpsc::channel(AHEAD);
    // The header is small: nothing is sent before the buffer is full, so nothing blocks here.
    let sink = recovery::encrypt_stream(recipient, Sender { pieces: sender.clone(), waiting: Vec::new() })?;
    tokio::spawn(async move {
        if let Err(error) = write(store, sink).await {
            tracing::error!(error = %error, "a backup could not be finished");
            drop(sender.send(Err(error)).await);
        }
    });
    Ok(pieces)
}

async fn write(store: Store, sink: recovery::Encrypting<Sender>) -> io::Result<()> {
    let (sink, summary) = store.backup_to(sink).await.map_err(io::Error::other)?;
    tokio::task::spawn_blocking(move || sink.finish().map(drop))
        .await
        .map_err(io::Error::other)?
        .map_err(io::Error::other)?;
    let rows: u64 = summary.tables.iter().map(|(_, rows)| rows).sum();
    tracing::info!(rows, "backup finished");
    Ok(())
}
