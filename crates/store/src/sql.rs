//! How statements are written down and run: three small macros and the list of all statements.
//!
//! Every statement is a constant declared with `statements!`, in the subset both databases share (`$1`, `on conflict`,
//! `returning`, bigint milliseconds), so that one test can prepare them all on both.

use keyward_domain::{
    AuditId, BudgetId, CredentialId, Environment, KeyId, Money, ProjectId, RequestId, TokenId, budget::LeaseId,
    secret::Sealed, token::PublicId,
};
use uuid::Uuid;

/// Declares constants that hold SQL, and `ALL`, the list of them.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)*) => {
        $($(#[$doc])* const $name: &str = $text;)*
        pub(crate) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

/// Several columns as one text in a statement, for [`crate::packed`]: `packed!("name", "status")`.
macro_rules! packed {
    (@place $column:literal) => { "\x1f%s" };
    ($first:literal $(, $column:literal)* $(,)?) => {
        concat!("format('%s", $(packed!(@place $column),)* "', ", $first, $(", ", $column,)* ")")
    };
}

/// Runs one block on whichever database is open.
macro_rules! on {
    ($pool:expr, $open:ident => $body:expr) => {
        match $pool {
            $crate::pool::Pool::Lite($open) => $body,
            $crate::pool::Pool::Pg($open) => $body,
        }
    };
}

/// Reads through the store: `read!(store, fetch_optional, KeyRow, "key", SQL, binds…)`.
macro_rules! read {
    ($store:expr, $fetch:ident, $row:ty, $what:expr, $sql:expr $(, $bind:expr)* $(,)?) => {{
        let store: &$crate::Store = $store;
        let found = on!(store.readers(), pool => sqlx::query_as::<_, $row>($sql)$(.bind($bind))*.$fetch(pool).await);
        found.map_err(|error| store.failed(error, $what))
    }};
}

/// Runs a statement of a write and answers how many rows it touched.
macro_rules! run {
    ($write:expr, $what:expr, $sql:expr $(, $bind:expr)* $(,)?) => {{
        let write: &mut $crate::Write = $write;
        let done = match write.open()? {
            $crate::pool::Open::Lite(tx) => {
                sqlx::query($sql)$(.bind($bind))*.execute(&mut **tx).await.map(|done| done.rows_affected())
            }
            $crate::pool::Open::Pg(tx) => {
                sqlx::query($sql)$(.bind($bind))*.execute(&mut **tx).await.map(|done| done.rows_affected())
            }
        };
        write.settled(done, $what)
    }};
}

/// Declares a row: a struct with public fields, read in the order of its fields from either database.
macro_rules! row {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident { $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty,)* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis struct $name { $($(#[$field_meta])* $field_vis $field: $type,)* }
        row!(@from sqlx::sqlite::SqliteRow, $name, $($field: $type,)*);
        row!(@from sqlx::postgres::PgRow, $name, $($field: $type,)*);
    };
    (@from $row:ty, $name:ident, $($field:ident: $type:ty,)*) => {
        impl sqlx::FromRow<'_, $row> for $name {
            fn from_row(row: &$row) -> Result<Self, sqlx::Error> {
                use sqlx::Row as _;
                let mut index = 0..;
                $(
                    let at: usize = index.next().unwrap_or(usize::MAX);
                    let raw: <$type as $crate::sql::Stored>::Raw = row.try_get(at)?;
                    let $field = <$type as $crate::sql::Stored>::from_raw(raw).ok_or_else(|| {
                        sqlx::Error::Decode(concat!("unknown form of ", stringify!($field)).into())
                    })?;
                )*
                Ok(Self { $($field),* })
            }
        }
    };
}

/// A value as it is stored: what the driver reads, and how it becomes our type.
pub(crate) trait Stored: Sized {
    /// What the driver reads.
    type Raw;
    /// Our value; `None` when the stored form is not one of ours.
    fn from_raw(raw: Self::Raw) -> Option<Self>;
}

macro_rules! stored {
    ($($type:ty, $raw:ty, $from:expr;)*) => {
        $(impl Stored for $type {
            type Raw = $raw;
            fn from_raw(raw: $raw) -> Option<Self> {
                let from: fn($raw) -> Option<Self> = $from;
                from(raw)
            }
        })*
    };
}

stored! {
    i64, i64, Some;
    u64, i64, |raw| Self::try_from(raw).ok();
    u32, i64, |raw| Self::try_from(raw).ok();
    u16, i64, |raw| Self::try_from(raw).ok();
    bool, i64, |raw| match raw { 0 => Some(false), 1 => Some(true), _ => None };
    String, String, Some;
    Vec<u8>, Vec<u8>, Some;
    Sealed, Vec<u8>, |raw| Some(Self::from_bytes(raw));
    Uuid, Uuid, Some;
    ProjectId, Uuid, |raw| Some(Self::from_uuid(raw));
    CredentialId, Uuid, |raw| Some(Self::from_uuid(raw));
    KeyId, Uuid, |raw| Some(Self::from_uuid(raw));
    BudgetId, Uuid, |raw| Some(Self::from_uuid(raw));
    TokenId, Uuid, |raw| Some(Self::from_uuid(raw));
    AuditId, Uuid, |raw| Some(Self::from_uuid(raw));
    RequestId, Uuid, |raw| Some(Self::from_uuid(raw));
    Money, i64, |raw| Some(Self::from_nano(raw));
    LeaseId, i64, |raw| u64::try_from(raw).ok().map(Self);
    Environment, String, |raw| raw.parse().ok();
    PublicId, String, |raw| raw.parse().ok();
    Box<str>, String, |raw| Some(raw.into_boxed_str());
}

impl<T: Stored> Stored for Option<T> {
    type Raw = Option<T::Raw>;

    fn from_raw(raw: Option<T::Raw>) -> Option<Self> {
        match raw {
            None => Some(None),
            Some(raw) => T::from_raw(raw).map(Some),
        }
    }
}

/// A number for storage: what does not fit becomes the largest that does.
pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Text for storage: PostgreSQL cannot hold the character NUL, so it is replaced where a stranger chose the text.
pub(crate) fn clean(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{FFFD}").into() } else { text.into() }
}
