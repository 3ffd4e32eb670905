//! What git says on a hook's standard input: which references are to become what.

use crate::{commands::App, failure::Failure};

/// The longest input, in bytes: a push of some hundred thousand references.
const LONGEST: usize = 64 << 20;

/// Commits that are to be looked at: those that `new` has and `old` does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Update {
    /// What the reference is to become.
    pub(crate) new: String,
    /// What the other side has. None: the reference is new.
    pub(crate) old: Option<String>,
    /// The remote that is pushed to. None: we are the other side.
    pub(crate) remote: Option<String>,
}

/// What a push to a remote brings. Lines read `<local ref> <local id> <remote ref> <remote id>`.
///
/// # Errors
/// When git says something else.
pub(super) fn pushed(app: &mut App, remote: &str) -> Result<Vec<Update>, Failure> {
    let update = |words: &[&str]| match words {
        [_, new, _, old] => Some(((*new).to_owned(), (*old).to_owned())),
        _ => None,
    };
    read(app, update, Some(remote))
}

/// What a push to us brings. Lines read `<old id> <new id> <ref>`.
///
/// # Errors
/// When git says something else.
pub(super) fn received(app: &mut App) -> Result<Vec<Update>, Failure> {
    let update = |words: &[&str]| match words {
        [old, new, _] => Some(((*new).to_owned(), (*old).to_owned())),
        _ => None,
    };
    read(app, update, None)
}

fn read(
    app: &mut App,
    update: impl Fn(&[&str]) -> Option<(String, String)>,
    remote: Option<&str>,
) -> Result<Vec<Update>, Failure> {
    let input = app.context.input.all(LONGEST)?;
    let input =
        std::str::from_utf8(&input).map_err(|_| Failure::usage("standard input is not what git says to a hook"))?;
    parse(input, update, remote)
}

fn parse(
    input: &str,
    update: impl Fn(&[&str]) -> Option<(String, String)>,
    remote: Option<&str>,
) -> Result<Vec<Update>, Failure> {
    let id = |text: &str| matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let nothing = |text: &str| text.bytes().all(|byte| byte == b'0');
    let mut updates = Vec::new();
    for line in input.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let (new, old) = update(&words)
            .filter(|(new, old)| id(new) && id(old))
            .ok_or_else(|| Failure::usage("standard input is not what git says to a hook"))?;
        // A reference that goes away brings nothing.
        if !nothing(&new) {
            let remote = remote.map(str::to_owned);
            updates.push(Update { new, old: Some(old).filter(|old| !nothing(old)), remote });
        }
    }
    Ok(updates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_push_are_read() {
        let (a, b, none) = ("a".repeat(40), "b".repeat(40), "0".repeat(40));
        let update = |words: &[&str]| match words {
            [_, new, _, old] => Some(((*new).to_owned(), (*old).to_owned())),
            _ => None,
        };
        let input = format!(
            "refs/heads/x {a} refs/heads/x {b}\nrefs/heads/y {a} refs/heads/y {none}\n(delete) {none} refs/z {b}\n"
        );
        let told = parse(&input, update, Some("origin")).unwrap();
        let remote = Some("origin".to_owned());
        let expected =
            [Update { new: a.clone(), old: Some(b), remote: remote.clone() }, Update { new: a, old: None, remote }];
        assert_eq!(told, expected);
        for odd in ["x", "a b c d", "a b c"] {
            assert!(parse(odd, update, None).is_err(), "{odd}");
        }
        assert_eq!(parse("", update, None).unwrap(), []);
    }
}
