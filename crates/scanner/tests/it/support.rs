//! A needle to look for, and tools that make files.

use keyward_scanner::{Adjuster, Bounds, Cause, Look, Portion, Unread, unpack_bytes, unpack_reader, unpack_stream};
use std::{
    io::{Cursor, Write as _},
    ops::Range,
    path::Path,
    process::{Command, Stdio},
};

/// What is looked for. Its form is nobody's.
pub(crate) const NEEDLE: &str = "needle_0123456789_in_the_haystack";

/// Finds needles, and keeps what it is told.
#[derive(Default)]
pub(crate) struct Finder {
    pub(crate) found: Vec<Found>,
    pub(crate) unread: Vec<Unread>,
    newest: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) within: Vec<Box<str>>,
    pub(crate) span: Range<u64>,
    pub(crate) line: u64,
    pub(crate) column: u64,
}

impl Look for Finder {
    fn look(&mut self, portion: &Portion<'_>) -> bool {
        self.newest = self.found.len();
        let long = |count: usize| u64::try_from(count).unwrap();
        for at in memchr::memmem::find_iter(portion.bytes, NEEDLE) {
            if portion.own.contains(&at) {
                let before = &portion.bytes[..at];
                let column = match memchr::memrchr(b'\n', before) {
                    Some(newline) => long(at - newline),
                    None => portion.column_before + long(at) + 1,
                };
                let start = portion.bytes_before + long(at);
                self.found.push(Found {
                    within: portion.within.to_vec(),
                    span: start..start + long(NEEDLE.len()),
                    line: portion.lines_before + long(memchr::memchr_iter(b'\n', before).count()) + 1,
                    column,
                });
            }
        }
        true
    }

    fn unread(&mut self, unread: Unread) {
        self.unread.push(unread);
    }

    fn adjust(&mut self, adjuster: &mut Adjuster<'_>) {
        self.found[self.newest..].iter_mut().for_each(|found| adjuster(&mut found.span, &mut found.within));
    }
}

impl Finder {
    /// The ways to what was found, each as one text.
    pub(crate) fn ways(&self) -> Vec<String> {
        self.found.iter().map(|found| found.within.join(" > ")).collect()
    }

    pub(crate) fn causes(&self) -> Vec<Cause> {
        self.unread.iter().map(|unread| unread.cause).collect()
    }
}

/// Unpacks in all three ways, which must tell the same; gives what they told.
pub(crate) fn unpack(bytes: &[u8]) -> Finder {
    let bounds = Bounds::default();
    let mut memory = Finder::default();
    unpack_bytes(b"file", bytes, &bounds, &mut memory);
    let mut file = Finder::default();
    unpack_reader(b"file", Cursor::new(bytes), &bounds, &mut file);
    assert_eq!(memory.found, file.found);
    let mut stream = Finder::default();
    unpack_stream(b"-", bytes, &bounds, &mut stream);
    assert_eq!(memory.found, stream.found);
    assert_eq!(memory.causes(), stream.causes());
    memory
}

/// Runs a Python program in a folder, with the needle as its first argument.
pub(crate) fn python(folder: &Path, program: &str) {
    let mut child = Command::new("python3")
        .args(["-", NEEDLE])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .spawn()
        .expect("python3 is there");
    child.stdin.take().unwrap().write_all(program.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "the program that makes the files failed");
}

/// Runs a tool in a folder.
pub(crate) fn tool(folder: &Path, command: &[&str]) {
    let status = Command::new(command[0]).args(&command[1..]).current_dir(folder).stdout(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "{command:?} failed");
}
