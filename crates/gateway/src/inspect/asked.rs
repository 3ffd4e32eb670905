//! What a body says that its price depends on, besides its cap: tools, tier, what is not text in it.

use super::{
    body::{all, first},
    cap::whole_number,
    json::{self, Hit, Kind, Scan},
    plan::{RequestPlan, Role},
};
use keyward_domain::provider::{ToolSet, ToolUse};

/// What a request asks for that its price depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// How many answers; zero counts as one.
    pub answers: u64,
    /// What can be read in two ways, in words for the client. Under a budget such a request is refused.
    pub unclear: Option<Box<str>>,
    /// How many pieces of content are not text in the body, what it refers to included.
    pub unseen: u64,
    /// Whether input is marked for a cache.
    pub cached: bool,
    /// The service tier.
    pub tier: Option<Box<str>>,
    /// How many tokens the model may think.
    pub thinking: u64,
    /// The bytes of what the client predicts.
    pub predicted: u64,
    /// Something is there that can lift the cap.
    pub overridden: bool,
    /// Whether there are tools of any kind.
    pub any_tools: bool,
    /// How many tools the provider defines and the client runs.
    pub provided_tools: u64,
    /// Tools that the provider runs.
    pub tools: Vec<AskedTool>,
    /// The most runs of all tools.
    pub tool_calls: Option<u64>,
}

/// A tool that the provider runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedTool {
    /// Its kind, as written.
    pub name: Box<str>,
    /// What it is billed as.
    pub used: ToolUse,
    /// The most runs of it.
    pub uses: Option<u64>,
}

impl Asked {
    /// Reads what a scan found.
    pub(super) fn read(plan: &RequestPlan, scan: &Scan, body: &[u8]) -> Self {
        let set = |hit: &&Hit| hit.kind != Kind::Null;
        let number = |hit: &Hit| whole_number(body.get(hit.span.clone()).unwrap_or_default());
        let mut asked = Self {
            answers: 1,
            unseen: scan.unseen.saturating_add(all(plan, scan, Role::Unseen).filter(set).count() as u64),
            cached: scan.cached,
            thinking: first(plan, scan, Role::Thinking).and_then(number).unwrap_or(0),
            predicted: all(plan, scan, Role::Prediction).map(|hit| hit.span.len() as u64).sum(),
            overridden: all(plan, scan, Role::Override).any(|hit| set(&hit)),
            ..Self::default()
        };
        for hit in all(plan, scan, Role::Tier).filter(set) {
            let field = plan.field(hit.id);
            if asked.tier.is_some() {
                asked.unclear = Some(format!("the field '{field}' is there in two spellings: send one").into());
            }
            asked.tier = json::text_of(body, hit).map(Into::into);
            if asked.tier.is_none() {
                asked.unclear = Some(format!("the field '{field}' must be a text").into());
            }
        }
        if let Some(tools) = &plan.tools {
            asked.tool_calls = first(plan, scan, Role::ToolLimit).and_then(number);
            asked.read_tools(tools, plan, scan, body);
        }
        asked
    }

    /// Reads the tools. Inner values are found before what they stand in: a kind before its tool, a tool before its list.
    fn read_tools(&mut self, set: &ToolSet, plan: &RequestPlan, scan: &Scan, body: &[u8]) {
        let (mut kind, mut uses) = (None::<String>, None);
        let mut keys = Vec::new();
        for hit in &scan.hits {
            match plan.role(hit.id) {
                Some(Role::ToolKind) if hit.kind != Kind::Null => {
                    kind = json::text_of(body, hit);
                    if kind.is_none() {
                        self.puzzle(plan, hit);
                    }
                }
                Some(Role::ToolKey) => keys.extend(json::text_of(body, hit)),
                Some(Role::ToolUses) => uses = whole_number(body.get(hit.span.clone()).unwrap_or_default()),
                Some(Role::Tool) => {
                    if !matches!(hit.kind, Kind::Object { .. }) {
                        self.puzzle(plan, hit);
                    }
                    let uses = uses.take();
                    if set.kind.is_some() {
                        self.tool(set, &kind.take().unwrap_or_default(), uses);
                    }
                    keys.drain(..).for_each(|key| self.tool(set, &key, uses));
                }
                Some(Role::ToolList) => match hit.kind {
                    Kind::Array | Kind::Null => {}
                    Kind::Object { .. } if set.kind.is_none() => {
                        keys.drain(..).for_each(|key| self.tool(set, &key, None));
                    }
                    _ => self.puzzle(plan, hit),
                },
                Some(Role::ToolField(used)) if hit.kind != Kind::Null => self.add(plan.field(hit.id), used, None),
                _ => {}
            }
        }
    }

    fn puzzle(&mut self, plan: &RequestPlan, hit: &Hit) {
        let field = plan.field(hit.id).trim_end_matches("[]");
        self.unclear = Some(format!("the field '{field}' is not of the kind that the API describes").into());
    }

    fn tool(&mut self, set: &ToolSet, kind: &str, uses: Option<u64>) {
        self.add(kind, set.of_kind(kind), uses);
    }

    fn add(&mut self, name: &str, used: ToolUse, uses: Option<u64>) {
        self.any_tools = true;
        match used {
            ToolUse::Client => {}
            ToolUse::Provided => self.provided_tools = self.provided_tools.saturating_add(1),
            _ => self.tools.push(AskedTool { name: shown(name), used, uses }),
        }
    }
}

fn shown(name: &str) -> Box<str> {
    name.chars().filter(|character| !character.is_control()).take(60).collect::<String>().into()
}
