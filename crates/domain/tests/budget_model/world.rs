//! What the protocol's steps read and change: the database, the nodes' memory, their journals, what is on the wire, and
//! the provider, which bills from the moment something is sent. Money is counted in small whole units.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
};

/// Units of money.
pub(crate) type Units = i8;

/// What every call holds.
pub(crate) const HOLD: Units = 2;

/// An account, as the database has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Account {
    pub(crate) limit: Units,
    pub(crate) spent: Units,
    pub(crate) leased: Units,
    /// Not in any database: what spent and leased together may come to. The limit, or what it was when it was lowered.
    pub(crate) ceiling: Units,
    /// Nor is this: what calls were billed, and what the ledger says they cost, that nothing can happen to any more.
    pub(crate) past: (Units, Units),
}

/// A process's lease on an account, as the database has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    /// All that was ever added.
    pub(crate) granted: Units,
    /// All that was ever given back.
    pub(crate) returned: Units,
    /// What the process may still spend.
    pub(crate) amount: Units,
    /// What was charged because nobody knew how much of it had been spent.
    pub(crate) charged: Units,
}

/// What the database knows of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Row {
    /// How far the collector has come in the call's lane: the hold is read, and the settlement.
    pub(crate) read: (bool, bool),
    /// A row of `holds`.
    pub(crate) held: bool,
    /// The usage row: its cost.
    pub(crate) usage: Option<Units>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Database {
    pub(crate) accounts: Vec<Account>,
    /// By process and account.
    pub(crate) leases: Vec<Vec<Lease>>,
    /// By call.
    pub(crate) rows: Vec<Row>,
    /// Which processes get nothing any more.
    pub(crate) closed: Vec<bool>,
    /// Which processes were recovered.
    pub(crate) recovered: Vec<bool>,
}

/// A process's memory of its lease on an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Memory {
    pub(crate) free: Units,
    /// Of what was granted, how much it knows.
    pub(crate) seen: Units,
    pub(crate) returned: Units,
}

/// One run of one process: an incarnation of its node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) node: usize,
    /// In which boot of the machine it runs.
    pub(crate) boot: u8,
    /// By account. Nothing when it is dead.
    pub(crate) memory: Vec<Memory>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) alive: Option<usize>,
    pub(crate) boot: u8,
    /// The window that its clock says is now, where accounts are windows.
    pub(crate) window: usize,
}

/// How far a call is, in the memory of its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// The first of two accounts has been taken from.
    Taking,
    /// Money is held, in memory.
    Held,
    /// The hold is in the journal.
    Journaled,
    /// The provider has it.
    Sent,
    /// Only when the protocol is broken: memory is settled, the journal is not.
    Freed,
    /// The settlement is in the journal.
    Settled,
    /// Memory is settled too.
    Done,
    /// The process died.
    Gone,
}

/// A record in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Record {
    None,
    /// Survives the process.
    Written,
    /// Survives the machine.
    Synced,
}

/// A name for people. Calls are the same whatever they are called.
#[derive(Clone, Copy)]
pub(crate) struct Name(pub u8);

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Call {
    pub(crate) name: Name,
    pub(crate) process: usize,
    /// Which account, where accounts are windows; otherwise it is on all.
    pub(crate) window: usize,
    pub(crate) phase: Phase,
    /// What is held for it.
    pub(crate) held: Units,
    /// What the provider billed.
    pub(crate) billed: Units,
    /// What the settlement says.
    pub(crate) cost: Units,
    pub(crate) attempts: Units,
    pub(crate) hold: Record,
    pub(crate) settlement: Record,
}

/// A statement on its way to the database, or an answer on its way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Message {
    Wish { process: usize, account: usize },
    Answer { process: usize, account: usize, amount: Units, total: Units },
    Back { process: usize, account: usize, amount: Units, total: Units },
}

/// How much more may happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Left {
    /// Calls that begin.
    pub(crate) calls: u8,
    /// `kill -9`.
    pub(crate) kills: u8,
    /// Power cuts.
    pub(crate) cuts: u8,
    /// Messages that are lost.
    pub(crate) losses: u8,
    /// Messages, or batches, that come twice.
    pub(crate) twice: u8,
    /// Leases that an owner, or another node where that is the protocol, gives up.
    pub(crate) reclaims: u8,
    /// Changes of the limit.
    pub(crate) limits: u8,
    /// Changes of a node's clock to another window, forward or back.
    pub(crate) ticks: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) db: Database,
    /// What of the database a power cut leaves, where it is on the node's own machine.
    pub(crate) disk: Option<Box<Database>>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) processes: Vec<Process>,
    pub(crate) calls: Vec<Call>,
    pub(crate) wire: Vec<Message>,
    pub(crate) left: Left,
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", char::from(b'A' + self.0))
    }
}

impl PartialEq for Name {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Call {
    /// Whether it is on an account.
    pub(crate) fn is_on(&self, account: usize, windows: bool) -> bool {
        !windows || self.window == account
    }

    /// What the settlement takes from the lease; what goes beyond was never in it.
    pub(crate) fn taken(&self) -> Units {
        self.cost.min(self.held)
    }

    /// Whether memory still knows it.
    pub(crate) fn is_running(&self) -> bool {
        !matches!(self.phase, Phase::Done | Phase::Gone)
    }
}

impl State {
    pub(crate) fn say(&mut self, message: Message) {
        self.wire.push(message);
        self.wire.sort_unstable();
    }

    /// The money that a process holds or has settled, and that the database still counts in the lease.
    pub(crate) fn claims(&self, process: usize, account: usize, windows: bool) -> Units {
        let of = |(number, call): (usize, &Call)| {
            let booked = self.db.rows[number].usage.is_some();
            match call.phase {
                _ if call.process != process || !call.is_on(account, windows) => 0,
                Phase::Taking => {
                    if account == 0 {
                        call.held
                    } else {
                        0
                    }
                }
                Phase::Held | Phase::Journaled | Phase::Sent => call.held,
                Phase::Settled => call.held - if booked { call.taken() } else { 0 },
                Phase::Freed | Phase::Done => {
                    if booked {
                        0
                    } else {
                        call.taken()
                    }
                }
                Phase::Gone => 0,
            }
        };
        self.calls.iter().enumerate().map(of).sum()
    }
}
