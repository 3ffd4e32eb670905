//! The policy options that keys, projects and environments share, and how a policy is written for people.

use crate::{failure::Failure, parse, ui::table};
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use keyward_domain::{
    glob::Glob,
    hours::Hours,
    policy::{Policy, WhenShort},
    provider::OnHangup,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// What may be done, from where, when and how much. What is left out is inherited.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Policy options")]
pub(crate) struct PolicyArgs {
    /// Provider that may be called, such as openai; may be given several times
    #[arg(long = "provider", value_name = "ID", value_delimiter = ',')]
    providers: Vec<String>,
    /// Model that may be used, with * for any text; may be given several times
    #[arg(long = "model", value_name = "GLOB", value_delimiter = ',')]
    models: Vec<String>,
    /// Operation that may be called, such as chat or embeddings; may be given several times
    #[arg(long = "operation", value_name = "NAME", value_delimiter = ',')]
    operations: Vec<String>,
    /// Network or address that calls may come from; may be given several times
    #[arg(long = "cidr", value_name = "NETWORK", value_delimiter = ',', value_parser = parse::network)]
    networks: Vec<IpNet>,
    /// Hours in which calls are allowed: DAYS FROM-TO ZONE, such as 'mon-fri 08:00-18:00 Europe/Vienna'
    #[arg(long, value_name = "HOURS", value_parser = parse::hours)]
    hours: Option<Hours>,
    /// Country that calls may come from, two letters; may be given several times
    #[arg(long = "country", value_name = "CODE", value_delimiter = ',', value_parser = parse::country)]
    countries: Vec<String>,
    /// Requests per minute
    #[arg(long = "rpm", value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    requests_per_minute: Option<u64>,
    /// Tokens per minute, input and output together
    #[arg(long = "tpm", value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    tokens_per_minute: Option<u64>,
    /// Calls at once
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: Option<u32>,
    /// Most output tokens that a call may ask for
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    max_output_tokens: Option<u64>,
    /// Output cap that is added to a call that has none [default: what the model gives at most]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    default_output_tokens: Option<u64>,
    /// What happens to a call whose output cap costs more than a budget has left
    #[arg(long, value_name = "WHAT", value_enum)]
    when_short: Option<Short>,
    /// What becomes of a call whose client hangs up
    #[arg(long, value_name = "WHAT", value_enum)]
    on_hangup: Option<Hangup>,
    /// Largest request body, such as 32MiB
    #[arg(long = "max-body", value_name = "SIZE", value_parser = parse::size)]
    max_body_bytes: Option<u64>,
}

/// What happens to a call that a budget cannot pay as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Short {
    /// The cap is lowered to what the budget pays
    Clamp,
    /// The call is refused
    Refuse,
}

impl From<Short> for WhenShort {
    fn from(short: Short) -> Self {
        match short {
            Short::Clamp => Self::Clamp,
            Short::Refuse => Self::Refuse,
        }
    }
}

/// What becomes of a call whose client hangs up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Hangup {
    /// The connection to the provider is closed, and under a budget all that was held is charged
    Cancel,
    /// The answer is read to its end, and what it cost is charged
    Drain,
    /// As drain where money is held for the call, as cancel where not
    Settle,
}

impl From<Hangup> for OnHangup {
    fn from(hangup: Hangup) -> Self {
        match hangup {
            Hangup::Cancel => Self::Cancel,
            Hangup::Drain => Self::Drain,
            Hangup::Settle => Self::Settle,
        }
    }
}

/// A part of a policy that can be taken away again, so that it is inherited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The providers.
    Provider,
    /// The models.
    Model,
    /// The operations.
    Operation,
    /// The networks.
    Cidr,
    /// The hours.
    Hours,
    /// The countries.
    Country,
    /// The requests per minute.
    Rpm,
    /// The tokens per minute.
    Tpm,
    /// The calls at once.
    Concurrency,
    /// The output cap.
    MaxOutputTokens,
    /// The output cap that is added.
    DefaultOutputTokens,
    /// What happens when a budget is short.
    WhenShort,
    /// What becomes of a call whose client hangs up.
    OnHangup,
    /// The body's size.
    MaxBody,
    /// How long an old secret lives on after a rotation.
    Overlap,
}

impl PolicyArgs {
    /// The providers that were named.
    pub(crate) fn providers(&self) -> &[String] {
        &self.providers
    }

    /// The policy that was asked for. `overlap_ms` is how long an old secret lives on after a rotation.
    #[must_use]
    pub(crate) fn policy(&self, overlap_ms: Option<u64>) -> Policy {
        let list = |texts: &[String]| some(texts.iter().map(|text| text.trim().into()).collect());
        Policy {
            providers: list(&self.providers),
            models: some(self.models.iter().map(|model| Glob::new(model.trim())).collect()),
            operations: list(&self.operations),
            networks: some(self.networks.clone()),
            hours: self.hours.clone(),
            countries: list(&self.countries),
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            concurrency: self.concurrency,
            max_output_tokens: self.max_output_tokens,
            default_output_tokens: self.default_output_tokens,
            when_short: self.when_short.map(WhenShort::from),
            on_hangup: self.on_hangup.map(OnHangup::from),
            max_body_bytes: self.max_body_bytes,
            rotation_overlap_ms: overlap_ms,
        }
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// A policy as the server sent it; none is an empty one.
///
/// # Errors
/// When it says things that this client does not know and would lose.
pub(crate) fn read(value: Option<&Value>) -> Result<Policy, Failure> {
    value.map_or_else(|| Ok(Policy::default()), Policy::deserialize).map_err(|error| {
        Failure::failed(format!("the server's policy is newer than this client: {error}"))
            .hint("use the client that came with the server")
    })
}

/// A policy with changes made to it: `changes` where they say something, else what was there, without the parts that
/// are taken away.
#[must_use]
pub(crate) fn changed(before: &Policy, changes: &Policy, without: &[Part]) -> Policy {
    let mut after = changes.inheriting(before);
    for part in without {
        match part {
            Part::Provider => after.providers = None,
            Part::Model => after.models = None,
            Part::Operation => after.operations = None,
            Part::Cidr => after.networks = None,
            Part::Hours => after.hours = None,
            Part::Country => after.countries = None,
            Part::Rpm => after.requests_per_minute = None,
            Part::Tpm => after.tokens_per_minute = None,
            Part::Concurrency => after.concurrency = None,
            Part::MaxOutputTokens => after.max_output_tokens = None,
            Part::DefaultOutputTokens => after.default_output_tokens = None,
            Part::WhenShort => after.when_short = None,
            Part::OnHangup => after.on_hangup = None,
            Part::MaxBody => after.max_body_bytes = None,
            Part::Overlap => after.rotation_overlap_ms = None,
        }
    }
    after
}

/// A policy as lines of label and value, for a record.
#[must_use]
pub(crate) fn lines(policy: &Value) -> Vec<(&'static str, String)> {
    let fields = [
        ("providers", "/providers"),
        ("models", "/models"),
        ("operations", "/operations"),
        ("networks", "/networks"),
        ("hours", "/hours"),
        ("countries", "/countries"),
        ("requests/min", "/requests_per_minute"),
        ("tokens/min", "/tokens_per_minute"),
        ("concurrency", "/concurrency"),
        ("max output", "/max_output_tokens"),
        ("default output", "/default_output_tokens"),
        ("when short", "/when_short"),
        ("on hangup", "/on_hangup"),
    ];
    let mut lines: Vec<(&str, String)> =
        fields.into_iter().map(|(label, place)| (label, table::at(policy, place))).collect();
    let number = |place| policy.pointer(place).and_then(Value::as_u64);
    lines.push(("max body", number("/max_body_bytes").map(shown_size).unwrap_or_default()));
    lines.push(("overlap", number("/rotation_overlap_ms").map(shown_duration).unwrap_or_default()));
    lines.retain(|(_, value)| !value.is_empty());
    lines
}

/// Bytes as people write them: `32MiB`.
#[must_use]
pub(crate) fn shown_size(bytes: u64) -> String {
    for (unit, factor) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    format!("{bytes} bytes")
}

/// Milliseconds as people write them: `24h`, `30d`.
#[must_use]
pub(crate) fn shown_duration(millis: u64) -> String {
    for (unit, factor) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if millis >= factor && millis.is_multiple_of(factor) {
            return format!("{}{unit}", millis / factor);
        }
    }
    format!("{millis}ms")
}

/// The policy as JSON; an empty object when it says nothing.
#[must_use]
pub(crate) fn to_json(policy: &Policy) -> Value {
    serde_json::to_value(policy).unwrap_or_else(|_| json!({}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Sample {
        #[command(flatten)]
        policy: PolicyArgs,
    }

    fn read(arguments: &[&str]) -> Policy {
        Sample::try_parse_from([&["x"], arguments].concat()).unwrap().policy.policy(None)
    }

    #[test]
    fn options_become_the_domains_policy() {
        let arguments = [
            "--provider",
            "openai,anthropic",
            "--model",
            "gpt-*",
            "--model",
            "o3",
            "--operation",
            "chat",
            "--on-hangup",
            "cancel",
            "--cidr",
            "10.0.0.0/8,::1",
            "--hours",
            "mon-fri 08:00-18:00 Europe/Vienna",
            "--country",
            "at",
            "--rpm",
            "60",
            "--tpm",
            "100000",
            "--concurrency",
            "8",
            "--max-output-tokens",
            "4096",
            "--default-output-tokens",
            "1024",
            "--when-short",
            "refuse",
            "--max-body",
            "32MiB",
        ];
        let expected = json!({
            "providers": ["openai", "anthropic"], "models": ["gpt-*", "o3"], "operations": ["chat"],
            "networks": ["10.0.0.0/8", "::1/128"], "hours": "mon-fri 08:00-18:00 Europe/Vienna", "countries": ["AT"],
            "requests_per_minute": 60, "tokens_per_minute": 100_000, "concurrency": 8, "max_output_tokens": 4096,
            "default_output_tokens": 1024, "when_short": "refuse", "on_hangup": "cancel",
            "max_body_bytes": 33_554_432,
        });
        assert_eq!(to_json(&read(&arguments)), expected);
        assert_eq!(to_json(&read(&[])), json!({}));
    }

    #[test]
    fn mistakes_are_refused_before_anything_is_sent() {
        for arguments in [
            ["--rpm", "0"],
            ["--cidr", "10.0.0.0/99"],
            ["--hours", "always"],
            ["--default-output-tokens", "0"],
            ["--when-short", "panic"],
            ["--max-body", "big"],
            ["--country", "AUT"],
        ] {
            assert!(Sample::try_parse_from([&["x"], &arguments[..]].concat()).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn changes_keep_what_they_do_not_name_and_take_away_what_they_should() {
        let before = read(&["--provider", "openai", "--rpm", "60", "--tpm", "5"]);
        let after = changed(&before, &read(&["--rpm", "10"]), &[Part::Tpm]);
        assert_eq!(to_json(&after), json!({"providers": ["openai"], "requests_per_minute": 10}));
        for part in Part::value_variants() {
            let all = read(&[
                "--provider",
                "a",
                "--model",
                "a",
                "--operation",
                "a",
                "--cidr",
                "::1",
                "--hours",
                "mon 00:00-24:00 UTC",
                "--country",
                "AT",
                "--rpm",
                "1",
                "--tpm",
                "1",
                "--concurrency",
                "1",
                "--max-output-tokens",
                "1",
                "--default-output-tokens",
                "1",
                "--when-short",
                "clamp",
                "--on-hangup",
                "drain",
                "--max-body",
                "1",
            ]);
            let all = Policy { rotation_overlap_ms: Some(1), ..all };
            let fields = to_json(&changed(&all, &Policy::default(), &[*part])).as_object().unwrap().len();
            assert_eq!(fields, 14, "{part:?} takes exactly one field away");
        }
    }

    #[test]
    fn sizes_and_durations_read_well() {
        assert_eq!(
            lines(&json!({"max_body_bytes": 33_554_432, "rotation_overlap_ms": 86_400_000, "models": ["a", "b"]})),
            [("models", "a, b".to_owned()), ("max body", "32MiB".to_owned()), ("overlap", "1d".to_owned()),]
        );
        assert_eq!((shown_size(1000), shown_duration(90_000)), ("1000 bytes".to_owned(), "90s".to_owned()));
    }
}
