//! Standard input as a scan reads it: while nothing comes, somebody may stop the scan, and what was read is then looked at
//! as if it were all.

use keyward_scanner::Progress;
use std::{
    io::{self, Read},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    thread,
    time::Duration,
};

/// How many bytes are read at once.
const PIECE: usize = 256 << 10;
/// How many such pieces are read ahead.
const AHEAD: usize = 2;
/// How long somebody who stops the scan waits at most while nothing comes.
const PATIENCE: Duration = Duration::from_millis(50);

/// A stream that ends where it ends, or when the scan is stopped.
pub(super) struct Input {
    pieces: Receiver<io::Result<Vec<u8>>>,
    progress: Arc<Progress>,
    piece: Vec<u8>,
    taken: usize,
}

impl Input {
    /// Reads a stream on a thread of its own, which nobody waits for: it may never hear anything again.
    pub(super) fn new(mut stream: Box<dyn Read + Send>, progress: Arc<Progress>) -> Self {
        let (sender, pieces) = sync_channel(AHEAD);
        let theirs = Arc::clone(&progress);
        thread::spawn(move || {
            while !theirs.is_stopped() {
                let mut piece = vec![0; PIECE];
                let read = stream.read(&mut piece);
                if read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {
                    continue;
                }
                let is_last = !matches!(read, Ok(1..));
                let read = read.map(|count| {
                    piece.truncate(count);
                    piece
                });
                if sender.send(read).is_err() || is_last {
                    return;
                }
            }
        });
        Self { pieces, progress, piece: Vec::new(), taken: 0 }
    }

    /// The next piece; an empty one is the end.
    fn next(&self) -> io::Result<Vec<u8>> {
        loop {
            // What was read before is looked at, also when the scan was stopped.
            let patience = if self.progress.is_stopped() { Duration::ZERO } else { PATIENCE };
            match self.pieces.recv_timeout(patience) {
                Ok(piece) => return piece,
                Err(RecvTimeoutError::Disconnected) => return Ok(Vec::new()),
                Err(RecvTimeoutError::Timeout) if self.progress.is_stopped() => return Ok(Vec::new()),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.piece.len() && !into.is_empty() {
            self.piece = self.next()?;
            self.taken = 0;
        }
        let mut left = self.piece.get(self.taken..).unwrap_or_default();
        let count = left.read(into)?;
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    /// A stream that gives what it is sent, waits where nothing is, and says when it was asked for more.
    struct Slow(Receiver<io::Result<Vec<u8>>>, Sender<()>);

    impl Read for Slow {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let _nobody_listens = self.1.send(());
            let Ok(piece) = self.0.recv() else { return Ok(0) };
            (&*piece?).read(into)
        }
    }

    type Pieces = Sender<io::Result<Vec<u8>>>;

    fn slow() -> (Pieces, Receiver<()>, Arc<Progress>, Input) {
        let (sender, pieces) = channel();
        let (asks, asked) = channel();
        let progress = Arc::new(Progress::default());
        let input = Input::new(Box::new(Slow(pieces, asks)), Arc::clone(&progress));
        (sender, asked, progress, input)
    }

    #[test]
    fn a_stream_is_read_to_its_end_and_its_failure_is_told() {
        let (sender, _asked, _progress, mut input) = slow();
        for piece in ["ab", "c", "defg"] {
            sender.send(Ok(piece.into())).unwrap();
        }
        drop(sender);
        let mut all = String::new();
        input.read_to_string(&mut all).unwrap();
        assert_eq!(all, "abcdefg");
        let (sender, _asked, _progress, mut input) = slow();
        sender.send(Err(io::ErrorKind::Interrupted.into())).unwrap();
        sender.send(Ok("ab".into())).unwrap();
        sender.send(Err(io::Error::other("on fire"))).unwrap();
        let mut all = Vec::new();
        assert!(input.read_to_end(&mut all).is_err());
        assert_eq!(all, b"ab");
    }

    #[test]
    fn what_came_before_a_stop_is_read_and_silence_ends_there() {
        let (sender, asked, progress, mut input) = slow();
        sender.send(Ok("what came".into())).unwrap();
        // It was asked for the first, and then for more.
        (0..2).for_each(|_| asked.recv().unwrap());
        progress.stop();
        let mut all = String::new();
        input.read_to_string(&mut all).unwrap();
        assert_eq!(all, "what came");
        drop(sender);
    }
}
