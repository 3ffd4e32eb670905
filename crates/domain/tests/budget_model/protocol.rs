//! The steps of the decision document `0001-budgets-that-hold.md`, one by one, and the ways to break them.

use crate::{
    explorer::Model,
    world::{Account, Call, Database, HOLD, Lease, Left, Memory, Message, Node, Phase, Process, Record, State, Units},
};

/// A protocol that somebody could have built instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A lease is granted whatever is left.
    GrantWithoutCondition,
    /// The node spends what it has asked for.
    MemoryBeforeDatabaseOnLease,
    /// The answer to a lease is added as often as it comes.
    AnswersAreAmounts,
    /// What is given back leaves the database first.
    DatabaseBeforeMemoryOnGivingBack,
    /// Giving back lowers the lease as often as it comes.
    GivingBackIsAnAmount,
    /// The request is sent, and then the hold is written.
    SendBeforeJournal,
    /// Sent again after no answer, under the same hold.
    TwoAttemptsOneHold,
    /// What is not known to have been used is set free.
    UnknownIsFree,
    /// Memory is settled, and then the settlement is written.
    SettleMemoryBeforeJournal,
    /// What a call cost beyond its hold is taken from the lease, and so from what others hold.
    ExcessFromTheLease,
    /// The settlement goes to the window that it is now.
    WindowOfTheEnd,
    /// Whatever the collector delivers is booked.
    CollectWithoutPosition,
    /// A hold is stored although its usage is known.
    HoldAfterUsage,
    /// The rest of a lease is given back, and then holds are charged.
    RecoveryGivesBackFirst,
    /// Recovery does not wait for the end of the journal.
    RecoveryBeforeTheEnd,
    /// Recovery leaves the dead process's account open for statements under way.
    RecoveryWithoutClosing,
    /// A node takes another that has its name, and runs, for an earlier process of its own.
    RecoveryByName,
    /// A power cut is taken for a crash.
    PowerCutIsACrash,
    /// After a power cut every hold is charged in full.
    LostHoldsInFull,
    /// The node spends a grant that is not on the disk yet.
    GrantNotSynced,
    /// A silent node's lease goes back to the others after a while.
    LeasesExpire,
    /// A reclaimed lease is charged, and then charged again by what is collected.
    ReclaimIsForgotten,
    /// With a reclaim, the holds of a node that may be alive are charged as calls that were lost.
    ReclaimChargesHolds,
}

/// How large the world is.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) nodes: usize,
    /// The limits of the accounts.
    pub(crate) limits: Vec<Units>,
    /// Whether the accounts are windows of one budget. Otherwise they are budgets above one another.
    pub(crate) windows: bool,
    /// The most that a lease grows at once.
    pub(crate) lease: Units,
    /// What calls cost.
    pub(crate) costs: Vec<Units>,
    /// Whether the end of a call may be unknown.
    pub(crate) unknown: bool,
    /// Whether a call that got no answer is sent again.
    pub(crate) attempts: Units,
    /// Whether a wish may be under way for long; otherwise only its answer.
    pub(crate) late_wishes: bool,
    /// Whether hold and settlement may be in different lanes of the journal.
    pub(crate) lanes_apart: bool,
    /// Whether the database is on the node's machine and loses what it has not synced.
    pub(crate) local: bool,
    /// The limits that the first account may get.
    pub(crate) other_limits: Vec<Units>,
    /// Whether a record of the journal and the change of memory that belongs to it are one step. Nobody but the process
    /// itself could tell, so that a crash between them is the same as one before or after.
    pub(crate) coarse: bool,
    pub(crate) left: Left,
    pub(crate) broken: Option<Broken>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Hold,
    Settlement,
    Both,
}

/// How many kinds of steps there are.
pub(crate) const KINDS: usize = 27;

/// One step. Those of the protocol first, then the world's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Lease: a node asks.
    Ask {
        process: usize,
        account: usize,
    },
    /// A message arrives: a lease is granted or heard of, or money is given back.
    Deliver {
        message: usize,
    },
    /// A call comes, and money is held for it; of two accounts, on the first.
    Begin {
        process: usize,
    },
    /// Money is held on the second account, or put back on the first.
    TakeSecond {
        call: usize,
    },
    /// The hold goes to the journal.
    WriteHold {
        call: usize,
    },
    /// The call goes to the provider.
    Send {
        call: usize,
        cost: Units,
    },
    /// And once more.
    SendAgain {
        call: usize,
        cost: Units,
    },
    /// The settlement goes to the journal.
    Settle {
        call: usize,
        known: bool,
    },
    /// Memory is settled.
    Free {
        call: usize,
        known: bool,
    },
    /// Money is given back: memory, and a message.
    GiveBack {
        process: usize,
        account: usize,
    },
    /// The message once more, for want of an answer.
    Remind {
        process: usize,
        account: usize,
    },
    /// A transaction of the collector.
    Collect {
        call: usize,
        part: Part,
    },
    /// What is in a lane is synced.
    SyncCall {
        call: usize,
    },
    /// What the database has committed is synced.
    SyncDatabase,
    /// A node's next process starts.
    Start {
        node: usize,
    },
    /// Recovery closes an earlier process.
    Close {
        process: usize,
    },
    /// Recovery charges a hold.
    ChargeLost {
        call: usize,
    },
    /// Recovery gives the rest back, or charges it.
    EndRecovery {
        process: usize,
    },
    Lose {
        message: usize,
    },
    Double {
        message: usize,
    },
    CollectAgain {
        call: usize,
    },
    Kill {
        node: usize,
    },
    CutPower {
        node: usize,
    },
    /// An owner says that a process will not come back.
    Reclaim {
        process: usize,
    },
    /// Time says so: no step of ours.
    Expire {
        process: usize,
    },
    Limit {
        to: Units,
    },
    /// A node's clock goes to the other window.
    Tick {
        node: usize,
    },
}

impl World {
    pub(crate) fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    /// The leases of a call: process and account.
    pub(crate) fn leases_of(&self, call: &Call) -> Vec<(usize, usize)> {
        let on = |account: &usize| call.is_on(*account, self.windows);
        (0..self.limits.len()).filter(on).map(|account| (call.process, account)).collect()
    }

    /// Whether the collector has read all that the journal has of a call.
    pub(crate) fn is_read(&self, state: &State, number: usize) -> bool {
        let (call, row) = (&state.calls[number], &state.db.rows[number]);
        (call.hold == Record::None || row.read.0) && (call.settlement == Record::None || row.read.1)
    }

    fn calls_of(state: &State, process: usize) -> impl Iterator<Item = usize> {
        (0..state.calls.len()).filter(move |call| state.calls[*call].process == process)
    }

    /// Whether recovery may charge what its journal does not settle.
    fn may_charge(&self, state: &State, process: usize) -> bool {
        let closed = state.db.closed[process] || self.is(Broken::RecoveryWithoutClosing);
        let read = Self::calls_of(state, process).all(|call| self.is_read(state, call));
        closed && (read || self.is(Broken::RecoveryBeforeTheEnd))
    }

    /// Whether the machine that a dead process ran on has been started anew since.
    pub(crate) fn was_cut_off(&self, state: &State, process: usize) -> bool {
        let old = &state.processes[process];
        state.nodes[old.node].boot != old.boot && !self.is(Broken::PowerCutIsACrash)
    }

    fn is_dead(state: &State, process: usize) -> bool {
        state.nodes[state.processes[process].node].alive != Some(process)
    }

    fn of_calls(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, call) in state.calls.iter().enumerate() {
            let row = &state.db.rows[number];
            match call.phase {
                Phase::Taking => actions.push(Action::TakeSecond { call: number }),
                Phase::Held if self.is(Broken::SendBeforeJournal) => self.send(number, actions),
                Phase::Held => actions.push(Action::WriteHold { call: number }),
                Phase::Journaled => self.send(number, actions),
                Phase::Sent => {
                    let ends = |known| match self.is(Broken::SettleMemoryBeforeJournal) {
                        true => Action::Free { call: number, known },
                        false => Action::Settle { call: number, known },
                    };
                    actions.push(ends(true));
                    if self.unknown {
                        actions.push(ends(false));
                    }
                    let free = |(process, account): (usize, usize)| state.processes[process].memory[account].free;
                    let mut leases = self.leases_of(call).into_iter();
                    let pays = self.is(Broken::TwoAttemptsOneHold) || leases.all(|lease| free(lease) >= HOLD);
                    if call.attempts < self.attempts && pays {
                        actions.extend(self.costs.iter().map(|cost| Action::SendAgain { call: number, cost: *cost }));
                    }
                }
                Phase::Freed => actions.push(Action::Settle { call: number, known: true }),
                Phase::Settled => actions.push(Action::Free { call: number, known: true }),
                Phase::Done | Phase::Gone => {}
            }
            // Whoever runs on the node reads its journals.
            if state.nodes[state.processes[call.process].node].alive.is_some() {
                let (hold, settlement) = (call.hold > Record::None, call.settlement > Record::None);
                let both = hold && settlement;
                if hold && !row.read.0 {
                    actions.push(Action::Collect { call: number, part: Part::Hold });
                }
                if settlement && !row.read.1 && (row.read.0 || !hold || self.lanes_apart) {
                    actions.push(Action::Collect { call: number, part: Part::Settlement });
                }
                if both && row.read == (false, false) {
                    actions.push(Action::Collect { call: number, part: Part::Both });
                }
                if row.read.1 && state.left.twice > 0 {
                    actions.push(Action::CollectAgain { call: number });
                }
            }
            let unsynced = call.hold == Record::Written || call.settlement == Record::Written;
            if self.left.cuts > 0 && unsynced && call.phase != Phase::Gone {
                actions.push(Action::SyncCall { call: number });
            }
        }
    }

    fn send(&self, call: usize, actions: &mut Vec<Action>) {
        actions.extend(self.costs.iter().map(|cost| Action::Send { call, cost: *cost }));
    }

    fn of_processes(&self, state: &State, actions: &mut Vec<Action>) {
        for process in 0..state.processes.len() {
            let node = &state.nodes[state.processes[process].node];
            if node.alive == Some(process) {
                self.of_the_living(state, process, actions);
                if self.is(Broken::RecoveryByName) && !state.db.recovered[process] {
                    let closed = state.db.closed[process];
                    actions.push(if closed { Action::EndRecovery { process } } else { Action::Close { process } });
                }
            } else if node.alive.is_some() && !state.db.recovered[process] {
                if !state.db.closed[process] && !self.is(Broken::RecoveryWithoutClosing) {
                    actions.push(Action::Close { process });
                }
                if self.may_charge(state, process) {
                    let held = |call: &usize| state.db.rows[*call].held;
                    let lost: Vec<usize> = Self::calls_of(state, process).filter(held).collect();
                    actions.extend(lost.iter().map(|call| Action::ChargeLost { call: *call }));
                    if lost.is_empty() || self.is(Broken::RecoveryGivesBackFirst) {
                        actions.push(Action::EndRecovery { process });
                    }
                }
            } else if self.is(Broken::RecoveryGivesBackFirst) && node.alive.is_some() {
                let held = |call: &usize| state.db.rows[*call].held;
                let lost = Self::calls_of(state, process).filter(held);
                actions.extend(lost.map(|call| Action::ChargeLost { call }));
            }
            let is_leased = state.db.leases[process].iter().any(|lease| lease.amount > 0);
            if state.left.reclaims > 0 && is_leased && !state.db.recovered[process] {
                actions.push(match self.is(Broken::LeasesExpire) {
                    true => Action::Expire { process },
                    false => Action::Reclaim { process },
                });
            }
        }
    }

    fn of_the_living(&self, state: &State, process: usize, actions: &mut Vec<Action>) {
        let node = &state.nodes[state.processes[process].node];
        let memory = &state.processes[process].memory;
        let now = |account: &usize| !self.windows || node.window == *account;
        for (account, mine) in memory.iter().enumerate() {
            let is_asking = state.wire.iter().any(|message| match message {
                Message::Wish { process: who, account: what } | Message::Answer { process: who, account: what, .. } => {
                    (*who, *what) == (process, account)
                }
                Message::Back { .. } => false,
            });
            let is_giving = state.wire.iter().any(|message| {
                matches!(message, Message::Back { process: who, account: what, .. } if (*who, *what) == (process, account))
            });
            let lease = &state.db.leases[process][account];
            // It is also asked for when nothing can be left: the answer says what an earlier one said and was lost.
            let wants = mine.free < HOLD && state.left.calls > 0 && now(&account);
            if (wants || lease.granted > mine.seen) && !is_asking {
                actions.push(Action::Ask { process, account });
            }
            if mine.free > 0 && !is_giving {
                actions.push(Action::GiveBack { process, account });
            }
            if mine.returned > lease.returned && !is_giving {
                actions.push(Action::Remind { process, account });
            }
        }
        let nested = !self.windows && memory.len() > 1;
        let enough = |account: usize| memory[account].free >= HOLD;
        let begins = if nested { enough(0) } else { (0..memory.len()).filter(now).all(enough) };
        if begins && state.left.calls > 0 {
            actions.push(Action::Begin { process });
        }
    }

    fn of_the_world(&self, state: &State, actions: &mut Vec<Action>) {
        let left = state.left;
        for message in 0..state.wire.len() {
            if message > 0 && state.wire[message] == state.wire[message - 1] {
                continue;
            }
            actions.push(Action::Deliver { message });
            if left.losses > 0 {
                actions.push(Action::Lose { message });
            }
            if left.twice > 0 {
                actions.push(Action::Double { message });
            }
        }
        for (number, node) in state.nodes.iter().enumerate() {
            if node.alive.is_none() {
                actions.push(Action::Start { node: number });
            } else if left.kills > 0 {
                actions.push(Action::Kill { node: number });
            }
            if left.cuts > 0 {
                actions.push(Action::CutPower { node: number });
            }
            if left.ticks > 0 {
                actions.push(Action::Tick { node: number });
            }
        }
        if left.limits > 0 {
            let other = self.other_limits.iter().filter(|limit| **limit != state.db.accounts[0].limit);
            actions.extend(other.map(|limit| Action::Limit { to: *limit }));
        }
        if state.disk.as_ref().is_some_and(|disk| **disk != state.db) {
            actions.push(Action::SyncDatabase);
        }
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn start(&self) -> State {
        let account = |limit: &Units| Account { limit: *limit, spent: 0, leased: 0, ceiling: *limit, past: (0, 0) };
        let db = Database {
            accounts: self.limits.iter().map(account).collect(),
            leases: vec![vec![Lease::default(); self.limits.len()]; self.nodes],
            rows: Vec::new(),
            closed: vec![false; self.nodes],
            recovered: vec![false; self.nodes],
        };
        let process = |node| Process { node, boot: 0, memory: vec![Memory::default(); self.limits.len()] };
        State {
            disk: self.local.then(|| Box::new(db.clone())),
            db,
            nodes: (0..self.nodes).map(|node| Node { alive: Some(node), ..Node::default() }).collect(),
            processes: (0..self.nodes).map(process).collect(),
            calls: Vec::new(),
            wire: Vec::new(),
            left: self.left,
        }
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if *state == self.start() {
            // All nodes are alike at first.
            return self.of_the_living(state, 0, actions);
        }
        self.of_processes(state, actions);
        self.of_calls(state, actions);
        self.of_the_world(state, actions);
    }

    fn step(&self, state: &State, action: Action) -> State {
        let mut next = state.clone();
        self.make(&mut next, action);
        for account in &mut next.db.accounts {
            let sum = account.spent + account.leased;
            account.ceiling = account.limit.max(account.ceiling.min(sum));
        }
        self.forget(&mut next);
        next
    }

    fn is_fault(&self, action: Action) -> bool {
        matches!(
            action,
            Action::Lose { .. }
                | Action::Double { .. }
                | Action::CollectAgain { .. }
                | Action::Kill { .. }
                | Action::CutPower { .. }
                | Action::Reclaim { .. }
                | Action::Expire { .. }
                | Action::Limit { .. }
                | Action::Tick { .. }
        )
    }

    fn wrong(&self, state: &State) -> Option<String> {
        crate::promises::broken(self, state)
    }

    fn at_rest(&self, state: &State) -> bool {
        let read = (0..state.calls.len()).all(|call| self.is_read(state, call) && !state.db.rows[call].held);
        let dead = |process: &usize| Self::is_dead(state, *process);
        state.wire.is_empty()
            && state.calls.iter().all(|call| !call.is_running())
            && read
            && (0..state.processes.len()).filter(dead).all(|process| state.db.recovered[process])
            && state.db.accounts.iter().all(|account| account.leased == 0)
    }
}
