-- What answers the question whether a found secret was this version's: a keyed hash, hashed once more. Null until it is
-- made; it outlives the secret, so that a secret that was replaced is still known when it is found.

alter table credential_versions add column leak_mark bytea;
create index credential_versions_mark on credential_versions (leak_mark);
