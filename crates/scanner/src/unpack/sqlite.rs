//! SQLite databases, read as rows: nothing of them is trusted, each page is read at most once, and what belongs to no row
//! (free pages, what deleted rows left behind, what is broken) is looked at as it is. Indexes repeat rows and are left out.

mod carve;
mod log;
mod pages;
mod record;

use super::{
    Store, Unpack, kind, long,
    sql::{Names, Table},
    text::Before,
};
use crate::{Cause, Portion};
pub(crate) use log::WithLog;
use memchr::memmem;
use pages::{Page, Pages, Payload};
use record::{Record, Value};
use std::io;

/// The table of tables.
const SCHEMA: &str = "sqlite_schema";

/// What pages are called that belong to no table.
const FREE: &str = "free pages";

/// How many bytes of free pages are looked at together.
const STRETCH: usize = 1 << 20;

/// A table of the schema.
struct Listed {
    table: Table,
    root: u32,
    /// Which column is the row's own number, if one is.
    number: Option<usize>,
    is_index: bool,
}

/// What the reading of one tree needs besides its pages.
struct Reading<'t> {
    listed: &'t Listed,
    encoding: u32,
    text: Vec<u8>,
    /// Where each column's value begins in `text`.
    begins: Vec<(usize, usize)>,
}

impl Unpack<'_> {
    /// Reads a database together with the log beside it.
    pub(crate) fn database(&mut self, file: &mut WithLog<'_>) {
        self.deeper(|this| this.sqlite(file));
    }

    /// Reads a database.
    pub(super) fn sqlite(&mut self, file: &mut dyn Store) {
        let done = Pages::open(file).and_then(|opened| match opened {
            Ok(mut pages) => self.sqlite_pages(&mut pages),
            Err((cause, why, file)) => {
                self.unread(cause, &format!("{why}: it is read as it is"));
                file.rewind()?;
                self.text(Vec::new(), file);
                Ok(())
            }
        });
        if let Err(error) = done {
            self.unread(Cause::Unreadable, &error.to_string());
        }
    }

    fn sqlite_pages(&mut self, pages: &mut Pages<'_>) -> io::Result<()> {
        let names = ["type", "name", "tbl_name", "rootpage", "sql"].map(Box::from).to_vec();
        let table = Table { name: SCHEMA.into(), columns: names };
        let schema = Listed { table, root: 1, number: None, is_index: false };
        let mut listed = Vec::new();
        self.sqlite_tree(pages, &schema, &mut |record| listed.extend(list(record)))?;
        for one in &listed {
            if self.is_done() {
                return Ok(());
            }
            if one.is_index {
                pages.mark_tree(one.root)?;
            } else {
                self.sqlite_tree(pages, one, &mut |_| {})?;
            }
        }
        if pages.is_broken {
            self.unread(
                Cause::Corrupt,
                "parts of the database are broken: what no row could be read from is read as it is",
            );
        }
        self.sqlite_rest(pages)
    }

    fn sqlite_tree(
        &mut self,
        pages: &mut Pages<'_>,
        listed: &Listed,
        see: &mut dyn FnMut(&Record<'_>),
    ) -> io::Result<()> {
        let mut open = Vec::new();
        pages.push(listed.root, &mut open);
        let mut reading = Reading { listed, encoding: pages.encoding, text: self.spare.take(), begins: Vec::new() };
        while let Some(number) = open.pop() {
            let Some(page) = pages.page(number)? else { continue };
            if !page.is_tree() {
                pages.spoil(number);
                continue;
            }
            for child in page.children() {
                pages.push(child, &mut open);
            }
            let mut live = Vec::new();
            for at in 0..page.cells() {
                let Some(cell) = page.cell(at) else {
                    pages.spoil(number);
                    continue;
                };
                let most = usize::try_from(self.bounds.memory).unwrap_or(usize::MAX);
                let is_row = match pages.payload(&page, &cell, most)? {
                    Some(payload) => self.sqlite_row(&mut reading, cell.number, &payload, see),
                    None => false,
                };
                if is_row {
                    live.push(cell.whole.clone());
                } else {
                    pages.spoil(number);
                }
                if self.is_done() {
                    return Ok(());
                }
            }
            if pages.are_apart(number, &page, &mut live) {
                self.sqlite_remains(listed, &page, &live);
            }
        }
        self.spare.give(reading.text);
        Ok(())
    }

    /// Looks at a row. False: it is none.
    fn sqlite_row(
        &mut self,
        reading: &mut Reading<'_>,
        number: Option<i64>,
        payload: &Payload,
        see: &mut dyn FnMut(&Record<'_>),
    ) -> bool {
        let Some(record) = Record::read(&payload.bytes, payload.is_cut, reading.encoding) else { return false };
        see(&record);
        let listed = reading.listed;
        let row = number.map(|number| format!("rowid={number}"));
        let mut values: Vec<Box<str>> = Vec::with_capacity(record.values.len());
        reading.text.clear();
        reading.begins.clear();
        for (at, value) in record.values.iter().enumerate() {
            let column = listed.table.columns.get(at);
            reading.text.extend_from_slice(column.map_or(b"", |name| name.as_bytes()));
            reading.text.push(b'=');
            reading.begins.push((reading.text.len(), at));
            values.push(value.short(number.filter(|_| listed.number == Some(at))));
            match value {
                Value::Blob(bytes) if !is_text(bytes) => self.sqlite_blob(listed, &values, at, row.as_deref(), bytes),
                value => value.write(&mut reading.text),
            }
            reading.text.push(b'\n');
        }
        let text = &reading.text;
        self.done |= !self.look.look(&Portion::whole(text, &self.within));
        self.look.adjust(&mut |span, within| {
            let begun = reading.begins.partition_point(|(begin, _)| long(*begin) <= span.start);
            let column =
                begun.checked_sub(1).and_then(|last| reading.begins.get(last)).map_or(usize::MAX, |(_, at)| *at);
            listed.table.steps(&values, column, row.as_deref(), within);
        });
        if payload.is_cut {
            self.within.push(listed.table.name.clone());
            self.within.extend(row.map(Into::into));
            self.unread(Cause::TooLarge, "the row is too large: the rest of it is read as it is");
            self.within.truncate(self.within.len().saturating_sub(1 + usize::from(number.is_some())));
        }
        true
    }

    /// Looks into a value that is no text: it may be packed, or a file of any kind.
    fn sqlite_blob(&mut self, listed: &Listed, values: &[Box<str>], column: usize, row: Option<&str>, bytes: &[u8]) {
        let depth = self.within.len();
        let mut steps = Vec::new();
        listed.table.steps(values, column, row, &mut steps);
        self.within.append(&mut steps);
        self.memory(bytes);
        self.within.truncate(depth);
    }

    /// Looks at what lies in a page besides its cells: deleted rows leave their bytes behind.
    fn sqlite_remains(&mut self, listed: &Listed, page: &Page, live: &[std::ops::Range<usize>]) {
        let Some(bytes) = page.remains(live) else { return };
        let depth = self.within.len();
        self.within.extend([listed.table.name.clone(), "deleted rows".into()]);
        self.sqlite_left(&bytes, page.offset, listed.table.columns.len());
        self.within.truncate(depth);
    }

    /// Looks at the pages that no row was read from.
    fn sqlite_rest(&mut self, pages: &mut Pages<'_>) -> io::Result<()> {
        let mut from = 1;
        while let Some(stretch) = pages.rest(&mut from, STRETCH) {
            let mut plain_from = stretch.start;
            for number in stretch.clone() {
                if let Some(page) = pages.page(number)?.filter(Page::has_rows) {
                    self.sqlite_stretch(pages, plain_from..number)?;
                    plain_from = number + 1;
                    self.step(FREE.into(), |this| this.sqlite_loose(&page));
                }
            }
            self.sqlite_stretch(pages, plain_from..stretch.end)?;
            if self.is_done() {
                break;
            }
        }
        Ok(())
    }

    fn sqlite_stretch(&mut self, pages: &mut Pages<'_>, stretch: std::ops::Range<u32>) -> io::Result<()> {
        if stretch.is_empty() || self.is_done() {
            return Ok(());
        }
        let (offset, bytes) = pages.stretch(&stretch)?;
        if bytes.iter().any(|byte| *byte != 0) {
            let own = 0..bytes.len();
            self.step(FREE.into(), |this| this.window(&bytes, own, &Before::at(offset), &mut Names::default()));
        }
        Ok(())
    }
}

/// Whether a value that is called binary is a text all the same.
fn is_text(bytes: &[u8]) -> bool {
    kind::kind(bytes) == kind::Kind::Plain && memchr::memchr(0, bytes).is_none() && std::str::from_utf8(bytes).is_ok()
}

/// What a row of the schema lists.
fn list(record: &Record<'_>) -> Option<Listed> {
    let text = |at: usize| match record.values.get(at) {
        Some(Value::Text(text)) => Some(text.as_ref()),
        _ => None,
    };
    let Some(Value::Integer(root)) = record.values.get(3) else { return None };
    let root = u32::try_from(*root).ok().filter(|root| *root > 0)?;
    let is_index = text(0)? == "index";
    let sql = text(4).unwrap_or_default();
    let mut table = super::sql::created(sql.as_bytes()).map(|(table, _)| table).unwrap_or_default();
    table.name = text(1)?.chars().take(128).collect::<String>().into();
    let flat = sql.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_uppercase();
    if flat.contains("WITHOUT ROWID") {
        table.columns = key_first(&table.columns, sql);
    }
    let number = memmem::find(flat.as_bytes(), b"INTEGER PRIMARY KEY").map(|_| 0);
    Some(Listed { table, root, number, is_index })
}

/// Tables without row numbers store the columns of their key first.
fn key_first(columns: &[Box<str>], sql: &str) -> Vec<Box<str>> {
    let upper = sql.to_ascii_uppercase();
    let Some(at) = upper.find("PRIMARY KEY") else { return columns.to_vec() };
    let listed = sql.get(at + 11..).unwrap_or_default().trim_start().strip_prefix('(');
    let keys: Vec<String> = match listed.and_then(|rest| rest.split(')').next()) {
        Some(names) => names
            .split(',')
            .map(|name| name.trim().trim_matches(|quote| matches!(quote, '"' | '`' | '[' | ']' | '\'')).to_owned())
            .collect(),
        // The column before the words is the key.
        None => {
            let before = sql.get(..at).unwrap_or_default();
            let start = before.rfind([',', '(']).map_or(0, |at| at + 1);
            let name = before.get(start..).unwrap_or_default().split_whitespace().next().unwrap_or_default();
            vec![name.trim_matches(|quote| matches!(quote, '"' | '`' | '[' | ']' | '\'')).to_owned()]
        }
    };
    let is_key = |column: &str| keys.iter().any(|key| key.eq_ignore_ascii_case(column));
    let (first, rest): (Vec<_>, Vec<_>) = columns.iter().cloned().partition(|column| is_key(column));
    [first, rest].concat()
}
