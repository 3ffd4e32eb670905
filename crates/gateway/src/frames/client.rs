//! What a client says over a WebSocket: every message passes the same looks as a request's body.

use super::{Broken, Messages, Reader, Refused};
use crate::{
    inspect,
    objects::{self, Objects},
    tables::OperationPlan,
};
use keyward_domain::{
    ProjectId,
    policy::Policy,
    refusal::{Reason, Refusal},
};

/// Reads along with what a client sends.
#[derive(Debug, Default)]
pub struct ClientTap {
    reader: Reader,
    message: Vec<u8>,
    bytes: u64,
}

/// By what a client's messages are judged.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'r> {
    /// The operation.
    pub plan: &'r OperationPlan,
    /// The key's policy as it is now.
    pub policy: &'r Policy,
    /// Whose the provider's objects are.
    pub objects: &'r Objects,
    /// The key's project.
    pub project: ProjectId,
}

impl ClientTap {
    /// Reads a piece of the client's bytes. An error means that the piece must not be sent on and the connection ends.
    ///
    /// # Errors
    /// A [`Refusal`]: a message that is no JSON or too large, a model, a cap or an object that the key may not use.
    pub fn feed(&mut self, piece: &[u8], rules: &Rules<'_>) -> Result<(), Refusal> {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        let mut judge = Judge { message: &mut self.message, rules };
        self.reader.feed(piece, &mut judge).map_err(|broken| match broken {
            Broken::Refused(Refused(refusal)) => refusal,
            Broken::Protocol => Refusal::new(Reason::MalformedRequest, broken.to_string()),
        })
    }

    /// How many bytes the client has sent.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

struct Judge<'j> {
    message: &'j mut Vec<u8>,
    rules: &'j Rules<'j>,
}

impl Messages for Judge<'_> {
    fn text(&mut self, piece: &[u8]) -> Result<(), Broken> {
        let length = self.message.len().saturating_add(piece.len()) as u64;
        keyward_domain::policy::check_body(self.rules.policy, length).map_err(Refused)?;
        self.message.extend_from_slice(piece);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Broken> {
        let rules = self.rules;
        let references = inspect::message(rules.plan, self.message, rules.policy).map_err(Refused)?;
        // What a long message needed is not kept for the rest of a long session.
        self.message.clear();
        self.message.shrink_to(64 << 10);
        let provider = &*rules.plan.provider;
        for written in references.iter().filter(|written| objects::names_object(provider, written)) {
            rules.objects.check(provider, written, None, rules.project).map_err(Refused)?;
        }
        Ok(())
    }
}
