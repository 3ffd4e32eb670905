//! Names the places of SQL dumps: the table, and the row by a column that tells which it is. The text itself is looked at
//! as it is; names are only worked out where something was found.

use memchr::memmem;

/// How much of a value is kept to name its row, in bytes.
const VALUE: usize = 96;

/// How many columns of a row are kept.
const COLUMNS: usize = 64;

/// How long the head of a statement may be, in bytes: the table's name and its columns.
const HEAD: usize = 16 << 10;

/// How far behind a find its row is read on, for a column that names it, in bytes.
const AFTER: usize = 8 << 10;

/// How a table is made.
const CREATE: &[u8] = b"CREATE TABLE ";

/// How many of them are looked at, from a statement backwards, for the one that made its table.
const NEAREST: usize = 16;

/// How many tables' columns are remembered.
const TABLES: usize = 512;

/// A table and its columns, as far as they are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: Box<str>,
    pub(super) columns: Vec<Box<str>>,
}

impl Table {
    /// Adds the steps that lead to a value: the table, what names the row, the column.
    pub(super) fn steps(&self, values: &[Box<str>], column: usize, row: Option<&str>, within: &mut Vec<Box<str>>) {
        within.push(self.name.clone());
        let named = (0..values.len().min(self.columns.len()))
            .filter(|at| *at != column)
            .filter_map(|at| Some((rank(self.columns.get(at)?)?, at)))
            .filter(|(_, at)| values.get(*at).is_some_and(|value| is_label(value)))
            .min();
        let named = named.and_then(|(_, at)| Some(format!("{}={}", self.columns.get(at)?, values.get(at)?)));
        let first = || match (self.columns.first(), values.first()) {
            (Some(name), Some(value)) if column != 0 && is_label(value) => Some(format!("{name}={value}")),
            _ => None,
        };
        within.extend(named.or_else(|| row.map(str::to_owned)).or_else(first).map(Into::into));
        within.extend(self.columns.get(column).cloned());
    }
}

/// How well a column's name says that its values name rows. None: not at all.
fn rank(column: &str) -> Option<u8> {
    let column = column.to_ascii_lowercase();
    match &*column {
        "option_name" | "meta_key" => Some(0),
        "name" | "slug" | "setting" | "variable" | "config_key" => Some(1),
        "key" => Some(2),
        "id" | "rowid" | "uuid" => Some(4),
        name if name.ends_with("_name") => Some(3),
        name if name.ends_with("_id") || name.ends_with("_key") => Some(5),
        _ => None,
    }
}

/// Whether a value may be shown as a name: short, of ordinary characters, and no secret by its looks.
fn is_label(value: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:/ @".contains(&byte);
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let letters = value.len() - digits;
    let is_plain = letters == 0 || digits * 4 <= letters || value.len() <= 16;
    !value.is_empty() && value.len() <= 64 && value.bytes().all(is_part) && is_plain
}

/// What is known of the dump at a place of it.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The columns that `CREATE TABLE` told, of the newest tables.
    tables: Vec<Table>,
    /// Where a statement stands that began before the bytes at hand.
    carried: Option<Rows>,
    /// How far in the bytes at hand the finds have been named, and the statement there.
    named: usize,
    now: Option<Rows>,
}

impl Names {
    /// Begins with new bytes, which go on where those that were passed end.
    pub(super) fn begin(&mut self) {
        self.named = 0;
        self.now = self.carried.clone();
    }

    /// Names the place of a find. Finds come in order.
    pub(super) fn name(&mut self, bytes: &[u8], at: usize, within: &mut Vec<Box<str>>) {
        let (named, mut rows) = (self.named.min(at), self.now.take());
        self.advance(bytes, named, at, &mut rows);
        if let Some(rows) = &rows {
            rows.steps(bytes, at, within);
        }
        (self.named, self.now) = (at, rows);
    }

    /// Passes bytes that go away, and remembers what matters for those that follow.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        let mut rows = self.carried.take();
        self.advance(bytes, 0, bytes.len(), &mut rows);
        self.carried = rows;
        let mut rest = bytes;
        while let Some(at) = memmem::find(rest, CREATE) {
            rest = rest.get(at..).unwrap_or_default();
            let (table, length) = created(rest).map_or((None, CREATE.len()), |(table, length)| (Some(table), length));
            if let Some(table) = table {
                self.tables.retain(|known| known.name != table.name);
                if self.tables.len() >= TABLES {
                    self.tables.remove(0);
                }
                self.tables.push(table);
            }
            rest = rest.get(length..).unwrap_or_default();
        }
    }

    /// Goes on from one place to another, through whatever statements begin between them.
    fn advance(&self, bytes: &[u8], from: usize, to: usize, rows: &mut Option<Rows>) {
        let stretch = bytes.get(from..to).unwrap_or_default();
        let mut from = from;
        if let Some((at, head, form)) = last_statement(stretch) {
            let start = from + at;
            let text = bytes.get(start..bytes.len().min(start + HEAD)).unwrap_or_default();
            if let Some((mut table, length)) = statement(text, head) {
                if table.columns.is_empty() {
                    table.columns = self.columns(bytes, start, &table.name);
                }
                from = start + length;
                *rows = Some(Rows::new(table, form));
            }
        }
        if let Some(rows) = rows {
            rows.feed(bytes.get(from..to).unwrap_or_default());
        }
    }

    /// The columns of a table: as it was created before here, or as everybody knows them.
    fn columns(&self, bytes: &[u8], before: usize, name: &str) -> Vec<Box<str>> {
        let mut rest = bytes.get(..before).unwrap_or_default();
        for _ in 0..NEAREST {
            let Some(at) = memmem::rfind(rest, CREATE) else { break };
            if let Some((table, _)) = rest.get(at..).and_then(created).filter(|(table, _)| &*table.name == name) {
                return table.columns;
            }
            rest = rest.get(..at).unwrap_or_default();
        }
        let known = self.tables.iter().rev().find(|table| &*table.name == name);
        known.map_or_else(|| wordpress(name), |table| table.columns.clone())
    }
}

/// The columns of the tables that every WordPress has, whatever their prefix.
fn wordpress(name: &str) -> Vec<Box<str>> {
    let columns: &[&str] = if name.ends_with("_options") {
        &["option_id", "option_name", "option_value", "autoload"]
    } else if name.ends_with("_usermeta") {
        &["umeta_id", "user_id", "meta_key", "meta_value"]
    } else if ["_postmeta", "_termmeta", "_commentmeta", "_sitemeta"].iter().any(|end| name.ends_with(end)) {
        &["meta_id", "object_id", "meta_key", "meta_value"]
    } else {
        &[]
    };
    columns.iter().map(|column| Box::from(*column)).collect()
}

/// How the rows of a statement are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rowing {
    /// `INSERT INTO t VALUES (…),(…);`
    Insert,
    /// `COPY t (…) FROM stdin;`, then lines with tabs.
    Copy,
}

const STATEMENTS: [(&[u8], Rowing); 4] = [
    (b"INSERT INTO ", Rowing::Insert),
    (b"REPLACE INTO ", Rowing::Insert),
    (b"INSERT IGNORE INTO ", Rowing::Insert),
    (b"COPY ", Rowing::Copy),
];

/// The last statement that begins in the bytes: where, how long its first words are, and how its rows are written.
fn last_statement(bytes: &[u8]) -> Option<(usize, usize, Rowing)> {
    let last = |(words, form): &(&'static [u8], Rowing)| {
        // Most bytes hold none, which is seen sooner from the front.
        let first = memmem::find(bytes, words)?;
        let mut rest = bytes;
        loop {
            let at = memmem::rfind(rest.get(first..)?, words)? + first;
            let before = rest.get(..at)?.trim_ascii_end();
            // Statements begin lines, or follow others; the word also occurs within texts.
            if before.len() < at && (before.last().is_none_or(|byte| matches!(byte, b';' | b'/' | b'.' | b'-' | b'=')))
                || at == 0
                || rest.get(at - 1) == Some(&b'\n')
                || before.last() == Some(&b';')
            {
                return Some((at, words.len(), *form));
            }
            rest = rest.get(..at)?;
        }
    };
    STATEMENTS.iter().filter_map(last).max_by_key(|(at, ..)| *at)
}

/// Reads the head of a statement: its table, the columns if it names them, and how long the head is.
fn statement(text: &[u8], words: usize) -> Option<(Table, usize)> {
    let mut rest = text.get(words..)?;
    let name = qualified(&mut rest)?;
    rest = rest.trim_ascii_start();
    let columns = if rest.first() == Some(&b'(') { listed(&mut rest)? } else { Vec::new() };
    let is_copy = text.starts_with(b"COPY");
    let mark: &[u8] = if is_copy { b"\n" } else { b"VALUES" };
    let at =
        memmem::find(rest.get(..rest.len().min(256))?, mark).or_else(|| memmem::find(rest.get(..256)?, b"values"))?;
    let length = text.len() - rest.len() + at + mark.len();
    Some((Table { name, columns }, length))
}

/// A name, perhaps with others before it: `db`.`table`. Only the last counts.
fn qualified(rest: &mut &[u8]) -> Option<Box<str>> {
    loop {
        let name = word(rest)?;
        match rest.split_first() {
            Some((b'.', after)) => *rest = after,
            _ => return Some(name),
        }
    }
}

/// A word, in whatever quotes.
fn word(rest: &mut &[u8]) -> Option<Box<str>> {
    *rest = rest.trim_ascii_start();
    let (first, after) = rest.split_first()?;
    let close = match first {
        b'`' | b'"' | b'\'' => Some(*first),
        b'[' => Some(b']'),
        _ => None,
    };
    let text = if let Some(close) = close {
        let end = memchr::memchr(close, after.get(..after.len().min(256))?)?;
        *rest = after.get(end + 1..)?;
        after.get(..end)?
    } else {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..);
        let end = rest.iter().take(256).take_while(|byte| is_part(byte)).count();
        let (text, after) = rest.split_at(end);
        *rest = after;
        text
    };
    (!text.is_empty()).then(|| String::from_utf8_lossy(text).into())
}

/// Names between brackets, with commas.
fn listed(rest: &mut &[u8]) -> Option<Vec<Box<str>>> {
    let mut names = Vec::new();
    *rest = rest.get(1..)?;
    loop {
        names.push(word(rest)?);
        *rest = rest.trim_ascii_start();
        let (next, after) = rest.split_first()?;
        *rest = after;
        match next {
            b',' if names.len() < 4096 => {}
            b')' => return Some(names),
            _ => return None,
        }
    }
}

/// Reads a `CREATE TABLE`: its name and its columns; also tells how many bytes were read for it.
pub(super) fn created(text: &[u8]) -> Option<(Table, usize)> {
    let text = text.get(..text.len().min(HEAD * 4))?;
    let (head, mut rest) = text.split_at(text.len().min(CREATE.len()));
    if !head.eq_ignore_ascii_case(CREATE) {
        return None;
    }
    for condition in ["IF ", "NOT ", "EXISTS "] {
        rest = rest.trim_ascii_start();
        if rest.get(..condition.len()).is_some_and(|word| word.eq_ignore_ascii_case(condition.as_bytes())) {
            rest = rest.get(condition.len()..)?;
        }
    }
    let name = qualified(&mut rest)?;
    rest = rest.trim_ascii_start().strip_prefix(b"(")?;
    let mut columns = Vec::new();
    loop {
        rest = rest.trim_ascii_start();
        let quoted = matches!(rest.first(), Some(b'`' | b'"' | b'[' | b'\''));
        let Some(column) = word(&mut rest) else { break };
        const OTHERS: [&str; 10] =
            ["PRIMARY", "KEY", "UNIQUE", "CONSTRAINT", "INDEX", "FULLTEXT", "SPATIAL", "FOREIGN", "CHECK", "EXCLUDE"];
        if !quoted && OTHERS.iter().any(|other| other.eq_ignore_ascii_case(&column)) {
            break;
        }
        columns.push(column);
        match definition_end(rest) {
            Some((at, b',')) if columns.len() < 4096 => rest = rest.get(at + 1..)?,
            Some((at, _)) => {
                rest = rest.get(at..)?;
                break;
            }
            // All that was there was read through.
            None => {
                rest = b"";
                break;
            }
        }
    }
    Some((Table { name, columns }, text.len() - rest.len()))
}

/// Where a column's definition ends: at a comma or a bracket that is neither quoted nor within brackets.
fn definition_end(rest: &[u8]) -> Option<(usize, u8)> {
    let (mut depth, mut quote) = (0_u32, None);
    for (at, byte) in rest.iter().enumerate() {
        match (quote, byte) {
            (Some(open), byte) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"' | b'`') => quote = Some(byte),
            (None, b'(') => depth += 1,
            (None, b')' | b',') if depth == 0 => return Some((at, *byte)),
            (None, b')') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

/// The rows of a statement, read as far as some place.
#[derive(Debug, Clone)]
struct Rows {
    table: Table,
    form: Rowing,
    /// Whether the statement has ended.
    ended: bool,
    /// Within a row: the values before this one, and what there is of this one.
    in_row: bool,
    values: Vec<Box<str>>,
    value: Vec<u8>,
    /// Within a text: its quote; and whether a backslash came last.
    quote: Option<u8>,
    escaped: bool,
    /// Brackets within a row.
    depth: u32,
}

impl Rows {
    fn new(table: Table, form: Rowing) -> Self {
        let in_row = form == Rowing::Copy;
        let (values, value) = (Vec::new(), Vec::new());
        Self { table, form, ended: false, in_row, values, value, quote: None, escaped: false, depth: 0 }
    }

    /// Reads on.
    fn feed(&mut self, bytes: &[u8]) {
        if self.ended {
            return;
        }
        match self.form {
            Rowing::Insert => self.inserts(bytes),
            Rowing::Copy => bytes.iter().for_each(|byte| self.copy(*byte)),
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.value.len() < VALUE {
            self.value.push(byte);
        }
    }

    fn end_value(&mut self) {
        if self.values.len() < COLUMNS {
            self.values.push(String::from_utf8_lossy(self.value.trim_ascii()).into());
        }
        self.value.clear();
    }

    fn inserts(&mut self, mut bytes: &[u8]) {
        while let Some((first, after)) = bytes.split_first() {
            // Most of a dump is within quotes.
            if let Some(quote) = self.quote.filter(|_| !self.escaped) {
                let end = memchr::memchr2(quote, b'\\', bytes).unwrap_or(bytes.len());
                let (text, rest) = bytes.split_at(end);
                let room = VALUE.saturating_sub(self.value.len()).min(text.len());
                self.value.extend_from_slice(text.get(..room).unwrap_or_default());
                let Some((end, after)) = rest.split_first() else { return };
                self.insert(*end);
                bytes = after;
            } else {
                self.insert(*first);
                bytes = after;
            }
        }
    }

    fn insert(&mut self, byte: u8) {
        if self.ended {
            return;
        }
        if let Some(quote) = self.quote {
            match byte {
                _ if self.escaped => {
                    self.escaped = false;
                    self.keep(byte);
                }
                b'\\' => self.escaped = true,
                // A doubled quote closes and opens again: nothing is lost by it.
                _ if byte == quote => self.quote = None,
                _ => self.keep(byte),
            }
            return;
        }
        match byte {
            b'\'' | b'"' => self.quote = Some(byte),
            b'(' if !self.in_row => {
                self.in_row = true;
                self.values.clear();
                self.value.clear();
            }
            b'(' => self.depth += 1,
            b')' if self.depth > 0 => self.depth -= 1,
            b')' => {
                self.end_value();
                self.in_row = false;
            }
            b',' if self.in_row && self.depth == 0 => self.end_value(),
            b';' if !self.in_row => self.ended = true,
            _ if self.in_row => self.keep(byte),
            _ => {}
        }
    }

    fn copy(&mut self, byte: u8) {
        match byte {
            b'\n' => {
                self.end_value();
                self.ended |= self.values.len() == 1 && self.values.first().is_some_and(|value| &**value == "\\.");
                self.values.clear();
            }
            b'\t' => self.end_value(),
            _ => self.keep(byte),
        }
    }

    /// Adds the steps to a place in this row.
    fn steps(&self, bytes: &[u8], at: usize, within: &mut Vec<Box<str>>) {
        if self.ended || !self.in_row {
            return;
        }
        let column = self.values.len();
        // The column that names the row may come after the find.
        let mut whole = self.clone();
        for byte in bytes.get(at..bytes.len().min(at + AFTER)).unwrap_or_default() {
            let last = whole.form == Rowing::Copy && *byte == b'\n';
            if last {
                whole.end_value();
                break;
            }
            whole.feed(&[*byte]);
            if !whole.in_row || whole.ended {
                break;
            }
        }
        self.table.steps(&whole.values, column, None, within);
    }
}
