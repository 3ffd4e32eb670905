//! What one call owes. Settled exactly once: at its end, or when it is dropped in the middle. Nothing is relayed here.

use crate::{
    admit::{self, Pass},
    frames::{ClientTap, Rules},
    inspect::{Facts, Form},
    journal::{Entry, Ticket},
    listen::Place,
    meter::{Bill, Made, Meter, Reading},
    near::Near,
    purse::hold::MoneyHold,
    redact,
    tables::{LiveCredential, OperationPlan},
    upstream,
    ward::Ward,
    worker::Worker,
};
use bytes::Bytes;
use http::HeaderMap;
use keyward_domain::{
    Millis, Money, RequestId,
    budget::Hold,
    price::PriceBook,
    provider::{Cause, OnHangup},
    refusal::{Reason, Refusal},
    usage::{CostBasis, CredentialReport, Outcome, OwnedObject, UsageEvent},
};
use std::{cell::RefCell, net::IpAddr, rc::Rc, time::Duration};
use tokio::time::Instant;

/// The most characters of a user agent that are kept.
const USER_AGENT: usize = 200;
/// How long a credential without money rests on this gateway, unless the control plane says otherwise before.
const BROKE_FOR: Millis = 5 * 60 * 1000;

/// Who calls, and when.
pub(crate) struct Caller {
    pub(crate) id: RequestId,
    pub(crate) at: Millis,
    pub(crate) started: Instant,
    pub(crate) client: IpAddr,
    pub(crate) user_agent: Box<str>,
    /// The connection's place among all: a WebSocket keeps it when HTTP is done with the connection.
    pub(crate) _place: Rc<Place>,
}

/// A call that was let through, until it is settled.
pub(crate) struct Account {
    worker: Rc<Worker>,
    ward: Rc<Ward>,
    caller: Caller,
    prices: Near<PriceBook>,
    plan: Near<OperationPlan>,
    pass: Pass,
    #[expect(dead_code, reason = "held for its drop: until then there is room in the journal")]
    ticket: Ticket,
    facts: Facts,
    /// A form that is read while it streams; knows the model only at the end.
    form: Option<Rc<RefCell<Form>>>,
    credential: Option<Near<LiveCredential>>,
    status: u16,
    first_byte: Option<Duration>,
    /// The first piece of the answer's body was all of it.
    in_one_piece: bool,
    /// Bytes of the answer's body that went to the client.
    sent_bytes: u64,
    /// What the call has surely cost, as far as a look at a stream under way has told.
    metered: Money,
    settled: bool,
}

impl Account {
    /// Opens the account of a call. On the heap, because it goes through many hands.
    pub(crate) fn open(
        (worker, ward): (Rc<Worker>, Rc<Ward>),
        caller: Caller,
        (prices, plan): (Near<PriceBook>, Near<OperationPlan>),
        (pass, ticket): (Pass, Ticket),
        (facts, form): (Facts, Option<Rc<RefCell<Form>>>),
    ) -> Box<Self> {
        worker.local.metrics.opened();
        Box::new(Self {
            worker,
            ward,
            caller,
            prices,
            plan,
            pass,
            ticket,
            facts,
            form,
            credential: None,
            status: 0,
            first_byte: None,
            in_one_piece: false,
            sent_bytes: 0,
            metered: Money::ZERO,
            settled: false,
        })
    }

    pub(crate) const fn plan(&self) -> &Near<OperationPlan> {
        &self.plan
    }

    pub(crate) const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The request goes out under this credential. From now on, silence costs: what was sent may be billed. So what is
    /// held for it is written down first, once, however many credentials are tried.
    ///
    /// # Errors
    /// The refusal when it cannot be written down: the request must not go out.
    pub(crate) fn sent_with(&mut self, credential: &Near<LiveCredential>) -> Result<(), Refusal> {
        if let Some(money) = self.pass.money.as_mut().filter(|money| !money.is_sent()) {
            let grant = &self.pass.grant.grant;
            let hold = Hold {
                call: self.caller.id,
                at: self.caller.at,
                key: grant.key,
                project: grant.project,
                environment: grant.environment,
                provider: &*self.plan.provider.id,
                model: self.facts.model.as_deref().unwrap_or_default(),
                operation: &*self.plan.operation.name,
                credential: credential.route.id,
                amount: money.amount(),
                leases: money.leases(),
                price_version: &*self.prices.version,
            };
            let written = self.worker.local.journal.append(&Entry::Hold(&hold));
            written
                .ok_or_else(|| Refusal::new(Reason::StorageFull, "the call cannot be recorded, so it is not sent"))?;
            money.sent(hold.leases);
        }
        self.credential = Some(credential.clone());
        Ok(())
    }

    /// Whether the call goes on when its client is gone: its answer tells what it costs, and that is worth knowing.
    pub(crate) fn drains_on_hangup(&self) -> bool {
        let operation = &self.plan.operation;
        let policy = &self.pass.grant.grant.policy;
        let drains = match policy.on_hangup.unwrap_or(self.plan.provider.on_hangup) {
            OnHangup::Cancel => false,
            OnHangup::Drain => true,
            OnHangup::Settle => self.is_paid(),
        };
        drains && operation.usage.is_some() && !operation.free && !operation.websocket && !self.settled
    }

    /// The call has an answer, which takes care of itself.
    pub(crate) fn answers(&self) {
        self.worker.lingers.set(false);
    }

    /// What a call needs to go on alone: its thread, and the key and era by which it can be ended.
    pub(crate) const fn home(&self) -> (&Rc<Worker>, &Pass) {
        (&self.worker, &self.pass)
    }

    /// Whether money is held for the call: its stream is watched, and it is sent once.
    pub(crate) const fn is_paid(&self) -> bool {
        self.pass.money.is_some()
    }

    /// Has a stream under way looked at: whether it has surely cost more than was held for it.
    pub(crate) fn overspent(&mut self, meter: &mut Meter) -> Option<Refusal> {
        let held = self.pass.money.as_ref()?.amount();
        let used = meter.sure()?;
        let asked = self.facts.model.as_deref().unwrap_or_default();
        let provider = &self.plan.provider.id;
        let cost = used.provider_cost.or_else(|| {
            let price = self.prices.of_call(provider, asked, used.model.as_deref(), self.caller.at)?;
            Some(price.cost(&used, self.caller.at))
        })?;
        self.metered = self.metered.max(cost);
        (cost > held).then(|| admit::overspent(held))
    }

    /// The answer's status, as the client gets it.
    pub(crate) const fn answered(&mut self, status: u16) {
        self.status = status;
    }

    /// A piece of the answer's body goes to the client; `last`: nothing comes behind it.
    pub(crate) fn relayed(&mut self, bytes: usize, last: bool) {
        self.sent_bytes = self.sent_bytes.saturating_add(bytes as u64);
        if self.first_byte.is_none() {
            self.first_byte = Some(self.caller.started.elapsed());
            self.in_one_piece = last;
        }
    }

    /// Says in the log that a provider could not be used; faults of the configuration or the network aloud, but not
    /// once for every call.
    pub(crate) fn report(&self, error: &upstream::Error) {
        let (call, provider) = (self.caller.id, &*self.plan.provider.id);
        let host = self.credential.as_ref().map_or("", |credential| &*credential.origin.endpoint.host);
        let error_chain: &dyn std::error::Error = error;
        if !error.wants_attention() || !self.worker.may_warn() {
            tracing::debug!(%call, provider, host, error = error_chain, "a call to a provider failed");
            return;
        }
        let address = if let upstream::Error::Forbidden(address) = error { Some(address.to_string()) } else { None };
        tracing::warn!(%call, provider, host, address = address.as_deref(), error = error_chain, "calls to a provider fail");
    }

    /// Takes a credential out that the provider has refused for good, or for want of money.
    pub(crate) fn take_out(&self, credential: &LiveCredential, cause: Cause) {
        let now = crate::clock::now();
        let until = if cause.is_dead() { Millis::MAX } else { now.saturating_add(BROKE_FOR) };
        if credential.take_out(until, now) {
            tracing::warn!(
                credential = %credential.route.id,
                provider = %self.plan.provider.id,
                ?cause,
                "credential taken out: the provider refuses it"
            );
            let report =
                CredentialReport { credential: credential.route.id, version: credential.route.version, cause, at: now };
            self.worker.local.journal.append(&Entry::Credential(&report));
        }
    }

    /// An error that came within a stream, after HTTP 200, can mean a dead key or an empty purse as well: this call is
    /// lost, the next one shall not be.
    fn heed(&self, reading: &Reading) {
        let (Some(parts), Some(credential)) = (&reading.error, &self.credential) else { return };
        let (cause, _) = self.plan.provider.classify(None, parts);
        if self.status < 400 && (cause.is_dead() || cause.is_broke()) {
            self.take_out(credential, cause);
        }
    }

    /// Notes that objects were made under this call, before anybody is told their ids.
    pub(crate) fn made(&self, made: &[Made]) {
        let Some(credential) = &self.credential else { return };
        let grant = &self.pass.grant.grant;
        for made in made {
            let object = OwnedObject {
                provider: self.plan.provider.id.clone(),
                object: made.id.clone(),
                kind: made.kind.clone(),
                project: grant.project,
                key: grant.key,
                credential: credential.route.id,
                at: crate::clock::now(),
            };
            if self.worker.shared.tables.objects().record(&object) {
                self.worker.local.journal.append(&Entry::Object(&object));
            }
        }
    }

    /// Has a piece of a WebSocket's client read by the rules as they are now.
    ///
    /// # Errors
    /// The refusal: the piece must not go on.
    pub(crate) fn judge(&self, tap: &mut ClientTap, piece: &[u8]) -> Result<(), Refusal> {
        let tables = &self.worker.shared.tables;
        let picture = tables.load();
        let admitted = &self.pass.grant;
        let now = picture.grant(&admitted.grant.public_id).unwrap_or_else(|| admitted.shared());
        let rules = Rules {
            plan: &self.plan,
            policy: &now.grant.policy,
            objects: tables.objects(),
            project: admitted.grant.project,
        };
        tap.feed(piece, &rules)
    }

    /// Whether an object in a list is the caller's to see.
    pub(crate) fn may_see(&self, id: &str) -> bool {
        self.worker.shared.tables.objects().belongs(&self.plan.provider, id, self.pass.grant.grant.project)
    }

    /// What is known when no answer was heard: the provider may have worked on what was sent, if anything was.
    pub(crate) fn nothing_heard(&self) -> Reading {
        if !self.ward.is_out() {
            return Reading::unsent();
        }
        Meter::new(&self.plan, 0, &HeaderMap::new(), &self.facts).finish(false)
    }

    /// A piece in or behind which the answer tells of an error, without what it says about the real key. What of an error
    /// came in an earlier piece has gone on already.
    pub(crate) fn without_key(&self, piece: Bytes) -> Bytes {
        let opened = self.credential.as_ref().and_then(|credential| credential.open(&self.worker.shared.vault).ok());
        opened.and_then(|key| redact::late_error(&piece, &key)).unwrap_or(piece)
    }

    /// Whether the call has been settled.
    pub(crate) const fn is_settled(&self) -> bool {
        self.settled
    }

    /// Settles the call. The second time nothing happens.
    pub(crate) fn settle(&mut self, reading: &Reading, outcome: Outcome) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let asked = self.asked();
        let Bill { usage, mut cost, basis } = reading.bill(&self.prices, &self.plan, &asked, self.caller.at);
        if reading.complete {
            self.pass.settle_tokens(usage.buckets.total());
        }
        self.heed(reading);
        let Some(credential) = &self.credential else { return };
        if let Some(held) = self.pass.money.as_ref().map(MoneyHold::amount) {
            cost = match basis {
                CostBasis::Priced | CostBasis::Provider | CostBasis::Free => cost,
                // What is not known is as much as it can be; what is known counts even beyond that.
                CostBasis::Incomplete => cost.max(held),
                CostBasis::Estimated | CostBasis::Unpriced => held.max(self.metered),
            };
            if cost > held {
                self.underestimated(held, cost);
                self.pass.money.iter_mut().for_each(|money| money.grow_to(cost));
            }
        }
        // It may have grown.
        let held = self.pass.money.as_ref().map(MoneyHold::amount);
        let leases = self.pass.money.as_mut().map(MoneyHold::take_leases).unwrap_or_default();
        let grant = &self.pass.grant.grant;
        // HOT: an answer that came in one piece ended when it began: another look at the clock would tell no more.
        let whole = self.first_byte.filter(|_| self.in_one_piece);
        let total = whole.unwrap_or_else(|| self.caller.started.elapsed());
        let event = UsageEvent {
            id: self.caller.id,
            at: self.caller.at,
            key: grant.key,
            project: grant.project,
            environment: grant.environment,
            provider: &*self.plan.provider.id,
            model: &*asked,
            operation: &*self.plan.operation.name,
            credential: credential.route.id,
            usage,
            cost,
            basis,
            price_version: &*self.prices.version,
            status: self.status,
            outcome,
            first_byte_us: micros(self.first_byte.unwrap_or(total)),
            total_us: micros(total),
            client: self.caller.client,
            user_agent: &*self.caller.user_agent,
            secret_slot: self.pass.slot,
            upstream_id: &*reading.upstream_id,
            held,
            leases,
        };
        self.worker.local.metrics.call(&event);
        // INVARIANT: written down first. Money that is free again before that could be spent twice by a crash.
        let written = self.worker.local.journal.append(&Entry::Usage(&event));
        if let (Some(money), Some(_)) = (&mut self.pass.money, written) {
            money.settle(cost);
        }
    }

    /// The call has cost more than was held for it: it is booked whole, and somebody should know.
    fn underestimated(&self, held: Money, cost: Money) {
        self.worker.shared.bank.counts.underestimates.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        tracing::warn!(
            call = %self.caller.id,
            provider = %self.plan.provider.id,
            operation = %self.plan.operation.name,
            %held,
            %cost,
            "a call has cost more than was held for it: the provider did not keep to the cap, or a price is out of date"
        );
    }

    fn asked(&mut self) -> Box<str> {
        let late = self.form.take().and_then(|form| form.borrow().facts().model);
        late.or_else(|| self.facts.model.take()).unwrap_or_default()
    }
}

impl Drop for Account {
    /// Nobody settled: the client hung up while the call was under way.
    fn drop(&mut self) {
        if !self.settled && self.credential.is_some() {
            let reading = self.nothing_heard();
            self.settle(&reading, Outcome::ClientGone);
        }
        self.worker.local.metrics.bytes(self.facts.input_bytes, self.sent_bytes);
        self.worker.local.metrics.closed();
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The user agent as it is kept: without control characters, and not too long.
pub(crate) fn user_agent(value: Option<&http::HeaderValue>) -> Box<str> {
    let bytes = value.map_or(&[][..], http::HeaderValue::as_bytes);
    let kept = bytes.get(..USER_AGENT).unwrap_or(bytes);
    match std::str::from_utf8(kept) {
        Ok(text) if kept.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') => text.into(),
        _ => String::from_utf8_lossy(kept).chars().filter(|character| !character.is_control()).collect(),
    }
}
