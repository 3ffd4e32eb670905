-- Everything of the first release. Times are milliseconds since 1970 in UTC, money is nano-USD, flags are 0 or 1.
-- Rows that grant power carry row_version and mac; audit rows carry a mac, and the row_version that a change led to.

create table meta (
    name text primary key not null,
    number bigint,
    text text
) without rowid;

insert into meta (name, number) values ('change_version', 0), ('audit_sequence', 0);

create table projects (
    id blob primary key not null,
    name text not null,
    status text not null,
    policy text not null,
    created_at bigint not null,
    updated_at bigint not null,
    archived_at bigint,
    row_version bigint not null,
    mac blob not null
) without rowid;
create unique index projects_name on projects (name);

create table environments (
    project_id blob not null references projects (id),
    environment text not null,
    policy text not null,
    updated_at bigint not null,
    row_version bigint not null,
    mac blob not null,
    primary key (project_id, environment)
) without rowid;

create table credentials (
    id blob primary key not null,
    project_id blob not null references projects (id),
    environment text,
    provider text not null,
    name text not null,
    status text not null,
    base_url text,
    allow_private bigint not null,
    use_order bigint not null,
    weight bigint not null,
    version bigint not null,
    fingerprint blob not null,
    created_at bigint not null,
    updated_at bigint not null,
    row_version bigint not null,
    mac blob not null
) without rowid;
create unique index credentials_name on credentials (project_id, provider, name) where status <> 'revoked';
create index credentials_fingerprint on credentials (fingerprint);

create table credential_versions (
    credential_id blob not null references credentials (id),
    version bigint not null,
    sealed blob not null,
    wrapping_key text not null,
    fingerprint blob not null,
    created_at bigint not null,
    erased_at bigint,
    primary key (credential_id, version)
) without rowid;

create table credential_health (
    credential_id blob primary key not null references credentials (id),
    state text not null,
    cause text,
    remedy text,
    http_status bigint,
    checked_at bigint not null,
    out_until bigint
) without rowid;

create table keys (
    id blob primary key not null,
    public_id text not null,
    project_id blob not null references projects (id),
    environment text not null,
    name text not null,
    status text not null,
    style text not null,
    secrets text not null,
    policy text not null,
    expires_at bigint,
    created_at bigint not null,
    updated_at bigint not null,
    revoked_at bigint,
    row_version bigint not null,
    mac blob not null
) without rowid;
create unique index keys_public_id on keys (public_id);
create index keys_project on keys (project_id, id);
create index keys_name on keys (name);

create table tokens (
    id blob primary key not null,
    name text not null,
    role text not null,
    hash blob not null,
    created_at bigint not null,
    expires_at bigint,
    revoked_at bigint,
    row_version bigint not null,
    mac blob not null
) without rowid;
create unique index tokens_hash on tokens (hash);
create unique index tokens_name on tokens (name) where revoked_at is null;

create table keyring (
    id text primary key not null,
    purpose text not null,
    state text not null,
    created_at bigint not null,
    master_id text not null,
    wrapped blob not null
) without rowid;

create table recovery (
    recipient text primary key not null,
    master_id text not null,
    wrapped blob not null,
    created_at bigint not null,
    proven_at bigint
) without rowid;

create table audit (
    seq bigint primary key not null,
    id blob not null,
    at bigint not null,
    actor text not null,
    action text not null,
    subject_kind text not null,
    subject text not null,
    row_version bigint,
    mac blob not null,
    before text not null,
    after text not null,
    reason text,
    source text
) without rowid;
create unique index audit_id on audit (id);
create index audit_subject on audit (subject, seq);
create unique index audit_version on audit (subject_kind, subject, row_version) where row_version is not null;

create table objects (
    provider text not null,
    object text not null,
    kind text not null,
    project_id blob not null,
    key_id blob not null,
    credential_id blob not null,
    at bigint not null,
    primary key (provider, object)
) without rowid;

-- One row for each combination of dimensions that ever made a call. Raw rows and rollups name it by its number.
create table usage_series (
    id integer primary key not null,
    project_id blob not null,
    environment text not null,
    key_id blob not null,
    provider text not null,
    model text not null,
    operation text not null,
    credential_id blob not null
);
create unique index usage_series_dimensions
    on usage_series (key_id, credential_id, project_id, environment, provider, model, operation);

-- The day tables that exist: usage_raw_YYYYMMDD for each row; day is the midnight it begins with.
create table usage_days (
    day bigint primary key not null
) without rowid;

create table usage_hourly (
    bucket bigint not null,
    series bigint not null,
    requests bigint not null,
    errors bigint not null,
    input bigint not null,
    cache_read bigint not null,
    cache_write bigint not null,
    cache_write_long bigint not null,
    output bigint not null,
    reasoning bigint not null,
    audio_input bigint not null,
    audio_output bigint not null,
    image_input bigint not null,
    image_output bigint not null,
    searches bigint not null,
    millis bigint not null,
    characters bigint not null,
    images bigint not null,
    pages bigint not null,
    cost bigint not null,
    estimated bigint not null,
    unpriced bigint not null,
    first_byte_us bigint not null,
    total_us bigint not null,
    primary key (bucket, series)
) without rowid;

create table usage_daily (
    bucket bigint not null,
    series bigint not null,
    requests bigint not null,
    errors bigint not null,
    input bigint not null,
    cache_read bigint not null,
    cache_write bigint not null,
    cache_write_long bigint not null,
    output bigint not null,
    reasoning bigint not null,
    audio_input bigint not null,
    audio_output bigint not null,
    image_input bigint not null,
    image_output bigint not null,
    searches bigint not null,
    millis bigint not null,
    characters bigint not null,
    images bigint not null,
    pages bigint not null,
    cost bigint not null,
    estimated bigint not null,
    unpriced bigint not null,
    first_byte_us bigint not null,
    total_us bigint not null,
    primary key (bucket, series)
) without rowid;

-- When a key, a credential or a token was last used. Not part of any power, so not part of any MAC.
create table last_used (
    subject blob primary key not null,
    at bigint not null
) without rowid;

-- How far each journal stream of each gateway has been taken over; moves in the transaction that stores the events.
create table journal_positions (
    stream text primary key not null,
    seq bigint not null
) without rowid;

create table jobs (
    name text primary key not null,
    owner text,
    lease_until bigint not null,
    started_at bigint,
    finished_at bigint,
    outcome text,
    state text
) without rowid;
