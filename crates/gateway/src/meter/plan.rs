//! Which fields of an answer are read, compiled once per operation.

use crate::tap::paths::{Paths, join, last_name};
use keyward_domain::provider::{CostUnit, Counter, Creates, Merge, Operation, Provider, UsageShape};
use memchr::memmem::Finder;
use std::sync::Arc;

/// What a watched field of an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A counter; the rank says which root and which of its paths, lower first.
    Counter { counter: Counter, rank: u16 },
    /// A counter whose path ends in elements: each one counts.
    Elements { counter: Counter, rank: u16 },
    /// A counter of what another model is billed for; whether its path ends in elements.
    Aside { counter: Counter, rank: u16, elements: bool },
    /// The model that is billed for it.
    AsideModel(u16),
    /// The cost as stated; the rank of its path.
    Cost(u16),
    /// The billed tier.
    Tier(u16),
    /// Where the call was computed.
    Region(u16),
    /// How far the work is.
    Status,
    /// The answering model.
    Model(u16),
    /// The id of an object that was made: which of the plan's kinds.
    Created(u16),
    /// A part of an error: which one, and the rank of its path.
    Error(ErrorPart, u16),
    /// A field whose mere presence, other than `null`, means an error.
    ErrorMark,
    /// The event's `type`.
    Type,
    /// One of the answers in an event (`choices[]`, `candidates[]`).
    Choice,
    /// Why an answer ended.
    Finish,
    /// Why the whole message ended; `null` while it goes on.
    Stop,
    /// The call's id at the provider.
    Id(u16),
}

/// A part of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorPart {
    Kind,
    Code,
    Reason,
    Message,
}

/// What is read from an operation's answers.
#[derive(Debug)]
pub struct AnswerPlan {
    pub(super) paths: Arc<Paths>,
    pub(super) roles: Vec<Role>,
    pub(super) shape: Option<UsageShape>,
    /// The counters that answers can report, a bit each.
    counted: u32,
    /// The kinds of objects that an answer can show to be made.
    pub(super) kinds: Vec<Box<str>>,
    /// What may stand before an object's id and is not part of it.
    pub(super) prefixes: Vec<Box<str>>,
    /// An event without any of these holds nothing to read.
    pub(super) needles: Vec<Finder<'static>>,
    pub(super) cost_unit: Option<CostUnit>,
    pub(super) merge: Merge,
    /// Whether answers are worth reading at all.
    pub(super) reads: bool,
}

const fn bit(counter: Counter) -> u32 {
    1 << counter as u32
}

impl AnswerPlan {
    /// Compiles what an operation's answers hold.
    #[must_use]
    pub fn new(provider: &Provider, operation: &Operation) -> Self {
        let shape = operation.usage.as_ref().and_then(|name| provider.usage.get(name));
        let creates: Vec<&Creates> = operation.creates.iter().chain(&operation.also_creates).collect();
        let errors = &provider.error_fields;
        let mut builder = Builder::default();
        if let Some(shape) = shape {
            builder.usage(shape);
        }
        for (kind, creates) in (0..).zip(&creates) {
            creates.id.iter().for_each(|path| builder.watch(path, Role::Created(kind)));
        }
        builder.errors(errors);
        for (path, role) in [
            ("type", Role::Type),
            ("event_type", Role::Type),
            ("choices[]", Role::Choice),
            ("choices[].finish_reason", Role::Finish),
            ("candidates[]", Role::Choice),
            ("candidates[].finishReason", Role::Finish),
            ("delta.stop_reason", Role::Stop),
            ("message.stop_reason", Role::Stop),
            ("id", Role::Id(0)),
            ("response.id", Role::Id(1)),
            ("message.id", Role::Id(2)),
            ("responseId", Role::Id(3)),
        ] {
            builder.watch(path, role);
        }
        let mut needles = builder.needles;
        needles.sort_unstable();
        needles.dedup();
        let counters = shape.iter().flat_map(|shape| shape.counters.keys().chain(shape.headers.keys()));
        Self {
            paths: Arc::new(builder.paths),
            roles: builder.roles,
            shape: shape.cloned(),
            counted: counters.fold(0, |counted, counter| counted | bit(*counter)),
            kinds: creates.iter().map(|creates| creates.kind.clone()).collect(),
            prefixes: provider.api.object_prefixes.clone(),
            needles: needles.iter().map(|needle| Finder::new(needle.as_bytes()).into_owned()).collect(),
            cost_unit: shape.and_then(|shape| shape.cost.as_ref()).map(|cost| cost.unit),
            merge: shape.map(|shape| shape.merge).unwrap_or_default(),
            reads: shape.is_some() || !creates.is_empty(),
        }
    }

    /// Whether answers can report this, as far as the call itself is billed for it.
    pub(crate) const fn counts(&self, counter: Counter) -> bool {
        self.counted & bit(counter) != 0
    }

    /// Whether a service tier's name means the base price.
    pub(crate) fn has_base_tier(&self, tier: &str) -> bool {
        self.shape.as_ref().is_some_and(|shape| shape.has_base_tier(tier))
    }

    /// What is billed besides tokens.
    pub(super) fn apart(&self) -> &[Counter] {
        self.shape.as_ref().map_or(&[], |shape| &shape.apart)
    }

    pub(super) fn role(&self, id: u16) -> Option<Role> {
        self.roles.get(usize::from(id)).copied()
    }
}

#[derive(Default)]
struct Builder {
    paths: Paths,
    roles: Vec<Role>,
    needles: Vec<String>,
}

impl Builder {
    fn watch(&mut self, path: &str, role: Role) {
        self.paths.add(path, u16::try_from(self.roles.len()).unwrap_or(u16::MAX));
        self.roles.push(role);
    }

    fn usage(&mut self, shape: &UsageShape) {
        self.counters(shape, None);
        if let Some(aside) = &shape.aside {
            self.counters(aside, Some(shape));
            (0..).zip(&aside.model).for_each(|(rank, path)| self.watch(path, Role::AsideModel(rank)));
        }
        if !shape.pending.is_empty() {
            self.watch("status", Role::Status);
        }
        for (rank, path) in (0..).zip(shape.cost.iter().flat_map(|cost| &cost.paths)) {
            self.watch(path, Role::Cost(rank));
            let covered = shape.roots.iter().any(|root| root.is_empty() || path.starts_with(&**root));
            if !covered {
                self.needles.push(format!("\"{}\"", last_name(path)));
            }
        }
        (0..).zip(&shape.tier).for_each(|(rank, path)| self.watch(path, Role::Tier(rank)));
        (0..).zip(&shape.region).for_each(|(rank, path)| self.watch(path, Role::Region(rank)));
        (0..).zip(&shape.model).for_each(|(rank, path)| self.watch(path, Role::Model(rank)));
    }

    /// The counters of a shape, or of what another shape has aside.
    fn counters(&mut self, shape: &UsageShape, beside: Option<&UsageShape>) {
        for (root_rank, root) in (0_u16..).zip(&shape.roots) {
            // What lies within a report is found when the report is.
            let mut reports = beside.iter().flat_map(|shape| &shape.roots);
            if !root.is_empty() && !reports.any(|report| root.starts_with(&**report)) {
                self.needles.push(format!("\"{}\"", last_name(root)));
            }
            for (counter, alternatives) in &shape.counters {
                for (rank, path) in (0_u16..).zip(alternatives) {
                    let (counter, rank, elements) = (*counter, root_rank * 64 + rank, path.ends_with(']'));
                    let role = match (beside.is_some(), elements) {
                        (true, elements) => Role::Aside { counter, rank, elements },
                        (false, true) => Role::Elements { counter, rank },
                        (false, false) => Role::Counter { counter, rank },
                    };
                    self.watch(&join(root, path), role);
                    // A mark says nothing by itself.
                    if root.is_empty() && counter != Counter::PreviewSearch {
                        let first = path.split(['.', '[']).next().unwrap_or_default();
                        self.needles.push(format!("\"{first}\""));
                    }
                }
            }
        }
    }

    fn errors(&mut self, fields: &keyward_domain::provider::ErrorFields) {
        for (part, paths) in [
            (ErrorPart::Kind, &fields.kind),
            (ErrorPart::Code, &fields.code),
            (ErrorPart::Reason, &fields.reason),
            (ErrorPart::Message, &fields.message),
        ] {
            (0..).zip(paths).for_each(|(rank, path)| self.watch(path, Role::Error(part, rank)));
        }
        for mark in ["error", "response.error"] {
            self.watch(mark, Role::ErrorMark);
        }
        // Without quotes: it must also catch `event: error` and names such as `error_type`.
        self.needles.push("rror".to_owned());
    }
}
