//! What each step changes.

use crate::{
    protocol::{Action, Broken, Part, World},
    world::{Call, Database, HOLD, Lease, Memory, Message, Name, Phase, Process, Record, Row, State, Units},
};

impl World {
    pub(crate) fn make(&self, next: &mut State, action: Action) {
        match action {
            Action::Ask { process, account } => self.ask(next, process, account),
            Action::Deliver { message } => {
                let message = next.wire.remove(message);
                self.deliver(next, message);
            }
            Action::Lose { message } => {
                next.left.losses -= 1;
                next.wire.remove(message);
            }
            Action::Double { message } => {
                next.left.twice -= 1;
                next.say(next.wire[message]);
            }
            Action::GiveBack { process, account } => self.give_back(next, process, account),
            Action::Remind { process, account } => {
                let total = next.processes[process].memory[account].returned;
                let amount = total - next.db.leases[process][account].returned;
                next.say(Message::Back { process, account, amount, total });
            }
            Action::Kill { node } => {
                next.left.kills -= 1;
                self.die(next, node);
            }
            Action::CutPower { node } => self.cut_power(next, node),
            Action::Start { node } => self.start_process(next, node),
            Action::Close { process } => next.db.closed[process] = true,
            Action::ChargeLost { call } => self.charge_lost(next, call),
            Action::EndRecovery { process } => self.end_recovery(next, process),
            Action::Reclaim { process } => {
                next.left.reclaims -= 1;
                if self.is(Broken::ReclaimChargesHolds) {
                    let held = |call: &usize| next.calls[*call].process == process && next.db.rows[*call].held;
                    let lost: Vec<usize> = (0..next.calls.len()).filter(held).collect();
                    lost.into_iter().for_each(|call| self.charge_lost(next, call));
                }
                charge_rest(&mut next.db, process);
            }
            Action::Expire { process } => {
                next.left.reclaims -= 1;
                self.give_rest(&mut next.db, process);
            }
            Action::Limit { to } => {
                next.left.limits -= 1;
                next.db.accounts[0].limit = to;
            }
            Action::Tick { node } => {
                next.left.ticks -= 1;
                next.nodes[node].window = (next.nodes[node].window + 1) % self.limits.len();
            }
            Action::SyncDatabase => next.disk = Some(Box::new(next.db.clone())),
            Action::Collect { call, part } => self.collect(next, call, part),
            Action::CollectAgain { call } => {
                // The position says that it was read; even if that were lost, there is the usage row.
                if self.is(Broken::CollectWithoutPosition) {
                    next.left.twice -= 1;
                    self.book_settlement(next, call);
                } else {
                    self.collect(next, call, Part::Settlement);
                }
            }
            Action::SyncCall { call } => {
                let call = &mut next.calls[call];
                for record in [&mut call.hold, &mut call.settlement] {
                    if *record == Record::Written {
                        *record = Record::Synced;
                    }
                }
            }
            Action::Begin { .. }
            | Action::TakeSecond { .. }
            | Action::WriteHold { .. }
            | Action::Send { .. }
            | Action::SendAgain { .. }
            | Action::Settle { .. }
            | Action::Free { .. } => self.of_a_call(next, action),
        }
    }

    /// Step 1: a node asks.
    fn ask(&self, next: &mut State, process: usize, account: usize) {
        if self.is(Broken::MemoryBeforeDatabaseOnLease) {
            let memory = &mut next.processes[process].memory[account];
            memory.free += self.lease;
            memory.seen += self.lease;
        }
        if self.late_wishes {
            next.say(Message::Wish { process, account });
        } else {
            self.grant(next, process, account);
        }
    }

    /// Step 1: the one statement.
    fn grant(&self, next: &mut State, process: usize, account: usize) {
        if next.db.closed[process] {
            return;
        }
        let free = next.processes[process].memory.get(account).map_or(0, |memory| memory.free);
        let row = &mut next.db.accounts[account];
        let left = row.limit - row.spent - row.leased;
        let mut amount = if left >= (HOLD - free).max(1) { left.min(self.lease) } else { 0 };
        if self.is(Broken::GrantWithoutCondition) {
            amount = self.lease;
        }
        row.leased += amount;
        let lease = &mut next.db.leases[process][account];
        lease.amount += amount;
        lease.granted += amount;
        let total = lease.granted;
        if self.local && !self.is(Broken::GrantNotSynced) {
            next.disk = Some(Box::new(next.db.clone()));
        }
        next.say(Message::Answer { process, account, amount, total });
    }

    fn deliver(&self, next: &mut State, message: Message) {
        match message {
            Message::Wish { process, account } => self.grant(next, process, account),
            Message::Answer { process, account, amount, total } => {
                let Some(memory) = next.processes[process].memory.get_mut(account) else { return };
                let new = if self.is(Broken::AnswersAreAmounts) { amount } else { (total - memory.seen).max(0) };
                memory.free += new;
                memory.seen += new;
            }
            Message::Back { process, account, amount, .. } if self.is(Broken::DatabaseBeforeMemoryOnGivingBack) => {
                let Some(memory) = next.processes[process].memory.get_mut(account) else { return };
                memory.free -= amount;
                memory.returned += amount;
            }
            Message::Back { process, account, amount, total } => {
                if next.db.closed[process] {
                    return;
                }
                let lease = &mut next.db.leases[process][account];
                let new = if self.is(Broken::GivingBackIsAnAmount) { amount } else { (total - lease.returned).max(0) };
                lease.returned += new;
                self.leave(&mut next.db, (process, account), new);
            }
        }
    }

    /// Step 5.
    fn give_back(&self, next: &mut State, process: usize, account: usize) {
        let memory = &mut next.processes[process].memory[account];
        let amount = memory.free;
        if self.is(Broken::DatabaseBeforeMemoryOnGivingBack) {
            let lease = &mut next.db.leases[process][account];
            lease.amount -= amount;
            lease.returned += amount;
            next.db.accounts[account].leased -= amount;
            next.say(Message::Back { process, account, amount, total: 0 });
            return;
        }
        memory.free = 0;
        memory.returned += amount;
        let total = memory.returned;
        next.say(Message::Back { process, account, amount, total });
    }

    /// Steps 2 and 3.
    fn of_a_call(&self, next: &mut State, action: Action) {
        match action {
            Action::Begin { process } => self.begin(next, process),
            Action::TakeSecond { call } => {
                let call = &mut next.calls[call];
                let memory = &mut next.processes[call.process].memory;
                if memory[1].free >= HOLD {
                    memory[1].free -= HOLD;
                    call.phase = Phase::Held;
                } else {
                    memory[0].free += HOLD;
                    (call.phase, call.held) = (Phase::Done, 0);
                }
            }
            Action::WriteHold { call } => {
                next.calls[call].phase = Phase::Journaled;
                next.calls[call].hold = Record::Written;
            }
            Action::Send { call, cost } => {
                let call = &mut next.calls[call];
                (call.phase, call.attempts, call.cost) = (Phase::Sent, 1, cost);
                call.billed = cost;
            }
            Action::SendAgain { call, cost } => {
                if !self.is(Broken::TwoAttemptsOneHold) {
                    self.change_free(next, call, -HOLD);
                    next.calls[call].held += HOLD;
                    // A second record of the journal, which replaces the first one.
                    next.db.rows[call].read.0 = false;
                }
                let call = &mut next.calls[call];
                call.attempts += 1;
                call.billed += cost;
                call.cost = cost;
            }
            Action::Settle { call, known } => {
                if next.calls[call].phase == Phase::Freed {
                    next.calls[call].phase = Phase::Done;
                } else {
                    self.reckon(next, call, known);
                    next.calls[call].phase = Phase::Settled;
                }
                next.calls[call].settlement = Record::Written;
                if self.coarse && self.broken.is_none() {
                    self.of_a_call(next, Action::Free { call, known });
                }
            }
            Action::Free { call, known } => {
                let first = next.calls[call].phase == Phase::Sent;
                if first {
                    self.reckon(next, call, known);
                }
                let over = next.calls[call].held - next.calls[call].taken();
                self.change_free(next, call, over);
                next.calls[call].phase = if first { Phase::Freed } else { Phase::Done };
            }
            _ => unreachable!("the caller knows which actions are a call's"),
        }
    }

    fn begin(&self, next: &mut State, process: usize) {
        next.left.calls -= 1;
        let window = next.nodes[next.processes[process].node].window;
        let memory = &mut next.processes[process].memory;
        let nested = !self.windows && memory.len() > 1;
        memory[window].free -= HOLD;
        next.calls.push(Call {
            name: Name(next.left.calls),
            process,
            window,
            phase: if nested { Phase::Taking } else { Phase::Held },
            held: HOLD,
            billed: 0,
            cost: 0,
            attempts: 0,
            hold: Record::None,
            settlement: Record::None,
        });
        for db in databases(next) {
            db.rows.push(Row::default());
        }
        if self.coarse && self.broken.is_none() && !nested {
            let call = next.calls.len() - 1;
            self.of_a_call(next, Action::WriteHold { call });
        }
    }

    /// Adds to what is free on every lease of a call.
    fn change_free(&self, next: &mut State, call: usize, by: Units) {
        for (process, account) in self.leases_of(&next.calls[call]) {
            next.processes[process].memory[account].free += by;
        }
    }

    /// What the settlement will say.
    fn reckon(&self, next: &mut State, number: usize, known: bool) {
        let window = next.nodes[next.processes[next.calls[number].process].node].window;
        let call = &mut next.calls[number];
        if !known {
            call.cost = if self.is(Broken::UnknownIsFree) { 0 } else { call.held };
        } else if !self.is(Broken::TwoAttemptsOneHold) {
            // Attempts without an answer may have been billed in full.
            call.cost += HOLD * (call.attempts - 1);
        }
        if self.is(Broken::WindowOfTheEnd) {
            call.window = window;
        }
        let excess = call.cost - call.held;
        if excess > 0 {
            let call = next.calls[number].clone();
            let has = |(process, account): (usize, usize)| next.processes[process].memory[account].free >= excess;
            if self.leases_of(&call).into_iter().all(has) || self.is(Broken::ExcessFromTheLease) {
                self.change_free(next, number, -excess);
                next.calls[number].held += excess;
            }
        }
    }

    /// Step 4: one transaction.
    fn collect(&self, next: &mut State, call: usize, part: Part) {
        let row = &mut next.db.rows[call];
        if part != Part::Settlement {
            row.read.0 = true;
            row.held = part == Part::Hold && (row.usage.is_none() || self.is(Broken::HoldAfterUsage));
        }
        if part != Part::Hold {
            row.read.1 = true;
            row.held = false;
            if row.usage.is_none() {
                self.book_settlement(next, call);
            }
        }
    }

    fn book_settlement(&self, next: &mut State, call: usize) {
        let (cost, taken) = (next.calls[call].cost, next.calls[call].taken());
        self.book(next, call, cost, taken);
    }

    /// A usage row, and what it means for every account of the call.
    fn book(&self, next: &mut State, call: usize, cost: Units, taken: Units) {
        next.db.rows[call].usage = Some(cost);
        for (process, account) in self.leases_of(&next.calls[call]) {
            next.db.accounts[account].spent += cost;
            self.leave(&mut next.db, (process, account), taken);
            if cost > taken {
                // Beyond the hold, and beyond the limit only if nothing was left for anybody.
                let row = &mut next.db.accounts[account];
                row.ceiling = row.ceiling.max(row.spent + row.leased);
            }
        }
    }

    /// Money leaves a lease. What was charged already, because nobody knew, is not charged again.
    fn leave(&self, db: &mut Database, (process, account): (usize, usize), amount: Units) {
        let (lease, account) = (&mut db.leases[process][account], &mut db.accounts[account]);
        let charged = if self.is(Broken::ReclaimIsForgotten) { 0 } else { amount.min(lease.charged) };
        lease.charged -= charged;
        account.spent -= charged;
        lease.amount -= amount - charged;
        account.leased -= amount - charged;
    }

    /// Step 6: a hold whose call nobody will ever hear of again.
    fn charge_lost(&self, next: &mut State, number: usize) {
        let call = &next.calls[number];
        let mut cost = call.held;
        if self.was_cut_off(next, call.process) && !self.is(Broken::LostHoldsInFull) {
            for (process, account) in self.leases_of(call) {
                let lease = &next.db.leases[process][account];
                cost = cost.min(lease.amount + lease.charged);
            }
        }
        next.db.rows[number].held = false;
        self.book(next, number, cost, cost);
    }

    /// Step 6: what is left of the leases.
    fn end_recovery(&self, next: &mut State, process: usize) {
        if self.was_cut_off(next, process) {
            charge_rest(&mut next.db, process);
        } else {
            self.give_rest(&mut next.db, process);
        }
        next.db.recovered[process] = true;
    }

    /// The rest of a process's leases goes back to everybody.
    fn give_rest(&self, db: &mut Database, process: usize) {
        for account in 0..db.accounts.len() {
            let lease = &db.leases[process][account];
            let rest = lease.amount + lease.charged;
            self.leave(db, (process, account), rest);
        }
    }

    fn die(&self, next: &mut State, node: usize) {
        let Some(process) = next.nodes[node].alive.take() else { return };
        next.processes[process].memory.clear();
        for call in next.calls.iter_mut().filter(|call| call.process == process) {
            call.phase = Phase::Gone;
        }
        if !self.late_wishes {
            next.wire.retain(|message| match message {
                Message::Wish { process: who, .. }
                | Message::Answer { process: who, .. }
                | Message::Back { process: who, .. } => *who != process,
            });
        }
    }

    fn cut_power(&self, next: &mut State, node: usize) {
        next.left.cuts -= 1;
        self.die(next, node);
        next.nodes[node].boot += 1;
        for call in next.calls.iter_mut().filter(|call| next.processes[call.process].node == node) {
            for record in [&mut call.hold, &mut call.settlement] {
                if *record == Record::Written {
                    *record = Record::None;
                }
            }
        }
        if let Some(disk) = &next.disk {
            next.db = (**disk).clone();
        }
    }

    fn start_process(&self, next: &mut State, node: usize) {
        next.nodes[node].alive = Some(next.processes.len());
        let memory = vec![Memory::default(); self.limits.len()];
        next.processes.push(Process { node, boot: next.nodes[node].boot, memory });
        for db in databases(next) {
            db.leases.push(vec![Lease::default(); self.limits.len()]);
            db.closed.push(false);
            db.recovered.push(false);
        }
    }
}

/// The database, and what a power cut leaves of it.
fn databases(state: &mut State) -> impl Iterator<Item = &mut Database> {
    std::iter::once(&mut state.db).chain(state.disk.as_deref_mut())
}

/// The rest of a process's leases is spent, as far as anybody knows.
fn charge_rest(db: &mut Database, process: usize) {
    for (lease, account) in db.leases[process].iter_mut().zip(&mut db.accounts) {
        account.spent += lease.amount;
        account.leased -= lease.amount;
        lease.charged += lease.amount;
        lease.amount = 0;
    }
}
