//! What is looked at: one stretch of plain bytes, and the way to it through archives, tables and encodings.

use std::ops::Range;

/// A stretch of content, unpacked and decoded, that the matcher can look at.
#[derive(Debug)]
pub struct Portion<'a> {
    /// The bytes. Text in UTF-16 has become UTF-8.
    pub bytes: &'a [u8],
    /// Which hits are this portion's: those that begin here. What lies outside is only there to be read with them, and
    /// is another portion's own.
    pub own: Range<usize>,
    /// How many lines end before `bytes`, in the file or member that it belongs to.
    pub lines_before: u64,
    /// How many bytes come before `bytes` in that file or member.
    pub bytes_before: u64,
    /// How many bytes of the line that `bytes` begins in come before it.
    pub column_before: u64,
    /// The same in UTF-16 code units, in which editors count.
    pub units_before: u64,
    /// The way to it from the file: members of archives (`backup.tar.gz` is the file, `var/.env` the first step), tables
    /// and rows (`wp_options`, `option_name=ai_key`). Empty: it is the file itself.
    pub within: &'a [Box<str>],
}

impl<'a> Portion<'a> {
    /// A content that is looked at as a whole.
    #[must_use]
    pub fn whole(bytes: &'a [u8], within: &'a [Box<str>]) -> Self {
        let own = 0..bytes.len();
        Self { bytes, own, lines_before: 0, bytes_before: 0, column_before: 0, units_before: 0, within }
    }
}

/// The mark of the byte order that some programs put at the front of UTF-8.
pub(crate) const MARK: &[u8] = b"\xef\xbb\xbf";

/// How many UTF-16 code units a stretch of a line has. What is no character counts as the sign that editors show for it.
/// `goes_on`: it may begin within a character, which was counted with what comes before.
pub(crate) fn units(bytes: &[u8], goes_on: bool) -> u64 {
    let begun = bytes.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
    let bytes = bytes.get(if goes_on { begun } else { 0 }..).unwrap_or_default();
    let count = match std::str::from_utf8(bytes) {
        Ok(text) => in_text(text),
        // A character that is cut off at the end is counted here.
        Err(error) if error.error_len().is_none() => {
            let (text, cut) = bytes.split_at_checked(error.valid_up_to()).unwrap_or_default();
            let wide = cut.first().is_some_and(|byte| *byte >= 0xf0);
            in_text(std::str::from_utf8(text).unwrap_or_default()) + if wide { 2 } else { 1 }
        }
        Err(_) => String::from_utf8_lossy(bytes).encode_utf16().count(),
    };
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Each character has one byte that does not go on another; those of four bytes are two units.
fn in_text(text: &str) -> usize {
    let firsts = text.bytes().filter(|byte| byte & 0xc0 != 0x80).count();
    firsts + text.bytes().filter(|byte| *byte >= 0xf0).count()
}

/// Why something was not looked at, or not to its end. Nothing is left out in silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// It is larger than the bound.
    TooLarge,
    /// It unpacks to more than the bound, or is packed in itself too often.
    TooDeep,
    /// The system did not let us read it.
    Unreadable,
    /// It is not what it says it is: a broken archive, pack or database.
    Corrupt,
    /// It needs a password.
    Encrypted,
    /// It is packed in a way that is not known.
    Unsupported,
    /// It is not a file: a pipe, a socket, a device. Or a link that leads out of what was to be scanned.
    Special,
    /// It is not here: a shallow or partial clone, a submodule that is not checked out.
    Absent,
    /// It changed while it was read.
    Changed,
    /// The time was up, or somebody stopped the scan.
    Stopped,
}

/// Something that was not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Why.
    pub cause: Cause,
    /// The way to it below the file, as in [`Portion::within`].
    pub within: Vec<Box<str>>,
    /// What the system or the reader said, without any content.
    pub detail: Box<str>,
}

/// Sets the span and `within` of a find right.
pub type Adjuster<'a> = dyn FnMut(&mut Range<u64>, &mut Vec<Box<str>>) + 'a;

/// Who looks at content as it is unpacked.
pub trait Look {
    /// A stretch of content. False: enough, unpack no more.
    fn look(&mut self, portion: &Portion<'_>) -> bool;
    /// The name of something packed within, which may be called like a secret; `within` ends with it.
    fn name(&mut self, _within: &[Box<str>]) {}
    /// Something in it that cannot be looked at.
    fn unread(&mut self, unread: Unread);
    /// Sets right what was found in the portion that was looked at last: where its bytes are not the file's own (decoded
    /// text), and where names are dear to work out (the table and row of a dump). For each find, in order, the adjuster is
    /// given the span and `within` it would be told with.
    fn adjust(&mut self, _adjuster: &mut Adjuster<'_>) {}
}
