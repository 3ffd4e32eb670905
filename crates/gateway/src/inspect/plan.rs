//! Which fields of a request are looked for, compiled once per operation.

use super::json::{Names, Sort};
use crate::tap::paths::{Paths, join};
use keyward_domain::provider::{ModelSource, Operation, Provider, TierField, ToolSet, ToolUse};

/// What a watched field is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// The service tier.
    Tier,
    /// How much the model may think.
    Thinking,
    /// What the client predicts.
    Prediction,
    /// What can lift the cap.
    Override,
    /// Content that is not text in the body.
    Unseen,
    /// A list of tools.
    ToolList,
    /// The end of a tool.
    Tool,
    /// A tool's kind.
    ToolKind,
    /// The name of a field of a tool, which is its kind.
    ToolKey,
    /// The most runs of a tool.
    ToolUses,
    /// The most runs of all tools.
    ToolLimit,
    /// A field that is billed like a tool.
    ToolField(ToolUse),
}

/// The watched fields of an operation's requests.
#[derive(Debug, Default)]
pub struct RequestPlan {
    pub(crate) paths: Paths,
    pub(crate) roles: Vec<Role>,
    /// The path of each.
    pub(crate) fields: Vec<Box<str>>,
    pub(crate) names: Names,
    /// The names on the way to the cap that is added.
    pub(crate) cap: Vec<Box<str>>,
    pub(crate) include_usage: bool,
    /// Whether the characters of a text are counted.
    pub(crate) counts_characters: bool,
    /// How many answers there are when nothing says so.
    pub(crate) answers: u64,
    /// What tools are billed as.
    pub(crate) tools: Option<ToolSet>,
}

impl RequestPlan {
    /// Compiles an operation's fields.
    #[must_use]
    pub fn new(provider: &Provider, operation: &Operation) -> Self {
        let mut plan = Self {
            include_usage: operation.include_usage,
            answers: operation.default_answers.unwrap_or(1).max(1),
            tools: operation.tools.as_ref().and_then(|name| provider.tools.get(name)).cloned(),
            ..Self::default()
        };
        plan.watch("", Role::Top);
        if let Some(ModelSource::Body(path)) = &operation.model {
            plan.watch(path, Role::Model);
        }
        plan.watch_all(&operation.also_models, Role::AlsoModel);
        plan.watch_all(&operation.stream_flag, Role::Stream);
        if let Some(first) = operation.output_cap.first() {
            plan.cap = first.split('.').map(Into::into).collect();
            for depth in 1..plan.cap.len() {
                let parent = plan.cap.get(..depth).unwrap_or_default().join(".");
                plan.watch(&parent, Role::CapParent(depth));
            }
        }
        plan.watch_all(&operation.output_cap, Role::Cap);
        plan.watch_all(&operation.multipliers, Role::Multiplier);
        // A WebSocket's messages are counted by their bytes.
        if let Some(path) = operation.characters.as_ref().filter(|_| !operation.websocket) {
            plan.counts_characters = true;
            plan.watch(path, Role::Spoken);
        }
        if operation.include_usage {
            plan.watch("stream_options", Role::StreamOptions);
            plan.watch("stream_options.include_usage", Role::IncludeUsage);
        }
        plan.watch_all(operation.tier.iter().flat_map(TierField::paths), Role::Tier);
        plan.watch_all(&operation.thinking, Role::Thinking);
        plan.watch_all(&operation.prediction, Role::Prediction);
        plan.watch_all(&operation.overrides, Role::Override);
        plan.names(operation);
        plan.tools();
        plan
    }

    fn names(&mut self, operation: &Operation) {
        for name in &operation.references {
            self.names.add(name, Sort::Reference);
        }
        for name in &operation.cache_marks {
            self.names.add(name, Sort::Cache);
        }
        for name in &operation.unseen {
            if name.contains(['.', '[']) {
                self.watch(name, Role::Unseen);
            } else {
                self.names.add(name, Sort::Unseen);
            }
        }
    }

    fn tools(&mut self) {
        let Some(tools) = self.tools.take() else { return };
        for list in &tools.lists {
            let element = format!("{list}[]");
            if let Some(kind) = &tools.kind {
                self.watch(&join(&element, kind), Role::ToolKind);
            } else {
                // A parser that takes one object for a list of one would see its fields.
                for place in [&**list, &*element] {
                    let id = self.role_id(place, Role::ToolKey);
                    self.paths.add_keys(place, id);
                }
            }
            if let Some(uses) = &tools.uses {
                self.watch(&join(&element, uses), Role::ToolUses);
            }
            self.watch(&element, Role::Tool);
            self.watch(list, Role::ToolList);
        }
        for (field, used) in &tools.fields {
            self.watch(field, Role::ToolField(*used));
        }
        self.watch_all(&tools.limit, Role::ToolLimit);
        self.tools = Some(tools);
    }

    fn watch_all<'p>(&mut self, paths: impl IntoIterator<Item = &'p Box<str>>, role: Role) {
        for path in paths {
            self.watch(path, role);
        }
    }

    fn watch(&mut self, path: &str, role: Role) {
        let id = self.role_id(path, role);
        self.paths.add(path, id);
    }

    fn role_id(&mut self, path: &str, role: Role) -> u16 {
        let id = u16::try_from(self.roles.len()).unwrap_or(u16::MAX);
        self.roles.push(role);
        self.fields.push(path.into());
        id
    }

    pub(crate) fn role(&self, id: u16) -> Option<Role> {
        self.roles.get(usize::from(id)).copied()
    }

    /// The path of a watched field, for messages.
    pub(crate) fn field(&self, id: u16) -> &str {
        self.fields.get(usize::from(id)).map_or("", |path| path)
    }
}
