//! The file: a mark, then frames of `kind (1) ‖ length (4, little endian) ‖ content`, the last of which is the SHA-256
//! of all bytes before it.
//!
//! `H` header (JSON) · `T` a table and its columns (JSON) · `R` rows of that table · `E` the table's end and its number of
//! rows (8 bytes) · `Z` the checksum. A row is its cells one after the other: `0` null, `1` integer (8 bytes), `2` text
//! and `3` bytes (each with a length of 4 bytes).

use crate::Error;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};

const MARK: &[u8; 16] = b"keyward-store-1\n";
/// No frame is longer, in bytes: a damaged length must not fill the memory.
const LONGEST: u32 = 64 << 20;

/// The first frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// The last migration of the database.
    pub(super) migration: i64,
    /// Which database it was, for people.
    pub(super) database: String,
}

/// A table that follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TableHead {
    pub(super) table: String,
    pub(super) columns: Vec<String>,
}

/// A piece of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Header(Header),
    Table(TableHead),
    Rows(Vec<u8>),
    TableEnd(u64),
    End,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell<'a> {
    Null,
    Integer(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl Cell<'_> {
    pub(super) fn append(&self, to: &mut Vec<u8>) {
        match self {
            Self::Null => to.push(0),
            Self::Integer(number) => {
                to.push(1);
                to.extend_from_slice(&number.to_le_bytes());
            }
            Self::Text(text) => append_long(2, text.as_bytes(), to),
            Self::Bytes(bytes) => append_long(3, bytes, to),
        }
    }
}

fn append_long(tag: u8, bytes: &[u8], to: &mut Vec<u8>) {
    to.push(tag);
    // What does not fit makes the frame too long, which the writer refuses.
    to.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    to.extend_from_slice(bytes);
}

/// Takes the next cell off the rows.
pub(super) fn take_cell<'a>(rows: &mut &'a [u8]) -> Option<Cell<'a>> {
    let (tag, rest) = rows.split_first()?;
    *rows = rest;
    match tag {
        0 => Some(Cell::Null),
        1 => {
            let (number, rest) = rows.split_first_chunk::<8>()?;
            *rows = rest;
            Some(Cell::Integer(i64::from_le_bytes(*number)))
        }
        2 => std::str::from_utf8(take_long(rows)?).ok().map(Cell::Text),
        3 => take_long(rows).map(Cell::Bytes),
        _ => None,
    }
}

fn take_long<'a>(rows: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = rows.split_first_chunk::<4>()?;
    let (bytes, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *rows = rest;
    Some(bytes)
}

/// Writes frames and keeps the checksum.
pub(super) struct Writer<W> {
    sink: W,
    hash: Sha256,
}

impl<W: Write> Writer<W> {
    pub(super) fn begin(sink: W) -> io::Result<Self> {
        let mut writer = Self { sink, hash: Sha256::new() };
        writer.put(MARK)?;
        Ok(writer)
    }

    pub(super) fn frame(&mut self, frame: &Frame) -> io::Result<()> {
        match frame {
            Frame::Header(header) => self.json(b'H', header),
            Frame::Table(table) => self.json(b'T', table),
            Frame::Rows(rows) => self.bytes(b'R', rows),
            Frame::TableEnd(rows) => self.bytes(b'E', &rows.to_le_bytes()),
            Frame::End => {
                let sum = self.hash.clone().finalize();
                self.bytes(b'Z', &sum)
            }
        }
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.sink.flush()?;
        Ok(self.sink)
    }

    fn json(&mut self, kind: u8, value: &impl Serialize) -> io::Result<()> {
        self.bytes(kind, &serde_json::to_vec(value)?)
    }

    fn bytes(&mut self, kind: u8, content: &[u8]) -> io::Result<()> {
        let length = u32::try_from(content.len()).ok().filter(|length| *length <= LONGEST);
        let length = length.ok_or_else(|| io::Error::other("a row is too large for a backup"))?;
        self.put(&[kind])?;
        self.put(&length.to_le_bytes())?;
        self.put(content)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.sink.write_all(bytes)
    }
}

/// Reads frames and checks the checksum: [`Frame::End`] comes only when it holds and nothing follows.
pub(super) struct Reader<R> {
    source: R,
    hash: Sha256,
}

impl<R: Read> Reader<R> {
    pub(super) fn begin(source: R) -> Result<Self, Error> {
        let mut reader = Self { source, hash: Sha256::new() };
        let mark: [u8; MARK.len()] = reader.exactly()?;
        if &mark != MARK {
            return Err(bad("it is not a Keyward backup, or of a form this version does not know"));
        }
        Ok(reader)
    }

    pub(super) fn next(&mut self) -> Result<Frame, Error> {
        let so_far = self.hash.clone();
        let [kind] = self.exactly()?;
        let length = u32::from_le_bytes(self.exactly()?);
        if length > LONGEST {
            return Err(bad("a part of it is impossibly long: the file is damaged"));
        }
        let mut content = Vec::new();
        let read = (&mut self.source).take(u64::from(length)).read_to_end(&mut content);
        if read? as u64 != u64::from(length) {
            return Err(short());
        }
        self.hash.update(&content);
        let damaged = || bad("a part of it cannot be read: the file is damaged");
        match kind {
            b'H' => serde_json::from_slice(&content).map(Frame::Header).map_err(|_| damaged()),
            b'T' => serde_json::from_slice(&content).map(Frame::Table).map_err(|_| damaged()),
            b'R' => Ok(Frame::Rows(content)),
            b'E' => {
                let rows = content.as_slice().try_into().map_err(|_| damaged())?;
                Ok(Frame::TableEnd(u64::from_le_bytes(rows)))
            }
            b'Z' => self.end(&content, so_far),
            _ => Err(damaged()),
        }
    }

    fn end(&mut self, sum: &[u8], so_far: Sha256) -> Result<Frame, Error> {
        if sum != so_far.finalize().as_slice() {
            return Err(bad("its checksum does not match: the file is damaged"));
        }
        if self.source.read(&mut [0])? != 0 {
            return Err(bad("something follows after its end"));
        }
        Ok(Frame::End)
    }

    fn exactly<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => short(),
            _ => Error::Io(error),
        })?;
        self.hash.update(bytes);
        Ok(bytes)
    }
}

fn short() -> Error {
    bad("it ends too early: the file is cut")
}

pub(super) fn bad(detail: impl Into<String>) -> Error {
    Error::BadBackup { detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let mut rows = Vec::new();
        for cell in [Cell::Null, Cell::Integer(-7), Cell::Text("é\0"), Cell::Bytes(&[0, 255]), Cell::Bytes(&[])] {
            cell.append(&mut rows);
        }
        let mut writer = Writer::begin(Vec::new()).unwrap();
        let header = Header { migration: 3, database: "sqlite".to_owned() };
        let table = TableHead { table: "t".to_owned(), columns: vec!["a".to_owned()] };
        for frame in [Frame::Header(header), Frame::Table(table), Frame::Rows(rows), Frame::TableEnd(5), Frame::End] {
            writer.frame(&frame).unwrap();
        }
        writer.finish().unwrap()
    }

    fn read(file: &[u8]) -> Result<Vec<Frame>, Error> {
        let mut reader = Reader::begin(file)?;
        let mut frames = Vec::new();
        loop {
            let frame = reader.next()?;
            if frame == Frame::End {
                return Ok(frames);
            }
            frames.push(frame);
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let frames = read(&file()).unwrap();
        assert_eq!(frames.len(), 4);
        let Frame::Rows(rows) = &frames[2] else { panic!("rows expected") };
        let mut rest = rows.as_slice();
        let cells: Vec<Cell<'_>> = std::iter::from_fn(|| take_cell(&mut rest)).collect();
        let expected = [Cell::Null, Cell::Integer(-7), Cell::Text("é\0"), Cell::Bytes(&[0, 255]), Cell::Bytes(&[])];
        assert_eq!(cells, expected);
        assert!(rest.is_empty());
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_noticed() {
        let good = file();
        for position in 0..good.len() {
            let mut flipped = good.clone();
            flipped[position] ^= 1;
            assert!(read(&flipped).is_err(), "flipped byte {position}");
            assert!(read(&good[..position]).is_err(), "cut at {position}");
        }
        let mut longer = good;
        longer.push(0);
        assert!(read(&longer).is_err());
    }
}
