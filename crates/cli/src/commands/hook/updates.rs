//! What git says on a hook's standard input: which references are to become what.

use crate::{commands::App, failure::Failure};
use keyward_scanner::Push;

/// The longest input, in bytes: a push of some hundred thousand references.
const LONGEST: usize = 64 << 20;

/// What a push to a remote brings. Lines read `<local ref> <local id> <remote ref> <remote id>`.
///
/// # Errors
/// When git says something else.
pub(super) fn pushed(app: &mut App, remote: &str, url: &str) -> Result<Push, Failure> {
    let update = |words: &[&str]| match words {
        [_, new, name, old] => Some([*name, *new, *old].map(str::to_owned)),
        _ => None,
    };
    Ok(Push { to: Some((remote.to_owned(), url.to_owned())), ..read(app, update)? })
}

/// What a push to us brings. Lines read `<old id> <new id> <ref>`.
///
/// # Errors
/// When git says something else.
pub(super) fn received(app: &mut App) -> Result<Push, Failure> {
    let update = |words: &[&str]| match words {
        [old, new, name] => Some([*name, *new, *old].map(str::to_owned)),
        _ => None,
    };
    read(app, update)
}

fn read(app: &mut App, update: impl Fn(&[&str]) -> Option<[String; 3]>) -> Result<Push, Failure> {
    let input = app.context.input.all(LONGEST)?;
    let input =
        std::str::from_utf8(&input).map_err(|_| Failure::usage("standard input is not what git says to a hook"))?;
    parse(input, update)
}

fn parse(input: &str, update: impl Fn(&[&str]) -> Option<[String; 3]>) -> Result<Push, Failure> {
    let id = |text: &str| matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let nothing = |text: &str| text.bytes().all(|byte| byte == b'0');
    let mut push = Push::default();
    for line in input.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, new, old] = update(&words)
            .filter(|[_, new, old]| id(new) && id(old))
            .ok_or_else(|| Failure::usage("standard input is not what git says to a hook"))?;
        // A reference that is new was nothing before.
        push.old.extend(Some(old).filter(|old| !nothing(old)));
        // One that goes away brings nothing.
        push.new.extend(Some((name, new)).filter(|(_, new)| !nothing(new)));
    }
    Ok(push)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_push_are_read() {
        let (a, b, none) = ("a".repeat(40), "b".repeat(40), "0".repeat(40));
        let update = |words: &[&str]| match words {
            [_, new, name, old] => Some([*name, *new, *old].map(str::to_owned)),
            _ => None,
        };
        let input = format!(
            "refs/heads/x {a} refs/heads/x {b}\nrefs/heads/y {a} refs/heads/y {none}\n(delete) {none} refs/z {a}\n"
        );
        let told = parse(&input, update).unwrap();
        let new = ["refs/heads/x", "refs/heads/y"].map(|name| (name.to_owned(), a.clone())).to_vec();
        assert_eq!(told, Push { new, old: vec![b, a], to: None });
        for odd in ["x", "a b c d", "a b c"] {
            assert!(parse(odd, update).is_err(), "{odd}");
        }
        assert_eq!(parse("", update).unwrap(), Push::default());
    }
}
