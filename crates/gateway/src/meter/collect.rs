//! From watched values to what an answer says: one document at a time, then all of them together.

use super::plan::{AnswerPlan, ErrorPart, Role};
use crate::near::Near;
use crate::tap::{Sink, Value, number};
use keyward_domain::{
    Money,
    provider::{CostUnit, Counter, ErrorParts, Merge, UsageShape},
    usage::{Buckets, Units, Usage},
};

/// How many counters there are.
const COUNTERS: usize = Counter::CodeRuns as usize + 1;

/// The most ids kept of one answer.
const MOST_CREATED: usize = 64;

/// What was not told is zero.
type Counts = [u64; COUNTERS];

/// An object that the answer shows to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The catalogue's word for its kind.
    pub kind: Box<str>,
    /// Its id, as the answer writes it.
    pub id: Box<str>,
}

/// A text with the rank of the path it came from: lower ranks win within a document.
#[derive(Debug, Default)]
struct Ranked<T>(Option<(u16, T)>);

impl<T> Ranked<T> {
    fn offer(&mut self, rank: u16, value: T) {
        if self.0.as_ref().is_none_or(|(held, _)| rank < *held) {
            self.0 = Some((rank, value));
        }
    }

    fn take(&mut self) -> Option<T> {
        self.0.take().map(|(_, value)| value)
    }
}

/// The counters of one document, each with the rank of the path it came from.
#[derive(Debug)]
struct DocumentCounts {
    values: [u64; COUNTERS],
    ranks: [u16; COUNTERS],
}

/// The rank of what was not there.
const ABSENT: u16 = u16::MAX;

impl Default for DocumentCounts {
    fn default() -> Self {
        Self { values: [0; COUNTERS], ranks: [ABSENT; COUNTERS] }
    }
}

impl DocumentCounts {
    fn offer(&mut self, counter: Counter, rank: u16, value: u64) {
        let at = position(counter);
        let (Some(held), Some(sum)) = (self.ranks.get_mut(at), self.values.get_mut(at)) else { return };
        if rank < *held {
            (*held, *sum) = (rank, value);
        } else if rank == *held {
            *sum = sum.saturating_add(value);
        }
    }

    /// Whether the document reports anything: a mark alone does not.
    fn any(&self) -> bool {
        let mark = position(Counter::PreviewSearch);
        self.ranks.iter().enumerate().any(|(at, rank)| *rank != ABSENT && at != mark)
    }
}

/// What another model is billed for. Few answers have it: nothing is kept until one does.
#[derive(Debug, Default)]
struct Aside {
    counts: Counts,
    /// There was a report.
    reported: bool,
    model: Option<Box<str>>,
    /// Of the document that is being read.
    document: DocumentCounts,
    document_model: Ranked<Box<str>>,
}

/// One document (a unary answer, an event) while it is read.
#[derive(Debug, Default)]
struct Document {
    counts: DocumentCounts,
    cost: Ranked<Money>,
    tier: Ranked<Box<str>>,
    region: Ranked<Box<str>>,
    model: Ranked<Box<str>>,
    id: Ranked<Box<str>>,
    pending: Option<bool>,
    /// Few documents have it: nothing is kept until one does.
    error: Option<Box<[Ranked<String>; 4]>>,
    is_error: bool,
    event: Option<Box<str>>,
    choices: u32,
    finishes: u32,
    goes_on: bool,
}

/// Everything an answer has said so far.
#[derive(Debug)]
pub(super) struct Collector {
    plan: Near<AnswerPlan>,
    document: Document,
    counts: Counts,
    cost: Option<Money>,
    tier: Option<Box<str>>,
    region: Option<Box<str>>,
    model: Option<Box<str>>,
    aside: Option<Box<Aside>>,
    pub(super) id: Option<Box<str>>,
    error: Option<Box<ErrorParts>>,
    made: Vec<Made>,
    new_made: usize,
    /// A whole-answer error: its status said so, no mark is needed.
    pub(super) all_errors: bool,
    /// Some document reported use.
    pub(super) reported: bool,
    /// A report has come since somebody looked.
    pub(super) just_reported: bool,
    /// The last report was the final one: no answer in its document still goes on.
    pub(super) terminal: bool,
    /// The provider still works on it: what is used is told elsewhere, later.
    pub(super) pending: bool,
    /// Documents may report only by their type (streams and WebSockets, not unary answers).
    pub(super) by_type: bool,
    /// Whether the last complete document was the extra usage chunk of a stream.
    pub(super) extra_chunk: bool,
}

impl Collector {
    pub(super) fn new(plan: Near<AnswerPlan>) -> Self {
        Self {
            plan,
            document: Document::default(),
            counts: Counts::default(),
            cost: None,
            tier: None,
            region: None,
            model: None,
            aside: None,
            id: None,
            error: None,
            made: Vec::new(),
            new_made: 0,
            all_errors: false,
            reported: false,
            just_reported: false,
            terminal: false,
            pending: false,
            by_type: false,
            extra_chunk: false,
        }
    }

    /// An answer header that carries a counter.
    pub(super) fn header(&mut self, counter: Counter, value: &str) {
        if let Some(count) = read(counter, value) {
            if let Some(slot) = self.counts.get_mut(position(counter)) {
                *slot = count;
            }
            self.reported = true;
        }
    }

    /// The name of an event outside its data (`event: error`, `:exception-type`).
    pub(super) fn event_name(&mut self, name: &str, is_error: bool) {
        if is_error || name == "error" {
            self.document.is_error = true;
            self.part(ErrorPart::Kind, 200, name);
        }
    }

    /// An event is over. What it said only by its name, or in words that are no JSON, counts now; a document that it
    /// left open does not.
    pub(super) fn event_end(&mut self) {
        if self.document.is_error {
            self.document();
        }
        self.document = Document::default();
        if let Some(aside) = &mut self.aside {
            aside.document = DocumentCounts::default();
            aside.document_model = Ranked::default();
        }
    }

    /// Objects that were not asked for before.
    pub(super) fn take_made(&mut self) -> &[Made] {
        let from = std::mem::replace(&mut self.new_made, self.made.len());
        self.made.get(from..).unwrap_or_default()
    }

    pub(super) fn error(&self) -> Option<&ErrorParts> {
        self.error.as_deref()
    }

    pub(super) fn merge(&self) -> Merge {
        self.plan.merge
    }

    /// The use as it was reported so far. What it says of tier and region counts only at the end.
    pub(super) fn usage_so_far(&self) -> Usage {
        let (buckets, units) = self.plan.shape.as_ref().map(|shape| disjoint(&self.counts, shape)).unwrap_or_default();
        Usage { buckets, units, provider_cost: self.cost, model: self.model.clone(), ..Usage::default() }
    }

    /// Whether the answer has said under which service tier it was made.
    pub(super) const fn tells_tier(&self) -> bool {
        self.tier.is_some()
    }

    /// The use in disjoint buckets.
    pub(super) fn usage(&mut self) -> Usage {
        let plan = self.plan.clone();
        let shape = plan.shape.as_ref();
        let (buckets, units) = shape.map(|shape| disjoint(&self.counts, shape)).unwrap_or_default();
        let special = |names: fn(&UsageShape) -> &[Box<str>], name: &str| {
            !shape.is_some_and(|shape| names(shape).iter().any(|base| **base == *name))
        };
        Usage {
            buckets,
            units,
            provider_cost: self.cost,
            tier: self.tier.take().filter(|tier| special(|shape| &shape.base_tiers, tier)),
            model: self.model.take(),
            region: self.region.take().filter(|region| special(|shape| &shape.base_regions, region)),
        }
    }

    /// What another model is billed for, when there is any.
    pub(super) fn aside(&mut self) -> Option<Box<Usage>> {
        let aside = self.aside.take().filter(|aside| aside.reported)?;
        let (buckets, units) = disjoint(&aside.counts, self.plan.shape.as_ref()?.aside.as_deref()?);
        let nothing = (buckets, units) == (Buckets::default(), Units::default());
        (!nothing).then(|| Box::new(Usage { buckets, units, model: aside.model, ..Usage::default() }))
    }

    fn part(&mut self, part: ErrorPart, rank: u16, text: &str) {
        if let Some(slot) = self.document.error.get_or_insert_default().get_mut(part as usize) {
            slot.offer(rank, text.to_owned());
        }
    }

    fn count(&mut self, counter: Counter, rank: u16, value: u64) {
        self.document.counts.offer(counter, rank, value);
    }

    fn text(&mut self, role: Role, text: &str) {
        if text.is_empty() {
            return;
        }
        match role {
            Role::Tier(rank) => self.document.tier.offer(rank, cut(text, 64)),
            Role::Region(rank) => self.document.region.offer(rank, cut(text, 64)),
            Role::AsideModel(rank) => {
                self.aside.get_or_insert_default().document_model.offer(rank, cut(text, 200));
            }
            Role::Status => {
                let pending = self.plan.shape.as_ref().map(|shape| &shape.pending);
                self.document.pending = pending.map(|pending| pending.iter().any(|status| **status == *text));
            }
            Role::Model(rank) => self.document.model.offer(rank, cut(text, 200)),
            Role::Id(rank) => self.document.id.offer(rank, cut(text, 128)),
            Role::Error(part, rank) => self.part(part, rank, text),
            Role::Type => self.document.event = Some(cut(text, 64)),
            Role::Finish => self.document.finishes += 1,
            Role::Created(kind) => self.created(kind, text),
            _ => {}
        }
    }

    fn created(&mut self, kind: u16, id: &str) {
        let Some(kind) = self.plan.kinds.get(usize::from(kind)) else { return };
        let id = self.plan.prefixes.iter().find_map(|prefix| id.strip_prefix(&**prefix)).unwrap_or(id);
        let known = self.made.iter().any(|made| *made.id == *id && made.kind == *kind);
        if !known && self.made.len() < MOST_CREATED && id.len() <= crate::objects::LONGEST_ID {
            self.made.push(Made { kind: kind.clone(), id: id.into() });
        }
    }

    fn reports(&self, shape: Option<&UsageShape>, event: Option<&str>) -> bool {
        let Some(shape) = shape else { return false };
        !self.by_type
            || shape.events.is_empty()
            || event.is_some_and(|event| shape.events.iter().any(|wanted| **wanted == *event))
    }

    fn merge_counts(&mut self, counts: &DocumentCounts) {
        merge(self.plan.merge, &mut self.counts, counts);
        self.reported = true;
        self.just_reported = true;
    }

    fn merge_aside(&mut self, event: Option<&str>) {
        let shape = self.plan.shape.as_ref().and_then(|shape| shape.aside.as_deref());
        let reports = self.aside.is_some() && self.reports(shape, event);
        let Some(aside) = &mut self.aside else { return };
        let counts = std::mem::take(&mut aside.document);
        if reports && counts.any() {
            merge(self.plan.merge, &mut aside.counts, &counts);
            aside.reported = true;
        }
        aside.model = aside.document_model.take().or_else(|| aside.model.take());
    }

    fn merge_error(&mut self, document: &mut Document) {
        let [kind, code, reason, message] = &mut *document.error.take().unwrap_or_default();
        let new = ErrorParts { kind: kind.take(), code: code.take(), reason: reason.take(), message: message.take() };
        match &mut self.error {
            None => self.error = Some(Box::new(new)),
            // The first error says why; later ones only fill in what it left out.
            Some(held) => {
                held.kind = held.kind.take().or(new.kind);
                held.code = held.code.take().or(new.code);
                held.reason = held.reason.take().or(new.reason);
                held.message = held.message.take().or(new.message);
            }
        }
    }
}

impl Sink for Collector {
    fn value(&mut self, id: u16, value: Value<'_>) {
        let Some(role) = self.plan.role(id) else { return };
        match (role, value) {
            (Role::Elements { counter, rank }, value) if value != Value::Null => {
                self.count(counter, rank, if counter == Counter::Seconds { 1_000 } else { 1 });
            }
            (Role::Aside { counter, rank, elements: true }, value) if value != Value::Null => {
                self.aside.get_or_insert_default().document.offer(counter, rank, 1);
            }
            (Role::Aside { counter, rank, elements: false }, Value::Number(text)) => {
                // Providers write noughts where nothing was used.
                if let Some(count) = read(counter, text).filter(|count| *count > 0) {
                    self.aside.get_or_insert_default().document.offer(counter, rank, count);
                }
            }
            (Role::Counter { counter, rank }, Value::Number(text)) => {
                if let Some(count) = read(counter, text) {
                    self.count(counter, rank, count);
                }
            }
            (Role::Cost(rank), Value::Number(text) | Value::Text(text)) => {
                if let Some(cost) = money(self.plan.cost_unit, text) {
                    self.document.cost.offer(rank, cost);
                }
            }
            (Role::ErrorMark, Value::Object | Value::Text(_)) => self.document.is_error = true,
            (Role::Error(part, rank), Value::Number(text)) => self.part(part, rank, text),
            (Role::Choice, Value::Object) => self.document.choices += 1,
            (Role::Stop, Value::Null) => self.document.goes_on = true,
            (role, Value::Text(text)) => self.text(role, text),
            _ => {}
        }
        // An error that is a plain string is a mark and a message at once, whichever was watched first.
        if let (Role::ErrorMark, Value::Text(text)) = (role, value) {
            self.part(ErrorPart::Message, 100, text);
        }
    }

    fn document(&mut self) {
        let mut document = std::mem::take(&mut self.document);
        let event = document.event.as_deref();
        let is_error = document.is_error || self.all_errors || matches!(event, Some("error" | "response.failed"));
        let has_counts = document.counts.any();
        self.extra_chunk = has_counts && document.choices == 0 && !is_error;
        self.merge_aside(event);
        if has_counts && self.reports(self.plan.shape.as_ref(), event) {
            self.merge_counts(&document.counts);
            self.terminal = document.finishes >= document.choices && !document.goes_on;
        } else if event == Some("response.created") {
            // A session goes on: what was final was final for the response before.
            self.terminal = false;
        }
        if is_error {
            self.merge_error(&mut document);
        }
        self.cost = match (self.plan.merge, document.cost.take(), self.cost) {
            (Merge::Sum, Some(new), Some(total)) => Some(total.saturating_add(new)),
            (_, new, total) => new.or(total),
        };
        self.pending = document.pending.unwrap_or(self.pending);
        self.tier = document.tier.take().or_else(|| self.tier.take());
        self.region = document.region.take().or_else(|| self.region.take());
        self.model = document.model.take().or_else(|| self.model.take());
        self.id = self.id.take().or_else(|| document.id.take());
    }
}

/// Adds a document's counters to those before it.
fn merge(how: Merge, totals: &mut Counts, counts: &DocumentCounts) {
    let new = counts.values.iter().zip(&counts.ranks);
    for (total, (new, _)) in totals.iter_mut().zip(new).filter(|(_, (_, rank))| **rank != ABSENT) {
        *total = if how == Merge::Sum { total.saturating_add(*new) } else { *new };
    }
}

/// Where a counter is kept.
const fn position(counter: Counter) -> usize {
    counter as usize
}

/// A counter's value: whole, but seconds in milliseconds.
fn read(counter: Counter, text: &str) -> Option<u64> {
    if counter == Counter::Seconds { number::thousandths(text) } else { number::count(text) }
}

fn money(unit: Option<CostUnit>, text: &str) -> Option<Money> {
    let cost = match unit? {
        CostUnit::Usd => Money::from_decimal_ceil(text)?,
        // A tick is a ten-billionth of a dollar: a tenth of a nano-dollar, 100 000 femto-dollars.
        CostUnit::UsdTicks => Money::from_femto_ceil(i128::from(text.parse::<i64>().ok()?) * 100_000),
    };
    (cost >= Money::ZERO).then_some(cost)
}

fn cut(text: &str, longest: usize) -> Box<str> {
    let mut end = longest.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().into()
}

/// Turns counters that overlap into buckets that do not, as [`UsageShape`] says.
fn disjoint(counts: &Counts, shape: &UsageShape) -> (Buckets, Units) {
    let raw = |counter: Counter| counts.get(position(counter)).copied().unwrap_or(0);
    let long = raw(Counter::CacheWriteLong);
    let write = raw(Counter::CacheWrite);
    let mut buckets = Buckets {
        cache_read: raw(Counter::CacheRead),
        cache_write: if shape.cache_write_includes_long { write.saturating_sub(long) } else { write },
        cache_write_long: long,
        audio_input: raw(Counter::AudioInput).saturating_sub(raw(Counter::CachedAudio)),
        image_input: raw(Counter::ImageInput).saturating_sub(raw(Counter::CachedImage)),
        reasoning: raw(Counter::Reasoning),
        audio_output: raw(Counter::AudioOutput),
        image_output: raw(Counter::ImageOutput),
        ..Buckets::default()
    };
    let bucket = |counter: &Counter| match counter {
        Counter::CacheRead => buckets.cache_read,
        Counter::CacheWrite => buckets.cache_write,
        Counter::CacheWriteLong => buckets.cache_write_long,
        Counter::AudioInput => buckets.audio_input,
        Counter::ImageInput => buckets.image_input,
        Counter::Reasoning => buckets.reasoning,
        Counter::AudioOutput => buckets.audio_output,
        Counter::ImageOutput => buckets.image_output,
        other => raw(*other),
    };
    let without =
        |from: Counter, included: &[Counter]| included.iter().map(bucket).fold(raw(from), u64::saturating_sub);
    let input = without(Counter::Input, &shape.input_includes).saturating_add(raw(Counter::ToolInput));
    let output = without(Counter::Output, &shape.output_includes);
    (buckets.input, buckets.output) = (input, output);
    let (preview, searches) = (raw(Counter::PreviewSearch) > 0, raw(Counter::Searches));
    let units = Units {
        searches: if preview { 0 } else { searches },
        preview_searches: if preview { searches } else { 0 },
        millis: raw(Counter::Seconds),
        characters: raw(Counter::Characters),
        images: raw(Counter::Images),
        pages: raw(Counter::Pages),
        file_searches: raw(Counter::FileSearches),
        code_runs: raw(Counter::CodeRuns),
    };
    (buckets, units)
}
