//! Projects and their environments. Both carry policies, so both carry a row version and a MAC.

use crate::{Error, Store, Write};
use keyward_domain::{Environment, Millis, ProjectId};

statements! {
    PROJECT = "select id, name, status, policy, created_at, updated_at, archived_at, row_version, mac
        from projects where id = $1";
    PROJECT_BY_NAME = "select id, name, status, policy, created_at, updated_at, archived_at, row_version, mac
        from projects where name = $1";
    PROJECTS = "select id, name, status, policy, created_at, updated_at, archived_at, row_version, mac
        from projects order by id";
    INSERT_PROJECT = "insert into projects
        (id, name, status, policy, created_at, updated_at, archived_at, row_version, mac)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    UPDATE_PROJECT = "update projects
        set name = $2, status = $3, policy = $4, updated_at = $5, archived_at = $6, row_version = $7, mac = $8
        where id = $1 and row_version = $9";
    ENVIRONMENTS = "select project_id, environment, policy, updated_at, row_version, mac
        from environments order by project_id, environment";
    ENVIRONMENTS_OF = "select project_id, environment, policy, updated_at, row_version, mac
        from environments where project_id = $1 order by environment";
    INSERT_ENVIRONMENT = "insert into environments (project_id, environment, policy, updated_at, row_version, mac)
        values ($1, $2, $3, $4, $5, $6)";
    UPDATE_ENVIRONMENT = "update environments set policy = $3, updated_at = $4, row_version = $5, mac = $6
        where project_id = $1 and environment = $2 and row_version = $7";
}

row! {
    /// A project.
    pub struct ProjectRow {
        /// Its id.
        pub id: ProjectId,
        /// Its name; unique.
        pub name: String,
        /// The caller's word for its state, such as `active` or `archived`.
        pub status: String,
        /// Its policy, as JSON.
        pub policy: String,
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
    /// One environment of a project, when it has a policy of its own.
    pub struct EnvironmentRow {
        /// The project.
        pub project: ProjectId,
        /// Which environment.
        pub environment: Environment,
        /// Its policy, as JSON.
        pub policy: String,
        /// When it was last changed.
        pub updated_at: Millis,
        /// Starts at 1 and grows by 1 with every change.
        pub row_version: i64,
        /// The caller's MAC over the row.
        pub mac: Vec<u8>,
    }
}

impl Store {
    /// A project by id.
    ///
    /// # Errors
    /// The database's.
    pub async fn project(&self, id: ProjectId) -> Result<Option<ProjectRow>, Error> {
        read!(self, fetch_optional, ProjectRow, "a project", PROJECT, id.uuid())
    }

    /// A project by name.
    ///
    /// # Errors
    /// The database's.
    pub async fn project_by_name(&self, name: &str) -> Result<Option<ProjectRow>, Error> {
        read!(self, fetch_optional, ProjectRow, "a project", PROJECT_BY_NAME, name)
    }

    /// All projects, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn projects(&self) -> Result<Vec<ProjectRow>, Error> {
        read!(self, fetch_all, ProjectRow, "the projects", PROJECTS)
    }

    /// All environments with a policy of their own.
    ///
    /// # Errors
    /// The database's.
    pub async fn environments(&self) -> Result<Vec<EnvironmentRow>, Error> {
        read!(self, fetch_all, EnvironmentRow, "the environments", ENVIRONMENTS)
    }

    /// The environments of one project.
    ///
    /// # Errors
    /// The database's.
    pub async fn environments_of(&self, project: ProjectId) -> Result<Vec<EnvironmentRow>, Error> {
        read!(self, fetch_all, EnvironmentRow, "the environments", ENVIRONMENTS_OF, project.uuid())
    }
}

impl Write {
    /// Adds a project.
    ///
    /// # Errors
    /// [`Error::Taken`] when the name exists; the database's.
    pub async fn insert_project(&mut self, row: &ProjectRow) -> Result<(), Error> {
        run!(
            self,
            "project name",
            INSERT_PROJECT,
            row.id.uuid(),
            row.name.as_str(),
            row.status.as_str(),
            row.policy.as_str(),
            row.created_at,
            row.updated_at,
            row.archived_at,
            row.row_version,
            row.mac.as_slice()
        )
        .map(drop)
    }

    /// Changes a project (all but its id and birth). The row carries its new version; `from` is the stored one.
    ///
    /// # Errors
    /// [`Error::Stale`] when the stored version is another, [`Error::Taken`] when the name exists; the database's.
    pub async fn update_project(&mut self, row: &ProjectRow, from: i64) -> Result<(), Error> {
        let rows = run!(
            self,
            "project name",
            UPDATE_PROJECT,
            row.id.uuid(),
            row.name.as_str(),
            row.status.as_str(),
            row.policy.as_str(),
            row.updated_at,
            row.archived_at,
            row.row_version,
            row.mac.as_slice(),
            from
        )?;
        self.found(rows, "the project")
    }

    /// Gives a project's environment its first policy.
    ///
    /// # Errors
    /// [`Error::Taken`] when it has one, [`Error::Dangling`] without the project; the database's.
    pub async fn insert_environment(&mut self, row: &EnvironmentRow) -> Result<(), Error> {
        run!(
            self,
            "environment",
            INSERT_ENVIRONMENT,
            row.project.uuid(),
            row.environment.name(),
            row.policy.as_str(),
            row.updated_at,
            row.row_version,
            row.mac.as_slice()
        )
        .map(drop)
    }

    /// Changes an environment's policy. The row carries its new version; `from` is the stored one.
    ///
    /// # Errors
    /// [`Error::Stale`] when the stored version is another; the database's.
    pub async fn update_environment(&mut self, row: &EnvironmentRow, from: i64) -> Result<(), Error> {
        let rows = run!(
            self,
            "environment",
            UPDATE_ENVIRONMENT,
            row.project.uuid(),
            row.environment.name(),
            row.policy.as_str(),
            row.updated_at,
            row.row_version,
            row.mac.as_slice(),
            from
        )?;
        self.found(rows, "the environment")
    }
}
