//! The hooks themselves: a few lines for any POSIX shell, which run what was there before and then this program.

use crate::failure::Failure;
use std::path::Path;

/// What a hook of ours is called in reports.
pub(super) const OURS: &str = "installed";
/// Tells our hooks from others'.
const MARK: &str = "# keyward-hook 1";
/// What is added to the name of a hook that was there before.
pub(super) const BEFORE: &str = ".before-keyward";

/// The text of a hook.
///
/// # Errors
/// When the program lies at a place whose name is no text.
pub(super) fn of(hook: &str, program: &Path) -> Result<String, Failure> {
    let program = program.to_str().ok_or_else(|| Failure::failed("the path of this program is not text"))?;
    // Within single quotes a shell takes everything as it is but the quote itself.
    let program = format!("'{}'", program.replace('\'', r"'\''"));
    let (first, then) = if hook == "pre-commit" {
        (r#""$0.before-keyward" "$@" || exit $?"#.to_owned(), format!(r#"exec "$keyward" hook run {hook} "$@""#))
    } else {
        // Git says on standard input what is pushed, and each of the two has to hear it.
        (
            r#"printf '%s' "${input%x}" | "$0.before-keyward" "$@" || exit $?"#.to_owned(),
            format!(r#"printf '%s' "${{input%x}}" | "$keyward" hook run {hook} "$@""#),
        )
    };
    let input = if hook == "pre-commit" { "" } else { "input=$(cat; echo x)\n" };
    Ok(format!(
        "#!/bin/sh\n{MARK}: put here by `keyward hook install`, taken away by `keyward hook uninstall`.\n{input}\
         if [ -x \"$0{BEFORE}\" ]; then\n    {first}\nfi\n\
         keyward={program}\n\
         if ! [ -x \"$keyward\" ]; then\n    keyward=keyward\n\
         \x20   if ! command -v keyward >/dev/null 2>&1; then\n\
         \x20       echo 'keyward is not installed: nothing looked for secrets. Install it, or take this hook away.' >&2\n\
         \x20       exit 1\n    fi\nfi\n{then}\n"
    ))
}

/// Whether a hook is ours.
pub(super) fn is_ours(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').nth(1).is_some_and(|line| line.starts_with(MARK.as_bytes()))
}
