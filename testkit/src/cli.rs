//! Running programs to their end: the product's commands, SDK scripts, `sqlite3`.

use crate::PATIENCE;
use serde_json::Value;
use std::{
    io::Write as _,
    process::{Child, Command, Stdio},
    time::Instant,
};

/// What a program said and how it ended.
#[derive(Debug, Clone)]
pub struct Run {
    /// The command line, for messages.
    pub command: String,
    /// The exit status; -1 when a signal ended it.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Run {
    /// Runs a command to its end, with something on standard input.
    ///
    /// # Panics
    /// When it cannot be started or does not end in time.
    #[must_use]
    pub fn of(mut command: Command, input: &[u8]) -> Self {
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
        let shown = format!("{} {}", command.get_program().to_string_lossy(), arguments.join(" "));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("starting {shown}: {error}"));
        let mut stdin = child.stdin.take().expect("standard input is a pipe");
        let input = input.to_vec();
        // A program that does not read its input closes the pipe; that is its right.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let stdout = reader(child.stdout.take().expect("standard output is a pipe"));
        let stderr = reader(child.stderr.take().expect("standard error is a pipe"));
        let status = wait(&mut child, &shown);
        writer.join().expect("the writer ends");
        let text = |thread: std::thread::JoinHandle<Vec<u8>>| {
            String::from_utf8_lossy(&thread.join().expect("the reader ends")).into_owned()
        };
        Self { command: shown, status, stdout: text(stdout), stderr: text(stderr) }
    }

    /// The same run, which must have ended well.
    ///
    /// # Panics
    /// When it did not; the message shows everything it said.
    #[must_use]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 0, "{}\n--- stdout\n{}\n--- stderr\n{}", self.command, self.stdout, self.stderr);
        self
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("{error}: {}\n--- stdout\n{}\n--- stderr\n{}", self.command, self.stdout, self.stderr)
        })
    }

    /// Everything that was said.
    #[must_use]
    pub fn all(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

/// A program that runs while a test goes on.
#[derive(Debug)]
pub struct Running {
    child: Child,
    shown: String,
    stdout: std::thread::JoinHandle<Vec<u8>>,
    stderr: std::thread::JoinHandle<Vec<u8>>,
}

impl Running {
    /// Starts a command, whose standard input stays open.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        let shown = format!("{command:?}");
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("starting {shown}: {error}"));
        let stdout = reader(child.stdout.take().expect("standard output is a pipe"));
        let stderr = reader(child.stderr.take().expect("standard error is a pipe"));
        Self { child, shown, stdout, stderr }
    }

    /// Writes to its standard input, which stays open. A pipe holds 64 KiB: what is before the last of these was read.
    ///
    /// # Panics
    /// When it does not take it.
    pub fn write(&mut self, input: &[u8]) {
        let stdin = self.child.stdin.as_mut().expect("standard input is open");
        stdin.write_all(input).and_then(|()| stdin.flush()).expect("it reads its input");
    }

    /// Sends it what Ctrl-C sends.
    ///
    /// # Panics
    /// When it is not there any more.
    pub fn interrupt(&self) {
        let id = i32::try_from(self.child.id()).expect("an id");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGINT).expect("it is there");
    }

    /// Waits for its end. Its standard input stays open until then.
    ///
    /// # Panics
    /// When it does not end in time.
    #[must_use]
    pub fn end(mut self) -> Run {
        let input = self.child.stdin.take();
        let status = wait(&mut self.child, &self.shown);
        drop(input);
        let text = |thread: std::thread::JoinHandle<Vec<u8>>| {
            String::from_utf8_lossy(&thread.join().expect("the reader ends")).into_owned()
        };
        Run { command: self.shown, status, stdout: text(self.stdout), stderr: text(self.stderr) }
    }
}

fn reader(mut pipe: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        let _ends_with_the_program = pipe.read_to_end(&mut all);
        all
    })
}

fn wait(child: &mut Child, shown: &str) -> i32 {
    let deadline = Instant::now() + 2 * PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("the program can be waited for") {
            return status.code().unwrap_or(-1);
        }
        if Instant::now() > deadline {
            let _already_gone = child.kill();
            panic!("{shown} did not end in {:?}", 2 * PATIENCE);
        }
        // There is no handshake with a foreign program's end short of a signal handler.
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
