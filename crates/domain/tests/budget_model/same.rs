//! Which states are the same for all that follows. Counters that only differences are taken of begin at zero again,
//! messages that can change nothing are as good as lost, and calls have no order.

use crate::{
    protocol::World,
    world::{Message, Phase, Record, State},
};

impl World {
    /// Makes equal what behaves equally.
    pub(crate) fn forget(&self, state: &mut State) {
        for process in 0..state.processes.len() {
            for account in 0..self.limits.len() {
                self.forget_counts(state, process, account);
            }
        }
        let closed = &state.db.closed;
        let processes = &state.processes;
        state.wire.retain(|message| match *message {
            Message::Wish { process, .. } => !closed[process],
            Message::Answer { process, amount, total, .. } => {
                !processes[process].memory.is_empty() && (total > 0 || (amount > 0 && self.counts_amounts()))
            }
            Message::Back { process, amount, total, .. } => {
                !closed[process] && (total > 0 || (amount > 0 && self.counts_amounts()))
            }
        });
        state.wire.sort_unstable();
        // In a broken protocol, something may still happen to what is over.
        if self.broken.is_none() && state.disk.is_none() {
            self.forget_calls(state);
            forget_processes(state);
        }
        self.sort_calls(state);
    }

    /// Calls that are over and booked at their cost or above it: of them, only sums count.
    fn forget_calls(&self, state: &mut State) {
        for number in (0..state.calls.len()).rev() {
            let (call, row) = (&state.calls[number], &state.db.rows[number]);
            let over = matches!(call.phase, Phase::Done | Phase::Gone) && self.is_read(state, number);
            let cost = row.usage.unwrap_or(0);
            // A hold that was never written was never sent.
            let booked = row.usage.is_some() || (call.hold, call.settlement) == (Record::None, Record::None);
            if over
                && booked
                && !row.held
                && call.billed <= cost.min(call.held)
                && !self.was_cut_off(state, call.process)
            {
                for (_, account) in self.leases_of(&call.clone()) {
                    let past = &mut state.db.accounts[account].past;
                    *past = (past.0 + state.calls[number].billed, past.1 + cost);
                }
                state.calls.remove(number);
                state.db.rows.remove(number);
            }
        }
    }

    fn counts_amounts(&self) -> bool {
        self.broken.is_some()
    }

    fn forget_counts(&self, state: &mut State, process: usize, account: usize) {
        let lease = &mut state.db.leases[process][account];
        let (granted, returned) = match state.processes[process].memory.get_mut(account) {
            Some(memory) => {
                let known = std::mem::take(&mut memory.seen);
                memory.returned -= lease.returned;
                lease.granted -= known;
                (known, std::mem::take(&mut lease.returned))
            }
            None => {
                lease.granted = 0;
                (0, std::mem::take(&mut lease.returned))
            }
        };
        for message in &mut state.wire {
            match message {
                Message::Answer { process: who, account: what, amount, total }
                    if (*who, *what) == (process, account) =>
                {
                    *total = (*total - granted).max(0);
                    *amount = if self.counts_amounts() { *amount } else { 0 };
                }
                Message::Back { process: who, account: what, amount, total } if (*who, *what) == (process, account) => {
                    *total = (*total - returned).max(0);
                    *amount = if self.counts_amounts() { *amount } else { 0 };
                }
                _ => {}
            }
        }
        if let Some(disk) = &mut state.disk {
            let lease = &mut disk.leases[process][account];
            (lease.granted, lease.returned) = (0, 0);
        }
    }

    fn sort_calls(&self, state: &mut State) {
        let mut order: Vec<usize> = (0..state.calls.len()).collect();
        let disk = state.disk.as_deref();
        order.sort_by_cached_key(|call| {
            (state.calls[*call].clone(), state.db.rows[*call].clone(), disk.map(|disk| disk.rows[*call].clone()))
        });
        state.calls = order.iter().map(|call| state.calls[*call].clone()).collect();
        state.db.rows = order.iter().map(|call| state.db.rows[*call].clone()).collect();
        if let Some(disk) = &mut state.disk {
            disk.rows = order.iter().map(|call| disk.rows[*call].clone()).collect();
        }
    }
}

/// Processes that are recovered and have no calls that could still matter.
fn forget_processes(state: &mut State) {
    for process in (0..state.processes.len()).rev() {
        let is_used = state.calls.iter().any(|call| call.process == process);
        if !state.db.recovered[process] || is_used {
            continue;
        }
        for (lease, account) in state.db.leases.remove(process).iter().zip(&mut state.db.accounts) {
            account.past.1 += lease.charged;
        }
        state.processes.remove(process);
        state.db.recovered.remove(process);
        state.db.closed.remove(process);
        let down = |number: &mut usize| *number -= usize::from(*number > process);
        state.calls.iter_mut().for_each(|call| down(&mut call.process));
        state.nodes.iter_mut().filter_map(|node| node.alive.as_mut()).for_each(down);
        for message in &mut state.wire {
            match message {
                Message::Wish { process, .. } | Message::Answer { process, .. } | Message::Back { process, .. } => {
                    down(process);
                }
            }
        }
    }
}
