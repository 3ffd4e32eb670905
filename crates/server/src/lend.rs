//! Between the gateway, which waits for money, and the database, which grants it: wishes that arrive together go into one
//! transaction, and nobody waits longer than a moment.

use keyward_control::Control;
use keyward_domain::{
    Money,
    budget::{Granted, LeaseId, Wish},
};
use keyward_gateway::lender::{Lender, Unavailable};
use std::{collections::BTreeMap, future::Future, pin::Pin, time::Duration};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::Instant,
};

/// How long a wish waits, at most: after that the call is refused, and may be tried again.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many wishes go into one transaction.
const TOGETHER: usize = 512;
/// How many calls may wait at once. Each waits for an answer, so this is a bound on memory only.
const WAITING: usize = 65_536;

type Answer = oneshot::Sender<Result<Granted, Unavailable>>;

/// Who keeps the budgets: the control plane, and whatever stands for it in the tests.
trait Keeper: Clone + Send + 'static {
    /// Grants wishes, in their order.
    fn lend(&self, wishes: &[Wish]) -> impl Future<Output = Lent> + Send;
    /// Takes back what is not needed.
    fn take_back(&self, given: &[(LeaseId, Money)]) -> impl Future<Output = Result<(), keyward_store::Error>> + Send;
}

impl Keeper for Control {
    async fn lend(&self, wishes: &[Wish]) -> Lent {
        Self::lend(self, wishes).await
    }

    async fn take_back(&self, given: &[(LeaseId, Money)]) -> Result<(), keyward_store::Error> {
        self.give_back(given).await
    }
}

enum Message {
    Wish(Wish, Answer),
    GiveBack(LeaseId, Money),
}

/// Where the gateway asks.
#[derive(Clone)]
pub(crate) struct Desk(mpsc::Sender<Message>);

impl Lender for Desk {
    fn lease(&self, wish: Wish) -> Pin<Box<dyn Future<Output = Result<Granted, Unavailable>> + Send>> {
        let (answer, answered) = oneshot::channel();
        // Full: so many wait already that this one would not be answered in time.
        let asked = self.0.try_send(Message::Wish(wish, answer));
        Box::pin(async move {
            asked.map_err(|_| Unavailable)?;
            answered.await.unwrap_or(Err(Unavailable))
        })
    }

    fn give_back(&self, lease: LeaseId, amount: Money) {
        // What cannot be given back now stays counted until the node ends.
        drop(self.0.try_send(Message::GiveBack(lease, amount)));
    }
}

/// A wish that waits.
struct Waiting {
    wish: Wish,
    /// None: answered already.
    answer: Option<Answer>,
    until: Instant,
}

impl Waiting {
    fn say(&mut self, answer: Result<Granted, Unavailable>) -> bool {
        self.answer.take().is_some_and(|to| to.send(answer).is_ok())
    }
}

/// What is under way in the database.
type Lent = Result<Vec<Granted>, keyward_store::Error>;

/// Opens the desk, on the control plane's runtime. `recovered` becomes true when what earlier runs left is accounted
/// for: until then a budget that seems used up may have money that only has to come back.
pub(crate) fn open(control: Control, recovered: watch::Receiver<bool>) -> Desk {
    open_at(control, recovered)
}

fn open_at(keeper: impl Keeper + Sync, recovered: watch::Receiver<bool>) -> Desk {
    let (desk, messages) = mpsc::channel(WAITING);
    tokio::spawn(serve(keeper, recovered, messages));
    Desk(desk)
}

async fn serve(
    keeper: impl Keeper + Sync,
    mut recovered: watch::Receiver<bool>,
    mut messages: mpsc::Receiver<Message>,
) {
    let mut waiting: Vec<Waiting> = Vec::new();
    let mut asked: Vec<Waiting> = Vec::new();
    let mut given: BTreeMap<LeaseId, Money> = BTreeMap::new();
    let mut lending: Option<JoinHandle<Lent>> = None;
    let mut giving: Option<JoinHandle<()>> = None;
    // Wishes that got nothing before everything was accounted for.
    let mut again: Vec<Waiting> = Vec::new();
    let mut all_recovered = *recovered.borrow();
    let mut silent = false;
    loop {
        if lending.is_none() && !waiting.is_empty() {
            let rest = waiting.split_off(waiting.len().min(TOGETHER));
            asked = std::mem::replace(&mut waiting, rest);
            let (keeper, wishes) = (keeper.clone(), asked.iter().map(|one| one.wish).collect::<Vec<_>>());
            lending = Some(tokio::spawn(async move { keeper.lend(&wishes).await }));
        }
        if giving.is_none() && !given.is_empty() {
            let (keeper, given) = (keeper.clone(), std::mem::take(&mut given).into_iter().collect::<Vec<_>>());
            giving = Some(tokio::spawn(async move {
                if let Err(error) = keeper.take_back(&given).await {
                    tracing::warn!(%error, "leases could not be given back: they stay counted until this node ends");
                }
            }));
        }
        let all = waiting.iter().chain(&asked).chain(&again);
        let first = all.filter(|one| one.answer.is_some()).map(|one| one.until).min();
        tokio::select! {
            message = messages.recv() => match message {
                None => return,
                Some(Message::Wish(wish, answer)) => {
                    waiting.push(Waiting { wish, answer: Some(answer), until: Instant::now() + PATIENCE });
                    // Whatever else has arrived goes along.
                    while waiting.len() < TOGETHER && let Ok(more) = messages.try_recv() {
                        take(more, &mut waiting, &mut given);
                    }
                }
                Some(message) => take(message, &mut waiting, &mut given),
            },
            lent = joined(&mut lending) => {
                lending = None;
                let unsure = if all_recovered { None } else { Some(&mut again) };
                settle(heard(lent, &mut silent), std::mem::take(&mut asked), &mut given, unsure);
            }
            () = done(&mut giving) => giving = None,
            changed = recovered.wait_for(|done| *done), if !all_recovered => {
                all_recovered = true;
                drop(changed);
                waiting.append(&mut again);
            }
            () = sleep_until(first) => {
                let now = Instant::now();
                for one in waiting.iter_mut().chain(&mut asked).chain(&mut again).filter(|one| one.until <= now) {
                    one.say(Err(Unavailable));
                }
                // Those that are asked for stay, so that what they get goes back.
                waiting.retain(|one| one.answer.is_some());
                again.retain(|one| one.answer.is_some());
            }
        }
    }
}

fn take(message: Message, waiting: &mut Vec<Waiting>, given: &mut BTreeMap<LeaseId, Money>) {
    match message {
        Message::Wish(wish, answer) => {
            waiting.push(Waiting { wish, answer: Some(answer), until: Instant::now() + PATIENCE });
        }
        Message::GiveBack(lease, amount) => give(given, lease, amount),
    }
}

fn give(given: &mut BTreeMap<LeaseId, Money>, lease: LeaseId, amount: Money) {
    let sum = given.entry(lease).or_insert(Money::ZERO);
    *sum = sum.saturating_add(amount);
}

/// What was granted: nothing, when the database refuses. That is said once, and once more when it is over: not for every
/// call, least of all on the disk that is full.
fn heard(lent: Lent, silent: &mut bool) -> Vec<Granted> {
    match lent {
        Ok(granted) => {
            if std::mem::take(silent) {
                tracing::info!("budgets lend again");
            }
            granted
        }
        Err(error) if std::mem::replace(silent, true) => {
            tracing::debug!(%error, "no budget can lend yet");
            Vec::new()
        }
        Err(error) => {
            tracing::error!(%error, "no budget can lend now: calls whose money is not here are refused");
            Vec::new()
        }
    }
}

/// Answers those who asked. What nobody waits for any more goes back.
fn settle(
    granted: Vec<Granted>,
    asked: Vec<Waiting>,
    given: &mut BTreeMap<LeaseId, Money>,
    mut unsure: Option<&mut Vec<Waiting>>,
) {
    let mut granted = granted.into_iter();
    for mut one in asked {
        match granted.next() {
            Some(grant) if grant.amount == Money::ZERO && one.answer.is_some() && unsure.is_some() => {
                if let Some(again) = &mut unsure {
                    again.push(one);
                }
            }
            Some(grant) => {
                if !one.say(Ok(grant)) && grant.amount > Money::ZERO {
                    give(given, grant.lease, grant.amount);
                }
            }
            None => drop(one.say(Err(Unavailable))),
        }
    }
}

async fn joined(lending: &mut Option<JoinHandle<Lent>>) -> Lent {
    match lending {
        // A panic there is a programming error: whoever asked hears that nothing can be lent.
        Some(running) => running.await.unwrap_or_else(|_| Ok(Vec::new())),
        None => std::future::pending().await,
    }
}

async fn done(giving: &mut Option<JoinHandle<()>>) {
    match giving {
        Some(running) => drop(running.await),
        None => std::future::pending().await,
    }
}

async fn sleep_until(first: Option<Instant>) {
    match first {
        Some(first) => tokio::time::sleep_until(first).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
