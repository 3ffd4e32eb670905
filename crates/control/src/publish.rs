//! Tells the gateway what is so: everything at the start, then only what changed, before the call that changed it is
//! answered. A row that is not the newest, or not as Keyward wrote it, is left out.
//!
//! INVARIANT: reading and telling happen under one lock, so the gateway never goes back to an older picture.

mod budgets;

pub(crate) use budgets::{budgets, budgets_of_key, rates};

use crate::{
    Control,
    integrity::{self, Guarded},
    versions::Versions,
};
use keyward_domain::{
    Environment, KeyId, ProjectId,
    grant::Grant,
    policy::Policy,
    secret::Place,
    snapshot::{Everything, Route, RouteCredential, Update},
};
use keyward_store::{
    BudgetRow, CredentialHealthRow, CredentialRow, CredentialVersionRow, EnvironmentRow, Error, KeyFilter, KeyRow,
    KeyStatus, Kinds, ProjectRow, Store, decode_secrets,
};
use rustc_hash::FxHashMap;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// So many keys are looked up one by one.
const FEW: u32 = 200;
/// The status of a project that is no longer in use.
pub(crate) const ARCHIVED: &str = "archived";
/// The status of a credential that is used.
pub(crate) const ACTIVE: &str = "active";

/// Where a credential's secret belongs.
pub(crate) fn place(credential: &CredentialRow, version: u64) -> Place {
    Place {
        table: "credential",
        tenant: credential.project.uuid(),
        record: credential.id.uuid(),
        version,
        field: "secret",
    }
}

/// Tells everything anew.
pub(crate) async fn everything(control: &Control) -> Result<(), Error> {
    let _order = control.publishing().lock().await;
    control.audit_log_is_whole().await?;
    let mut versions = Versions::of(control.store(), Kinds::Besides(MANY)).await?;
    let mut bases = Bases::default();
    for row in control.store().projects().await? {
        if let Some(row) = versions.trusted(control, row).await? {
            bases.add_project(&row);
        }
    }
    for row in control.store().environments().await? {
        let trusted = versions.trusted(control, row.clone()).await?;
        bases.add_environment((row.project, row.environment), trusted.as_ref());
        versions.strike(&row);
    }
    for id in versions.left(EnvironmentRow::KIND) {
        bases.close_environment(&id);
        control.report_gone(EnvironmentRow::KIND, id).await;
    }
    let many = ManyVersions::begin(control.store());
    let (keys, read) = (read_keys(control, &mut bases).await?, budgets::read_budgets(control).await?);
    let [key_versions, budget_versions] = many.end().await?;
    let compared = tokio::task::spawn_blocking(move || budgets::compare(read, budget_versions));
    let grants = trusted_grants(control, &mut bases, keys, &key_versions).await?;
    let credentials = control.store().credentials(None).await?;
    let routes = routes(control, &bases, credentials, Extent::All(&versions)).await?;
    let revoked = grants.iter().filter(|grant| grant.revoked).map(|grant| grant.key).collect();
    let compared = compared.await.map_err(|error| Error::Io(std::io::Error::other(error)))?;
    let budgets = budgets::trusted_budgets(control, compared, &revoked).await?;
    let rates = budgets::all_rates(control, &mut versions).await?;
    let mut objects = Vec::new();
    control.store().each_object(|object| objects.push(object)).await?;
    control.tell_gateway(Update::Everything(Box::new(Everything {
        providers: control.catalogue().providers().to_vec(),
        grants,
        routes,
        prices: Arc::clone(control.catalogue().prices()),
        budgets,
        rates,
        objects,
    })));
    Ok(())
}

/// The kinds of which there can be very many: their rows and what the audit log knows of them are read at the same time,
/// on two threads, and compared at the end.
const MANY: [&str; 2] = [KeyRow::KIND, BudgetRow::KIND];

/// What the audit log knows of [`MANY`], while it is read.
struct ManyVersions(tokio::task::JoinHandle<Result<[Versions; 2], Error>>);

impl ManyVersions {
    fn begin(store: &Store) -> Self {
        let store = store.clone();
        Self(tokio::spawn(async move {
            let [keys, budgets] = MANY.map(Kinds::Only);
            Ok([Versions::of(&store, keys).await?, Versions::of(&store, budgets).await?])
        }))
    }

    async fn end(self) -> Result<[Versions; 2], Error> {
        self.0.await.map_err(|error| Error::Io(std::io::Error::other(error)))?
    }
}

/// Keys as they were read: what each grants, and those whose code does not hold.
type ReadKeys = (Vec<(KeyId, i64, Option<Grant>)>, Vec<KeyId>);

async fn read_keys(control: &Control, bases: &mut Bases) -> Result<ReadKeys, Error> {
    let (mut read, mut doubtful) = (Vec::new(), Vec::new());
    let take = |row: KeyRow| match integrity::holds(control.vault(), &row) {
        true => read.push((row.id, row.row_version, bases.grant(&row))),
        false => doubtful.push(row.id),
    };
    control.store().each_key(None, take).await?;
    Ok((read, doubtful))
}

/// The grants of all keys that can be trusted.
async fn trusted_grants(
    control: &Control,
    bases: &mut Bases,
    (read, mut doubtful): ReadKeys,
    versions: &Versions,
) -> Result<Vec<Grant>, Error> {
    let mut grants = Vec::with_capacity(read.len());
    for (id, version, grant) in read {
        if versions.reached(KeyRow::KIND, &id.to_string(), version) {
            grants.extend(grant);
        } else {
            doubtful.push(id);
        }
    }
    // A key that was changed between the two readings, or that is not as it should be: a closer look tells.
    for id in doubtful {
        if let Some(row) = newest_key(control, id).await? {
            grants.extend(bases.grant(&row));
        }
    }
    Ok(grants)
}

/// A key as it is now, if it can be trusted.
async fn newest_key(control: &Control, id: KeyId) -> Result<Option<KeyRow>, Error> {
    match control.store().key(id).await? {
        Some(row) => control.newest(row).await,
        None => Ok(None),
    }
}

/// Tells of keys that are new or changed.
pub(crate) async fn keys(control: &Control, ids: &[KeyId]) -> Result<(), Error> {
    tell_keys(control, ids).await.inspect_err(|_| control.note_unpublished())
}

async fn tell_keys(control: &Control, ids: &[KeyId]) -> Result<(), Error> {
    let _order = control.publishing().lock().await;
    let (mut grants, mut gone) = (Vec::new(), Vec::new());
    for id in ids {
        match newest_key(control, *id).await? {
            Some(row) => bases_of(control, row.project).await?.sort(&row, &mut grants, &mut gone),
            None => gone.push(*id),
        }
    }
    tell(control, grants, gone);
    Ok(())
}

/// Tells of a project that changed: all its keys and routes.
pub(crate) async fn project(control: &Control, id: ProjectId) -> Result<(), Error> {
    tell_project(control, id).await.inspect_err(|_| control.note_unpublished())
}

async fn tell_project(control: &Control, id: ProjectId) -> Result<(), Error> {
    let _order = control.publishing().lock().await;
    let mut bases = bases_of(control, id).await?;
    let filter = KeyFilter { project: Some(id), ..KeyFilter::default() };
    // Of a few keys each is looked up; for many, all versions are read at once.
    let versions = match control.store().keys(filter, None, FEW).await?.len() {
        count if count < FEW as usize => None,
        _ => Some(Versions::read(control.store()).await?),
    };
    let (mut grants, mut gone) = (Vec::new(), Vec::new());
    let mut doubtful = Vec::new();
    let take = |row: KeyRow| {
        if versions.as_ref().is_some_and(|versions| versions.know(control.vault(), &row)) {
            bases.sort(&row, &mut grants, &mut gone);
        } else {
            doubtful.push(row);
        }
    };
    control.store().each_key(Some(id), take).await?;
    for row in doubtful {
        let id = row.id;
        match control.newest(row).await? {
            Some(row) => bases.sort(&row, &mut grants, &mut gone),
            None => gone.push(id),
        }
    }
    tell(control, grants, gone);
    let credentials = control.store().credentials(Some(id)).await?;
    let providers: BTreeSet<Box<str>> = credentials.iter().map(|row| row.provider.as_str().into()).collect();
    let routes = routes(control, &bases, credentials, Extent::Some(id, &providers)).await?;
    control.tell_gateway(Update::Routes(routes));
    Ok(())
}

/// Tells of a project's credentials for one provider.
pub(crate) async fn route(control: &Control, project: ProjectId, provider: &str) -> Result<(), Error> {
    tell_route(control, project, provider).await.inspect_err(|_| control.note_unpublished())
}

async fn tell_route(control: &Control, project: ProjectId, provider: &str) -> Result<(), Error> {
    let _order = control.publishing().lock().await;
    let bases = bases_of(control, project).await?;
    let mut credentials = control.store().credentials(Some(project)).await?;
    credentials.retain(|row| row.provider == provider);
    let providers = BTreeSet::from([Box::from(provider)]);
    let routes = routes(control, &bases, credentials, Extent::Some(project, &providers)).await?;
    control.tell_gateway(Update::Routes(routes));
    Ok(())
}

fn tell(control: &Control, grants: Vec<Grant>, gone: Vec<KeyId>) {
    if !grants.is_empty() {
        control.tell_gateway(Update::Grants(grants));
    }
    if !gone.is_empty() {
        control.tell_gateway(Update::Forget(gone));
    }
}

/// What keys inherit from, as far as it can be trusted.
#[derive(Default)]
pub(crate) struct Bases {
    projects: HashMap<ProjectId, (Policy, bool)>,
    /// None: there is a row, and it cannot be used.
    environments: HashMap<(ProjectId, Environment), Option<Policy>>,
    /// Equal policies share one allocation, and their text is read once.
    shared: FxHashMap<(ProjectId, Environment, Box<str>), Option<Arc<Policy>>>,
}

/// What the keys of one project inherit from.
pub(crate) async fn bases_of(control: &Control, id: ProjectId) -> Result<Bases, Error> {
    let mut bases = Bases::default();
    if let Some(row) = control.store().project(id).await?
        && let Some(row) = control.newest(row).await?
    {
        bases.add_project(&row);
    }
    let rows = control.store().environments_of(id).await?;
    let mut places = Environment::ALL.map(|environment| (environment, None));
    for row in rows {
        if let Some((_, place)) = places.iter_mut().find(|(environment, _)| *environment == row.environment) {
            *place = Some(row);
        }
    }
    for (environment, row) in places {
        match row {
            Some(row) => bases.add_environment((id, environment), control.newest(row).await?.as_ref()),
            None => missing_environment(control, &mut bases, id, environment).await?,
        }
    }
    Ok(bases)
}

/// An environment without a row has no policy of its own, unless it once had one: then its row was removed, and its keys
/// would get more than they should.
async fn missing_environment(
    control: &Control,
    bases: &mut Bases,
    project: ProjectId,
    environment: Environment,
) -> Result<(), Error> {
    let id = format!("{project}/{environment}");
    if control.store().audited_version(EnvironmentRow::KIND, &id).await?.is_none() {
        return Ok(());
    }
    // It may just have been made.
    let rows = control.store().environments_of(project).await?;
    if let Some(row) = rows.into_iter().find(|row| row.environment == environment) {
        bases.add_environment((project, environment), control.newest(row).await?.as_ref());
        return Ok(());
    }
    bases.close_environment(&id);
    control.report_gone(EnvironmentRow::KIND, id).await;
    Ok(())
}

/// The parts of an environment's id.
pub(crate) fn environment_of(id: &str) -> Option<(ProjectId, Environment)> {
    let (project, environment) = id.split_once('/')?;
    Some((project.parse().ok()?, environment.parse().ok()?))
}

/// Reads a stored policy. One that cannot be read came from a newer version: what depends on it is left out.
pub(crate) fn read_policy(kind: &str, id: &str, text: &str) -> Option<Policy> {
    serde_json::from_str(text)
        .inspect_err(|error| tracing::error!(kind, id, %error, "a stored policy cannot be read"))
        .ok()
}

impl Bases {
    fn add_project(&mut self, row: &ProjectRow) {
        if let Some(policy) = read_policy("project", &row.id.to_string(), &row.policy) {
            self.projects.insert(row.id, (policy, row.status == ARCHIVED));
        }
    }

    /// `row`: none when it cannot be trusted.
    fn add_environment(&mut self, place: (ProjectId, Environment), row: Option<&EnvironmentRow>) {
        let policy = row.and_then(|row| read_policy("environment", row.environment.name(), &row.policy));
        self.environments.insert(place, policy);
    }

    /// Lets nothing be done with what is in an environment.
    fn close_environment(&mut self, id: &str) {
        self.environments.extend(environment_of(id).map(|place| (place, None)));
    }

    fn is_archived(&self, project: ProjectId) -> bool {
        self.projects.get(&project).is_none_or(|(_, archived)| *archived)
    }

    /// The key's policy with everything it inherits; none when any part of it cannot be used.
    pub(crate) fn effective(&self, project: ProjectId, environment: Environment, own: &Policy) -> Option<Policy> {
        let (base, _) = self.projects.get(&project)?;
        match self.environments.get(&(project, environment)) {
            None => Some(own.inheriting(base)),
            Some(policy) => Some(own.inheriting(&policy.as_ref()?.inheriting(base))),
        }
    }

    /// Puts a key among those that the gateway is to know, or to forget.
    fn sort(&mut self, row: &KeyRow, grants: &mut Vec<Grant>, gone: &mut Vec<KeyId>) {
        match self.grant(row) {
            Some(grant) => grants.push(grant),
            None => gone.push(row.id),
        }
    }

    fn grant(&mut self, row: &KeyRow) -> Option<Grant> {
        let place = (row.project, row.environment, row.policy.as_str().into());
        let policy = match self.shared.get(&place) {
            Some(known) => known.clone(),
            None => {
                let made = read_policy("key", &row.id.to_string(), &row.policy)
                    .and_then(|own| self.effective(row.project, row.environment, &own))
                    .map(Arc::new);
                self.shared.insert(place, made.clone());
                made
            }
        }?;
        Some(Grant {
            key: row.id,
            public_id: row.public_id,
            project: row.project,
            environment: row.environment,
            secrets: decode_secrets(&row.secrets)?,
            revoked: row.status == KeyStatus::Revoked || self.is_archived(row.project),
            expires_at: row.expires_at,
            policy,
        })
    }
}

/// Which routes are built.
#[derive(Clone, Copy)]
enum Extent<'a> {
    /// All of them.
    All(&'a Versions),
    /// Exactly those of one project and these providers, the empty ones too, so that a route that lost its last
    /// credential is seen to be gone.
    Some(ProjectId, &'a BTreeSet<Box<str>>),
}

async fn routes(
    control: &Control,
    bases: &Bases,
    credentials: Vec<CredentialRow>,
    extent: Extent<'_>,
) -> Result<Vec<Route>, Error> {
    let mut routes: HashMap<(ProjectId, Environment, Box<str>), Vec<RouteCredential>> = HashMap::new();
    if let Extent::Some(project, providers) = extent {
        for environment in Environment::ALL {
            routes.extend(providers.iter().map(|id| ((project, environment, id.clone()), Vec::new())));
        }
    }
    let mut secrets = Secrets::read(control, matches!(extent, Extent::Some(..)), &credentials).await?;
    for row in credentials {
        if row.status != ACTIVE || bases.is_archived(row.project) {
            continue;
        }
        let newest = match extent {
            Extent::All(versions) => versions.trusted(control, row).await?,
            Extent::Some(..) => control.newest(row).await?,
        };
        // Taken out of service in this moment, perhaps.
        let Some(row) = newest.filter(|row| row.status == ACTIVE) else { continue };
        let Some(entry) = secrets.entry(control, &row) else { continue };
        for environment in Environment::ALL {
            if row.environment.is_none_or(|only| only == environment) {
                let place = (row.project, environment, row.provider.as_str().into());
                routes.entry(place).or_default().push(entry.clone());
            }
        }
    }
    Ok(routes
        .into_iter()
        .map(|((project, environment, provider), mut credentials)| {
            credentials.sort_by_key(|credential| (credential.order, credential.id));
            Route { project, environment, provider, credentials }
        })
        .collect())
}

/// The ciphertexts and the health of credentials.
struct Secrets {
    versions: HashMap<keyward_domain::CredentialId, CredentialVersionRow>,
    health: HashMap<keyward_domain::CredentialId, CredentialHealthRow>,
}

impl Secrets {
    async fn read(control: &Control, few: bool, credentials: &[CredentialRow]) -> Result<Self, Error> {
        let store = control.store();
        let (mut versions, mut health) = (HashMap::new(), HashMap::new());
        if few {
            for row in credentials.iter().filter(|row| row.status == ACTIVE) {
                versions.extend(store.credential_version(row.id, row.version).await?.map(|found| (row.id, found)));
                health.extend(store.credential_health(row.id).await?.map(|found| (row.id, found)));
            }
        } else {
            versions.extend(store.current_versions().await?.into_iter().map(|row| (row.credential, row)));
            health.extend(store.credential_healths().await?.into_iter().map(|row| (row.credential, row)));
        }
        Ok(Self { versions, health })
    }

    fn entry(&mut self, control: &Control, row: &CredentialRow) -> Option<RouteCredential> {
        let version = self.versions.remove(&row.id).filter(|version| version.erased_at.is_none())?;
        let provider = control.catalogue().provider(&row.provider);
        let base_url = match (&row.base_url, provider) {
            (Some(own), _) => own.as_str().into(),
            (None, Some(provider)) if !provider.api.base_url.is_empty() => provider.api.base_url.clone(),
            _ => {
                tracing::error!(
                    credential = row.name,
                    provider = row.provider,
                    "this credential has no API root: its provider is not in the catalogue, or needs a base URL"
                );
                return None;
            }
        };
        Some(RouteCredential {
            id: row.id,
            version: row.version,
            place: place(row, row.version),
            sealed: version.sealed,
            base_url,
            allow_private: row.allow_private,
            order: row.order,
            weight: row.weight,
            out_until: self.health.get(&row.id).and_then(|health| health.out_until),
        })
    }
}
