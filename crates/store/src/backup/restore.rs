//! Reading a backup into an empty store: all of it in one transaction, kept only when the checksum at its end holds.

use super::{
    BackupSummary, FRAMES_AHEAD, TABLES,
    format::{Cell, Frame, Header, Reader, TableHead, bad, take_cell},
};
use crate::{
    Error, Store,
    check::{Kind, KnownColumn},
    ledger::forget_boots,
    migrate,
    pool::Open,
    usage::{Day, Learned, RAW_COLUMNS, ROWS, chunks, ensure_day, numbered, question_marks},
};
use sqlx::{Arguments as _, AssertSqlSafe};
use std::io::Read;
use tokio::sync::mpsc;
use uuid::Uuid;

const EMPTY_META: &str = "delete from meta";
/// Series that were restored must not be numbered again; PostgreSQL only.
const NEXT_SERIES: &str = "select setval(pg_get_serial_sequence('usage_series', 'id'),
    (select coalesce(max(id), 0) + 1 from usage_series), false)";

/// The table that rows go into.
struct Target {
    insert: String,
    kinds: Vec<Kind>,
    rows: u64,
}

impl Store {
    /// Restores a backup into this store, which must be empty, and answers what it held. All or nothing: the source is
    /// read to its end and its checksum verified before anything is kept. The source runs on a thread of its own, so
    /// it may block.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::BadBackup`] (damaged, cut, or of a newer version), [`Error::Io`] when the source
    /// fails; the database's.
    pub async fn restore_from<R: Read + Send + 'static>(&self, source: R) -> Result<BackupSummary, Error> {
        self.condition().writable()?;
        let (frames, incoming) = mpsc::channel(FRAMES_AHEAD);
        let reading = tokio::task::spawn_blocking(move || read_all(source, &frames));
        let restored = self.restore(incoming).await;
        // A panic there is a programming error; the transaction was dropped already then.
        drop(reading.await);
        self.cache().clear();
        restored
    }

    async fn restore(&self, mut frames: mpsc::Receiver<Result<Frame, Error>>) -> Result<BackupSummary, Error> {
        let catalog = self.catalog().await?;
        let mut open = self.writer().begin().await.map_err(|error| self.failed(error, "a restore"))?;
        self.require_empty(&mut open).await?;
        let mut summary = BackupSummary { migration: header(next(&mut frames).await?)?.migration, tables: Vec::new() };
        loop {
            match next(&mut frames).await? {
                Frame::Table(head) => {
                    let rows = self.restore_table(&mut open, &catalog, &head, &mut frames).await?;
                    summary.tables.push((head.table, rows));
                }
                Frame::End => break,
                Frame::Header(_) | Frame::Rows(_) | Frame::TableEnd(_) => return Err(disordered()),
            }
        }
        if let Open::Pg(tx) = &mut open {
            let done = sqlx::query(NEXT_SERIES).execute(&mut **tx).await;
            done.map_err(|error| self.failed(error, "a restore"))?;
        }
        forget_boots(&mut open).await.map_err(|error| self.failed(error, "a restore"))?;
        open.commit().await.map_err(|error| self.failed(error, "a restore"))?;
        Ok(summary)
    }

    /// Refuses a store that was used, and clears what a fresh one begins with.
    async fn require_empty(&self, open: &mut Open) -> Result<(), Error> {
        for table in TABLES {
            // INVARIANT: the table is one of our own constants.
            let sql = match *table {
                "meta" => "select count(*) from meta where number <> 0 or text is not null".to_owned(),
                table => format!("select count(*) from {table}"),
            };
            let rows: Result<i64, _> = match open {
                Open::Lite(tx) => sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut **tx).await,
                Open::Pg(tx) => sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut **tx).await,
            };
            if rows.map_err(|error| self.failed(error, "a restore"))? > 0 {
                return Err(Error::NotEmpty { table });
            }
        }
        let done = match open {
            Open::Lite(tx) => sqlx::query(EMPTY_META).execute(&mut **tx).await.map(drop),
            Open::Pg(tx) => sqlx::query(EMPTY_META).execute(&mut **tx).await.map(drop),
        };
        done.map_err(|error| self.failed(error, "a restore"))
    }

    async fn restore_table(
        &self,
        open: &mut Open,
        catalog: &[KnownColumn],
        head: &TableHead,
        frames: &mut mpsc::Receiver<Result<Frame, Error>>,
    ) -> Result<u64, Error> {
        if let Some(day) = Day::named(&head.table) {
            ensure_day(self, open, day, &mut Learned::default()).await?;
        }
        let mut target = target(catalog, head)?;
        loop {
            match next(frames).await? {
                Frame::Rows(rows) => target.insert(self, open, &rows).await?,
                Frame::TableEnd(rows) if rows == target.rows => return Ok(rows),
                Frame::TableEnd(_) => return Err(bad(format!("rows of the table {} are missing", head.table))),
                Frame::Header(_) | Frame::Table(_) | Frame::End => return Err(disordered()),
            }
        }
    }
}

/// Finds the table and its columns among those we know: no name from a file ever gets into a statement.
fn target(catalog: &[KnownColumn], head: &TableHead) -> Result<Target, Error> {
    let unknown = |what: &str| bad(format!("it holds {what}, which this version does not know"));
    let (table, columns): (String, Vec<(&str, Kind)>) = if let Some(day) = Day::named(&head.table) {
        (day.table(), RAW_COLUMNS.to_vec())
    } else {
        let table = TABLES.iter().find(|table| **table == head.table).ok_or_else(|| unknown("a table"))?;
        let known = catalog.iter().filter(|known| known.table == *table);
        ((*table).to_owned(), known.map(|known| (known.name.as_str(), known.kind)).collect())
    };
    let mut names = Vec::new();
    let mut kinds = Vec::new();
    for wanted in &head.columns {
        let (name, kind) = columns.iter().find(|(name, _)| name == wanted).ok_or_else(|| unknown("a column"))?;
        names.push(format!("\"{name}\""));
        kinds.push(*kind);
    }
    if kinds.is_empty() {
        return Err(unknown("a table without columns"));
    }
    Ok(Target { insert: format!("insert into \"{table}\" ({}) values ", names.join(", ")), kinds, rows: 0 })
}

/// A value ready to be bound.
enum Bound {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Id(Option<Uuid>),
}

impl Bound {
    fn of(cell: &Cell<'_>, kind: Kind) -> Option<Self> {
        Some(match (kind, cell) {
            (Kind::Integer, Cell::Null) => Self::Integer(None),
            (Kind::Integer, Cell::Integer(number)) => Self::Integer(Some(*number)),
            (Kind::Text, Cell::Null) => Self::Text(None),
            (Kind::Text, Cell::Text(text)) => Self::Text(Some((*text).to_owned())),
            (Kind::Bytes, Cell::Null) => Self::Bytes(None),
            (Kind::Bytes, Cell::Bytes(bytes)) => Self::Bytes(Some(bytes.to_vec())),
            (Kind::Id, Cell::Null) => Self::Id(None),
            (Kind::Id, Cell::Bytes(bytes)) => Self::Id(Some(Uuid::from_slice(bytes).ok()?)),
            _ => return None,
        })
    }
}

impl Target {
    async fn insert(&mut self, store: &Store, open: &mut Open, mut cells: &[u8]) -> Result<(), Error> {
        let damaged = || bad("a row cannot be read: the file is damaged");
        let mut rows: Vec<Vec<Bound>> = Vec::new();
        while !cells.is_empty() {
            let row = self.kinds.iter().map(|kind| Bound::of(&take_cell(&mut cells)?, *kind)).collect::<Option<_>>();
            rows.push(row.ok_or_else(damaged)?);
        }
        self.rows += rows.len() as u64;
        let done = self.insert_rows(open, &rows).await;
        done.map_err(|error| match store.failed(error, "a restored row") {
            Error::Taken { .. } | Error::Dangling { .. } => bad("its rows contradict each other"),
            error => error,
        })
    }

    async fn insert_rows(&self, open: &mut Open, rows: &[Vec<Bound>]) -> Result<(), sqlx::Error> {
        for chunk in chunks(rows, ROWS) {
            macro_rules! insert {
                ($tx:expr, $arguments:ty, $values:expr) => {{
                    let mut arguments = <$arguments>::default();
                    for bound in chunk.iter().flatten() {
                        let added = match bound {
                            Bound::Integer(cell) => arguments.add(*cell),
                            Bound::Text(cell) => arguments.add(cell.as_deref()),
                            Bound::Bytes(cell) => arguments.add(cell.as_deref()),
                            Bound::Id(cell) => arguments.add(*cell),
                        };
                        added.map_err(sqlx::Error::Encode)?;
                    }
                    let sql = AssertSqlSafe(format!("{}{}", self.insert, $values(chunk.len(), self.kinds.len())));
                    sqlx::query_with(sql, arguments).execute(&mut **$tx).await?;
                }};
            }
            match open {
                Open::Lite(tx) => insert!(tx, sqlx::sqlite::SqliteArguments, question_marks),
                Open::Pg(tx) => insert!(tx, sqlx::postgres::PgArguments, numbered),
            }
        }
        Ok(())
    }
}

/// Reads a whole backup without keeping anything: whether it can be restored by this version, and what it holds.
///
/// # Errors
/// [`Error::BadBackup`], [`Error::Io`].
pub fn verify_backup(source: impl Read) -> Result<BackupSummary, Error> {
    let mut reader = Reader::begin(source)?;
    let mut summary = BackupSummary { migration: header(reader.next()?)?.migration, tables: Vec::new() };
    loop {
        match reader.next()? {
            Frame::Table(head) => summary.tables.push((head.table, 0)),
            Frame::Rows(_) => {}
            Frame::TableEnd(rows) => {
                let last = summary.tables.last_mut().ok_or_else(disordered)?;
                last.1 = rows;
            }
            Frame::End => return Ok(summary),
            Frame::Header(_) => return Err(disordered()),
        }
    }
}

fn header(frame: Frame) -> Result<Header, Error> {
    let Frame::Header(header) = frame else { return Err(disordered()) };
    if header.migration > migrate::known() {
        return Err(bad(format!(
            "it comes from a newer version of Keyward (migration {}, this one knows {})",
            header.migration,
            migrate::known()
        )));
    }
    Ok(header)
}

fn disordered() -> Error {
    bad("its parts are out of order: the file is damaged")
}

async fn next(frames: &mut mpsc::Receiver<Result<Frame, Error>>) -> Result<Frame, Error> {
    frames.recv().await.unwrap_or_else(|| Err(bad("reading it stopped unexpectedly")))
}

/// Runs on its own thread until the file ends or nobody listens any more.
fn read_all<R: Read>(source: R, frames: &mpsc::Sender<Result<Frame, Error>>) {
    let mut reader = match Reader::begin(source) {
        Ok(reader) => reader,
        Err(error) => return drop(frames.blocking_send(Err(error))),
    };
    loop {
        let frame = reader.next();
        let last = matches!(frame, Err(_) | Ok(Frame::End));
        if frames.blocking_send(frame).is_err() || last {
            return;
        }
    }
}
