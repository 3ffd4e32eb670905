//! Runs the matcher on portions as they are unpacked, and works out where in the file each hit stands.

use crate::{
    Adjuster, Cause, Confidence, Finding, Hints, Hit, Look, Matcher, Place, Portion, Unread, filter::allowing, portion,
    shown,
};
use memchr::memmem;
use std::ops::Range;

/// What a comment says that allows the secrets of its line.
pub const ALLOW: &str = "keyward:allow";

/// How far from a hit its line is searched for such a comment, in bytes: minified files are one line.
const NEAR: usize = 1024;

/// How much of a comment is kept, in bytes.
const COMMENT: usize = 256;

/// How many hits of one file are kept. A file with more is hostile, or a list of nothing else.
const MOST: usize = 100_000;

/// How many of the newest hits a hit is compared with: it may have been read in two ways.
const RECENT: usize = 64;

/// A part of a name that is shorter holds no secret that its shape gives away.
pub(crate) const SHORTEST: usize = 16;

/// What says of a finding that it is the name of a file, or of a member of an archive.
pub(crate) const FILE_NAME: &str = "file name";

/// What says of a finding that it is the name of a folder.
pub(crate) const FOLDER_NAME: &str = "folder name";

/// A hit, and where it stands in the file or member.
#[derive(Debug)]
pub struct Seen {
    /// What was hit. Its span is that of the portion; `span` is that of the file.
    pub hit: Hit,
    /// The line, from 1.
    pub line: u64,
    /// The column in bytes, from 1.
    pub column: u64,
    /// The column in UTF-16 code units, from 1.
    pub units: u64,
    /// Where it ends: the line, and the column in UTF-16 code units behind it.
    pub end: (u64, u64),
    /// The bytes it covers in the file or member.
    pub span: Range<u64>,
    /// The way to it from the file.
    pub within: Vec<Box<str>>,
    /// The comment of its line that allows it, from `keyward:allow` on.
    pub allowed: Option<Box<str>>,
}

impl Seen {
    /// The finding this is, in a file or object that lies at `place`.
    #[must_use]
    pub fn into_finding(self, place: &Place) -> Finding {
        let Self { mut hit, line, column, units, end, span, within, allowed } = self;
        shown::lower(&mut hit, &place.path, within.iter().map(|name| name.as_bytes()));
        Finding {
            kind: hit.kind,
            confidence: hit.confidence,
            reasons: hit.reasons,
            place: Place { within, ..place.clone() },
            line,
            column,
            units,
            end,
            span,
            secret: hit.secret,
            allowed,
        }
    }
}

/// Looks at all portions of one file or object, and keeps what the matcher finds.
#[derive(Debug)]
pub struct Search<'m> {
    matcher: &'m Matcher,
    path: &'m [u8],
    seen: Vec<Seen>,
    unread: Vec<Unread>,
    bytes: u64,
    /// Where in `seen` the hits of the newest portion begin.
    newest: usize,
    /// The name that was looked at last: its folders are not looked at again.
    name: Vec<Box<str>>,
}

impl<'m> Search<'m> {
    /// Begins with a file or object; its path may serve rules as context.
    #[must_use]
    pub fn new(matcher: &'m Matcher, path: &'m [u8]) -> Self {
        Self { matcher, path, seen: Vec::new(), unread: Vec::new(), bytes: 0, newest: 0, name: Vec::new() }
    }

    /// Looks for secrets in a name, part by part: only for those whose shape nothing else has, for files are named by
    /// digests, too. `within` says what is called so.
    pub(crate) fn named(&mut self, name: &[u8], within: &[Box<str>]) {
        let (mut lines, mut at, seen) = (Lines::default(), 0, &mut self.seen);
        for part in name.split(|byte| *byte == b'/') {
            let mut portion = Portion::whole(part, within);
            (portion.bytes_before, portion.column_before) = (len(at), len(at));
            portion.units_before = portion::units(name.get(..at).unwrap_or_default(), false);
            at += part.len() + 1;
            in_name(self.matcher, part, &mut |hit| {
                if seen.len() < MOST {
                    seen.push(place(&portion, hit, &mut lines));
                }
            });
        }
        self.newest = seen.len();
    }

    /// What was seen, what was not looked at, and how many bytes were.
    #[must_use]
    pub fn finish(self) -> (Vec<Seen>, Vec<Unread>, u64) {
        (self.seen, self.unread, self.bytes)
    }
}

impl Look for Search<'_> {
    fn look(&mut self, portion: &Portion<'_>) -> bool {
        self.newest = self.seen.len();
        self.bytes = self.bytes.saturating_add(len(portion.own.len()));
        let hints = Hints { path: self.path, within: portion.within };
        let seen = &mut self.seen;
        let mut left = MOST.saturating_sub(seen.len());
        let mut lines = Lines::default();
        self.matcher.look(portion.bytes, &hints, &mut |hit| {
            if portion.own.contains(&hit.span.start) && left > 0 {
                left -= 1;
                seen.push(place(portion, hit, &mut lines));
            }
        });
        if left == 0 {
            let detail = format!("more than {MOST} secrets in one file").into();
            self.unread.push(Unread { cause: Cause::TooLarge, within: portion.within.to_vec(), detail });
        }
        left > 0
    }

    fn name(&mut self, within: &[Box<str>]) {
        let Some((name, above)) = within.split_last() else { return };
        if name.len() < SHORTEST {
            return;
        }
        // Members of a folder follow one another: its name is told once.
        let (before, beside) = self.name.split_last().map_or(("", &[][..]), |(before, beside)| (before, beside));
        let same =
            if beside == above { name.bytes().zip(before.bytes()).take_while(|(a, b)| a == b).count() } else { 0 };
        let known = name.get(..same).and_then(|same| same.rfind('/')).map_or(0, |at| at + 1);
        let told: Vec<Box<str>> = within.iter().cloned().chain([FILE_NAME.into()]).collect();
        self.named(&[&vec![b'/'; known][..], name.as_bytes().get(known..).unwrap_or_default()].concat(), &told);
        self.name = within.to_vec();
    }

    fn unread(&mut self, unread: Unread) {
        self.unread.push(unread);
    }

    fn adjust(&mut self, adjuster: &mut Adjuster<'_>) {
        let newest = self.seen.get_mut(self.newest..).unwrap_or_default();
        newest.sort_by_key(|seen| seen.span.start);
        newest.iter_mut().for_each(|seen| adjuster(&mut seen.span, &mut seen.within));
        // What can be read in two ways is looked at twice, and told once.
        let mut rest = self.seen.split_off(self.newest);
        let is_same = |one: &Seen, other: &Seen| {
            one.span.start == other.span.start
                && one.within == other.within
                && one.hit.secret.expose() == other.hit.secret.expose()
        };
        rest.dedup_by(|one, other| is_same(one, other));
        rest.retain(|one| !self.seen.iter().rev().take(RECENT).any(|other| is_same(one, other)));
        self.seen.append(&mut rest);
    }
}

/// Whether [`Search::named`] finds something in a name.
pub(crate) fn is_secret(matcher: &Matcher, name: &[u8]) -> bool {
    let mut is_secret = false;
    name.split(|byte| *byte == b'/').for_each(|part| in_name(matcher, part, &mut |_| is_secret = true));
    is_secret
}

/// What is found in one part of a name.
fn in_name(matcher: &Matcher, part: &[u8], found: &mut dyn FnMut(Hit)) {
    if part.len() < SHORTEST {
        return;
    }
    // Without hints: a folder that is named after a vendor makes no keys of the names in it.
    matcher.look(part, &Hints::default(), &mut |hit| {
        if hit.confidence >= Confidence::High {
            found(hit);
        }
    });
}

/// How many lines end before a place that only moves on.
#[derive(Default)]
struct Lines {
    to: usize,
    count: u64,
}

impl Lines {
    fn before(&mut self, bytes: &[u8], at: usize) -> u64 {
        let between = bytes.get(self.to..at).unwrap_or_default();
        self.count += len(memchr::memchr_iter(b'\n', between).count());
        self.to = self.to.max(at);
        self.count
    }
}

fn place(portion: &Portion<'_>, hit: Hit, lines: &mut Lines) -> Seen {
    let before = portion.bytes.get(..hit.span.start).unwrap_or_default();
    let newlines = lines.before(portion.bytes, hit.span.start);
    let column = match memchr::memrchr(b'\n', before) {
        Some(at) => len(before.len() - at),
        None => portion.column_before + len(before.len()) + 1,
    };
    let line = portion.lines_before + newlines + 1;
    let units = units(portion, hit.span.start);
    let covered = portion.bytes.get(hit.span.clone()).unwrap_or_default();
    let end = (line + len(memchr::memchr_iter(b'\n', covered).count()), self::units(portion, hit.span.end));
    Seen {
        line,
        column,
        units,
        end,
        span: portion.bytes_before + len(hit.span.start)..portion.bytes_before + len(hit.span.end),
        within: portion.within.to_vec(),
        allowed: comment(portion.bytes, &hit.span),
        hit,
    }
}

/// The column of a place in UTF-16 code units, from 1. A mark of the byte order at the front of a file is no character.
fn units(portion: &Portion<'_>, at: usize) -> u64 {
    let before = portion.bytes.get(..at).unwrap_or_default();
    let units = match memchr::memrchr(b'\n', before) {
        Some(newline) => portion::units(before.get(newline + 1..).unwrap_or_default(), false),
        None if portion.bytes_before == 0 => {
            portion::units(before.strip_prefix(portion::MARK).unwrap_or(before), false)
        }
        None => portion.units_before + portion::units(before, true),
    };
    units + 1
}

/// The comment on the hit's line that allows it. What follows the word may be a reason, an end of validity, or the hit
/// itself, which must not be kept in the clear: the comment ends where the hit begins.
fn comment(bytes: &[u8], hit: &Range<usize>) -> Option<Box<str>> {
    let before = bytes.get(hit.start.saturating_sub(NEAR)..hit.start)?;
    let before = memchr::memrchr(b'\n', before).map_or(before, |at| before.get(at + 1..).unwrap_or_default());
    let after = bytes.get(hit.end..bytes.len().min(hit.end.saturating_add(NEAR)))?;
    let after = memchr::memchr(b'\n', after).map_or(after, |at| after.get(..at).unwrap_or_default());
    [after, before].into_iter().find_map(|part| {
        let text = part.get(allowing(part)?..)?;
        let end = ["*/", "-->"].iter().filter_map(|end| memmem::find(text, end.as_bytes())).min().unwrap_or(text.len());
        Some(String::from_utf8_lossy(text.get(..end.min(COMMENT))?).trim_end().into())
    })
}

fn len(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
