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
    let report = Report {
        no_core_dumps: no_core_dumps(),
        not_dumpable: not_dumpable(),
        memory: KeyPage::holding(&[0; KEY])?.kind(),
    };
    if !report.no_core_dumps && !tolerate {
        return Err(Error::NotHardened { what: "the limit on core dumps (RLIMIT_CORE) stays above 0" });
    }
    if !report.not_dumpable && !tolerate {
        return Err(Error::NotHardened { what: "the process stays dumpable (PR_SET_DUMPABLE)" });
    }
    Ok(report)
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
