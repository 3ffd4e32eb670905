//! The control plane's one shared state, how it is opened, and the two steps that every change takes: commit, publish.

use crate::{
    auth::{Caller, Role},
    clock,
    error::{Answer, ApiError},
    integrity, lend, publish, router, seal,
    settings::Settings,
    tamper::Tampered,
    thresholds,
};
use axum::Router;
use keyward_catalogue::Catalogue;
use keyward_domain::{Millis, audit::Actor, snapshot::Update, token::TokenHash};
use keyward_store::{Change, Health, Store, TokenRow, Write};
use keyward_vault::Vault;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};
use tokio::sync::Notify;
use uuid::Uuid;

/// The control plane. Cheap to clone; all clones are the same one.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    store: Store,
    vault: Arc<Vault>,
    catalogue: Arc<Catalogue>,
    settings: Settings,
    publish: Box<dyn Fn(Update) + Send + Sync>,
    /// Held while something is read and published, so that an older picture never follows a newer one.
    publishing: tokio::sync::Mutex<()>,
    /// Audit rows that this node wrote: what they say is published already.
    own: Mutex<BTreeSet<i64>>,
    tampered: Mutex<BTreeMap<String, Tampered>>,
    setup_token: Mutex<Option<TokenHash>>,
    challenges: Mutex<HashMap<Uuid, crate::api::vault::Open>>,
    used: Mutex<HashMap<Uuid, Millis>>,
    budgets: Mutex<lend::Budgets>,
    said_thresholds: Mutex<thresholds::Said>,
    node: OnceLock<lend::Node>,
    /// Whether the database knows of this run.
    begun: AtomicBool,
    stopping: AtomicBool,
    /// Something was committed and could not be published: everything has to be.
    unpublished: AtomicBool,
    /// The audit log was not yet read whole since the start.
    unread: AtomicBool,
    rewrap: Notify,
    instance: OnceLock<String>,
    /// The newest audit row when everything was published first.
    first_seen: AtomicI64,
}

/// Why the control plane cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database.
    #[error(transparent)]
    Store(#[from] keyward_store::Error),
    /// A step that the API would refuse, too.
    #[error("{0}")]
    Refused(String),
}

impl From<ApiError> for OpenError {
    fn from(error: ApiError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl Control {
    /// Opens the control plane: makes the first owner when automation says so, and publishes everything.
    ///
    /// # Errors
    /// [`OpenError`] when the database cannot be read.
    pub async fn open(
        store: Store,
        vault: Arc<Vault>,
        catalogue: Arc<Catalogue>,
        settings: Settings,
        publish: impl Fn(Update) + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        store.seal_audit_with(seal::audit_seal(&vault));
        let control = Self(Arc::new(Inner {
            store,
            vault,
            catalogue,
            setup_token: Mutex::new(None),
            settings,
            publish: Box::new(publish),
            publishing: tokio::sync::Mutex::new(()),
            own: Mutex::default(),
            tampered: Mutex::default(),
            challenges: Mutex::default(),
            used: Mutex::default(),
            budgets: Mutex::default(),
            said_thresholds: Mutex::default(),
            node: OnceLock::new(),
            begun: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            unpublished: AtomicBool::new(false),
            unread: AtomicBool::new(true),
            rewrap: Notify::new(),
            instance: OnceLock::new(),
            first_seen: AtomicI64::new(0),
        }));
        control.name_instance().await?;
        control.first_owner().await?;
        let newest = control.store().audit(None, None, 1).await?;
        control.0.first_seen.store(newest.first().map_or(0, |row| row.seq), Ordering::SeqCst);
        publish::everything(&control).await?;
        Ok(control)
    }

    /// Gives the installation its id, once.
    async fn name_instance(&self) -> Result<(), OpenError> {
        const NAME: &str = "instance";
        let known = match self.store().meta(NAME).await? {
            Some(known) => known,
            None => {
                let fresh =
                    uuid::Builder::from_random_bytes(clock::random().map_err(ApiError::from)?).into_uuid().to_string();
                let actor = Actor::System { part: "start".to_owned() };
                let mut write = self.store().write(actor, None, self.now()).await?;
                // Writes of all nodes come one after the other: another may have been first.
                if let Some(theirs) = self.store().meta(NAME).await? {
                    drop(self.0.instance.set(theirs));
                    return Ok(());
                }
                write.put_meta(NAME, &fresh).await?;
                let said = Change {
                    action: "instance.create".to_owned(),
                    subject_kind: "instance".to_owned(),
                    subject: fresh.clone(),
                    before: serde_json::Value::Null,
                    after: serde_json::Value::Null,
                    reason: None,
                    row_version: None,
                };
                self.commit(write, vec![said]).await?;
                fresh
            }
        };
        // Set once, here.
        drop(self.0.instance.set(known));
        Ok(())
    }

    /// Makes the bootstrap token's owner, or opens set-up when nobody owns this installation.
    async fn first_owner(&self) -> Result<(), OpenError> {
        let tokens = self.store().tokens().await?;
        let owns = |row: &&TokenRow| {
            row.role == Role::Owner.name() && row.revoked_at.is_none() && integrity::holds(self.vault(), *row)
        };
        let owner = tokens.iter().find(owns);
        match (self.settings().bootstrap, owner) {
            (Some(bootstrap), _) if tokens.iter().any(|row| row.hash == bootstrap.hash.0) => Ok(()),
            (Some(bootstrap), None) => {
                let name = "bootstrap".to_owned();
                let draft = crate::api::tokens::Draft { name, role: Role::Owner, expires_at: None, reason: None };
                let actor = Actor::System { part: "bootstrap".to_owned() };
                match crate::api::tokens::store(self, actor, None, draft, bootstrap.hash).await {
                    // Another node was first.
                    Err(_) if self.store().token_by_hash(&bootstrap.hash).await?.is_some() => Ok(()),
                    made => Ok(made.map(drop)?),
                }
            }
            (Some(_), Some(_)) => {
                tracing::warn!("KEYWARD_BOOTSTRAP_TOKEN is not used: this installation has an owner already");
                Ok(())
            }
            (None, Some(_)) => Ok(()),
            (None, None) => {
                *lock(&self.0.setup_token) = Some(self.settings().setup_token);
                Ok(())
            }
        }
    }

    /// The admin listener's routes.
    pub fn router(&self) -> Router {
        router::router(self)
    }

    /// The API's description.
    #[must_use]
    pub fn description(&self) -> utoipa::openapi::OpenApi {
        router::description()
    }

    /// Whether the one-time set-up link is open.
    #[must_use]
    pub fn needs_setup(&self) -> bool {
        lock(&self.0.setup_token).is_some()
    }

    /// From now on `/readyz` says no.
    pub fn begin_stop(&self) {
        self.0.stopping.store(true, Ordering::SeqCst);
    }

    /// Why the server takes no calls now.
    pub(crate) fn readiness(&self) -> Result<(), String> {
        if self.0.stopping.load(Ordering::SeqCst) {
            return Err("stopping".to_owned());
        }
        match self.store().health() {
            Health::Sound => Ok(()),
            Health::DiskFull => Err("the disk is full".to_owned()),
            Health::ReadOnly => Err("the database can only be read".to_owned()),
            Health::Corrupt { .. } => Err("the database is damaged".to_owned()),
        }
    }

    /// Figures of the control plane and the gateway, in Prometheus' text format.
    pub(crate) fn metrics(&self) -> String {
        let ready = u8::from(self.readiness().is_ok());
        let tampered = self.tampered_rows().len();
        let mut out = (self.settings().gateway_metrics)();
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(&format!(
            "# HELP keyward_ready Whether the server takes calls.\n# TYPE keyward_ready gauge\nkeyward_ready {ready}\n\
             # HELP keyward_tampered_records Records that were changed outside of Keyward and are not used.\n\
             # TYPE keyward_tampered_records gauge\nkeyward_tampered_records {tampered}\n"
        ));
        out
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn vault(&self) -> &Arc<Vault> {
        &self.0.vault
    }

    pub(crate) fn catalogue(&self) -> &Catalogue {
        &self.0.catalogue
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn now(&self) -> Millis {
        self.0.settings.clock.now()
    }

    pub(crate) fn publishing(&self) -> &tokio::sync::Mutex<()> {
        &self.0.publishing
    }

    pub(crate) fn tell_gateway(&self, update: Update) {
        lock(&self.0.budgets).learn(&update);
        (self.0.publish)(update);
    }

    pub(crate) fn budgets(&self) -> &Mutex<lend::Budgets> {
        &self.0.budgets
    }

    pub(crate) fn said_thresholds(&self) -> &Mutex<thresholds::Said> {
        &self.0.said_thresholds
    }

    /// This run of this node, once it has begun.
    pub(crate) fn node(&self) -> Option<lend::Node> {
        self.0.node.get().cloned()
    }

    pub(crate) fn node_begun(&self) -> &AtomicBool {
        &self.0.begun
    }

    pub(crate) fn set_node(&self, node: lend::Node) {
        // Set once, at the start.
        drop(self.0.node.set(node));
    }

    pub(crate) fn tampered_rows(&self) -> MutexGuard<'_, BTreeMap<String, Tampered>> {
        lock(&self.0.tampered)
    }

    pub(crate) fn challenges(&self) -> MutexGuard<'_, HashMap<Uuid, crate::api::vault::Open>> {
        lock(&self.0.challenges)
    }

    pub(crate) fn rewrap_wanted(&self) -> &Notify {
        &self.0.rewrap
    }

    /// Begins a change on somebody's behalf.
    pub(crate) async fn write(&self, caller: &Caller) -> Answer<Write> {
        Ok(self.store().write(caller.actor.clone(), caller.source, self.now()).await?)
    }

    /// Commits a change; what it says is then to be published by the caller.
    pub(crate) async fn commit(&self, write: Write, changes: Vec<Change>) -> Result<(), keyward_store::Error> {
        let committed = write.commit(changes).await?;
        lock(&self.0.own).extend(committed.audit.iter().map(|row| row.seq));
        Ok(())
    }

    /// Whether this node wrote an audit row.
    pub(crate) fn is_own(&self, seq: i64) -> bool {
        lock(&self.0.own).contains(&seq)
    }

    /// Forgets its own audit rows up to a number: they were looked at.
    pub(crate) fn forget_own(&self, up_to: i64) {
        let mut own = lock(&self.0.own);
        *own = own.split_off(&(up_to + 1));
    }

    /// Remembers that a change is stored but not published; the next look at changes publishes everything.
    pub(crate) fn note_unpublished(&self) {
        self.0.unpublished.store(true, Ordering::SeqCst);
    }

    /// Whether everything has to be published.
    pub(crate) fn take_unpublished(&self) -> bool {
        self.0.unpublished.swap(false, Ordering::SeqCst)
    }

    /// Whether the whole audit log is to be read, which is said once.
    pub(crate) fn audit_log_is_unread(&self) -> bool {
        self.0.unread.swap(false, Ordering::SeqCst)
    }

    /// The newest audit row that the first publication has seen.
    pub(crate) fn first_seen(&self) -> i64 {
        self.0.first_seen.load(Ordering::SeqCst)
    }

    /// This installation's id.
    pub(crate) fn instance(&self) -> &str {
        self.0.instance.get().map_or("", String::as_str)
    }

    pub(crate) fn local_token_is(&self, hash: &TokenHash) -> bool {
        self.settings().local_token.matches(hash)
    }

    /// Whether this is a token that automation chose and that has not our shape.
    pub(crate) fn is_chosen_token(&self, hash: &TokenHash) -> bool {
        self.settings().bootstrap.is_some_and(|chosen| !chosen.has_our_shape && chosen.hash.matches(hash))
    }

    pub(crate) fn setup_token_is(&self, hash: &TokenHash) -> bool {
        lock(&self.0.setup_token).is_some_and(|open| open.matches(hash))
    }

    /// Closes set-up; only the first of several calls gets through.
    pub(crate) fn use_up_setup_token(&self, presented: &TokenHash) -> Answer<()> {
        let mut open = lock(&self.0.setup_token);
        if open.is_some_and(|hash| hash.matches(presented)) {
            *open = None;
            return Ok(());
        }
        Err(ApiError::unauthorized("setup_over", "this set-up link was used already"))
    }

    /// Opens set-up again after the owner could not be made.
    pub(crate) fn give_back_setup_token(&self, hash: TokenHash) {
        *lock(&self.0.setup_token) = Some(hash);
    }

    /// Notes that a token or credential was used; a job writes the notes down now and then.
    pub(crate) fn note_use(&self, subject: Uuid, at: Millis) {
        lock(&self.0.used).insert(subject, at);
    }

    /// Takes the notes of use.
    pub(crate) fn take_uses(&self) -> Vec<(Uuid, Millis)> {
        lock(&self.0.used).drain().collect()
    }

    /// A new id of the kind that the caller names.
    pub(crate) fn new_id<I>(&self, make: fn(Millis, [u8; 10]) -> I) -> Answer<I> {
        Ok(make(self.now(), clock::random()?))
    }
}

/// A mutex whose holder failed keeps working: every value behind one is whole between two statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a change of a row that grants power says about itself. The row is as it was written, with its new version.
pub(crate) fn change<R: integrity::Guarded>(
    action: &str,
    row: &R,
    before: serde_json::Value,
    after: serde_json::Value,
    reason: Option<String>,
) -> Change {
    Change {
        action: action.to_owned(),
        subject_kind: R::KIND.to_owned(),
        subject: row.id(),
        before,
        after,
        reason,
        row_version: Some(row.row_version()),
    }
}
