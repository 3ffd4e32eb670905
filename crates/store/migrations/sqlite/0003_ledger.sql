-- What budgets stand at. Money is nano-USD. These rows grant no power: limits are in the budgets' own rows.

-- One row for each run of each process that spends from budgets. `boot` is the machine's run that it belonged to;
-- `ended_at` is null until everything it knew of is accounted for.
create table nodes (
    incarnation bigint primary key not null,
    name text not null,
    boot text not null,
    started_at bigint not null,
    seen_at bigint not null,
    ended_at bigint
) without rowid;
create index nodes_running on nodes (name) where ended_at is null;

-- A budget in one window. A rolling budget has one row with start 0, which holds what is leased, and one for each slot
-- of its span, which holds what was spent in it. `carried` is that part of `spent` whose single calls are no longer kept.
create table accounts (
    budget blob not null,
    start bigint not null,
    slot_ms bigint not null,
    spent bigint not null check (spent >= 0),
    leased bigint not null check (leased >= 0),
    carried bigint not null check (carried >= 0),
    primary key (budget, start)
) without rowid;

-- What a node may still spend of an account, its calls that are not collected yet included. `charged` is what was left
-- of it when its node was lost together with the end of its journal: it counts as spent at `charged_at`. Rows stay for
-- as long as single calls that name them are kept.
create table leases (
    id bigint primary key not null,
    node bigint not null,
    budget blob not null,
    start bigint not null,
    slot_ms bigint not null,
    ends_at bigint not null,
    amount bigint not null check (amount >= 0),
    charged bigint not null check (charged >= 0),
    charged_at bigint not null,
    granted_at bigint not null
) without rowid;
create unique index leases_account on leases (node, budget, start, slot_ms);

-- Calls that were sent and whose end is not collected yet.
create table holds (
    call blob primary key not null,
    node bigint not null,
    at bigint not null,
    key_id blob not null,
    project_id blob not null,
    environment text not null,
    provider text not null,
    model text not null,
    operation text not null,
    credential_id blob not null,
    amount bigint not null,
    leases blob not null,
    price_version text not null
) without rowid;

-- Thresholds that were reached: once for each budget, window and percentage.
create table budget_events (
    budget blob not null,
    start bigint not null,
    percent bigint not null,
    at bigint not null,
    primary key (budget, start, percent)
) without rowid;
