//! Shuts core dumps and debuggers out of this process, and looks whether that worked.
//! To be called once, before any secret is read.

use crate::{
    Error,
    memory::{KEY, KeyPage, MemoryKind},
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;

/// The option of `keyward serve` that lets it run where the process cannot be protected.
pub const OVERRIDE_FLAG: &str = "--allow-unhardened";

/// What protects the secrets in memory, as read back from the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Core dumps are limited to nothing.
    pub no_core_dumps: bool,
    /// Other processes of the same user can neither attach nor dump.
    pub not_dumpable: bool,
    /// How the memory that holds keys is protected.
    pub memory: MemoryKind,
}

/// Sets the limit on core dumps to nothing and makes the process non-dumpable, reads both back, and tries a key page.
/// With `tolerate` a failure is only reported; the report's `memory` never is a reason to refuse.
///
/// # Errors
/// [`Error::NotHardened`] when one of the first two failed and `tolerate` is not set.
pub fn process(tolerate: bool) -> Result<Report, Error> {
    let memory = KeyPage::holding(&[0; KEY])?.kind();
    judge(Report { no_core_dumps: no_core_dumps(), not_dumpable: not_dumpable(), memory }, tolerate)
}

fn judge(report: Report, tolerate: bool) -> Result<Report, Error> {
    let what = match report {
        Report { no_core_dumps: false, .. } => "the limit on core dumps (RLIMIT_CORE) stays above 0",
        Report { not_dumpable: false, .. } => "the process stays dumpable (PR_SET_DUMPABLE)",
        Report { .. } => return Ok(report),
    };
    if tolerate { Ok(report) } else { Err(Error::NotHardened { what }) }
}

fn no_core_dumps() -> bool {
    // Tried and then looked at: what counts is what the system says afterwards.
    setrlimit(Resource::RLIMIT_CORE, 0, 0).is_ok() && getrlimit(Resource::RLIMIT_CORE) == Ok((0, 0))
}

#[cfg(target_os = "linux")]
fn not_dumpable() -> bool {
    use nix::sys::prctl;
    prctl::set_dumpable(false).is_ok() && prctl::get_dumpable() == Ok(false)
}

/// Other systems have no such switch; the limit above is what there is.
#[cfg(not(target_os = "linux"))]
fn not_dumpable() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_refuses_unless_told_otherwise() {
        let fine = Report { no_core_dumps: true, not_dumpable: true, memory: MemoryKind::Ordinary };
        assert_eq!(judge(fine, false).ok(), Some(fine));
        for failed in [Report { no_core_dumps: false, ..fine }, Report { not_dumpable: false, ..fine }] {
            let said = judge(failed, false).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(said.contains("--allow-unhardened"), "{said}");
            assert_eq!(judge(failed, true).ok(), Some(failed));
        }
    }
}
