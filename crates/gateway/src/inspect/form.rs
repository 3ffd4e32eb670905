//! Reading along with a form that streams through: finds the `model` and `stream` fields without keeping the files.
//! Every piece is shown to the form *before* it is sent on, so that a refused form never reaches its end upstream.
//! Strict on purpose: what two parsers could read differently is refused.

use super::{Asked, Facts, bare_model, cap::whole_number, check_model, head_model, malformed};
use crate::{
    inbound::Inbound,
    near::Near,
    tables::{LiveGrant, OperationPlan},
};
use http::{HeaderMap, header};
use keyward_domain::{policy, provider::ModelSource, refusal::Refusal};
use memchr::memmem::Finder;

const LONGEST_HEAD: usize = 16 << 10;
const LONGEST_VALUE: usize = 1 << 10;

/// A form on its way through.
#[derive(Debug)]
pub struct Form {
    plan: Near<OperationPlan>,
    grant: Near<LiveGrant>,
    /// The model as far as the head says it.
    head_model: Option<Box<str>>,
    /// Line break, two dashes, boundary.
    delimiter: Finder<'static>,
    /// The same without the line break.
    mark: Finder<'static>,
    state: State,
    buffer: Vec<u8>,
    bytes: u64,
    model: Option<String>,
    stream: Option<String>,
    answers: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Before the first delimiter.
    Start,
    /// Behind a delimiter: another part, or the end.
    Delimited,
    /// In the headers of a part.
    Head,
    /// In a part nobody looks at.
    Skip,
    /// In a part that is looked for.
    Wanted(Field),
    /// Behind the last delimiter.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Model,
    Stream,
    /// How many answers.
    Answers,
}

impl Form {
    /// Prepares for a form.
    ///
    /// # Errors
    /// A [`Refusal`] when the content type names no sound boundary.
    pub fn new(inbound: &Inbound, grant: &Near<LiveGrant>, headers: &HeaderMap) -> Result<Self, Refusal> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let boundary = boundary(kind).ok_or_else(|| malformed("the form's content type names no sound boundary"))?;
        Ok(Self {
            plan: inbound.plan.clone(),
            grant: grant.clone(),
            head_model: head_model(inbound)?,
            delimiter: Finder::new(&format!("\r\n--{boundary}")).into_owned(),
            mark: Finder::new(&format!("--{boundary}")).into_owned(),
            state: State::Start,
            // The first delimiter has no line break before it.
            buffer: b"\r\n".to_vec(),
            bytes: 0,
            model: None,
            stream: None,
            answers: None,
        })
    }

    /// Reads a piece. An error means that this piece must not be sent on.
    ///
    /// # Errors
    /// A [`Refusal`]: the form is not sound, is too large for the key, names a model the key may not use, or ends
    /// without naming one.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        policy::check_body(&self.grant.grant.policy, self.bytes)?;
        self.buffer.extend_from_slice(piece);
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut at = 0;
        while let Some(used) = self.step(buffer.get(at..).unwrap_or_default())? {
            at += used;
        }
        buffer.drain(..at);
        self.buffer = buffer;
        Ok(())
    }

    /// Says that the body has ended.
    ///
    /// # Errors
    /// A [`Refusal`] when the form has not.
    pub fn finish(&self) -> Result<(), Refusal> {
        if self.state == State::End { Ok(()) } else { Err(malformed("the form ends without its last boundary")) }
    }

    /// What the form has shown so far.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let named = self.model.as_deref().map(|model| bare_model(model).into());
        let stream = self.stream.as_deref() == Some("true");
        let model = named.or_else(|| self.head_model.clone());
        let default = self.plan.request.answers;
        let answers = self.answers.as_deref().map_or(Some(default), |text| whole_number(text.trim().as_bytes()));
        let unclear = "the form field of the number of answers must be a whole number";
        let asked = Asked {
            answers: answers.unwrap_or(default).max(1),
            unclear: answers.is_none().then(|| unclear.into()),
            // A form is there for its files.
            unseen: 1,
            ..Asked::default()
        };
        Facts { model, stream, asked, input_bytes: self.bytes, ..Facts::default() }
    }

    /// One step over the bytes at hand; `None` when more are needed.
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        match self.state.clone() {
            State::Start => {
                let wanted = self.delimiter.needle();
                if bytes.len() >= wanted.len() {
                    if bytes.starts_with(wanted) {
                        self.state = State::Delimited;
                        return Ok(Some(wanted.len()));
                    }
                    return Err(malformed("the form does not begin with its boundary"));
                }
                Ok(None)
            }
            State::Delimited => self.delimited(bytes),
            State::Head => self.head(bytes),
            State::Skip => self.skip(bytes),
            State::Wanted(field) => self.wanted(field, bytes),
            State::End => {
                if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | b' ')) {
                    return Ok((!bytes.is_empty()).then_some(bytes.len()));
                }
                Err(malformed("the form goes on behind its last boundary"))
            }
        }
    }

    fn delimited(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        match bytes.get(..2) {
            None => Ok(None),
            Some(b"\r\n") => {
                self.state = State::Head;
                Ok(Some(2))
            }
            Some(b"--") => {
                self.state = State::End;
                check_model(&self.plan, self.facts().model.as_deref(), &self.grant.grant.policy)?;
                Ok(Some(2))
            }
            Some(_) => Err(malformed("the form has text behind a boundary")),
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
            if bytes.len() > LONGEST_HEAD {
                return Err(malformed("the headers of a form field are too long"));
            }
            return Ok(None);
        };
        let field = self.which(bytes.get(..end).unwrap_or_default())?;
        let seen = match field {
            Some(Field::Model) => self.model.is_some(),
            Some(Field::Stream) => self.stream.is_some(),
            Some(Field::Answers) => self.answers.is_some(),
            None => false,
        };
        if seen {
            return Err(malformed("a form field that decides something is in the form twice: send it once"));
        }
        self.state = field.map_or(State::Skip, State::Wanted);
        // The line break stays: an empty part is delimited by it.
        Ok(Some(end + 2))
    }

    fn skip(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        if let Some(at) = self.delimiter.find(bytes) {
            self.no_mark_after_half_a_break(bytes.get(..at).unwrap_or_default())?;
            self.state = State::Delimited;
            return Ok(Some(at + self.delimiter.needle().len()));
        }
        self.no_mark_after_half_a_break(bytes)?;
        let used = bytes.len().saturating_sub(self.delimiter.needle().len());
        Ok((used > 0).then_some(used))
    }

    /// Some parsers take a boundary for one that has only half a line break before it: they would find fields in what
    /// is one part here. In `bytes` is no whole delimiter.
    fn no_mark_after_half_a_break(&self, bytes: &[u8]) -> Result<(), Refusal> {
        let before = |at: usize| at.checked_sub(1).and_then(|before| bytes.get(before));
        if self.mark.find_iter(bytes).any(|at| matches!(before(at), Some(b'\r' | b'\n'))) {
            return Err(malformed("the form has a boundary without a whole line break before it"));
        }
        Ok(())
    }

    fn wanted(&mut self, field: Field, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let Some(at) = self.delimiter.find(bytes) else {
            if bytes.len() > LONGEST_VALUE + self.delimiter.needle().len() {
                return Err(too_long());
            }
            return Ok(None);
        };
        let value = bytes.get(..at).and_then(|value| value.strip_prefix(b"\r\n")).unwrap_or_default();
        if value.len() > LONGEST_VALUE {
            return Err(too_long());
        }
        let value = std::str::from_utf8(value).map_err(|_| malformed("a form field is not UTF-8"))?.to_owned();
        if value.contains(char::is_control) {
            return Err(malformed("a form field that decides something has a line break or another control character"));
        }
        match field {
            Field::Model => {
                policy::decide_model(&self.grant.grant.policy, Some(bare_model(&value)))?;
                self.model = Some(value);
            }
            Field::Stream => self.stream = Some(value),
            Field::Answers => self.answers = Some(value),
        }
        self.state = State::Delimited;
        Ok(Some(at + self.delimiter.needle().len()))
    }

    /// Which of the wanted fields a part is, by its headers.
    fn which(&self, head: &[u8]) -> Result<Option<Field>, Refusal> {
        let unsound = || malformed("the headers of a form field cannot be read");
        let head = std::str::from_utf8(head).map_err(|_| unsound())?;
        let mut disposition = None;
        let mut encoded = false;
        for line in head.split("\r\n") {
            let (name, value) = line.split_once(':').ok_or_else(unsound)?;
            if name.starts_with([' ', '\t']) || line.contains(['\n', '\r', '\0']) {
                return Err(unsound());
            }
            if name.trim_end().eq_ignore_ascii_case("content-disposition") && disposition.replace(value).is_some() {
                return Err(unsound());
            }
            encoded |= name.trim_end().eq_ignore_ascii_case("content-transfer-encoding")
                && !["7bit", "8bit", "binary"].iter().any(|plain| value.trim().eq_ignore_ascii_case(plain));
        }
        let (name, is_file) = field_name(disposition.ok_or_else(unsound)?).ok_or_else(unsound)?;
        let operation = &self.plan.operation;
        let model = match &operation.model {
            Some(ModelSource::Body(path)) => Some(&**path),
            _ => None,
        };
        let answers = operation.multipliers.first().map(|path| &**path);
        let stream = operation.stream_flag.as_deref();
        for (wanted, field) in [(model, Field::Model), (stream, Field::Stream), (answers, Field::Answers)] {
            let Some(wanted) = wanted.filter(|wanted| wanted.eq_ignore_ascii_case(name)) else { continue };
            if *wanted != *name || is_file || encoded {
                return Err(malformed(format!("the form field '{wanted}' must be plain text of that very name")));
            }
            return Ok(Some(field));
        }
        Ok(None)
    }
}

fn too_long() -> Refusal {
    malformed("a form field that decides something is too long")
}

/// The boundary in a content type.
fn boundary(kind: &str) -> Option<&str> {
    let mut found = None;
    for part in kind.split(';').skip(1) {
        let (name, value) = part.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("boundary") && found.replace(value.trim()).is_some() {
            return None;
        }
    }
    let text = found?;
    let text = text.strip_prefix('"').map_or(Some(text), |quoted| quoted.strip_suffix('"'))?;
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    ((1..=70).contains(&text.len()) && text.bytes().all(sound)).then_some(text)
}

/// The name in a content disposition, and whether the part is a file. `None` when it can be read in two ways.
fn field_name(disposition: &str) -> Option<(&str, bool)> {
    let (kind, params) = disposition.trim().split_at_checked(9)?;
    if !kind.eq_ignore_ascii_case("form-data") {
        return None;
    }
    let mut rest = params;
    let (mut name, mut is_file) = (None, false);
    while let Some(param) = rest.trim_start().strip_prefix(';') {
        let (key, value) = param.split_once('=')?;
        let value = value.trim_start();
        let (text, after) = if let Some(quoted) = value.strip_prefix('"') {
            let end = end_of_quoted(quoted)?;
            (quoted.get(..end)?, quoted.get(end + 1..)?)
        } else {
            value.split_at(value.find(';').unwrap_or(value.len()))
        };
        let is = |wanted: &str| key.trim().eq_ignore_ascii_case(wanted);
        is_file |= is("filename") || is("filename*");
        let ambiguous = text.contains(['\\', '%', '"']);
        if is("name*") || (is("name") && (ambiguous || name.replace(text.trim_end()).is_some())) {
            return None;
        }
        rest = after;
    }
    name.filter(|_| rest.trim().is_empty()).map(|name| (name, is_file))
}

/// Where a quoted text ends; a backslash keeps the next character from ending it.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}
