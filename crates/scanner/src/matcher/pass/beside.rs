//! Tries texts beside which bytes stand that look like theirs.

use super::Pass;
use crate::matcher::{edges, mail};
use std::ops::Range;

impl Pass<'_> {
    /// Tries the beginnings in a run before which lengths may stand.
    pub(super) fn behind_lengths(&mut self, run: &Range<usize>) {
        let matcher = self.matcher;
        for start in mail::begins(self.text, run) {
            matcher.beginnings.standing(self.text, start, |begin| self.begun(start, begin));
        }
    }

    /// Tries the text within a run that is shorter than it.
    pub(super) fn within_run(&mut self, run: &Range<usize>) {
        if let Some(within) = mail::within(self.text, run) {
            self.plain(&within);
        }
    }

    /// Whether neither a letter nor a digit stands right beside a stretch.
    pub(super) fn is_apart(&self, span: &Range<usize>) -> bool {
        let goes_on = |at: Option<usize>| at.and_then(|at| self.text.get(at)).is_some_and(u8::is_ascii_alphanumeric);
        (!goes_on(span.start.checked_sub(1)) || edges::after_escape(self.text, span.start)) && !goes_on(Some(span.end))
    }
}
