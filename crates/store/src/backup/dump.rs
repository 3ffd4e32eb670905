//! Writing a backup: every table, read in one consistent picture while everything goes on.

use super::{
    BackupSummary, FRAMES_AHEAD, TABLES,
    format::{Cell, Frame, Header, TableHead, Writer},
};
use crate::{
    Error, Store,
    check::{Kind, KnownColumn},
    migrate,
    pool::Open,
    usage::{Day, RAW_COLUMNS},
};
use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Row as _};
use std::io::{self, Write};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Rows are handed over in pieces of about this many bytes.
const PIECE: usize = 128 << 10;
const DAYS: &str = "select day from usage_days order by day";

/// Appends one cell of a row of either database.
macro_rules! append {
    ($row:ident, $index:ident, $kind:expr, $to:ident) => {
        match $kind {
            Kind::Integer => $row.try_get::<Option<i64>, _>($index).map(|cell| match cell {
                None => Cell::Null.append(&mut $to),
                Some(number) => Cell::Integer(number).append(&mut $to),
            }),
            Kind::Text => $row.try_get::<Option<&str>, _>($index).map(|cell| match cell {
                None => Cell::Null.append(&mut $to),
                Some(text) => Cell::Text(text).append(&mut $to),
            }),
            Kind::Bytes => $row.try_get::<Option<&[u8]>, _>($index).map(|cell| match cell {
                None => Cell::Null.append(&mut $to),
                Some(bytes) => Cell::Bytes(bytes).append(&mut $to),
            }),
            Kind::Id => $row.try_get::<Option<Uuid>, _>($index).map(|cell| match cell {
                None => Cell::Null.append(&mut $to),
                Some(id) => Cell::Bytes(id.as_bytes()).append(&mut $to),
            }),
        }
    };
}

impl Store {
    /// Writes a backup of everything to a sink, while everything goes on, and gives the sink back. The sink runs on a
    /// thread of its own, so it may block.
    ///
    /// # Errors
    /// [`Error::Io`] when the sink fails; the database's.
    pub async fn backup_to<W: Write + Send + 'static>(&self, sink: W) -> Result<(W, BackupSummary), Error> {
        let (frames, incoming) = mpsc::channel(FRAMES_AHEAD);
        let writer = tokio::task::spawn_blocking(move || write_all(sink, incoming));
        let dumped = self.dump(&frames).await;
        drop(frames);
        let written = writer.await.map_err(|error| Error::Io(io::Error::other(error)))?;
        // A sink that failed also ends the dump; its own words say more.
        let sink = written?;
        Ok((sink, dumped?))
    }

    async fn dump(&self, frames: &mpsc::Sender<Frame>) -> Result<BackupSummary, Error> {
        let catalog = self.catalog().await?;
        let mut open = self.readers().begin_picture().await.map_err(|error| self.failed(error, "a backup"))?;
        let days: Result<Vec<i64>, _> = match &mut open {
            Open::Lite(tx) => sqlx::query_scalar(DAYS).fetch_all(&mut **tx).await,
            Open::Pg(tx) => sqlx::query_scalar(DAYS).fetch_all(&mut **tx).await,
        };
        let days = days.map_err(|error| self.failed(error, "a backup"))?;
        let mut summary = BackupSummary { migration: migrate::known(), tables: Vec::new() };
        send(frames, Frame::Header(Header { migration: summary.migration, database: self.kind().to_owned() })).await?;
        let fixed = TABLES.iter().map(|table| ((*table).to_owned(), columns_of(&catalog, table)));
        let daily = days.into_iter().map(|day| (Day::of(day).table(), RAW_COLUMNS.to_vec()));
        for (table, columns) in fixed.chain(daily) {
            let names = columns.iter().map(|(name, _)| name.to_string()).collect();
            send(frames, Frame::Table(TableHead { table: table.clone(), columns: names })).await?;
            let rows = self.dump_table(&mut open, &table, &columns, frames).await?;
            send(frames, Frame::TableEnd(rows)).await?;
            summary.tables.push((table, rows));
        }
        send(frames, Frame::End).await?;
        Ok(summary)
    }

    async fn dump_table(
        &self,
        open: &mut Open,
        table: &str,
        columns: &[(&str, Kind)],
        frames: &mpsc::Sender<Frame>,
    ) -> Result<u64, Error> {
        // INVARIANT: table and column names come from our own constants and the catalogue of our own schema.
        let names: Vec<String> = columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let sql = AssertSqlSafe(format!("select {} from \"{table}\"", names.join(", ")));
        let mut count = 0;
        let mut piece = Vec::with_capacity(PIECE * 2);
        macro_rules! stream {
            ($tx:expr) => {{
                let mut rows = sqlx::query(sql).fetch(&mut **$tx);
                while let Some(row) = rows.try_next().await.map_err(|error| self.failed(error, "a backup"))? {
                    for (index, (_, kind)) in columns.iter().enumerate() {
                        append!(row, index, *kind, piece).map_err(|error| self.failed(error, "a backup"))?;
                    }
                    count += 1;
                    if piece.len() >= PIECE {
                        send(frames, Frame::Rows(std::mem::take(&mut piece))).await?;
                    }
                }
            }};
        }
        match open {
            Open::Lite(tx) => stream!(tx),
            Open::Pg(tx) => stream!(tx),
        }
        if !piece.is_empty() {
            send(frames, Frame::Rows(piece)).await?;
        }
        Ok(count)
    }
}

fn columns_of<'a>(catalog: &'a [KnownColumn], table: &str) -> Vec<(&'a str, Kind)> {
    catalog.iter().filter(|known| known.table == table).map(|known| (known.name.as_str(), known.kind)).collect()
}

async fn send(frames: &mpsc::Sender<Frame>, frame: Frame) -> Result<(), Error> {
    frames.send(frame).await.map_err(|_| Error::Io(io::ErrorKind::BrokenPipe.into()))
}

/// Runs on its own thread until the frames end. When they end too early, so does the file, which then cannot be read.
fn write_all<W: Write>(sink: W, mut frames: mpsc::Receiver<Frame>) -> io::Result<W> {
    let mut writer = Writer::begin(sink)?;
    while let Some(frame) = frames.blocking_recv() {
        writer.frame(&frame)?;
    }
    writer.finish()
}
