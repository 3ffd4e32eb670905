//! Accepting connections and giving each to the thread that has the fewest. One thread accepts, so that no second
//! server can quietly share the port and no thread is left with more than its part.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpListener, sync::mpsc, time::sleep};

/// How long accepting rests when the system has no more files or memory to give.
const REST: Duration = Duration::from_millis(100);

/// What a thread is told.
pub(crate) enum Message {
    /// A new connection.
    Connection(std::net::TcpStream, SocketAddr),
    /// Keys were revoked: cut their calls.
    Cut,
    /// Accept nothing more and let what is open end by itself.
    Drain,
    /// End everything now.
    Stop,
}

/// One thread, as the others see it.
#[derive(Clone)]
pub(crate) struct Lane {
    /// Where its messages go.
    pub(crate) messages: mpsc::UnboundedSender<Message>,
    /// How many connections it has, or is about to get.
    pub(crate) load: Arc<AtomicUsize>,
}

/// A place in a thread's load; given back when dropped.
pub(crate) struct Place(Arc<AtomicUsize>);

impl Place {
    /// Takes over the place that [`accept`] has counted.
    pub(crate) fn counted(load: &Arc<AtomicUsize>) -> Self {
        Self(Arc::clone(load))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Accepts for ever, or until dropped.
pub(crate) async fn accept(listener: TcpListener, lanes: Vec<Lane>, most: usize) {
    let mut turn = 0;
    loop {
        while lanes.iter().map(|lane| lane.load.load(Ordering::Acquire)).sum::<usize>() >= most {
            sleep(REST).await;
        }
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if belongs_to_one_connection(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted at the moment");
                sleep(REST).await;
                continue;
            }
        };
        let Ok(stream) = stream.into_std() else { continue };
        turn += 1;
        // Equal loads take turns, so that one connection after the other does not always meet the same thread.
        let lightest = (0..lanes.len())
            .map(|index| (index + turn) % lanes.len())
            .filter_map(|index| lanes.get(index))
            .min_by_key(|lane| lane.load.load(Ordering::Acquire));
        if let Some(lane) = lightest {
            lane.load.fetch_add(1, Ordering::AcqRel);
            if lane.messages.send(Message::Connection(stream, peer)).is_err() {
                lane.load.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }
}

/// Errors of a connection that failed before it was accepted; the next one may be fine.
fn belongs_to_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_go_where_the_fewest_are() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (lanes, mut receivers): (Vec<_>, Vec<_>) = (0..3)
            .map(|_| {
                let (messages, receiver) = mpsc::unbounded_channel();
                (Lane { messages, load: Arc::default() }, receiver)
            })
            .unzip();
        // One thread is busy already.
        lanes[1].load.store(2, Ordering::Release);
        let accepting = tokio::spawn(accept(listener, lanes.clone(), 10));
        let mut clients = Vec::new();
        for count in 1..=4_usize {
            clients.push(tokio::net::TcpStream::connect(address).await.unwrap());
            while lanes.iter().map(|lane| lane.load.load(Ordering::Acquire)).sum::<usize>() < count + 2 {
                tokio::task::yield_now().await;
            }
        }
        let loads: Vec<_> = lanes.iter().map(|lane| lane.load.load(Ordering::Acquire)).collect();
        assert_eq!(loads, [2, 2, 2]);
        for (receiver, count) in receivers.iter_mut().zip([2, 0, 2]) {
            let places: Vec<_> = std::iter::from_fn(|| receiver.try_recv().ok()).collect();
            assert_eq!(places.len(), count);
        }
        drop(Place::counted(&lanes[0].load));
        assert_eq!(lanes[0].load.load(Ordering::Acquire), 1);
        accepting.abort();
    }
}
