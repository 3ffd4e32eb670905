//! The one place that writes to standard output and standard error. Only data goes to standard output; notes, warnings
//! and errors go to standard error. Everything is cleaned on its way out.

pub(crate) mod bar;
pub(crate) mod table;

use crate::{failure::Failure, text};
use serde_json::Value;
use std::io::{self, IsTerminal, Write};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For scripts: one JSON value on standard output.
    Json,
}

/// Where a command's words go.
pub struct Ui {
    /// How results are written.
    pub format: Format,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// Whether standard output is a terminal.
    pub out_terminal: bool,
    /// Whether standard error is a terminal.
    pub err_terminal: bool,
    colour: bool,
    out_colour: bool,
    /// The terminal's width in columns, when it is one.
    pub width: Option<u16>,
}

impl Ui {
    /// The process's own streams. `colour_wanted` is false when `NO_COLOR` is set or the terminal is dumb.
    #[must_use]
    pub fn of_process(colour_wanted: bool) -> Self {
        let (out_terminal, err_terminal) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self {
            format: Format::Text,
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            out_terminal,
            err_terminal,
            colour: colour_wanted && err_terminal,
            out_colour: colour_wanted && out_terminal,
            width: terminal_size::terminal_size().map(|(width, _)| width.0),
        }
    }

    /// Streams that somebody else reads, such as a test.
    #[must_use]
    pub fn of_streams(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        let (out_terminal, err_terminal, colour, out_colour) = (false, false, false, false);
        Self { format: Format::Text, out, err, out_terminal, err_terminal, colour, out_colour, width: None }
    }

    /// Writes a result: as JSON, or as the text made from it.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn answer(&mut self, value: &Value, words: impl FnOnce(&Value, Option<u16>) -> String) -> Result<(), Failure> {
        let written = match self.format {
            Format::Json => text::write_json(&mut self.out, value, self.out_terminal),
            Format::Text => {
                let mut words = text::block(&words(value, self.width.filter(|_| self.out_terminal)));
                if !words.is_empty() && !words.ends_with('\n') {
                    words.push('\n');
                }
                self.out.write_all(words.as_bytes())
            }
        };
        written.and_then(|()| self.out.flush()).map_err(|error| Failure::output(&error))
    }

    /// Writes bytes to standard output as they are: completions, man pages, help, a backup.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).and_then(|()| self.out.flush()).map_err(|error| Failure::output(&error))
    }

    /// Tells a person something beside the result. Scripts that asked for JSON are spared.
    pub fn note(&mut self, words: &str) {
        if self.format == Format::Text {
            self.aside(&text::block(words));
        }
    }

    /// Warns, in both formats.
    pub fn warn(&mut self, words: &str) {
        let label = self.paint("33;1", "warning:");
        self.aside(&format!("{label} {}", text::line(words)));
    }

    /// Shows a failure and its hints.
    pub fn failure(&mut self, failure: &Failure) {
        if failure.kind == crate::failure::Kind::Closed {
            return;
        }
        let label = self.paint("31;1", "error:");
        self.aside(&format!("{label} {}", text::line(&failure.error)));
        for hint in &failure.hints {
            let label = self.paint("36", "hint:");
            self.aside(&format!("{label} {}", text::line(hint)));
        }
    }

    /// Writes words that stand on standard error without a label, such as clap's own messages.
    pub fn aside(&mut self, words: &str) {
        // When standard error is closed there is nobody left to tell.
        let _closed = writeln!(self.err, "{}", words.trim_end_matches('\n'));
    }

    /// How bars are drawn on standard output.
    #[must_use]
    pub(crate) const fn bars(&self) -> bar::Style {
        if self.out_terminal { bar::Style::Terminal } else { bar::Style::Plain }
    }

    /// Asks on standard error, without a line break after it.
    pub fn ask(&mut self, words: &str) {
        let _closed = write!(self.err, "{} ", text::line(words)).and_then(|()| self.err.flush());
    }

    /// Whether a result on standard output may be coloured.
    #[must_use]
    pub(crate) const fn colours(&self) -> bool {
        self.out_colour
    }

    /// Shows progress on standard error, over what was there before, whatever the format; for callers that know it to
    /// be a terminal that nothing else is written to meanwhile.
    pub(crate) fn over(&mut self, words: &str) {
        let _closed = write!(self.err, "\r\u{1b}[K{}", text::line(words)).and_then(|()| self.err.flush());
    }

    /// Shows progress on a terminal, over what was there before; says nothing elsewhere.
    pub fn progress(&mut self, words: &str) {
        if self.err_terminal && self.format == Format::Text {
            self.over(words);
        }
    }

    fn paint(&self, code: &str, words: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{words}\u{1b}[0m") } else { words.to_owned() }
    }
}
