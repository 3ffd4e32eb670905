//! What must hold in every state.

use crate::{
    protocol::World,
    world::{Call, HOLD, State, Units},
};

/// The first promise that does not hold, in words.
pub(crate) fn broken(world: &World, state: &State) -> Option<String> {
    (0..state.db.accounts.len())
        .find_map(|account| money(world, state, account))
        .or_else(|| state.calls.iter().enumerate().find_map(|(number, call)| covered(world, state, number, call)))
        // A broken protocol has to do harm, not only to look odd from within.
        .or_else(|| if world.broken.is_none() { inner(world, state) } else { None })
}

/// What a call was billed beyond what its attempts may cost: the provider did not keep to the cap.
fn excess(call: &Call) -> Units {
    (call.billed - HOLD * call.attempts).max(0)
}

fn money(world: &World, state: &State, account: usize) -> Option<String> {
    let row = &state.db.accounts[account];
    let on = |call: &&Call| call.is_on(account, world.windows);
    let most = row.ceiling;
    let leases = || state.db.leases.iter().map(|leases| &leases[account]);
    let leased: Units = leases().map(|lease| lease.amount.max(0)).sum();
    if row.spent + leased > most {
        return Some(format!("account {account}: {} spent and {leased} leased, of {most}", row.spent));
    }
    let now: Units = state.calls.iter().filter(on).map(|call| call.billed).sum();
    let billed = row.past.0 + now;
    let open = state.calls.iter().zip(&state.db.rows).filter(|(call, row)| on(call) && row.usage.is_none());
    let most = most + open.map(|(call, _)| excess(call)).sum::<Units>();
    if billed > most {
        return Some(format!("account {account}: the provider billed {billed}, of {most}"));
    }
    let rows = state.calls.iter().zip(&state.db.rows).filter(|(call, _)| on(call));
    let used = row.past.1 + rows.filter_map(|(_, row)| row.usage).sum::<Units>();
    let charged: Units = leases().map(|lease| lease.charged).sum();
    if row.spent != used + charged {
        return Some(format!("account {account}: {} spent, but the ledger says {used} and {charged}", row.spent));
    }
    None
}

/// Every call that was billed is in the ledger at its cost at least, or its lease still has the money.
fn covered(world: &World, state: &State, number: usize, call: &Call) -> Option<String> {
    if call.billed == 0 {
        return None;
    }
    let exact = !world.was_cut_off(state, call.process);
    if let Some(cost) = state.db.rows[number].usage.filter(|_| exact) {
        let short = call.billed - cost - excess(call);
        return (short > 0).then(|| format!("call {number} was billed {} and charged {cost}", call.billed));
    }
    for (process, account) in world.leases_of(call) {
        let lease = &state.db.leases[process][account];
        let all = || {
            state
                .calls
                .iter()
                .zip(&state.db.rows)
                .filter(|(other, _)| other.process == process && other.is_on(account, world.windows))
        };
        let billed: Units = all().map(|(other, _)| other.billed - excess(other)).sum();
        let booked: Units = all().filter_map(|(_, row)| row.usage).sum();
        let there = booked + lease.amount + lease.charged;
        if billed > there {
            return Some(format!("call {number}: {billed} were billed on its lease, which covers {there}"));
        }
    }
    None
}

/// What makes the promises true: in a node, `free + held + settled but not collected = lease`.
fn inner(world: &World, state: &State) -> Option<String> {
    for (process, leases) in state.db.leases.iter().enumerate() {
        for (account, lease) in leases.iter().enumerate() {
            if lease.amount < 0 || lease.charged < 0 {
                return Some(format!("the lease of process {process} on account {account} is negative: {lease:?}"));
            }
            let Some(memory) = state.processes[process].memory.get(account) else { continue };
            if memory.free < 0 {
                return Some(format!("process {process} has less than nothing free on account {account}"));
            }
            let under_way = lease.granted - memory.seen + memory.returned - lease.returned;
            let claims = state.claims(process, account, world.windows);
            let (has, is) = (memory.free + claims + under_way, lease.amount + lease.charged);
            if has != is {
                return Some(format!(
                    "process {process}, account {account}: {} free, {claims} held or settled, {under_way} under way; the lease is {lease:?}",
                    memory.free
                ));
            }
        }
    }
    for (account, row) in state.db.accounts.iter().enumerate() {
        let leased: Units = state.db.leases.iter().map(|leases| leases[account].amount).sum();
        if row.leased != leased {
            return Some(format!("account {account}: {} leased, and leases of {leased}", row.leased));
        }
    }
    None
}
