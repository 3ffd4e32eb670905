//! Secrets on their way in: from a prompt without echo, standard input or a named variable, never from the command
//! line. They leave this room in one request body and nowhere else.

use crate::{context::Context, failure::Failure};
use keyward_catalogue::Catalogue;
use keyward_domain::{api_token, secret::PlainKey, token};
use zeroize::Zeroizing;

/// The longest secret, in bytes.
const LONGEST: usize = 16 << 10;

/// Reads a secret. `what` names it in the prompt, such as `Provider key`.
///
/// # Errors
/// When there is none, or it is not one line of text.
pub(crate) fn read(context: &mut Context, from_env: Option<&str>, what: &str) -> Result<PlainKey, Failure> {
    if let Some(name) = from_env {
        let value = context.variables.text(name).map(Zeroizing::new);
        let value = value.ok_or_else(|| Failure::usage(format!("the variable {name} is not set")))?;
        return tidy(value.as_bytes(), name);
    }
    if context.input.terminal {
        return tidy(prompt(what)?.as_bytes(), "what was typed");
    }
    tidy(&context.input.all(LONGEST)?, "standard input")
}

/// Asks for a secret at the terminal, without showing it. `what` names it.
///
/// # Errors
/// When the terminal cannot be read.
pub(crate) fn prompt(what: &str) -> Result<Zeroizing<String>, Failure> {
    rpassword::prompt_password(format!("{what} (not shown): "))
        .map(Zeroizing::new)
        .map_err(|error| Failure::failed(format!("cannot read the secret from the terminal: {error}")))
}

/// The secret without the white space around it. `place` says where it came from.
fn tidy(bytes: &[u8], place: &str) -> Result<PlainKey, Failure> {
    let bytes = bytes.trim_ascii();
    if bytes.is_empty() {
        return Err(Failure::usage(format!("there is no secret: {place} is empty"))
            .hint("pipe it in, type it at the prompt, or name a variable with --from-env"));
    }
    if bytes.len() > LONGEST {
        return Err(Failure::usage(format!("{place} holds more than {LONGEST} bytes: that is not a key")));
    }
    // A service account's key is a JSON document; every other key is one word.
    let document = bytes.first() == Some(&b'{');
    let odd = |c: char| if document { c.is_control() && c != '\n' } else { c.is_control() || c.is_whitespace() };
    if !std::str::from_utf8(bytes).is_ok_and(|text| !text.contains(odd)) {
        return Err(Failure::usage(format!("{place} holds more than one word: a key has no spaces or line breaks")));
    }
    Ok(PlainKey::new(bytes.to_vec()))
}

/// The secret's text, for the request body and for looking at its shape.
#[expect(clippy::disallowed_methods, reason = "the client's one door: into the request body")]
#[must_use]
pub(crate) fn text(secret: &PlainKey) -> &str {
    // SECRET: `tidy` let only text through.
    std::str::from_utf8(secret.expose()).unwrap_or_default()
}

/// Refuses Keyward's own keys where a provider's is meant.
///
/// # Errors
/// When the text is a virtual key or a token for the control API.
pub(crate) fn refuse_own(secret: &PlainKey) -> Result<(), Failure> {
    let text = text(secret);
    if token::looks_like_ours(text) {
        return Err(Failure::usage("this is a virtual key of Keyward, not a provider's key")
            .hint("the vault takes the real key, as the provider shows it when it is made"));
    }
    if text.starts_with(api_token::PREFIX) {
        return Err(Failure::usage("this is a token for Keyward's control API, not a provider's key"));
    }
    Ok(())
}

/// The refusal of a secret on the command line. It does not repeat what was written there.
#[must_use]
pub(crate) fn refuse_argument() -> Failure {
    Failure::usage("secrets are not taken from the command line: the shell's history and other users' `ps` keep them")
        .hint("pipe it in, type it at the prompt, or name a variable with --from-env")
        .hint("if that was a real secret, replace it: it has been seen")
}

/// Refuses words of the command line in which a key stands where a name or a path belongs: what is wrong with them would
/// show it.
///
/// # Errors
/// When one holds a key.
pub(crate) fn refuse_among<'w>(catalogue: &Catalogue, mut words: impl Iterator<Item = &'w str>) -> Result<(), Failure> {
    let telling = |word: &str| {
        let mut shapes = catalogue.shapes().iter().filter(|shape| shape.is_telling());
        token::parse(word).is_ok() || shapes.any(|shape| shape.find_in(word).next().is_some())
    };
    if words.any(telling) { Err(refuse_argument()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        context::{Input, Variables},
        ui::Ui,
    };

    fn context(input: &'static str, variables: &[(&str, &str)]) -> Context {
        Context {
            variables: variables.iter().copied().collect::<Variables>(),
            input: Input::of_reader(Box::new(input.as_bytes()), false),
            ui: Ui::of_streams(Box::new(std::io::sink()), Box::new(std::io::sink())),
            now: 0,
        }
    }

    #[test]
    fn secrets_come_from_standard_input_or_a_variable() {
        let secret = read(&mut context("  abc123 \r\n", &[]), None, "Key").ok().unwrap();
        assert_eq!(text(&secret), "abc123");
        let secret = read(&mut context("other", &[("MINE", "from-env")]), Some("MINE"), "Key").ok().unwrap();
        assert_eq!(text(&secret), "from-env");
        let secret = read(&mut context("{\n \"type\": \"x\"\n}\n", &[]), None, "Key").ok().unwrap();
        assert_eq!(text(&secret), "{\n \"type\": \"x\"\n}");
    }

    #[test]
    fn what_is_no_secret_is_refused_without_repeating_it() {
        for input in ["", " \n", "one two", "one\ntwo", "one\u{1b}two"] {
            let failure = read(&mut context(input, &[]), None, "Key").err().unwrap();
            assert_eq!(failure.status(), 2, "{input:?}");
            assert!(!format!("{failure:?}").contains("two"), "{failure:?}");
        }
        assert!(read(&mut context("x", &[]), Some("NOT_SET"), "Key").is_err());
        let long: &'static str = Box::leak("x".repeat(LONGEST + 1).into_boxed_str());
        assert!(read(&mut context(long, &[]), None, "Key").is_err());
    }

    #[test]
    fn a_key_in_the_place_of_a_name_is_not_repeated() {
        let catalogue = Catalogue::embedded().unwrap();
        let shape = catalogue.shapes().iter().find(|shape| &*shape.provider == "groq").unwrap();
        let key = keyward_catalogue::sample::text(&shape.pattern, 7).unwrap();
        for words in [vec!["OPENAI_API_KEY", &key], vec![&*format!("https://a.test/v1?key={key}")]] {
            let failure = refuse_among(&catalogue, words.into_iter()).unwrap_err();
            assert!(failure.status() == 2 && !format!("{failure:?}").contains(&key), "{failure:?}");
        }
        assert!(refuse_among(&catalogue, ["OPENAI_API_KEY", "sk-", "src/main.rs"].into_iter()).is_ok());
    }

    #[test]
    fn our_own_keys_are_not_a_providers() {
        for text in ["kw_prod_x", "sk-kw_dev_x", "kwt_x"] {
            let failure = refuse_own(&PlainKey::new(text.into())).unwrap_err();
            assert!(!format!("{failure:?}").contains(text));
        }
        assert!(refuse_own(&PlainKey::new("sk-x".into())).is_ok());
    }
}
