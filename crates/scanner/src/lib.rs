//! Finds secrets: in text by the shapes of the catalogue and by rules of its own, in files and whatever they are packed in,
//! in every place of a git repository. It tells where a secret stands, what it is and how sure that is. No network, no
//! database.

mod concern;
mod detect;
mod filter;
mod finding;
mod fingerprint;
mod git;
mod hit;
mod matcher;
mod portion;
pub mod report;
mod rule;
mod scan;
mod search;
mod shown;
mod unpack;
mod walk;

pub use concern::Concern;
pub use detect::{Match, OURS, Shapes};
pub use filter::{BadList, Filter, LeftOut, Permission};
pub use finding::{Commit, Finding, Missed, Outcome, Place, Stats, Where};
pub use fingerprint::Fingerprinter;
pub use git::{GitError, History, Hook, Push, committed};
pub use hit::{Confidence, Hit, Kind, Secret};
pub use matcher::{Hints, Matcher};
pub use portion::{Adjuster, Cause, Look, Portion, Unread};
pub use rule::{RuleProblem, Rules};
pub use scan::{Progress, Scan};
pub use search::{ALLOW, Search, Seen};
pub use unpack::{Bounds, unpack_bytes, unpack_reader, unpack_stream};
pub use walk::Walk;
