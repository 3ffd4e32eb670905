//! Which budgets hold, and what they say. A budget takes power away, so a record that cannot be trusted must not vanish:
//! then nothing may be spent in its scope until somebody mends it. Whose it was, the audit log knows.

use crate::{
    Control,
    integrity::{self, Guarded},
    lend,
    publish::{ACTIVE, ARCHIVED},
    tamper::Trust,
};
use keyward_domain::{
    BudgetId, Environment, Millis, Money, ProjectId,
    budget::{Account, Budget, Scope, SharedRates, Standing},
    window::{SLOTS, Span, Window},
};
use keyward_store::{BudgetRow, Error, KeyStatus, RatesRow};
use serde_json::{Value, json};

/// How often a record is read again when somebody changes it at the same time.
const TRIES: usize = 8;

/// What a budget says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Its scope, limit and window.
    pub budget: Budget,
    /// At how many percent of the limit something is said, in rising order.
    pub thresholds: Vec<u8>,
}

impl Terms {
    /// Reads a row that is trusted; `None` when it came from a newer version and cannot be read.
    pub(crate) fn read(row: &BudgetRow) -> Option<Self> {
        let limit = row.limit();
        let budget = Budget { id: row.id, scope: row.scope()?, limit, window: row.window.parse().ok()? };
        let thresholds = serde_json::from_str(&row.thresholds).ok()?;
        (limit > Money::ZERO).then_some(Self { budget, thresholds })
    }
}

impl Control {
    /// What a budget says to those who lease its money: its terms; a limit of zero when its record is not to be
    /// trusted; none when it is archived, its key was revoked, or there never was such a budget.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn terms(&self, id: BudgetId) -> Result<Option<Terms>, Error> {
        for _ in 0..TRIES {
            let Some(row) = self.store().budget(id).await? else {
                let audited = self.store().audited_version(BudgetRow::KIND, &id.to_string()).await?;
                if audited.is_none() {
                    return Ok(None);
                }
                // It may just have been made.
                if self.store().budget(id).await?.is_some() {
                    continue;
                }
                self.report_gone(BudgetRow::KIND, id.to_string()).await;
                return self.closed(id, None).await;
            };
            match self.look(&row).await? {
                Trust::Sound if row.status != ACTIVE || self.is_over(&row).await? => return Ok(None),
                Trust::Sound => match Terms::read(&row) {
                    Some(terms) => return Ok(Some(terms)),
                    None => return self.closed(id, Some(&row)).await,
                },
                Trust::Tampered => return self.closed(id, Some(&row)).await,
                Trust::Stale => {}
            }
        }
        self.closed(id, None).await
    }

    /// Whether a budget's key was revoked.
    async fn is_over(&self, row: &BudgetRow) -> Result<bool, Error> {
        match row.key {
            Some(key) => Ok(self.store().key(key).await?.is_some_and(|key| key.status == KeyStatus::Revoked)),
            None => Ok(false),
        }
    }

    /// What stands for a budget whose record is not to be trusted: nothing may be spent in its scope. If nobody can say
    /// whose it was, that is everybody's.
    async fn closed(&self, id: BudgetId, row: Option<&BudgetRow>) -> Result<Option<Terms>, Error> {
        let witness = self.witness(id).await?;
        if witness.as_ref().is_some_and(|after| after["status"] == ARCHIVED) {
            return Ok(None);
        }
        let sound = row.filter(|row| integrity::holds(self.vault(), *row)).and_then(BudgetRow::scope);
        let scope = sound.or_else(|| scope_of(&witness?)).unwrap_or(Scope::Organisation);
        let budget = Budget { id, scope, limit: Money::ZERO, window: Window::total() };
        Ok(Some(Terms { budget, thresholds: Vec::new() }))
    }

    /// The budget as the audit log knows it, when its row is as it was written.
    pub(crate) async fn witness(&self, id: BudgetId) -> Result<Option<Value>, Error> {
        let last = self.store().last_audit(BudgetRow::KIND, &id.to_string()).await?;
        Ok(last.filter(|last| last.holds).map(|last| last.after))
    }

    /// The rates of a scope, by the name under which they are stored. When their record is not to be trusted, no call
    /// of the scope may be open.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn shared_rates(&self, name: &str) -> Result<SharedRates, Error> {
        let scope = RatesRow::scope_of(name).unwrap_or(Scope::Organisation);
        let none = SharedRates { scope, requests_per_minute: None, tokens_per_minute: None, concurrency: None };
        let closed = SharedRates { concurrency: Some(0), ..none };
        for _ in 0..TRIES {
            let Some(row) = self.store().rates(name).await? else {
                let Some(last) = self.store().last_audit(RatesRow::KIND, name).await? else { return Ok(none) };
                if self.store().rates(name).await?.is_some() {
                    continue;
                }
                self.report_gone(RatesRow::KIND, name.to_owned()).await;
                let was_clear = last.holds && last.after.is_null();
                return Ok(if was_clear { none } else { closed });
            };
            match self.look(&row).await? {
                Trust::Sound => return Ok(rates_of(&row, scope)),
                Trust::Tampered => return Ok(closed),
                Trust::Stale => {}
            }
        }
        Ok(closed)
    }

    /// What a budget's account stands at.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn standing(&self, budget: &Budget, now: Millis) -> Result<Standing, Error> {
        let Some(span) = budget.window.span(now) else {
            return Ok(Standing { limit: budget.limit, ..Standing::default() });
        };
        let account = Account { budget: budget.id, start: span.start };
        let (spent, leased) = self.store().stand(account, lend::rolling(budget, now)).await?;
        Ok(Standing { limit: budget.limit, spent, leased })
    }

    /// What was spent in a budget's windows, the newest first, at most so many; of a rolling budget in its slots, after
    /// the span that is now.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn past(&self, budget: &Budget, now: Millis, most: u32) -> Result<Vec<Past>, Error> {
        let mut past = Vec::new();
        let current = budget.window.span(now);
        if let Some(span) = current {
            let standing = self.standing(budget, now).await?;
            past.push(Past { start: span.start, end: span.end, spent: standing.spent, leased: standing.leased });
        }
        let before = match budget.window.rolling() {
            Some(_) => Millis::MAX,
            None => current.map_or(now, |span| span.start),
        };
        let slot_ms = budget.window.rolling().map(|length| (length / SLOTS).max(1));
        let rows = self.store().accounts_of(budget.id, before, most).await?;
        // A rolling budget's row at 0 holds what is leased, which the span that is now says already.
        past.extend(rows.into_iter().filter(|row| slot_ms.is_none() || row.start > 0).map(|row| Past {
            start: row.start,
            end: match slot_ms {
                Some(length) => row.start.saturating_add(length),
                None => budget.window.span(row.start).map_or(Millis::MAX, |span| span.end),
            },
            spent: row.spent,
            leased: row.leased,
        }));
        past.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        Ok(past)
    }
}

/// One window of a budget that is over, or not yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Past {
    /// Its first moment; 0 for all time and for rolling windows.
    pub start: Millis,
    /// The first moment after it; `i64::MAX` when there is none.
    pub end: Millis,
    /// What was spent in it.
    pub spent: Money,
    /// What nodes may still spend in it.
    pub leased: Money,
}

/// The rates that a row says.
pub(crate) const fn rates_of(row: &RatesRow, scope: Scope) -> SharedRates {
    SharedRates {
        scope,
        requests_per_minute: row.requests_per_minute,
        tokens_per_minute: row.tokens_per_minute,
        concurrency: row.concurrency,
    }
}

/// The window that a moment belongs to, where it has edges to be shown.
pub(crate) fn edges(window: &Window, now: Millis) -> Option<Span> {
    window.span(now).filter(|span| span.end != Millis::MAX)
}

/// A budget for the audit log. [`scope_of`] reads it when the row itself cannot be trusted.
pub(crate) fn summary(row: &BudgetRow) -> Value {
    json!({
        "scope": row.scope,
        "project": row.project.map(|id| id.to_string()),
        "environment": row.environment,
        "key": row.key.map(|id| id.to_string()),
        "limit": format!("{} USD/{}", row.limit(), row.window),
        "thresholds": serde_json::from_str::<Value>(&row.thresholds).unwrap_or_default(),
        "status": row.status,
    })
}

/// The scope in what [`summary`] wrote.
pub(crate) fn scope_of(after: &Value) -> Option<Scope> {
    let text = |field: &str| after.get(field).and_then(Value::as_str);
    let project = || text("project").and_then(|id| id.parse::<ProjectId>().ok());
    match text("scope")? {
        "organisation" => Some(Scope::Organisation),
        "project" => project().map(Scope::Project),
        "environment" => Some(Scope::Environment(project()?, text("environment")?.parse::<Environment>().ok()?)),
        "key" => text("key")?.parse().ok().map(Scope::Key),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_domain::KeyId;

    fn row(scope: Scope) -> BudgetRow {
        let project = ProjectId::new(0, [1; 10]);
        BudgetRow {
            id: BudgetId::new(0, [9; 10]),
            scope: scope.kind().to_owned(),
            project: Some(project),
            environment: Some(Environment::Staging),
            key: Some(KeyId::new(0, [2; 10])),
            amount: 5_000_000_000,
            window: "month Europe/Vienna".to_owned(),
            thresholds: "[50,80]".to_owned(),
            status: ACTIVE.to_owned(),
            created_at: 0,
            updated_at: 0,
            archived_at: None,
            row_version: 1,
            mac: Vec::new(),
        }
    }

    #[test]
    fn the_audit_log_knows_whose_a_budget_is() {
        let project = ProjectId::new(0, [1; 10]);
        for scope in [
            Scope::Organisation,
            Scope::Project(project),
            Scope::Environment(project, Environment::Staging),
            Scope::Key(KeyId::new(0, [2; 10])),
        ] {
            let row = row(scope);
            assert_eq!((row.scope(), scope_of(&summary(&row))), (Some(scope), Some(scope)));
        }
        for bad in [json!(null), json!({"scope": "key"}), json!({"scope": "project", "project": "x"})] {
            assert_eq!(scope_of(&bad), None, "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_budget() {
        let sound = row(Scope::Organisation);
        assert_eq!(Terms::read(&sound).map(|terms| terms.thresholds), Some(vec![50, 80]));
        let changes: [fn(&mut BudgetRow); 4] = [
            |row| row.amount = 0,
            |row| row.amount = -1,
            |row| row.window = "fortnight".to_owned(),
            |row| row.thresholds = "x".to_owned(),
        ];
        for change in changes {
            let mut row = sound.clone();
            change(&mut row);
            assert_eq!(Terms::read(&row), None, "{row:?}");
        }
    }
}
