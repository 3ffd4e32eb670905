//! A plain HTTP/1.1 client that sends exactly what it is told and reads answers piece by piece, so that a test sees
//! when a byte arrives and how an answer ends.

use crate::PATIENCE;
use serde_json::Value;
use std::{
    fmt::Write as _,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

/// Both directions of a connection, plain or encrypted.
pub trait Duplex: Read + Write + Send {}

impl<T: Read + Write + Send> Duplex for T {}

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// Any method, without a body.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// `GET`.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// `POST` with JSON.
    #[must_use]
    pub fn post(target: &str, body: &Value) -> Self {
        Self::new("POST", target).header("content-type", "application/json").body(body.to_string())
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// With a body; its length is said unless the headers already say how it is framed.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// With a body of form parts: `(name, file name or none, content)`.
    #[must_use]
    pub fn form(self, parts: &[(&str, Option<&str>, &[u8])]) -> Self {
        const EDGE: &str = "keyward-testkit-edge-5b1f";
        let mut body = Vec::new();
        for (name, file, content) in parts {
            let file = file.map_or_else(String::new, |file| {
                format!("; filename=\"{file}\"\r\nContent-Type: application/octet-stream")
            });
            body.extend(
                format!("--{EDGE}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").into_bytes(),
            );
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend(format!("--{EDGE}--\r\n").into_bytes());
        self.header("content-type", &format!("multipart/form-data; boundary={EDGE}")).body(body)
    }

    /// The head as it goes over the wire, with its empty line.
    #[must_use]
    pub fn head(&self, host: &str) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let has = |name: &str| self.headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
        if !has("host") {
            let _infallible = write!(text, "host: {host}\r\n");
        }
        let framed = has("content-length") || has("transfer-encoding");
        if !framed && (!self.body.is_empty() || matches!(self.method.as_str(), "POST" | "PUT" | "PATCH")) {
            let _infallible = write!(text, "content-length: {}\r\n", self.body.len());
        }
        for (name, value) in &self.headers {
            let _infallible = write!(text, "{name}: {value}\r\n");
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    /// The request for HTTP/2.
    pub(crate) fn over_http2(&self, host: &str) -> http::Request<http_body_util::Full<bytes::Bytes>> {
        let mut request =
            http::Request::builder().method(self.method.as_str()).uri(format!("http://{host}{}", self.target));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(self.body.clone().into()).expect("the request is valid")
    }

    /// Sends the request on a connection of its own and reads the whole answer.
    ///
    /// # Panics
    /// When the server does not answer, or breaks off.
    #[must_use]
    pub fn send(&self, address: SocketAddr) -> Response {
        let answer = self.open(address);
        let target = self.target.clone();
        answer.whole().unwrap_or_else(|error| panic!("the answer to {target} broke off: {error}"))
    }

    /// Sends the request on a connection of its own and reads the answer's head.
    ///
    /// # Panics
    /// When the server does not answer.
    #[must_use]
    pub fn open(&self, address: SocketAddr) -> Answer {
        let mut connection = Connection::open(address);
        connection.send(self);
        connection.answer().unwrap_or_else(|error| panic!("no answer to {} {}: {error}", self.method, self.target))
    }
}

/// One connection.
pub struct Connection {
    stream: Box<dyn Duplex>,
    host: String,
    buffer: Vec<u8>,
}

impl Connection {
    /// A plain connection.
    ///
    /// # Panics
    /// When nobody listens.
    #[must_use]
    pub fn open(address: SocketAddr) -> Self {
        Self::try_open(address).unwrap_or_else(|error| panic!("connecting to {address}: {error}"))
    }

    /// A plain connection, if somebody listens.
    ///
    /// # Errors
    /// When nobody does.
    pub fn try_open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self::over(Box::new(stream), &address.to_string()))
    }

    /// Over any stream, such as an encrypted one.
    #[must_use]
    pub fn over(stream: Box<dyn Duplex>, host: &str) -> Self {
        Self { stream, host: host.to_owned(), buffer: Vec::new() }
    }

    /// Sends a whole request.
    ///
    /// # Panics
    /// When the server does not take it. A server that answers before it has read the whole body may close; that
    /// shows when the answer is read.
    pub fn send(&mut self, request: &Request) {
        self.write(&request.head(&self.host));
        if let Err(error) = self.stream.write_all(&request.body).and_then(|()| self.stream.flush()) {
            let closed = matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
            assert!(closed, "sending a body: {error}");
        }
    }

    /// Sends a whole request, if the server takes it.
    ///
    /// # Errors
    /// When it does not.
    pub fn try_send(&mut self, request: &Request) -> io::Result<()> {
        self.stream.write_all(&[request.head(&self.host), request.body.clone()].concat())?;
        self.stream.flush()
    }

    /// Sends only the head.
    ///
    /// # Panics
    /// When the server does not take it.
    pub fn send_head(&mut self, request: &Request) {
        self.write(&request.head(&self.host));
    }

    /// Sends any bytes.
    ///
    /// # Panics
    /// When the server does not take them.
    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).expect("the server takes what is sent");
    }

    /// Sends any bytes; false when the server has gone.
    pub fn try_write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).is_ok()
    }

    /// Reads the head of the next interim answer (`100 Continue`) and gives its status.
    ///
    /// # Errors
    /// When the connection ends or nothing comes in time.
    pub fn interim(&mut self) -> io::Result<u16> {
        self.read_head().map(|(status, _)| status)
    }

    /// Reads the head of the next final answer.
    ///
    /// # Errors
    /// When the connection ends or nothing comes in time.
    pub fn answer(mut self) -> io::Result<Answer> {
        loop {
            let (status, headers) = self.read_head()?;
            if status >= 200 || status == 101 {
                return Ok(Answer::new(self, status, headers));
            }
        }
    }

    fn read_head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        loop {
            if let Some(at) = crate::find(&self.buffer, b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..at + 4).collect();
                return parse_head(&String::from_utf8_lossy(&head));
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 << 10];
        let read = self.stream.read(&mut chunk)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.buffer.extend(chunk.iter().take(read));
        Ok(())
    }

    /// Reads raw bytes: what is buffered, else what comes next. Empty at the end of the connection.
    ///
    /// # Errors
    /// When nothing comes in time or the connection breaks.
    pub fn read_raw(&mut self) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty() {
            match self.fill() {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Vec::new()),
                other => other?,
            }
        }
        Ok(std::mem::take(&mut self.buffer))
    }
}

fn parse_head(head: &str) -> io::Result<(u16, Vec<(String, String)>)> {
    let bad = || io::Error::new(io::ErrorKind::InvalidData, format!("not an HTTP head: {head}"));
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|word| word.parse().ok());
    let headers = lines
        .map(|line| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())));
    Ok((status.ok_or_else(bad)?, headers.collect::<Option<_>>().ok_or_else(bad)?))
}

/// How an answer's body is framed, and what is left of it.
#[derive(Debug, Clone, Copy)]
enum Framing {
    Left(usize),
    Chunked,
    UntilClose,
}

/// An answer whose head is there and whose body is still to be read.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    connection: Connection,
    framing: Framing,
    done: bool,
    held: Vec<u8>,
}

impl Answer {
    fn new(connection: Connection, status: u16, headers: Vec<(String, String)>) -> Self {
        let value = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let framing = match (value("transfer-encoding"), value("content-length")) {
            (Some(coding), _) if coding.contains("chunked") => Framing::Chunked,
            (_, Some(length)) => Framing::Left(length.parse().unwrap_or(0)),
            _ if status == 204 || status == 304 || status == 101 => Framing::Left(0),
            _ => Framing::UntilClose,
        };
        let done = matches!(framing, Framing::Left(0));
        Self { status, headers, connection, framing, done, held: Vec::new() }
    }

    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The next bytes of the body as they arrive; none at its proper end.
    ///
    /// # Errors
    /// When the connection breaks off before the body's end, or nothing comes in time.
    pub fn next_data(&mut self) -> io::Result<Option<Vec<u8>>> {
        if !self.held.is_empty() {
            return Ok(Some(std::mem::take(&mut self.held)));
        }
        if self.done {
            return Ok(None);
        }
        match self.framing {
            Framing::Chunked => self.next_chunk(),
            Framing::Left(left) => {
                if self.connection.buffer.is_empty() {
                    self.connection.fill()?;
                }
                let take = left.min(self.connection.buffer.len());
                self.framing = Framing::Left(left - take);
                self.done = left == take;
                Ok(Some(self.connection.buffer.drain(..take).collect()))
            }
            Framing::UntilClose => {
                let bytes = self.connection.read_raw()?;
                self.done = bytes.is_empty();
                Ok((!bytes.is_empty()).then_some(bytes))
            }
        }
    }

    fn next_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line_end = self.need(b"\r\n")?;
        let line: Vec<u8> = self.connection.buffer.drain(..line_end + 2).collect();
        let text = String::from_utf8_lossy(&line);
        let size = text.split(';').next().map(str::trim).and_then(|size| usize::from_str_radix(size, 16).ok());
        let size =
            size.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("not a chunk size: {text}")))?;
        while self.connection.buffer.len() < size + 2 {
            self.connection.fill()?;
        }
        let data: Vec<u8> = self.connection.buffer.drain(..size).collect();
        self.connection.buffer.drain(..2);
        self.done = size == 0;
        Ok((size > 0).then_some(data))
    }

    fn need(&mut self, needle: &[u8]) -> io::Result<usize> {
        loop {
            if let Some(at) = crate::find(&self.connection.buffer, needle) {
                return Ok(at);
            }
            self.connection.fill()?;
        }
    }

    /// Reads until the text has been seen; gives everything up to and with what was read.
    ///
    /// # Panics
    /// When the answer ends before, or nothing comes in time.
    pub fn read_until(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        while crate::find(&seen, text.as_bytes()).is_none() {
            let next = self.next_data();
            let so_far = String::from_utf8_lossy(&seen).into_owned();
            let data = next.unwrap_or_else(|error| panic!("waiting for {text:?} after {so_far:?}: {error}"));
            seen.extend(data.unwrap_or_else(|| panic!("the answer ended before {text:?}: {so_far:?}")));
        }
        String::from_utf8_lossy(&seen).into_owned()
    }

    /// Reads the rest; tells whether the answer came to its proper end.
    #[must_use]
    pub fn rest(&mut self) -> (Vec<u8>, bool) {
        let mut all = Vec::new();
        loop {
            match self.next_data() {
                Ok(Some(data)) => all.extend(data),
                Ok(None) => return (all, true),
                Err(_) => return (all, false),
            }
        }
    }

    /// Reads the rest.
    ///
    /// # Errors
    /// When the connection breaks off before the body's end.
    pub fn whole(mut self) -> io::Result<Response> {
        let mut body = Vec::new();
        while let Some(data) = self.next_data()? {
            body.extend(data);
        }
        Ok(Response { status: self.status, headers: self.headers, body })
    }

    /// The connection below, for what comes after the head (a WebSocket) or after the body (the next request).
    #[must_use]
    pub fn into_connection(self) -> Connection {
        self.connection
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}: {}", self.status, self.text()))
    }

    /// Everything that came, headers first: what a client could look into.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for (name, value) in &self.headers {
            all.extend(format!("{name}: {value}\n").into_bytes());
        }
        all.extend(&self.body);
        all
    }
}
