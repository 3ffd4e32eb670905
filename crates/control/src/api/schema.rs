//! How values of the domain look in the API's description. Nothing here is ever made; the domain's own types travel.

#![expect(dead_code, reason = "these types only describe others")]

use utoipa::ToSchema;

/// What a key may do. A field left out is inherited: from the environment, then from the project.
#[derive(ToSchema)]
pub(crate) struct Policy {
    /// Provider ids, or `*` for all. Without any, nothing can be called.
    #[schema(example = json!(["openai"]))]
    providers: Option<Vec<String>>,
    /// Model names with `*`. Left out: all.
    #[schema(example = json!(["gpt-*"]))]
    models: Option<Vec<String>>,
    /// Operation names. Left out: all that the catalogue allows by default.
    #[schema(example = json!(["chat"]))]
    operations: Option<Vec<String>>,
    /// Client networks. Left out: any.
    #[schema(example = json!(["10.0.0.0/8", "2001:db8::/32"]))]
    networks: Option<Vec<String>>,
    /// Days, times and a time zone.
    #[schema(example = "mon-fri 08:00-18:00 Europe/Vienna")]
    hours: Option<String>,
    /// Two-letter country codes; needs a country database.
    #[schema(example = json!(["AT", "DE"]))]
    countries: Option<Vec<String>>,
    /// Requests per minute.
    requests_per_minute: Option<u64>,
    /// Tokens per minute.
    tokens_per_minute: Option<u64>,
    /// Calls at once.
    concurrency: Option<u32>,
    /// The most output tokens a call may ask for.
    max_output_tokens: Option<u64>,
    /// The output cap that is added to a call that has none, in tokens. Left out: `max_output_tokens`, or what the model
    /// gives at most.
    default_output_tokens: Option<u64>,
    /// What happens to a call whose output cap costs more than a budget has left: `clamp` lowers the cap to what the
    /// budget pays, `refuse` refuses the call. Left out: `clamp`.
    #[schema(example = "clamp")]
    when_short: Option<String>,
    /// What becomes of a call whose client hangs up: `drain` reads its answer to the end and charges what it cost,
    /// `cancel` closes the connection and charges all that was held, `settle` is `drain` where money is held for the
    /// call and `cancel` where not. Left out: what is best with the provider.
    #[schema(example = "settle")]
    on_hangup: Option<String>,
    /// The largest request body, in bytes.
    max_body_bytes: Option<u64>,
    /// How long the old secret lives on after a rotation, in milliseconds.
    rotation_overlap_ms: Option<u64>,
}
