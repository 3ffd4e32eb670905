//! Going through many rows.

use futures_util::{FutureExt, Stream, StreamExt, TryStreamExt};
use sqlx::FromRow;
use std::time::Duration;

/// After so many rows there are surely many more.
const FEW: usize = 256;
/// How many rows are taken at once.
const HEAP: usize = 1_024;
/// How long rows may pile up: less than it takes SQLite's thread to fill the room in between.
const PAUSE: Duration = Duration::from_millis(1);

/// Reads every row and hands it over.
///
/// HOT: SQLite's rows come from a thread of its own, through a queue. When its reader waits for each row, or takes one
/// whenever the queue is full, one of the two threads is woken for every row, which costs more than the row. So rows are
/// taken in heaps, and read while the next heap grows. At the start of a server with 100,000 keys that matters.
pub(crate) async fn each<R: sqlx::Row, T: for<'r> FromRow<'r, R>>(
    rows: impl Stream<Item = Result<R, sqlx::Error>> + Send,
    mut take: impl FnMut(T) + Send,
) -> Result<(), sqlx::Error> {
    let mut rows = std::pin::pin!(rows);
    for _ in 0..FEW {
        match rows.try_next().await? {
            Some(row) => take(T::from_row(&row)?),
            None => return Ok(()),
        }
    }
    let (mut heap, mut more) = (Vec::with_capacity(HEAP), true);
    while more {
        while heap.len() < HEAP
            && let Some(next) = rows.next().now_or_never()
        {
            let Some(row) = next.transpose()? else {
                more = false;
                break;
            };
            heap.push(row);
        }
        if heap.is_empty() && more {
            tokio::time::sleep(PAUSE).await;
        }
        for row in heap.drain(..) {
            take(T::from_row(&row)?);
        }
    }
    Ok(())
}
