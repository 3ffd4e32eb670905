//! A program at a terminal of its own: what it asks is read, what a person would type is typed, and what shows is kept.

use crate::PATIENCE;
use nix::sys::termios;
use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Instant,
};

/// A running program and its terminal.
pub struct Terminal {
    child: Child,
    keyboard: File,
    pieces: Receiver<Vec<u8>>,
    shown: String,
    read_to: usize,
}

impl Terminal {
    /// Starts a program with a terminal for its input, output and questions.
    ///
    /// # Panics
    /// When there are no terminals, or the program cannot be started.
    #[must_use]
    pub fn run(program: &str, arguments: &[&str]) -> Self {
        let pair = nix::pty::openpty(None, None).expect("a terminal");
        let side = File::from(pair.slave);
        let copy = || Stdio::from(side.try_clone().expect("a second handle"));
        // `setsid` makes what is its input the terminal of the new session: there prompts are read, whatever is piped.
        let mut command = Command::new("setsid");
        // Whoever runs the tests may ignore signals; a person's shell does not.
        command
            .args(["--ctty", "--wait", "env", "--default-signal", program])
            .args(arguments)
            .stdin(copy())
            .stdout(copy())
            .stderr(copy());
        let child = command.spawn().expect("the program can be started");
        drop((command, side));
        let keyboard = File::from(pair.master);
        let mut screen = keyboard.try_clone().expect("a second handle");
        let (sender, pieces) = channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // The end of the program is an error here, not an end of file.
            while let Ok(count @ 1..) = screen.read(&mut piece) {
                if sender.send(piece[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard, pieces, shown: String::new(), read_to: 0 }
    }

    /// Waits until a text shows, after the one that was waited for last.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.shown[self.read_to..].find(text) {
                self.read_to += at + text.len();
                return;
            }
            match self.pieces.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(piece) => self.shown.push_str(&String::from_utf8_lossy(&piece)),
                Err(_) => panic!("{text:?} did not show:\n{}", self.shown),
            }
        }
    }

    /// Types a line that is not to be seen, as soon as the program has told the terminal not to show it.
    ///
    /// # Panics
    /// When the program would let it be seen.
    pub fn type_hidden(&mut self, line: &str) {
        let deadline = Instant::now() + PATIENCE;
        let echoes = |keyboard: &File| {
            let settings = termios::tcgetattr(keyboard).expect("a terminal has settings");
            settings.local_flags.contains(termios::LocalFlags::ECHO)
        };
        // The question stands there a moment before: people are slower than that.
        while echoes(&self.keyboard) {
            assert!(Instant::now() < deadline, "what is typed would be shown:\n{}", self.shown);
            std::thread::yield_now();
        }
        self.keyboard.write_all(format!("{line}\n").as_bytes()).expect("the terminal takes what is typed");
    }

    /// Types a line that may be seen.
    ///
    /// # Panics
    /// When the terminal does not take it.
    pub fn type_line(&mut self, line: &str) {
        self.keyboard.write_all(format!("{line}\n").as_bytes()).expect("the terminal takes what is typed");
    }

    /// Everything that showed so far.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Types Ctrl-C and waits for the end; gives the exit status, -1 when it was the signal that ended the program.
    ///
    /// # Panics
    /// When the program does not end in time.
    pub fn interrupt(&mut self) -> i32 {
        self.keyboard.write_all(b"\x03").expect("the terminal takes what is typed");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the program can be waited for") {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "Ctrl-C did not end it:\n{}", self.shown);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
