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

/// The same for rows that come packed ([`crate::packed`]). Answers the ids of those that must be read column by column.
pub(crate) async fn each_packed<R: sqlx::Row, P: for<'r> FromRow<'r, R>, T, I: Send>(
    rows: impl Stream<Item = Result<R, sqlx::Error>> + Send,
    unpack: impl Fn(P) -> Result<T, I> + Send + Sync,
    take: &mut (impl FnMut(T) + Send),
) -> Result<Vec<I>, sqlx::Error> {
    let mut odd = Vec::new();
    let one = |row| match unpack(row) {
        Ok(row) => take(row),
        Err(id) => odd.push(id),
    };
    each(rows, one).await?;
    Ok(odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: &str = "with recursive n(x) as (select 1 union all select x + 1 from n where x < ?1)
        select case when x = ?2 then 'no number' else x end from n";

    async fn read(rows: i64, broken: i64) -> (Vec<i64>, Result<(), sqlx::Error>) {
        let pool = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
        let mut read = Vec::new();
        let done = each(sqlx::query(COUNT).bind(rows).bind(broken).fetch(&pool), |(x,): (i64,)| read.push(x)).await;
        (read, done)
    }

    #[tokio::test]
    async fn every_row_is_handed_over_once_and_in_order() {
        for count in [1, FEW as i64, FEW as i64 + 1, FEW as i64 + HEAP as i64, 20_000] {
            let (read, done) = read(count, 0).await;
            done.unwrap();
            assert!(read.iter().copied().eq(1..=count), "{count}: {} rows", read.len());
        }
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_read_ends_it() {
        for broken in [1, 300, 5_000] {
            let (read, done) = read(6_000, broken).await;
            assert!(matches!(done, Err(sqlx::Error::ColumnDecode { .. })), "{done:?}");
            assert!(read.iter().copied().eq(1..broken), "{broken}: {} rows", read.len());
        }
    }
}
