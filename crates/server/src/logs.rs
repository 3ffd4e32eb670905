//! Logs: one subscriber, lines to the standard error stream, every line through the redactor. Panics go the same way.

use crate::{advice::Advise, args::Format, redact::Lines};
use anyhow::Context;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt};

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Starts logging. Returns the lines, which are to be told the catalogue's key shapes as soon as they are known.
///
/// # Errors
/// When the filter cannot be read.
pub(crate) fn start(filter: &str, format: Format) -> anyhow::Result<Lines> {
    let lines = Lines::new();
    // The database's driver tells every lost connection; what it means is said once, elsewhere.
    let filter = EnvFilter::try_new(format!("sqlx=warn,{filter}"))
        .with_context(|| format!("--log: '{filter}' is not a filter"))
        .hint("write it like info or keyward_gateway=debug,info")?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(lines.clone());
    let started = match format {
        Format::Text => registry.with(layer.with_target(false).with_ansi(false)).try_init(),
        Format::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    // In tests a subscriber may be there already; its lines are then where they should be.
    drop(started);
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, |place| format!("{}:{}", place.file(), place.line()));
        let text = panic.payload_as_str().unwrap_or("no text");
        tracing::error!(place, text, "a part of the program failed");
    }));
    Ok(lines)
}
