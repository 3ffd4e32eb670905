-- Budgets, and the rates that all calls of a scope share. Both limit power, so both carry row_version and mac. Nothing
-- of them is ever deleted: the audit log knows every one, and misses one that is gone.

create table budgets (
    id blob primary key not null,
    scope text not null,
    project_id blob references projects (id),
    environment text,
    key_id blob references keys (id),
    amount bigint not null,
    window_text text not null,
    thresholds text not null,
    status text not null,
    created_at bigint not null,
    updated_at bigint not null,
    archived_at bigint,
    row_version bigint not null,
    mac blob not null
) without rowid;
create index budgets_project on budgets (project_id, id);
create index budgets_key on budgets (key_id, id);

-- The scope is 'organisation', or a project's id.
create table shared_rates (
    scope text primary key not null,
    requests_per_minute bigint,
    tokens_per_minute bigint,
    concurrency bigint,
    updated_at bigint not null,
    row_version bigint not null,
    mac blob not null
) without rowid;
