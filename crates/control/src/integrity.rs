//! The code over every row that grants power. Whoever can write to the database but does not hold the vault's key
//! cannot change a policy, a role, an owner or a secret's hash unnoticed: a row whose code does not hold is not used.
//!
//! The fields and their order are fixed for ever; a new field goes to the end.

use keyward_domain::Environment;
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
    fn fields(&self) -> Fields;

    /// The stored code.
    fn code(&self) -> &[u8];

    /// Where the code is stored.
    fn code_mut(&mut self) -> &mut Vec<u8>;
}

/// Whether a row is as this server (or another node with the same vault) wrote it.
#[must_use]
pub(crate) fn holds<R: Guarded>(vault: &Vault, row: &R) -> bool {
    let fields = row.fields();
    let fields = fields.slices();
    vault.row_mac_holds(R::KIND, &row.record(), &fields, row.code())
}

/// Puts the code over a row that is about to be written.
pub(crate) fn seal<R: Guarded>(vault: &Vault, row: &mut R) {
    let fields = row.fields();
    let fields = fields.slices();
    let code = vault.row_mac(R::KIND, &row.record(), &fields);
    *row.code_mut() = code.to_vec();
}

/// The fields of a row, one after the other.
pub(crate) struct Fields {
    bytes: Vec<u8>,
    /// Where each field ends.
    ends: Vec<usize>,
}

impl Fields {
    /// None yet, with room for those of most rows.
    fn begin() -> Self {
        Self { bytes: Vec::with_capacity(512), ends: Vec::with_capacity(16) }
    }

    fn bytes(mut self, value: &[u8]) -> Self {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
        self
    }

    fn text(self, value: &str) -> Self {
        self.bytes(value.as_bytes())
    }

    fn number(self, value: i64) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    fn unsigned(self, value: u64) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Nothing and an empty value are two things.
    fn optional<T>(mut self, value: Option<T>, put: impl FnOnce(Self, T) -> Self) -> Self {
        self.bytes.push(u8::from(value.is_some()));
        match value {
            Some(value) => put(self, value),
            None => self.bytes(&[]),
        }
    }

    pub(crate) fn slices(&self) -> Vec<&[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default()).collect()
    }
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

    fn fields(&self) -> Fields {
        Fields::begin()
            .text(&self.name)
            .text(&self.status)
            .text(&self.policy)
            .number(self.created_at)
            .optional(self.archived_at, Fields::number)
            .number(self.row_version)
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

    fn fields(&self) -> Fields {
        Fields::begin().text(&self.policy).number(self.row_version)
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

    fn fields(&self) -> Fields {
        Fields::begin()
            .bytes(self.project.uuid().as_bytes())
            .optional(self.environment.map(Environment::name), Fields::text)
            .text(&self.provider)
            .text(&self.name)
            .text(&self.status)
            .optional(self.base_url.as_deref(), Fields::text)
            .bytes(&[u8::from(self.allow_private)])
            .unsigned(u64::from(self.order))
            .unsigned(u64::from(self.weight))
            .unsigned(self.version)
            .bytes(&self.fingerprint)
            .number(self.created_at)
            .number(self.row_version)
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

    fn fields(&self) -> Fields {
        Fields::begin()
            .text(self.public_id.as_str())
            .bytes(self.project.uuid().as_bytes())
            .text(self.environment.name())
            .text(&self.name)
            .text(self.status.name())
            .text(&self.style)
            .text(&self.secrets)
            .text(&self.policy)
            .optional(self.expires_at, Fields::number)
            .number(self.created_at)
            .optional(self.revoked_at, Fields::number)
            .number(self.row_version)
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

    fn fields(&self) -> Fields {
        Fields::begin()
            .text(&self.name)
            .text(&self.role)
            .bytes(&self.hash)
            .number(self.created_at)
            .optional(self.expires_at, Fields::number)
            .optional(self.revoked_at, Fields::number)
            .number(self.row_version)
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

    fn fields(&self) -> Fields {
        Fields::begin()
            .text(&self.scope)
            .optional(self.project, |fields, id| fields.bytes(id.uuid().as_bytes()))
            .optional(self.environment.map(Environment::name), Fields::text)
            .optional(self.key, |fields, id| fields.bytes(id.uuid().as_bytes()))
            .number(self.amount)
            .text(&self.window)
            .text(&self.thresholds)
            .text(&self.status)
            .number(self.created_at)
            .optional(self.archived_at, Fields::number)
            .number(self.row_version)
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
        self.scope.as_bytes().to_vec()
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

    fn fields(&self) -> Fields {
        Fields::begin()
            .optional(self.requests_per_minute, Fields::unsigned)
            .optional(self.tokens_per_minute, Fields::unsigned)
            .optional(self.concurrency.map(u64::from), Fields::unsigned)
            .number(self.row_version)
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
