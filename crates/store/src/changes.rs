//! Hearing of changes that others committed: PostgreSQL tells at once, and a look at the change version now and then
//! is the backstop (and all there is on SQLite, where an offline command may write to the same file).

use crate::{Error, Store, pool::Pool};
use sqlx::postgres::PgListener;
use std::time::Duration;

const CHANNEL: &str = "keyward_change";

/// Follows the change version.
pub struct Changes {
    store: Store,
    listener: Option<PgListener>,
    seen: i64,
}

impl Store {
    /// Begins to follow changes from what is stored now.
    ///
    /// # Errors
    /// The database's.
    pub async fn changes(&self) -> Result<Changes, Error> {
        let listener = match self.readers() {
            Pool::Lite(_) => None,
            Pool::Pg(pool) => Some(listen(pool).await.map_err(|error| self.failed(error, "listening"))?),
        };
        let seen = self.change_version().await?;
        Ok(Changes { store: self.clone(), listener, seen })
    }
}

async fn listen(pool: &sqlx::PgPool) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

impl Changes {
    /// Waits until the change version moved and answers it. Looks by itself every `poll`.
    ///
    /// # Errors
    /// The database's; calling again goes on where it was.
    pub async fn next(&mut self, poll: Duration) -> Result<i64, Error> {
        loop {
            let now = self.store.change_version().await?;
            if now != self.seen {
                self.seen = now;
                return Ok(now);
            }
            match &mut self.listener {
                None => tokio::time::sleep(poll).await,
                Some(listener) => {
                    // A lost connection answers as well: then the look at the version decides, and the next call
                    // listens on a new one.
                    let heard = tokio::time::timeout(poll, listener.try_recv()).await;
                    if let Ok(Err(error)) = heard {
                        return Err(self.store.failed(error, "listening"));
                    }
                }
            }
        }
    }
}
