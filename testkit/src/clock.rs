//! A wall clock that a test turns by hand while a server runs, without any privilege: a small library that is loaded
//! before the C library answers for the time of day. The steady clock goes on as it does.

use crate::cli::Run;
use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;

/// The library's source.
const SOURCE: &str = include_str!("clock.c");
const MILLI: i64 = 1_000_000;

/// The clock of one server.
pub struct Clock {
    folder: TempDir,
    offset: File,
}

impl Clock {
    /// A clock that shows a time, in milliseconds since 1970, and goes on from there.
    ///
    /// # Panics
    /// When there is no C compiler.
    #[must_use]
    pub fn at(time: i64) -> Self {
        let folder = TempDir::with_prefix("keyward-clock-").expect("a temporary folder");
        let source = folder.path().join("clock.c");
        std::fs::write(&source, SOURCE).expect("a file");
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(folder.path().join("clock.so")).arg(source);
        let _said = Run::of(compile, b"").ok();
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        let offset = options.open(folder.path().join("offset")).expect("a file");
        let clock = Self { folder, offset };
        clock.turn_to(time);
        clock
    }

    /// What a server's environment needs so that it goes by this clock.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let at = |name: &str| self.folder.path().join(name).to_string_lossy().into_owned();
        vec![("LD_PRELOAD".to_owned(), at("clock.so")), ("KEYWARD_TEST_CLOCK".to_owned(), at("offset"))]
    }

    /// From now on the clock shows another time, in milliseconds since 1970.
    ///
    /// # Panics
    /// When the file that says so cannot be written.
    #[expect(clippy::disallowed_methods, reason = "the server's clock is this machine's, moved")]
    pub fn turn_to(&self, time: i64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
        let offset = time * MILLI - i64::try_from(now.as_nanos()).expect("it is earlier than 2262");
        self.offset.write_all_at(&offset.to_ne_bytes(), 0).expect("the clock's file takes eight bytes");
    }
}
