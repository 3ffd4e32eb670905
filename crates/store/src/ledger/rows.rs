//! Statements over many rows at once, and the few that everything here is made of.

use super::CEILING;
use crate::{
    pool::Open,
    usage::{ROWS, chunks, numbered, question_marks},
};
use keyward_domain::{
    BudgetId, Millis,
    budget::{Account, LeaseId},
};
use sqlx::{Arguments as _, AssertSqlSafe};
use std::{borrow::Cow, collections::HashMap};
use uuid::Uuid;

/// A value to be bound.
#[derive(Debug, Clone)]
pub(super) enum Bind<'a> {
    Number(i64),
    Id(Uuid),
    Text(Cow<'a, str>),
    Bytes(Vec<u8>),
}

/// The arguments of one statement.
macro_rules! arguments {
    ($arguments:ty, $chunk:expr) => {{
        let mut arguments = <$arguments>::default();
        for bind in $chunk.iter().flatten() {
            let added = match bind {
                Bind::Number(number) => arguments.add(*number),
                Bind::Id(id) => arguments.add(*id),
                Bind::Text(text) => arguments.add(text.as_ref()),
                Bind::Bytes(bytes) => arguments.add(bytes.as_slice()),
            };
            added.map_err(sqlx::Error::Encode)?;
        }
        arguments
    }};
}

/// Runs a statement with a list of rows in its middle, in as few pieces as there may be. Answers the rows it touched.
pub(super) async fn run<const N: usize>(
    open: &mut Open,
    before: &str,
    after: &str,
    rows: &[[Bind<'_>; N]],
) -> Result<u64, sqlx::Error> {
    let mut touched = 0;
    for chunk in chunks(rows, ROWS) {
        touched += match open {
            Open::Lite(tx) => {
                let arguments = arguments!(sqlx::sqlite::SqliteArguments, chunk);
                let sql = AssertSqlSafe(format!("{before}{}{after}", question_marks(chunk.len(), N)));
                sqlx::query_with(sql, arguments).execute(&mut **tx).await?.rows_affected()
            }
            Open::Pg(tx) => {
                let arguments = arguments!(sqlx::postgres::PgArguments, chunk);
                let sql = AssertSqlSafe(format!("{before}{}{after}", numbered(chunk.len(), N)));
                sqlx::query_with(sql, arguments).execute(&mut **tx).await?.rows_affected()
            }
        };
    }
    Ok(touched)
}

/// As [`run()`], and reads what comes back. `lock` follows on PostgreSQL only: SQLite has one writer.
pub(super) async fn fetch<T, const N: usize>(
    open: &mut Open,
    before: &str,
    after: &str,
    lock: &str,
    rows: &[[Bind<'_>; N]],
) -> Result<Vec<T>, sqlx::Error>
where
    T: Send + Unpin,
    T: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow> + for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
{
    let mut found = Vec::new();
    for chunk in chunks(rows, ROWS) {
        let piece: Vec<T> = match open {
            Open::Lite(tx) => {
                let arguments = arguments!(sqlx::sqlite::SqliteArguments, chunk);
                let sql = AssertSqlSafe(format!("{before}{}{after}", question_marks(chunk.len(), N)));
                sqlx::query_as_with(sql, arguments).fetch_all(&mut **tx).await?
            }
            Open::Pg(tx) => {
                let arguments = arguments!(sqlx::postgres::PgArguments, chunk);
                let sql = AssertSqlSafe(format!("{before}{}{after}{lock}", numbered(chunk.len(), N)));
                sqlx::query_as_with(sql, arguments).fetch_all(&mut **tx).await?
            }
        };
        found.extend(piece);
    }
    Ok(found)
}

row! {
    /// An account as it stands.
    pub(super) struct Stand {
        pub(super) budget: BudgetId,
        pub(super) start: Millis,
        pub(super) slot_ms: Millis,
        pub(super) spent: i64,
        pub(super) leased: i64,
    }
}

impl Stand {
    pub(super) const fn account(&self) -> Account {
        Account { budget: self.budget, start: self.start }
    }
}

/// Reads accounts that are there, and keeps everybody else from changing them or their leases until the end of the
/// transaction. `accounts` is sorted and names none twice.
pub(super) async fn hold_accounts(
    open: &mut Open,
    accounts: &[Account],
) -> Result<HashMap<Account, Stand>, sqlx::Error> {
    find_accounts(open, accounts, " for update of a").await
}

/// Reads accounts that are there, without waiting for anybody.
pub(super) async fn read_accounts(
    open: &mut Open,
    accounts: &[Account],
) -> Result<HashMap<Account, Stand>, sqlx::Error> {
    find_accounts(open, accounts, "").await
}

async fn find_accounts(
    open: &mut Open,
    accounts: &[Account],
    lock: &str,
) -> Result<HashMap<Account, Stand>, sqlx::Error> {
    let keys: Vec<_> = accounts.iter().map(|one| [Bind::Id(one.budget.uuid()), Bind::Number(one.start)]).collect();
    let found: Vec<Stand> = fetch(
        open,
        "with w(b, s) as (values ",
        ") select a.budget, a.start, a.slot_ms, a.spent, a.leased from w join accounts a on a.budget = w.b
         and a.start = w.s order by a.budget, a.start",
        lock,
        &keys,
    )
    .await?;
    Ok(found.into_iter().map(|row| (row.account(), row)).collect())
}

row! {
    /// What is left of a lease.
    pub(super) struct Left {
        pub(super) id: LeaseId,
        pub(super) amount: i64,
        pub(super) charged: i64,
        pub(super) charged_at: Millis,
    }
}

/// What is left of leases whose accounts are held.
pub(super) async fn leases_left(
    open: &mut Open,
    leases: impl IntoIterator<Item = LeaseId>,
) -> Result<HashMap<LeaseId, Left>, sqlx::Error> {
    let ids: Vec<_> = leases.into_iter().map(|lease| [Bind::Number(crate::sql::stored(lease.0))]).collect();
    let found: Vec<Left> = fetch(
        open,
        "with w(i) as (values ",
        ") select l.id, l.amount, l.charged, l.charged_at from w join leases l on l.id = w.i",
        "",
        &ids,
    )
    .await?;
    Ok(found.into_iter().map(|row| (row.id, row)).collect())
}

/// Lowers leases: what is left of them, and what was charged of them.
pub(super) async fn lower_leases(open: &mut Open, by: &[(LeaseId, i64, i64)]) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = by
        .iter()
        .map(|(lease, amount, charged)| {
            [Bind::Number(crate::sql::stored(lease.0)), Bind::Number(*amount), Bind::Number(*charged)]
        })
        .collect();
    run(
        open,
        "with v(i, a, c) as (values ",
        ") update leases set amount = amount - v.a, charged = charged - v.c from v where id = v.i",
        &rows,
    )
    .await
    .map(drop)
}

/// How an account moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Move {
    /// What is added to what was spent.
    pub(super) spent: i64,
    /// What is taken from what is leased.
    pub(super) unleased: i64,
}

/// Moves accounts that are there and held. Answers how they stand then.
pub(super) async fn move_accounts<'a>(
    open: &mut Open,
    moves: impl IntoIterator<Item = (&'a Account, &'a Move)>,
) -> Result<Vec<Stand>, sqlx::Error> {
    let rows: Vec<_> = moves
        .into_iter()
        .map(|(account, by)| {
            let key = Bind::Id(account.budget.uuid());
            [key, Bind::Number(account.start), Bind::Number(by.spent), Bind::Number(by.unleased)]
        })
        .collect();
    let after = format!(
        ") update accounts set spent = case when spent + v.c > {CEILING} then {CEILING} else spent + v.c end,
         leased = leased - v.t from v where budget = v.b and start = v.s
         returning budget, start, slot_ms, spent, leased"
    );
    fetch(open, "with v(b, s, c, t) as (values ", &after, "", &rows).await
}

/// Adds to what was spent in slots of rolling budgets, which are made where they are not there; or takes away from it.
pub(super) async fn add_to_slots<'a>(
    open: &mut Open,
    slots: impl IntoIterator<Item = (&'a Account, &'a (Millis, i64))>,
) -> Result<(), sqlx::Error> {
    let zero = || Bind::Number(0);
    let (mut more, mut less) = (Vec::new(), Vec::new());
    for (slot, (slot_ms, spent)) in slots {
        let key = [Bind::Id(slot.budget.uuid()), Bind::Number(slot.start)];
        let [budget, start] = key;
        if *spent < 0 {
            less.push([budget, start, Bind::Number(-spent)]);
        } else {
            more.push([budget, start, Bind::Number(*slot_ms), Bind::Number(*spent), zero(), zero()]);
        }
    }
    let after = format!(
        " on conflict (budget, start) do update set spent = case when accounts.spent + excluded.spent > {CEILING}
         then {CEILING} else accounts.spent + excluded.spent end"
    );
    run(open, "insert into accounts (budget, start, slot_ms, spent, leased, carried) values ", &after, &more).await?;
    // Not in the same statement: a new row with less than nothing is refused, also where there is one already.
    run(
        open,
        "with v(b, s, c) as (values ",
        ") update accounts set spent = case when spent < v.c then 0 else spent - v.c end from v
         where budget = v.b and start = v.s",
        &less,
    )
    .await
    .map(drop)
}
