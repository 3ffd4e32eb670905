//! The most that one call can cost, before it is sent. What is held for a call must never be less than its bill, so
//! everything that is not known is taken at its dearest, and what has no bound at all is said instead of guessed.

mod dearest;

use super::{Most, PerMillion, Price};
use crate::Money;

/// Tokens that providers put around every request: the frame of a chat, the model's own system prompt. Llama's and
/// gpt-oss' chat templates, the longest known that are billed, take some 70.
pub const FRAME: u64 = 128;
/// Tokens of the system prompt that providers add when a request has tools: Anthropic documents 313 to 530, and up to
/// 499 more with the computer tool.
pub const TOOLS_FRAME: u64 = 1_100;
/// Tokens of the definition of one tool that the client names by its type and the provider writes: Anthropic documents
/// 245 (shell), 700 (editor) and 735 (computer).
pub const PROVIDED_TOOL: u64 = 1_000;

/// The output for each answer that a call gets which says no cap, as long as it can be paid: most answers end before.
pub const USUAL: u64 = 4_096;
/// Models give more than they say: what a model gives at most tells how much it thinks, and it needs that part of it.
const USUAL_PART: u64 = 8;
/// A call that says no cap may have all that the model gives where that costs at most this part of what is left.
const EASY_PART: i64 = 100;
/// An answer of fewer tokens is not worth leaving room for another call.
const SHORT: u64 = 512;

/// How many tokens a byte can become where texts are normalised first, as models for embeddings do: U+FDFA, three bytes,
/// becomes eighteen letters.
pub const NORMALISED: u64 = 6;

/// What a call may use, as far as its request says it. The default is a text without tools for which no output is
/// billed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ask<'a> {
    /// The bytes of the request. A token of text stands for at least one byte of UTF-8, and escapes only add to them.
    pub bytes: u64,
    /// Tokens that the provider adds of its own, beside [`FRAME`].
    pub added: u64,
    /// How many pieces of content the request refers to that are not text in it: then the context window is the bound.
    pub unseen: u64,
    /// Each piece of content has a context window of its own: embeddings, where no output follows.
    pub apart: bool,
    /// Whether input may be written to a cache.
    pub cache_writes: bool,
    /// The service tiers that may be billed.
    pub tier: Tiers<'a>,
    /// The tools in the request that the provider runs.
    pub tools: Vec<Tool<'a>>,
    /// How many tools the provider defines and the client runs.
    pub provided_tools: u64,
    /// Whether there are tools of any kind.
    pub any_tools: bool,
    /// The most runs of tools in this call, all together, where the request says so.
    pub tool_calls: Option<u64>,
    /// How often the model goes on by itself at most, where the provider says so.
    pub turns: Option<u64>,
    /// Which kinds of output are billed.
    pub output: Output,
    /// How many answers are asked for; zero counts as one.
    pub answers: u64,
    /// Tokens of output that are billed whatever the cap: text that the client predicted.
    pub predicted: u64,
    /// Pictures that may have a fee each.
    pub pictures: u64,
    /// Pictures are what is made: they must have a price, by the piece or by tokens.
    pub makes_pictures: bool,
    /// Characters that are billed.
    pub characters: Count,
    /// Search units that are billed without any tool.
    pub searches: Count,
    /// Seconds of sound that are billed.
    pub seconds: Count,
    /// Pages that are billed.
    pub pages: Count,
}

/// How many of something a call can use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Count {
    /// None at all.
    #[default]
    None,
    /// So many at most.
    Most(u64),
    /// The request does not tell.
    Untold,
}

/// Which service tiers can be billed for a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tiers<'a> {
    /// Any: the request leaves it to the provider.
    #[default]
    Any,
    /// The base price.
    Base,
    /// The base price or this tier.
    Named(&'a str),
    /// One that nobody has described: if the price does not have it, it may cost anything.
    Unheard(&'a str),
}

/// A tool that the provider runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tool<'a> {
    /// Its kind, as the request names it.
    pub name: &'a str,
    /// What its runs are billed as.
    pub run: Run,
    /// The most runs that the request allows it.
    pub uses: Option<u64>,
}

/// What a tool's runs are billed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// A web search.
    Search,
    /// A web search of the older kind.
    PreviewSearch,
    /// A search in files.
    FileSearch,
    /// A run of code.
    Code,
    /// No fee, but the model reads on with what it brought.
    Turn,
    /// Nobody knows.
    Unpriced,
}

/// Which output a call can give.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Output {
    /// Text or reasoning is billed.
    pub text: bool,
    /// Sound is billed.
    pub sound: bool,
    /// Pictures are billed by their tokens.
    pub pictures: bool,
    /// The request has a cap, or one can be put into it.
    pub capped: bool,
    /// The cap does not count reasoning.
    pub reasoning_beside: bool,
}

/// Why a call has no bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unbounded {
    /// No price.
    #[error("the model {0} has no price: {OVERLAY}")]
    NoPrice(Box<str>),
    /// The operation names no model.
    #[error("the request names no model that has a price: name one")]
    NoModel,
    /// The operation is billed by what no answer tells.
    #[error(
        "what the operation {0} costs is not metered, so it cannot be used with a key under a budget: use a key without one"
    )]
    Unmetered(Box<str>),
    /// A session.
    #[error(
        "what a WebSocket session of the operation {0} will cost is not known when it begins: use a key that has no budget above it"
    )]
    Session(Box<str>),
    /// Content that is not seen, and no window to bound it.
    #[error(
        "the request refers to content that is not text in it, and the context window of {0} is not known: add `context` to its price; {OVERLAY}"
    )]
    NoContext(Box<str>),
    /// Nothing bounds the output.
    #[error(
        "nothing says how much output {0} can give: set the output cap in the request, `default_output_tokens` in the key's policy, or `max_output` in the price; {OVERLAY}"
    )]
    NoOutputLimit(Box<str>),
    /// A tool or field whose price is not known.
    #[error(
        "the request uses '{tool}', which has no price with {model}: leave it out, or add its fee to the price where one exists (such as `fees = {{ search = … }}`); {OVERLAY}"
    )]
    NoFee {
        /// As the request names it.
        tool: Box<str>,
        /// The model.
        model: Box<str>,
    },
    /// A service tier whose price is not known.
    #[error(
        "the request asks for the service tier '{tier}', which has no price with {model}: leave it out, or add it to the `tiers` of the price; {OVERLAY}"
    )]
    NoTier {
        /// As the request names it.
        tier: Box<str>,
        /// The model.
        model: Box<str>,
    },
    /// Something billed apart from tokens whose number is not known.
    #[error(
        "nothing says how many {what} the call can use with {model}: {limit}add `most = {{ {field} = … }}` to the price; {OVERLAY}"
    )]
    NoCount {
        /// What is counted, in words.
        what: &'static str,
        /// The field of `most`.
        field: &'static str,
        /// How the request can say it, as a half sentence.
        limit: &'static str,
        /// The model.
        model: Box<str>,
    },
}

/// Where prices are written down.
const OVERLAY: &str = "prices of your own go into a file in `prices/` of the configuration folder (see 'Add or change a provider, or a price')";

/// The most that a call can cost, as a line: a fixed part, and so much for every token of its output cap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bound {
    /// Input, fees, and output that no cap bounds; in femto-USD.
    fixed: i128,
    /// What a token of the cap costs, in femto-USD.
    rate: i128,
    /// The cap that the call should have, over all its answers: what the request or the policy says, and otherwise what
    /// the model gives at most. None: the output has no cap, or there is no output.
    pub cap: Option<u64>,
    /// The least cap with which the call makes sense: one token for each answer, and more than it wants to think.
    pub least: u64,
    /// The most output that the model gives, over all answers.
    pub max_output: Option<u64>,
    /// The most input tokens of the call.
    pub input: u64,
    /// What a call that says no cap may have, over all answers, so that its prompt has room in the window as well.
    room: Option<u64>,
    answers: u64,
}

impl Bound {
    /// Of a call that is never billed.
    #[must_use]
    pub fn free() -> Self {
        Self { answers: 1, ..Self::default() }
    }

    /// The bound over several models, any of which may be billed. `asked` is the cap over all answers that request and
    /// policy say; `least` the least one that the request can do with.
    ///
    /// # Errors
    /// What has no bound.
    pub fn of<'p>(
        prices: impl IntoIterator<Item = &'p Price>,
        ask: &Ask<'_>,
        asked: Option<u64>,
        least: u64,
    ) -> Result<Self, Unbounded> {
        let answers = ask.answers.max(1);
        let mut bound: Option<Self> = None;
        for price in prices {
            let one = price.bound(ask)?;
            if one.rate > 0 && asked.is_none() && one.max_output.is_none() {
                return Err(Unbounded::NoOutputLimit(price.model.clone()));
            }
            bound = Some(bound.map_or(one, |before| before.or_dearer(one)));
        }
        let mut bound = bound.ok_or(Unbounded::NoModel)?;
        bound.answers = answers;
        bound.least = least.max(1).saturating_mul(answers);
        if ask.output.capped {
            bound.cap = match (asked, bound.max_output) {
                (Some(asked), Some(most)) => Some(asked.min(most).max(answers)),
                (asked, most) => asked.or(most),
            };
        }
        Ok(bound)
    }

    fn or_dearer(self, other: Self) -> Self {
        Self {
            fixed: self.fixed.max(other.fixed),
            rate: self.rate.max(other.rate),
            max_output: self.max_output.zip(other.max_output).map(|(one, two)| one.max(two)),
            room: self.room.into_iter().chain(other.room).min(),
            input: self.input.max(other.input),
            ..self
        }
    }

    /// What must be held for a call whose cap, over all its answers, is this.
    #[must_use]
    pub fn hold(&self, cap: u64) -> Money {
        Money::from_femto_ceil(self.fixed.saturating_add(self.rate.saturating_mul(i128::from(cap))))
    }

    /// What must be held for the call as it was asked for.
    #[must_use]
    pub fn whole(&self) -> Money {
        self.hold(self.cap.unwrap_or(0))
    }

    /// What the call costs at most before it gives any output that its cap bounds.
    #[must_use]
    pub fn fixed(&self) -> Money {
        self.hold(0)
    }

    /// Whether a lower cap makes the call cheaper.
    #[must_use]
    pub const fn shrinks(&self) -> bool {
        self.cap.is_some() && self.rate > 0
    }

    /// The cap that a call gets which says none, when this much money is left: all that the model gives where that is
    /// easily paid; otherwise what an easy part pays, but not so little that usual answers break off. Prompt and answer
    /// have room in the window: providers refuse a call whose cap leaves none. Nothing where there is no cap.
    #[must_use]
    pub fn unasked(&self, left: Money) -> Option<u64> {
        let wanted = self.cap?;
        let answers = self.answers.max(1);
        let given = self.max_output.unwrap_or(wanted);
        let usual = USUAL.saturating_mul(answers).max(given / USUAL_PART);
        // What it wants to think comes on top.
        let usual = usual.saturating_add(self.least.saturating_sub(answers));
        let easy = i128::from(left.nano() / EASY_PART).saturating_mul(1_000_000);
        let easy = if self.rate > 0 { u64::try_from(easy / self.rate).unwrap_or(u64::MAX) } else { u64::MAX };
        let cap = easy.max(usual).min(wanted).min(self.room.unwrap_or(u64::MAX)).max(self.least.min(wanted));
        Some((cap - cap % answers).max(answers.min(wanted)))
    }

    /// The same when not even that is left: what half of it pays, so that another call can go beside this one; all of it
    /// where half would pay for next to nothing. `None`: nothing can be paid.
    #[must_use]
    pub fn unasked_when_short(&self, left: Money) -> Option<u64> {
        let enough = SHORT.saturating_mul(self.answers.max(1)).saturating_add(self.least);
        let half = self.affordable(Money::from_nano(left.nano() / 2)).filter(|cap| *cap >= enough);
        half.or_else(|| self.affordable(left))
    }

    /// The largest cap, up to the one that was asked for, that this much money pays: a multiple of the number of
    /// answers, and not below [`Self::least`]. A call without a cap gets zero when it can be paid. `None`: it cannot.
    #[must_use]
    pub fn affordable(&self, left: Money) -> Option<u64> {
        let wanted = self.cap.unwrap_or(0);
        // An amount that has stopped at the largest one is none.
        if self.hold(wanted) <= left && left.nano() < i64::MAX {
            return Some(wanted);
        }
        if !self.shrinks() {
            return None;
        }
        let room = i128::from(left.nano()).saturating_mul(1_000_000).saturating_sub(self.fixed);
        if room < 0 {
            return None;
        }
        let cap = u64::try_from(room / self.rate).unwrap_or(u64::MAX).min(wanted);
        let answers = self.answers.max(1);
        let cap = cap - cap % answers;
        (cap >= self.least.min(wanted)).then_some(cap)
    }
}

impl Price {
    /// The bound of a call by this price.
    fn bound(&self, ask: &Ask<'_>) -> Result<Bound, Unbounded> {
        let answers = ask.answers.max(1);
        if let Tiers::Unheard(tier) = ask.tier
            && !self.has_tier(tier)
        {
            return Err(Unbounded::NoTier { tier: tier.into(), model: self.model.clone() });
        }
        let (turns, fees) = self.tools(ask)?;
        let input = self.most_input(ask, turns)?;
        let dearest = self.dearest(ask, input, turns > 1 || ask.unseen > 0);
        let scale = self.regions.iter().map(|rate| i128::from(rate.permille)).fold(1_000, i128::max);
        // Up, as every fraction of a cost goes.
        let scaled = |rate: PerMillion| match (i128::from(rate), scale) {
            (rate, 1_000) => rate,
            (rate, scale) => (rate * scale).div_euclid(1_000) + i128::from((rate * scale).rem_euclid(1_000) > 0),
        };
        let mut fixed = scaled(dearest.input).saturating_mul(i128::from(input)).saturating_add(fees);
        fixed = fixed.saturating_add(self.units(ask)?);
        let output = scaled(dearest.output);
        let max_output = self.max_output.map(|most| most.saturating_mul(answers));
        let room = self.context.map(|context| context.saturating_sub(input).max(context / 2).saturating_mul(answers));
        let mut bound = Bound { max_output, input, room, answers, ..Bound::default() };
        if output > 0 {
            let of = |tokens: u64| output.saturating_mul(i128::from(tokens)).saturating_mul(i128::from(turns));
            fixed = fixed.saturating_add(of(ask.predicted.saturating_mul(answers)));
            // A picture is made whole, and sound is not known to be cut: the cap is not trusted with either.
            let untrusted = (ask.output.pictures && self.rates.image_output.is_some())
                || (ask.output.sound && self.rates.audio_output.is_some());
            if untrusted || !ask.output.capped || ask.output.reasoning_beside {
                let most = max_output.ok_or_else(|| Unbounded::NoOutputLimit(self.model.clone()))?;
                fixed = fixed.saturating_add(of(most));
            }
            if ask.output.capped {
                bound.rate = of(1);
            }
        }
        bound.fixed = fixed;
        Ok(bound)
    }

    /// The most input tokens.
    fn most_input(&self, ask: &Ask<'_>, turns: u64) -> Result<u64, Unbounded> {
        let frame = if ask.any_tools { FRAME + TOOLS_FRAME } else { FRAME };
        let provided = ask.provided_tools.saturating_mul(PROVIDED_TOOL);
        let bytes = if ask.apart { ask.bytes.saturating_mul(NORMALISED) } else { ask.bytes };
        let seen = [bytes, ask.added, frame, provided].into_iter().fold(0, u64::saturating_add);
        if (ask.unseen == 0 && turns <= 1) || !self.by_tokens() {
            return Ok(seen);
        }
        // Tokens are billed only of a prompt that fits.
        let window = self.context.ok_or_else(|| Unbounded::NoContext(self.model.clone()))?;
        let one = if ask.apart { seen.saturating_add(window.saturating_mul(ask.unseen)) } else { seen.max(window) };
        Ok(one.saturating_mul(turns))
    }

    fn has_tier(&self, name: &str) -> bool {
        self.tiers.iter().any(|entry| *entry.tier == *name)
    }

    /// How often the model reads its input at most, and what the tools cost in femto-USD.
    fn tools(&self, ask: &Ask<'_>) -> Result<(u64, i128), Unbounded> {
        if ask.tools.is_empty() {
            return Ok((1, 0));
        }
        let most = &self.most;
        let (mut runs, mut femto, mut searched) = (Some(0_u64), 0_i128, false);
        for tool in &ask.tools {
            let no_fee = || Unbounded::NoFee { tool: tool.name.into(), model: self.model.clone() };
            let (fee, listed, field, what) = match tool.run {
                Run::Search => (
                    self.fees.search.or_else(|| self.fees.searching.and(Some(0))),
                    most.searches,
                    "searches",
                    "searches",
                ),
                Run::PreviewSearch => {
                    (self.fees.preview_search.or(self.fees.search), most.searches, "searches", "searches")
                }
                Run::FileSearch => (self.fees.file_search, most.file_searches, "file_searches", "searches in files"),
                Run::Code => (self.fees.code_run, most.code_runs, "code_runs", "runs of code"),
                Run::Turn => (Some(0), most.turns, "turns", "turns of its tools"),
                Run::Unpriced => return Err(no_fee()),
            };
            let fee = fee.ok_or_else(no_fee)?;
            searched |= matches!(tool.run, Run::Search | Run::PreviewSearch);
            let count = [tool.uses, ask.tool_calls, listed].into_iter().flatten().min();
            runs = runs.zip(count).map(|(sum, count)| sum.saturating_add(count));
            if fee > 0 {
                let limit =
                    "say it in the request where the provider lets you (such as `max_tool_calls` or `max_uses`), or ";
                let none = || Unbounded::NoCount { what, field, limit, model: self.model.clone() };
                femto = femto.saturating_add(fee_of(count.ok_or_else(none)?, fee));
            }
        }
        if searched {
            femto = femto.saturating_add(fee_of(1, self.fees.searching.unwrap_or(0)));
        }
        let runs = runs.map(|runs| ask.tool_calls.map_or(runs, |all| runs.min(all)));
        let turns = [runs.map(|runs| runs.saturating_add(1)), ask.turns, most.turns].into_iter().flatten().min();
        let limit = "say in the request how often its tools may run where the provider lets you (such as `max_tool_calls`), or ";
        let turns = turns.ok_or_else(|| Unbounded::NoCount {
            what: "turns of its tools",
            field: "turns",
            limit,
            model: self.model.clone(),
        })?;
        Ok((turns.max(1), femto))
    }

    /// What is billed apart from tokens and tools, in femto-USD.
    fn units(&self, ask: &Ask<'_>) -> Result<i128, Unbounded> {
        let Most { searches, seconds, pages, characters, .. } = self.most;
        let fees = &self.fees;
        let mut femto = fee_of(1, fees.request.unwrap_or(0));
        let by_tokens = self.rates.image_output.or(self.rates.output).is_some();
        if ask.makes_pictures && fees.image.is_none() && !by_tokens {
            return Err(self.no_fee("pictures"));
        }
        if ask.searches == Count::Untold && fees.search.or(fees.request).is_none() {
            return Err(self.no_fee("search"));
        }
        femto = femto.saturating_add(fee_of(ask.pictures, fees.image.unwrap_or(0)));
        for (count, fee, listed, what, field) in [
            (ask.searches, fees.search, searches, "searches", "searches"),
            (ask.seconds, fees.second, seconds, "seconds of sound", "seconds"),
            (ask.pages, fees.page, pages, "pages", "pages"),
        ] {
            let Some(fee) = fee else { continue };
            femto = femto.saturating_add(fee_of(self.count(count, listed, what, field)?, fee));
        }
        if let Some(fee) = fees.million_characters {
            let count = self.count(ask.characters, characters, "characters", "characters")?;
            femto = femto.saturating_add(i128::from(count).saturating_mul(i128::from(fee)));
        }
        Ok(femto)
    }

    fn count(
        &self,
        count: Count,
        listed: Option<u64>,
        what: &'static str,
        field: &'static str,
    ) -> Result<u64, Unbounded> {
        match count {
            Count::None => Ok(0),
            Count::Most(most) => Ok(listed.map_or(most, |listed| listed.min(most))),
            Count::Untold => {
                listed.ok_or_else(|| Unbounded::NoCount { what, field, limit: "", model: self.model.clone() })
            }
        }
    }

    fn no_fee(&self, tool: &str) -> Unbounded {
        Unbounded::NoFee { tool: tool.into(), model: self.model.clone() }
    }
}

fn fee_of(count: u64, nano: i64) -> i128 {
    i128::from(count).saturating_mul(i128::from(nano)).saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests;
