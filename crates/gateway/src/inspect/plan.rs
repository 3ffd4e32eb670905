//! Which fields of a request are looked for, compiled once per operation.

use crate::tap::paths::Paths;
use keyward_domain::provider::{ModelSource, Operation};

/// What a watched field is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// The whole body.
    Top,
    /// The model's name.
    Model,
    /// The name of a further model.
    AlsoModel,
    /// The flag that asks for a stream.
    Stream,
    /// An output cap; the first is the one that is added.
    Cap,
    /// An object on the way to the first cap: how many names deep.
    CapParent(usize),
    /// A count that multiplies the output.
    Multiplier,
    /// The text whose characters are billed.
    Spoken,
    /// `stream_options`.
    StreamOptions,
    /// `stream_options.include_usage`.
    IncludeUsage,
}

/// The watched fields of an operation's requests.
#[derive(Debug, Default)]
pub struct RequestPlan {
    pub(crate) paths: Paths,
    pub(crate) roles: Vec<Role>,
    pub(crate) references: Vec<Box<str>>,
    /// The names on the way to the cap that is added.
    pub(crate) cap: Vec<Box<str>>,
    pub(crate) include_usage: bool,
    /// Whether the characters of a text are counted.
    pub(crate) counts_characters: bool,
}

impl RequestPlan {
    /// Compiles an operation's fields.
    #[must_use]
    pub fn new(operation: &Operation) -> Self {
        let mut plan = Self {
            references: operation.references.clone(),
            include_usage: operation.include_usage,
            ..Self::default()
        };
        plan.watch("", Role::Top);
        if let Some(ModelSource::Body(path)) = &operation.model {
            plan.watch(path, Role::Model);
        }
        for path in &operation.also_models {
            plan.watch(path, Role::AlsoModel);
        }
        if let Some(path) = &operation.stream_flag {
            plan.watch(path, Role::Stream);
        }
        if let Some(first) = operation.output_cap.first() {
            plan.cap = first.split('.').map(Into::into).collect();
            for depth in 1..plan.cap.len() {
                let parent = plan.cap.get(..depth).unwrap_or_default().join(".");
                plan.watch(&parent, Role::CapParent(depth));
            }
        }
        for path in &operation.output_cap {
            plan.watch(path, Role::Cap);
        }
        for path in &operation.multipliers {
            plan.watch(path, Role::Multiplier);
        }
        // A WebSocket's messages are counted by their bytes.
        if let Some(path) = operation.characters.as_ref().filter(|_| !operation.websocket) {
            plan.counts_characters = true;
            plan.watch(path, Role::Spoken);
        }
        if operation.include_usage {
            plan.watch("stream_options", Role::StreamOptions);
            plan.watch("stream_options.include_usage", Role::IncludeUsage);
        }
        plan
    }

    fn watch(&mut self, path: &str, role: Role) {
        self.paths.add(path, u16::try_from(self.roles.len()).unwrap_or(u16::MAX));
        self.roles.push(role);
    }

    pub(crate) fn role(&self, id: u16) -> Option<&Role> {
        self.roles.get(usize::from(id))
    }
}
