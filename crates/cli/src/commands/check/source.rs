//! Where keys come from: lines of standard input or of files, variables, a prompt without echo.

use super::App;
use crate::{
    failure::Failure,
    files,
    paste::{
        defect::{self, Defect},
        owner::{self, Owner},
    },
    secret,
};
use keyward_catalogue::Catalogue;
use keyward_domain::token;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The largest list of keys, in bytes.
const LARGEST: usize = 1 << 20;
/// Words in a variable's name that say that a secret stands there.
const SECRET_WORDS: [&str; 6] = ["key", "token", "secret", "pass", "cred", "auth"];

/// A key to be checked.
pub(super) struct Item {
    /// What it is called.
    pub(super) name: String,
    /// Where it came from, when the name does not say.
    pub(super) from: String,
    /// The variable it stands under.
    variable: Option<String>,
    /// The file it stands in.
    file: Option<String>,
    /// The key, as it was written.
    pub(super) text: Zeroizing<String>,
    /// What is wrong with it, where only the lines around it tell.
    pub(super) defect: Option<Defect>,
}

impl Item {
    /// The names it stands under, that which says most first.
    pub(super) fn places(&self) -> Vec<&str> {
        self.variable.iter().chain(&self.file).map(String::as_str).collect()
    }
}

/// Reads the keys that are to be checked.
pub(super) fn read(
    app: &mut App,
    catalogue: &Catalogue,
    from_env: &[String],
    env_files: &[PathBuf],
) -> Result<Vec<Item>, Failure> {
    let mut items = Vec::new();
    for name in from_env {
        let value = app.context.variables.text(name);
        let value = value.ok_or_else(|| Failure::usage(format!("the variable {name} is not set")))?;
        let text = Zeroizing::new(value);
        let text = Zeroizing::new(text.trim_matches(['\r', '\n', ' ', '\t']).to_owned());
        items.push(Item {
            name: name.clone(),
            from: "environment".to_owned(),
            variable: Some(name.clone()),
            file: None,
            text,
            defect: None,
        });
    }
    for path in env_files {
        items.extend(of_file(catalogue, path)?);
    }
    if !from_env.is_empty() || !env_files.is_empty() {
        return some(items, "there is no key in there");
    }
    if app.context.input.terminal {
        let text = secret::prompt("Key")?;
        let text = Zeroizing::new(text.trim().to_owned());
        let (name, from) = ("key".to_owned(), "prompt".to_owned());
        return Ok(vec![Item { name, from, variable: None, file: None, text, defect: None }]);
    }
    let bytes = app.context.input.all(LARGEST)?;
    let text = text_of(&bytes, "standard input")?;
    some(lines(catalogue, text, None), "there is no key on standard input")
}

fn some(items: Vec<Item>, nothing: &str) -> Result<Vec<Item>, Failure> {
    if items.is_empty() {
        return Err(Failure::usage(nothing)
            .hint("pipe keys in, one a line, type one at the prompt, or name a variable with --from-env"));
    }
    Ok(items)
}

fn of_file(catalogue: &Catalogue, path: &Path) -> Result<Vec<Item>, Failure> {
    let shown = path.display().to_string();
    let bytes = files::read_small(path)?.ok_or_else(|| Failure::failed(format!("{shown} is not there")))?;
    Ok(lines(catalogue, text_of(&bytes, &shown)?, Some(&shown)))
}

/// UTF-8, with or without a mark of byte order.
fn text_of<'b>(bytes: &'b [u8], place: &str) -> Result<&'b str, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|_| Failure::usage(format!("{place} is not text in UTF-8")))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The keys in some lines: every line of standard input is one, unless it is NAME=value; of those, and of files, the ones
/// whose name or look says so.
fn lines(catalogue: &Catalogue, text: &str, file: Option<&str>) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let all: Vec<&str> = text.lines().map(str::trim).collect();
    let only = all.iter().filter(|line| !line.is_empty() && !line.starts_with('#')).count() == 1;
    let mut at = 0;
    while let Some(line) = all.get(at) {
        let number = at + 1;
        at += 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let from = file.map_or_else(|| format!("line {number}"), |file| format!("{file}, line {number}"));
        if let Some((name, value)) = assignment(catalogue, line) {
            if is_key(catalogue, name, value, file.is_some()) {
                let (variable, file) = (Some(name.to_owned()), file.map(str::to_owned));
                let text = Zeroizing::new(value.to_owned());
                items.push(Item { name: name.to_owned(), from, variable, file, text, defect: None });
            }
            continue;
        }
        if file.is_some() {
            continue;
        }
        let mut item = Item {
            name: if only { "key".to_owned() } else { format!("line {number}") },
            from: "standard input".to_owned(),
            variable: None,
            file: None,
            text: Zeroizing::new((*line).to_owned()),
            defect: None,
        };
        // A key that an editor broke over lines is told by what the lines are together.
        if let Some(more) = broken(catalogue, line, all.get(at..).unwrap_or_default()) {
            at += more;
            item.defect = Some(defect::line_break());
        }
        items.push(item);
    }
    items
}

/// How many of the next lines belong to a key that begins on this one.
fn broken(catalogue: &Catalogue, line: &str, next: &[&str]) -> Option<usize> {
    let fits = |text: &str| catalogue.shapes().iter().any(|shape| shape.is_telling() && shape.is(text));
    let begins = catalogue.shapes().iter().any(|shape| shape.is_telling() && shape.is_cut_off(line));
    if !begins || fits(line) {
        return None;
    }
    let mut whole = Zeroizing::new(line.to_owned());
    next.iter().take(4).enumerate().find_map(|(more, part)| {
        whole.push_str(part);
        fits(&whole).then_some(more + 1)
    })
}

/// A line of the form NAME=value, as shells and programs write it.
fn assignment<'l>(catalogue: &Catalogue, line: &'l str) -> Option<(&'l str, &'l str)> {
    // Keys in base64 end in `=`.
    if catalogue.shapes().iter().any(|shape| shape.is(line)) {
        return None;
    }
    let line = ["export ", "set ", "$env:"].iter().find_map(|word| line.strip_prefix(word)).unwrap_or(line).trim();
    let (name, value) = line.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if !is_name || value.trim_matches('=').is_empty() && !value.is_empty() {
        return None;
    }
    // Quotes here belong to the file, and so does a comment behind the value.
    let unquoted = |quote: char| {
        let inside = value.strip_prefix(quote)?;
        inside.split_once(quote).map(|(inside, _)| inside)
    };
    let bare = || value.split_once(" #").map_or(value, |(value, _)| value.trim_end());
    Some((name, unquoted('"').or_else(|| unquoted('\'')).unwrap_or_else(bare)))
}

/// Whether a named value is a key that can be checked.
fn is_key(catalogue: &Catalogue, name: &str, value: &str, quiet: bool) -> bool {
    let lower = name.to_ascii_lowercase();
    let says_secret = SECRET_WORDS.iter().any(|word| lower.contains(word));
    let telling = catalogue.shapes().iter().any(|shape| shape.is_telling() && shape.is(value));
    if telling || token::parse(value).is_ok() {
        return true;
    }
    let known = owner::named(catalogue, &[name]).is_some();
    let owned = || !matches!(owner::recognise(catalogue, value, &[name]), Owner::Nobody);
    // Of a file, other programs' secrets are nobody's business here.
    says_secret && (known || !quiet && owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_catalogue::sample;

    fn catalogue() -> Catalogue {
        Catalogue::embedded().unwrap()
    }

    fn key(provider: &str) -> String {
        let catalogue = catalogue();
        let shape = catalogue.shapes().iter().find(|shape| &*shape.provider == provider && !shape.admin).unwrap();
        sample::text(&shape.pattern, 21).unwrap()
    }

    fn found(text: &str, file: Option<&str>) -> Vec<(String, String)> {
        let items = lines(&catalogue(), text, file);
        items.into_iter().map(|item| (item.name, item.text.to_string())).collect()
    }

    #[test]
    fn lines_are_keys_and_assignments_are_named() {
        let (anthropic, mistral, bedrock) = (key("anthropic"), key("mistral"), key("bedrock"));
        let text = format!("\n# mine\n{anthropic}\nexport MISTRAL_API_KEY='{mistral}' # old\n{bedrock}\nDEBUG=1\n");
        let expected = [("line 3", &*anthropic), ("MISTRAL_API_KEY", &*mistral), ("line 5", &*bedrock)];
        let expected: Vec<_> = expected.map(|(name, key)| (name.to_owned(), key.to_owned())).into();
        assert_eq!(found(&text, None), expected);
        assert_eq!(found(&anthropic, None), [("key".to_owned(), anthropic.clone())]);
    }

    #[test]
    fn of_a_file_only_keys_of_known_providers_are_taken() {
        let (openai, mistral) = (key("openai"), key("mistral"));
        let text = format!(
            "SECRET_KEY=django-insecure\nAPP={openai}\nMISTRAL_API_KEY=\"{mistral}\"\nDATABASE_URL=postgres://x\nMISTRAL_MODEL=large\n\
             OPENAI_API_KEY=your-key-here\njust a line\n"
        );
        let names: Vec<_> = found(&text, Some(".env")).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["APP", "MISTRAL_API_KEY", "OPENAI_API_KEY"]);
    }

    #[test]
    fn a_key_over_several_lines_is_one_with_a_break() {
        let key = key("anthropic");
        let items = lines(&catalogue(), &format!("{}\n{}\n{}\n", &key[..40], &key[40..90], &key[90..]), None);
        assert_eq!(items.len(), 1);
        assert_eq!(items[0].defect.as_ref().map(|defect| defect.name), Some("line_break"));
    }
}
