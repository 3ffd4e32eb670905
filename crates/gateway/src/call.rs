//! One call from its head to its answer, in the order of the house: read, admit, look into the body, decide, open the
//! credential, send, relay. Every step that can say no is somebody else's; this file only puts them in order.

mod attempt;
mod body;
mod money;
mod outlast;

use crate::{
    account::{Account, Caller, user_agent},
    admit, clock,
    inbound::{self, Rejected},
    journal::Writer,
    listen::Place,
    metrics::Cell as Counters,
    near::Near,
    relay::Relay,
    respond,
    serve::Shared,
    spare::Head,
    upload::Upload,
    websocket,
    worker::Worker,
};
use http::{HeaderName, HeaderValue, Request, Response, header, request::Parts};
use hyper::body::Incoming;
use keyward_domain::{
    RequestId,
    refusal::{Reason, Refusal},
};
use outlast::Outlast;
use std::{convert::Infallible, net::IpAddr, rc::Rc, sync::Arc};

/// The header with the call's id, on every answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("keyward-request-id");

/// What a thread has of the things that all share.
pub(crate) struct Local {
    pub(crate) journal: Writer,
    pub(crate) metrics: Arc<Counters>,
}

impl Local {
    pub(crate) fn new(shared: &Shared) -> Self {
        Self { journal: shared.journal.writer(), metrics: shared.metrics.local() }
    }
}

/// Who is at the other end of a connection.
#[derive(Clone)]
pub(crate) struct Client {
    /// The address of the peer, which may be a proxy.
    pub(crate) peer: IpAddr,
    /// The connection's place among all.
    pub(crate) place: Rc<Place>,
}

/// Answers a request, one way or the other.
pub(crate) async fn answer(
    worker: Rc<Worker>,
    client: Client,
    request: Request<Incoming>,
) -> Result<Response<Relay>, Infallible> {
    let now = clock::now();
    let caller = Caller {
        id: RequestId::new(now, worker.random.ten()),
        at: now,
        started: clock::instant(),
        client: client.peer,
        user_agent: user_agent(request.headers().get(header::USER_AGENT)),
        _place: client.place,
    };
    let (id, peer) = (caller.id, client.peer);
    // HOT: hyper keeps the place of a call's future for as long as the connection lives; on the heap it is gone with
    // the call.
    let served = Box::pin(serve(Rc::clone(&worker), peer, caller, request));
    let mut response = match Outlast::new(served, Rc::clone(&worker)).await {
        Ok(response) => response,
        Err(no) => {
            let reason = no.refusal.reason;
            worker.local.metrics.refused(reason);
            tracing::debug!(call = %id, %peer, reason = reason.code(), "a call was refused");
            respond::refusal(no.dialect, &no.refusal, &id.to_string()).map(Relay::from)
        }
    };
    let mut text = uuid::Uuid::encode_buffer();
    if let Ok(id) = HeaderValue::from_str(id.uuid().hyphenated().encode_lower(&mut text)) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    Ok(response)
}

async fn serve(
    worker: Rc<Worker>,
    peer: IpAddr,
    mut caller: Caller,
    mut request: Request<Incoming>,
) -> Result<Response<Relay>, Rejected> {
    let upgrade = request.extensions_mut().remove::<hyper::upgrade::OnUpgrade>();
    let (head, incoming) = request.into_parts();
    let head = Head::new(head);
    let upload = Upload::new(incoming, worker.rests.clone(), head.headers.contains_key(header::EXPECT));
    let (worker, shared) = (&worker, &*worker.shared);
    let picture = shared.tables.load();
    let inbound = inbound::read(&picture, &head, peer, &shared.settings.trusted_proxies)?;
    let dialect = inbound.plan.dialect;
    let no = move |refusal| Rejected { refusal, dialect };
    caller.client = inbound.client;

    let country = |address| shared.geo.as_ref().and_then(|geo| geo.country(address));
    let declared = declared_length(&head).map_err(no)?;
    let admission = admit::admit(&picture, &inbound, country, declared, caller.at).map_err(no)?;
    let guard = worker.wards.open();
    guard.belongs_to(&admission.grant.live, admission.grant.epoch);
    drop(picture);
    let budgeted = !admission.grant.purses.is_empty();
    let ticket = worker.local.journal.ticket(budgeted).map_err(|_| no(storage_full()))?;

    let upgrade =
        if inbound.plan.operation.websocket { Some(websocket::check(&head, upgrade).map_err(no)?) } else { None };
    let mut read = body::read(&guard, &inbound, &admission, &head, upload, declared).await.map_err(no)?;
    // The picture may have changed while the body came in; the call goes on with the newest.
    let picture = Near::of(&*shared.tables.load());
    let now = clock::now();
    let mut pass = admission.decide(&inbound, &read.facts, shared.tables.objects(), now).map_err(no)?;
    let reserved = money::reserve(worker, &guard, &mut pass, &mut read.facts, (&inbound.plan, picture.prices())).await;
    let notes = match reserved {
        Ok(notes) => notes,
        Err(refusal) => {
            pass.put_back();
            return Err(no(refusal));
        }
    };
    let candidates = pass.candidates(&picture, &inbound, now, worker.random.next()).map_err(no)?;
    let prices = Near::of(picture.prices());
    drop(picture);
    let (payload, unpacked) = read.body.finish(read.facts.output_cap);
    let account = Account::open(
        (Rc::clone(worker), Rc::clone(guard.ward())),
        caller,
        (prices, inbound.plan.clone()),
        (pass, ticket),
        (read.facts, read.form),
    );
    let call = attempt::Call { worker, guard, inbound: &inbound, head: &head, upgrade, unpacked };
    let mut response = call.send(account, candidates, payload).await.map_err(no)?;
    notes.write(response.headers_mut());
    Ok(response)
}

/// The body's length as the head says it; hyper has made sure that there is only one.
fn declared_length(head: &Parts) -> Result<Option<u64>, Refusal> {
    let Some(value) = head.headers.get(header::CONTENT_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    length.map(Some).ok_or_else(|| Refusal::new(Reason::MalformedRequest, "the content-length is not a number"))
}

fn storage_full() -> Refusal {
    Refusal::new(Reason::StorageFull, "this gateway cannot record calls at the moment: its disk is full")
}
