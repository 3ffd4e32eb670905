//! A place for a story: an empty database of either kind, and a second one to restore into.

use crate::rows;
use keyward_store::{Location, Store};
use keyward_testkit::Postgres;
use std::sync::Arc;
use tempfile::TempDir;

pub(crate) struct Bed {
    pub(crate) location: Location,
    spare: Location,
    /// The other kind of database.
    pub(crate) other: Location,
    _files: TempDir,
}

async fn open(location: &Location) -> Store {
    let store = Store::open(location).await.unwrap();
    store.seal_audit_with(Arc::new(rows::Hash));
    store
}

impl Bed {
    pub(crate) fn file() -> Self {
        let files = TempDir::new().unwrap();
        let at = |name: &str| Location::File(files.path().join(name));
        Self { location: at("keyward.db"), spare: at("spare.db"), other: at("other.db"), _files: files }
    }

    pub(crate) fn postgres(server: &Postgres) -> Self {
        let files = TempDir::new().unwrap();
        let other = Location::File(files.path().join("other.db"));
        let fresh = || Location::Postgres(server.database());
        Self { location: fresh(), spare: fresh(), other, _files: files }
    }

    pub(crate) async fn store(&self) -> Store {
        open(&self.location).await
    }

    pub(crate) async fn spare(&self) -> Store {
        open(&self.spare).await
    }

    pub(crate) async fn other(&self) -> Store {
        open(&self.other).await
    }

    /// Runs SQL behind the store's back.
    pub(crate) async fn tamper(&self, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match &self.location {
            Location::File(path) => {
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
                let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
                sqlx::raw_sql(sql).execute(&pool).await.unwrap();
                pool.close().await;
            }
            Location::Postgres(url) => {
                let pool = sqlx::PgPool::connect(url).await.unwrap();
                sqlx::raw_sql(sql).execute(&pool).await.unwrap();
                pool.close().await;
            }
        }
    }
}
