//! The code over every row that grants power. Whoever can write to the database but does not hold the vault's key
//! cannot change a policy, a role, an owner or a secret's hash unnoticed: a row whose code does not hold is not used.
//!
//! The fields and their order are fixed for ever; a new field goes to the end.

use keyward_domain::{Environment, KeyId, ProjectId};
use keyward_store::{BudgetRow, CredentialRow, EnvironmentRow, Error, KeyRow, ProjectRow, RatesRow, Store, TokenRow};
use keyward_vault::Vault;

/// A row with a code over it.
pub(crate) trait Guarded: Sized {
    /// The kind of record, as in the audit log; also part of what is covered.
    const KIND: &'static str;

    /// What identifies the row, in bytes.
    fn record(&self) -> Vec<u8>;

    /// What identifies the row, for people.
    fn id(&self) -> String;

    /// The name people gave it.
    fn name(&self) -> &str;

    /// Its version, which grows with every change.
    fn row_version(&self) -> i64;

    /// Gives it another version.
    fn set_row_version(&mut self, version: i64);

    /// What is stored in its place now; none when there is no such row any more.
    fn again(store: &Store, row: &Self) -> impl Future<Output = Result<Option<Self>, Error>> + Send;

    /// Everything that grants or limits power.
    fn fields(&self) -> Vec<Vec<u8>>;

    /// The stored code.
    fn code(&self) -> &[u8];

    /// Where the code is stored.
    fn code_mut(&mut self) -> &mut Vec<u8>;
}

/// Whether a row is as this server (or another node with the same vault) wrote it.
#[must_use]
pub(crate) fn holds<R: Guarded>(vault: &Vault, row: &R) -> bool {
    let fields = row.fields();
    let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
    vault.row_mac_holds(R::KIND, &row.record(), &fields, row.code())
}

/// Puts the code over a row that is about to be written.
pub(crate) fn seal<R: Guarded>(vault: &Vault, row: &mut R) {
    let fields = row.fields();
    let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
    let code = vault.row_mac(R::KIND, &row.record(), &fields);
    *row.code_mut() = code.to_vec();
}

fn text(value: &str) -> Vec<u8> {
    value.as_bytes().to_vec()
}

fn number(value: i64) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

fn unsigned(value: u64) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

/// Nothing and an empty value are two things.
fn optional(value: Option<Vec<u8>>) -> Vec<u8> {
    value.map_or_else(|| vec![0], |bytes| [vec![1], bytes].concat())
}

impl Guarded for ProjectRow {
    const KIND: &'static str = "project";

    fn record(&self) -> Vec<u8> {
        self.id.uuid().as_bytes().to_vec()
    }

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn row_version(&self) -> i64 {
        self.row_version
    }

    fn set_row_version(&mut self, version: i64) {
        self.row_version = version;
    }

    async fn again(store: &Store, row: &Self) -> Result<Option<Self>, Error> {
        store.project(row.id).await
    }

    fn fields(&self) -> Vec<Vec<u8>> {
        vec![
            text(&self.name),
            text(&self.status),
            text(&self.policy),
            number(self.created_at),
            optional(self.archived_at.map(number)),
            number(self.row_version),
        ]
    }

    fn code(&self) -> &[u8] {
        &self.mac
    }

    fn code_mut(&mut self) -> &mut Vec<u8> {
        &mut self.mac
    }
}

impl Guarded for EnvironmentRow {
    const KIND: &'static str = "environment";

    fn record(&self) -> Vec<u8> {
        [self.project.uuid().as_bytes().as_slice(), self.environment.name().as_bytes()].concat()
    }

    fn id(&self) -> String {
        format!("{}/{}", self.project, self.environment)
    }

    fn name(&self) -> &str {
        self.environment.name()
    }

    fn row_version(&self) -> i64 {
        self.row_version
    }

    fn set_row_version(&mut self, version: i64) {
        self.row_version = version;
    }

    async fn again(store: &Store, row: &Self) -> Result<Option<Self>, Error> {
        let stored = store.environments_of(row.project).await?;
        Ok(stored.into_iter().find(|stored| stored.environment == row.environment))
    }

    fn fields(&self) -> Vec<Vec<u8>> {
        vec![text(&self.policy), number(self.row_version)]
    }

    fn code(&self) -> &[u8] {
        &self.mac
    }

    fn code_mut(&mut self) -> &mut Vec<u8> {
        &mut self.mac
    }
}

impl Guarded for CredentialRow {
    const KIND: &'static str = "credential";

    fn record(&self) -> Vec<u8> {
        self.id.uuid().as_bytes().to_vec()
    }

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn row_version(&self) -> i64 {
        self.row_version
    }

    fn set_row_version(&mut self, version: i64) {
        self.row_version = version;
    }

    async fn again(store: &Store, row: &Self) -> Result<Option<Self>, Error> {
        store.credential(row.id).await
    }

    fn fields(&self) -> Vec<Vec<u8>> {
        vec![
            self.project.uuid().as_bytes().to_vec(),
            optional(self.environment.map(Environment::name).map(text)),
            text(&self.provider),
            text(&self.name),
            text(&self.status),
            optional(self.base_url.as_deref().map(text)),
            vec![u8::from(self.allow_private)],
            unsigned(u64::from(self.order)),
            unsigned(u64::from(self.weight)),
            unsigned(self.version),
            self.fingerprint.clone(),
            number(self.created_at),
            number(self.row_version),
        ]
    }

    fn code(&self) -> &[u8] {
        &self.mac
    }

    fn code_mut(&mut self) -> &mut Vec<u8> {
        &mut self.mac
    }
}

impl Guarded for KeyRow {
    const KIND: &'static str = "key";

    fn record(&self) -> Vec<u8> {
        self.id.uuid().as_bytes().to_vec()
    }

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn row_version(&self) -> i64 {
        self.row_version
    }

    fn set_row_version(&mut self, version: i64) {
        self.row_version = version;
    }

    async fn again(store: &Store, row: &Self) -> Result<Option<Self>, Error> {
        store.key(row.id).await
    }

    fn fields(&self) -> Vec<Vec<u8>> {
        vec![
            text(self.public_id.as_str()),
            self.project.uuid().as_bytes().to_vec(),
            text(self.environment.name()),
            text(&self.name),
            text(self.status.name()),
            text(&self.style),
            text(&self.secrets),
            text(&self.policy),
            optional(self.expires_at.map(number)),
            number(self.created_at),
            optional(self.revoked_at.map(number)),
            number(self.row_version),
        ]
    }

    fn code(&self) -> &[u8] {
        &self.mac
    }

    fn code_mut(&mut self) -> &mut Vec<u8> {
        &mut self.mac
    }
}

impl Guarded for TokenRow {
    const KIND: &'static str = "token";

    fn record(&self) -> Vec<u8> {
        self.id.uuid().as_bytes().to_vec()
    }

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn row_version(&self) -> i64 {
        self.row_version
    }

    fn set_row_version(&mut self, version: i64) {
        self.row_version = version;
    }

    async fn again(store: &Store, row: &Self) -> Result<Option<Self>, Error> {
        store.token(row.id).await
    }

    fn fields(&self) -> Vec<Vec<u8>> {
        vec![
            text(&self.name),
            text(&self.role),
            self.hash.clone(),
            number(self.created_at),
            optional(self.expires_at.map(number)),
            optional(self.revoked_at.map(number)),
            number(self.row_version),
        ]
    }

    fn code(&self) -> &[u8] {
        &self.mac
    }

    fn code_mut(&mut self) -> &mut Vec<u8> {
        &mut self.mac
    }
}

impl Guarded for BudgetRow {
    const KIND: &'static str = "budget";

    fn record(&self) -> Vec<u8> {
        self.id.uuid().as_bytes().to_vec()
    }

    fn id(&self) -> String {
        self.id.to_string()
    }

    /// Budgets have no names: the limit's window tells the most of one.
    fn name(&self) -> &str {
        &self.window
    }

    fn row_version(&self) -> i64 {
        self.row_version
    }

    fn set_row_version(&mut self, version: i64) {
        self.row_version = version;
    }

    async fn again(store: &Store, row: &Self) -> Result<Option<Self>, Error> {
        store.budget(row.id).await
    }

    fn fields(&self) -> Vec<Vec<u8>> {
        vec![
            text(&self.scope),
            optional(self.project.map(ProjectId::uuid).map(|id| id.as_bytes().to_vec())),
            optional(self.environment.map(Environment::name).map(text)),
            optional(self.key.map(KeyId::uuid).map(|id| id.as_bytes().to_vec())),
            number(self.amount),
            text(&self.window),
            text(&self.thresholds),
            text(&self.status),
            number(self.created_at),
            optional(self.archived_at.map(number)),
            number(self.row_version),
        ]
    }

    fn code(&self) -> &[u8] {
        &self.mac
    }

    fn code_mut(&mut self) -> &mut Vec<u8> {
        &mut self.mac
    }
}

impl Guarded for RatesRow {
    const KIND: &'static str = "rates";

    fn record(&self) -> Vec<u8> {
        text(&self.scope)
    }

    fn id(&self) -> String {
        self.scope.clone()
    }

    fn name(&self) -> &str {
        &self.scope
    }

    fn row_version(&self) -> i64 {
        self.row_version
    }

    fn set_row_version(&mut self, version: i64) {
        self.row_version = version;
    }

    async fn again(store: &Store, row: &Self) -> Result<Option<Self>, Error> {
        store.rates(&row.scope).await
    }

    fn fields(&self) -> Vec<Vec<u8>> {
        vec![
            optional(self.requests_per_minute.map(unsigned)),
            optional(self.tokens_per_minute.map(unsigned)),
            optional(self.concurrency.map(u64::from).map(unsigned)),
            number(self.row_version),
        ]
    }

    fn code(&self) -> &[u8] {
        &self.mac
    }

    fn code_mut(&mut self) -> &mut Vec<u8> {
        &mut self.mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_domain::TokenId;
    use keyward_vault::MasterKey;

    fn row() -> TokenRow {
        TokenRow {
            id: TokenId::new(1, [1; 10]),
            name: "ada".to_owned(),
            role: "auditor".to_owned(),
            hash: vec![7; 32],
            created_at: 1,
            expires_at: None,
            revoked_at: Some(5),
            row_version: 1,
            mac: Vec::new(),
        }
    }

    #[test]
    fn any_change_breaks_the_code() {
        let (vault, _) = Vault::initialise(MasterKey::generate().unwrap(), 0).unwrap();
        let mut sealed = row();
        assert!(!holds(&vault, &sealed), "a row without a code");
        seal(&vault, &mut sealed);
        assert!(holds(&vault, &sealed));
        let changes: [fn(&mut TokenRow); 8] = [
            |row| row.id = TokenId::new(1, [2; 10]),
            |row| row.name.push('x'),
            |row| row.role = "owner".to_owned(),
            |row| row.hash = vec![8; 32],
            |row| row.created_at = 2,
            |row| row.expires_at = Some(0),
            |row| row.revoked_at = None,
            |row| row.row_version = 2,
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut changed = sealed.clone();
            change(&mut changed);
            assert!(!holds(&vault, &changed), "change {index}");
        }
    }
}
