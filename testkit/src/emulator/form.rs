//! Multipart forms, as far as the emulators look into them.

use crate::find;

/// A part's name, its file's name when it is one, and its content.
pub(super) struct Part<'a> {
    pub(super) name: String,
    pub(super) file: Option<String>,
    pub(super) content: &'a [u8],
}

/// The parts of a form. The body's own first line tells the boundary. Empty when the body is no form.
pub(super) fn parts(body: &[u8]) -> Vec<Part<'_>> {
    let Some(line_end) = find(body, b"\r\n").filter(|_| body.starts_with(b"--")) else { return Vec::new() };
    let (edge, mut rest) = body.split_at(line_end);
    let edge = [b"\r\n", edge].concat();
    let mut parts = Vec::new();
    while let Some(end) = rest.get(2..).and_then(|tail| find(tail, &edge)).map(|at| at + 2) {
        let (part, next) = rest.split_at(end);
        parts.extend(read(part));
        rest = next.get(edge.len()..).unwrap_or_default();
    }
    parts
}

fn read(part: &[u8]) -> Option<Part<'_>> {
    let head_end = find(part, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(part.get(..head_end)?).into_owned();
    let value = |key: &str| {
        let (_, tail) = head.split_once(&format!(" {key}=\""))?;
        tail.split('"').next().map(str::to_owned)
    };
    Some(Part { name: value("name")?, file: value("filename"), content: part.get(head_end + 4..)? })
}

/// A field's text.
pub(super) fn field(body: &[u8], name: &str) -> Option<String> {
    let parts = parts(body);
    let part = parts.iter().find(|part| part.name == name)?;
    String::from_utf8(part.content.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_files_are_read() {
        let body = b"--e\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--e\r\n\
            Content-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n\
            two\r\n--lines\r\n--e--\r\n";
        let parts = parts(body);
        assert_eq!(parts.len(), 2);
        assert_eq!(field(body, "purpose").as_deref(), Some("batch"));
        assert_eq!((parts[1].file.as_deref(), parts[1].content), (Some("a.txt"), &b"two\r\n--lines"[..]));
        assert_eq!(field(b"{\"name\": 1}", "name"), None);
    }
}
