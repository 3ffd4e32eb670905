//! Budgets: what an organisation, a project, an environment or a key may spend in a window. A budget is never deleted;
//! its window and its scope never change, since what was spent is counted for the three together.

use crate::{Error, Store, Write, each::each_packed, packed};
use keyward_domain::{BudgetId, Environment, KeyId, Millis, Money, ProjectId, budget::Scope};
use uuid::Uuid;

statements! {
    BUDGET = "select id, scope, project_id, environment, key_id, amount, window_text, thresholds, status, created_at,
        updated_at, archived_at, row_version, mac from budgets where id = $1";
    EACH_BUDGET = concat!(
        "select id, project_id, key_id, mac, ",
        packed!(
            "scope", "environment", "amount", "window_text", "thresholds", "status", "created_at", "updated_at",
            "archived_at", "row_version",
        ),
        " from budgets"
    );
    LIST = "select id, scope, project_id, environment, key_id, amount, window_text, thresholds, status, created_at,
        updated_at, archived_at, row_version, mac from budgets
        where id > $1 and ($2 = '' or scope = $2) and ($3 = '' or status = $3) order by id limit $4";
    LIST_OF_PROJECT = "select id, scope, project_id, environment, key_id, amount, window_text, thresholds, status,
        created_at, updated_at, archived_at, row_version, mac from budgets
        where project_id = $5 and id > $1 and ($2 = '' or scope = $2) and ($3 = '' or status = $3)
        and ($6 = '' or environment = $6) order by id limit $4";
    LIST_OF_KEY = "select id, scope, project_id, environment, key_id, amount, window_text, thresholds, status,
        created_at, updated_at, archived_at, row_version, mac from budgets
        where key_id = $5 and id > $1 and ($2 = '' or scope = $2) and ($3 = '' or status = $3) order by id limit $4";
    INSERT_BUDGET = "insert into budgets
        (id, scope, project_id, environment, key_id, amount, window_text, thresholds, status, created_at, updated_at,
        archived_at, row_version, mac)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    /// Also the scope and the window: a record that somebody else wrote over is put right when it is archived.
    UPDATE_BUDGET = "update budgets
        set scope = $2, project_id = $3, environment = $4, key_id = $5, amount = $6, window_text = $7, thresholds = $8,
        status = $9, updated_at = $10, archived_at = $11, row_version = $12, mac = $13
        where id = $1 and row_version = $14";
}

row! {
    /// A budget.
    pub struct BudgetRow {
        /// Its id.
        pub id: BudgetId,
        /// The kind of its scope: `organisation`, `project`, `environment` or `key`.
        pub scope: String,
        /// The project: of the scope, or the one that the scope's key is in.
        pub project: Option<ProjectId>,
        /// The environment: of the scope, or the one that the scope's key is in.
        pub environment: Option<Environment>,
        /// The key.
        pub key: Option<KeyId>,
        /// The limit, in nano-dollars.
        pub amount: i64,
        /// The window, as the domain writes it.
        pub window: String,
        /// At how many percent of the limit something is said, as a JSON array.
        pub thresholds: String,
        /// The caller's word for its state, such as `active` or `archived`.
        pub status: String,
        /// When it was made.
        pub created_at: Millis,
        /// When it was last changed.
        pub updated_at: Millis,
        /// When it was archived.
        pub archived_at: Option<Millis>,
        /// Starts at 1 and grows by 1 with every change.
        pub row_version: i64,
        /// The caller's MAC over the row.
        pub mac: Vec<u8>,
    }
}

row! {
    /// A budget as the statement that reads very many answers it.
    struct PackedBudget {
        id: BudgetId,
        project: Option<ProjectId>,
        key: Option<KeyId>,
        mac: Vec<u8>,
        rest: String,
    }
}

impl PackedBudget {
    /// The budget; its id when it must be read column by column.
    fn unpack(self) -> Result<BudgetRow, BudgetId> {
        let id = self.id;
        self.unpacked().ok_or(id)
    }

    fn unpacked(self) -> Option<BudgetRow> {
        let [scope, environment, amount, window, thresholds, status, created, updated, archived, version] =
            packed::columns(&self.rest)?;
        Some(BudgetRow {
            id: self.id,
            scope: scope.to_owned(),
            project: self.project,
            environment: packed::optional(environment)?,
            key: self.key,
            amount: amount.parse().ok()?,
            window: window.to_owned(),
            thresholds: thresholds.to_owned(),
            status: status.to_owned(),
            created_at: created.parse().ok()?,
            updated_at: updated.parse().ok()?,
            archived_at: packed::optional(archived)?,
            row_version: version.parse().ok()?,
            mac: self.mac,
        })
    }
}

impl BudgetRow {
    /// Whose spending it bounds; `None` when the row does not say it.
    #[must_use]
    pub fn scope(&self) -> Option<Scope> {
        match self.scope.as_str() {
            "organisation" => Some(Scope::Organisation),
            "project" => self.project.map(Scope::Project),
            "environment" => Some(Scope::Environment(self.project?, self.environment?)),
            "key" => self.key.map(Scope::Key),
            _ => None,
        }
    }

    /// The limit.
    #[must_use]
    pub const fn limit(&self) -> Money {
        Money::from_nano(self.amount)
    }
}

/// Which budgets a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BudgetFilter {
    /// Only those of this project, its environments and its keys.
    pub project: Option<ProjectId>,
    /// Only those of this environment of the project and its keys; says nothing without a project.
    pub environment: Option<Environment>,
    /// Only those of this key. Goes before the project.
    pub key: Option<KeyId>,
    /// Only those of this kind of scope.
    pub scope: Option<String>,
    /// Only those in this state.
    pub status: Option<String>,
}

impl Store {
    /// A budget by id.
    ///
    /// # Errors
    /// The database's.
    pub async fn budget(&self, id: BudgetId) -> Result<Option<BudgetRow>, Error> {
        read!(self, fetch_optional, BudgetRow, "a budget", BUDGET, id.uuid())
    }

    /// A page of budgets, oldest first, after the given one.
    ///
    /// # Errors
    /// The database's.
    pub async fn budgets(
        &self,
        filter: &BudgetFilter,
        after: Option<BudgetId>,
        limit: u32,
    ) -> Result<Vec<BudgetRow>, Error> {
        let what = "the budgets";
        let after = after.map_or(Uuid::nil(), BudgetId::uuid);
        let scope = filter.scope.as_deref().unwrap_or("");
        let status = filter.status.as_deref().unwrap_or("");
        let limit = i64::from(limit);
        match (filter.key, filter.project) {
            (Some(key), _) => {
                let key = key.uuid();
                read!(self, fetch_all, BudgetRow, what, LIST_OF_KEY, after, scope, status, limit, key)
            }
            (None, Some(project)) => {
                let (project, environment) = (project.uuid(), filter.environment.map_or("", Environment::name));
                let sql = LIST_OF_PROJECT;
                read!(self, fetch_all, BudgetRow, what, sql, after, scope, status, limit, project, environment)
            }
            (None, None) => read!(self, fetch_all, BudgetRow, what, LIST, after, scope, status, limit),
        }
    }

    /// Hands over every budget, in no particular order, without holding them all.
    ///
    /// # Errors
    /// The database's.
    pub async fn each_budget(&self, mut take: impl FnMut(BudgetRow) + Send) -> Result<(), Error> {
        let odd = on!(self.readers(), pool => {
            each_packed(sqlx::query(EACH_BUDGET).fetch(pool), PackedBudget::unpack, &mut take).await
        });
        for id in odd.map_err(|error| self.failed(error, "the budgets"))? {
            self.budget(id).await?.into_iter().for_each(&mut take);
        }
        Ok(())
    }
}

impl Write {
    /// Adds a budget.
    ///
    /// # Errors
    /// [`Error::Dangling`] without the project or the key; the database's.
    pub async fn insert_budget(&mut self, row: &BudgetRow) -> Result<(), Error> {
        run!(
            self,
            "budget id",
            INSERT_BUDGET,
            row.id.uuid(),
            row.scope.as_str(),
            row.project.map(ProjectId::uuid),
            row.environment.map(Environment::name),
            row.key.map(KeyId::uuid),
            row.amount,
            row.window.as_str(),
            row.thresholds.as_str(),
            row.status.as_str(),
            row.created_at,
            row.updated_at,
            row.archived_at,
            row.row_version,
            row.mac.as_slice()
        )
        .map(drop)
    }

    /// Changes a budget (all but its id and birth). The row carries its new version; `from` is the stored one.
    ///
    /// # Errors
    /// [`Error::Stale`] when the stored version is another; the database's.
    pub async fn update_budget(&mut self, row: &BudgetRow, from: i64) -> Result<(), Error> {
        let rows = run!(
            self,
            "budget",
            UPDATE_BUDGET,
            row.id.uuid(),
            row.scope.as_str(),
            row.project.map(ProjectId::uuid),
            row.environment.map(Environment::name),
            row.key.map(KeyId::uuid),
            row.amount,
            row.window.as_str(),
            row.thresholds.as_str(),
            row.status.as_str(),
            row.updated_at,
            row.archived_at,
            row.row_version,
            row.mac.as_slice(),
            from
        )?;
        self.found(rows, "the budget")
    }
}
