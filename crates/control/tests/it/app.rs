//! One control plane for one test: a database in a folder of its own, a vault, a clock that is turned by hand, a
//! provider that answers what it is told, and a stand-in for the gateway that remembers what it was told.

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use keyward_catalogue::Catalogue;
use keyward_control::{
    Bootstrap, Control, Settings, audit_seal,
    clock::{self, Clock},
    keyring,
    outbound::{Call, CallError, Outbound, Pending, Reply},
};
use keyward_domain::{
    BudgetId, CredentialId, KeyId, Millis,
    audit::Actor,
    budget::{Budget, Scope, SharedRates},
    grant::Grant,
    snapshot::{Route, Update},
    token::TokenHash,
};
use keyward_store::{Change, Location, Store};
use keyward_vault::{MasterKey, Vault, recovery};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};
use tempfile::TempDir;
use tower::ServiceExt;

/// When tests begin: 2026-11-21.
pub(crate) const START: Millis = 1_795_219_200_000;

/// A provider that answers what it is told, and keeps what it was asked.
pub(crate) struct Provider {
    pub(crate) reply: Mutex<Result<Reply, CallError>>,
    pub(crate) asked: Mutex<Vec<Call>>,
}

impl Provider {
    pub(crate) fn answers(&self, status: u16, body: &str) {
        let body = Bytes::from(body.to_owned());
        *self.reply.lock().unwrap() = Ok(Reply { status, headers: BTreeMap::new(), body });
    }
}

impl Outbound for Provider {
    fn call(&self, call: Call) -> Pending<'_> {
        self.asked.lock().unwrap().push(call);
        let reply = self.reply.lock().unwrap().clone();
        Box::pin(async move { reply })
    }

    fn check_base_url(&self, base_url: &str, allow_private: bool) -> Result<(), String> {
        let fine = base_url.starts_with("https://") || (allow_private && base_url.starts_with("http://127.0.0.1"));
        if fine && !base_url.contains(['@', '?', '#']) { Ok(()) } else { Err("this base URL cannot be called".into()) }
    }
}

/// What the gateway would know.
#[derive(Default)]
pub(crate) struct Gateway {
    pub(crate) grants: Mutex<HashMap<KeyId, Grant>>,
    pub(crate) routes: Mutex<HashMap<String, Route>>,
    pub(crate) budgets: Mutex<HashMap<BudgetId, Budget>>,
    pub(crate) rates: Mutex<HashMap<Scope, SharedRates>>,
    /// Keys that were to be forgotten: their calls in flight are cut.
    pub(crate) forgotten: Mutex<Vec<KeyId>>,
}

impl Gateway {
    pub(crate) fn apply(&self, update: Update) {
        match update {
            Update::Everything(all) => {
                *self.grants.lock().unwrap() = all.grants.into_iter().map(|grant| (grant.key, grant)).collect();
                *self.routes.lock().unwrap() = all.routes.into_iter().map(|route| (place(&route), route)).collect();
                *self.budgets.lock().unwrap() = all.budgets.into_iter().map(|budget| (budget.id, budget)).collect();
                *self.rates.lock().unwrap() = all.rates.into_iter().map(|rates| (rates.scope, rates)).collect();
            }
            Update::Grants(grants) => {
                self.grants.lock().unwrap().extend(grants.into_iter().map(|grant| (grant.key, grant)));
            }
            Update::Forget(keys) => {
                let mut grants = self.grants.lock().unwrap();
                keys.iter().for_each(|key| drop(grants.remove(key)));
                self.forgotten.lock().unwrap().extend(keys);
            }
            Update::Routes(routes) => {
                self.routes.lock().unwrap().extend(routes.into_iter().map(|route| (place(&route), route)));
            }
            Update::Budgets(budgets) => {
                self.budgets.lock().unwrap().extend(budgets.into_iter().map(|budget| (budget.id, budget)));
            }
            Update::ForgetBudgets(ids) => {
                let mut budgets = self.budgets.lock().unwrap();
                ids.iter().for_each(|id| drop(budgets.remove(id)));
            }
            Update::Rates(rates) => {
                self.rates.lock().unwrap().extend(rates.into_iter().map(|rates| (rates.scope, rates)));
            }
        }
    }

    pub(crate) fn grant(&self, id: &str) -> Option<Grant> {
        self.grants.lock().unwrap().get(&id.parse::<KeyId>().unwrap()).cloned()
    }

    pub(crate) fn budget(&self, id: &str) -> Option<Budget> {
        self.budgets.lock().unwrap().get(&id.parse::<BudgetId>().unwrap()).cloned()
    }

    pub(crate) fn rates(&self, scope: Scope) -> Option<SharedRates> {
        self.rates.lock().unwrap().get(&scope).copied()
    }

    pub(crate) fn credentials(&self, project: &str, environment: &str, provider: &str) -> Vec<CredentialId> {
        let routes = self.routes.lock().unwrap();
        let route = routes.get(&format!("{project}/{environment}/{provider}"));
        route.map(|route| route.credentials.iter().map(|credential| credential.id).collect()).unwrap_or_default()
    }

    pub(crate) fn out_until(&self, credential: &str) -> Option<Millis> {
        let id: CredentialId = credential.parse().unwrap();
        let routes = self.routes.lock().unwrap();
        let mut all = routes.values().flat_map(|route| &route.credentials);
        all.find(|credential| credential.id == id).and_then(|credential| credential.out_until)
    }
}

fn place(route: &Route) -> String {
    format!("{}/{}/{}", route.project, route.environment, route.provider)
}

/// A recovery identity: its secret half and its public half.
pub(crate) struct Recovery {
    pub(crate) identity: String,
    pub(crate) recipient: String,
}

/// A control plane.
pub(crate) struct App {
    pub(crate) control: Control,
    pub(crate) router: Router,
    pub(crate) store: Store,
    pub(crate) vault: Arc<Vault>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) provider: Arc<Provider>,
    pub(crate) clock: Clock,
    pub(crate) owner: String,
    pub(crate) setup: String,
    pub(crate) folder: Arc<TempDir>,
    /// Everything that was answered, to be searched for what must not be in it.
    pub(crate) said: Arc<Mutex<Vec<u8>>>,
}

/// How an app begins.
pub(crate) struct Begin {
    pub(crate) demo: bool,
    pub(crate) bootstrap: Option<Bootstrap>,
}

pub(crate) async fn make_store(folder: &TempDir) -> Store {
    Store::open(&Location::File(folder.path().join("keyward.db"))).await.expect("a database")
}

pub(crate) async fn make_vault(store: &Store) -> Arc<Vault> {
    let (vault, rows) = Vault::initialise(MasterKey::generate().unwrap(), START).unwrap();
    let vault = Arc::new(vault);
    store.seal_audit_with(audit_seal(&vault));
    let mut write = store.write(Actor::Operator, None, START).await.unwrap();
    for row in &rows {
        write.put_keyring(&keyring::to_stored(row)).await.unwrap();
    }
    write.commit(vec![made_up("vault.create", "vault", "vault")]).await.unwrap();
    vault
}

/// A change whose only purpose is to be there.
pub(crate) fn made_up(action: &str, kind: &str, subject: &str) -> Change {
    Change {
        action: action.into(),
        subject_kind: kind.into(),
        subject: subject.into(),
        before: Value::Null,
        after: Value::Null,
        reason: None,
        row_version: None,
    }
}

impl App {
    /// A fresh installation, with an operator's token and no recovery yet.
    pub(crate) async fn new() -> Self {
        Self::beginning(Begin { demo: false, bootstrap: None }).await
    }

    pub(crate) async fn beginning(begin: Begin) -> Self {
        let folder = Arc::new(TempDir::new().unwrap());
        let store = make_store(&folder).await;
        let vault = make_vault(&store).await;
        Self::on(folder, store, vault, begin).await
    }

    /// Another node (or a later start) on a database.
    pub(crate) async fn on(folder: Arc<TempDir>, store: Store, vault: Arc<Vault>, begin: Begin) -> Self {
        let gateway = Arc::new(Gateway::default());
        let provider = Arc::new(Provider { reply: Mutex::new(Err(CallError::Timeout)), asked: Mutex::default() });
        let clock = Clock::manual(START);
        let (local, setup) = (clock::new_api_token().unwrap(), clock::new_api_token().unwrap());
        let settings = Settings {
            version: "0.0.0".into(),
            gateway_url: "http://127.0.0.1:8700".into(),
            node: setup.text.to_string(),
            demo: begin.demo,
            retention: 90 * 86_400_000,
            bootstrap: begin.bootstrap,
            local_token: local.hash,
            setup_token: setup.hash,
            clock: clock.clone(),
            outbound: Arc::clone(&provider) as Arc<dyn Outbound>,
            gateway_metrics: Arc::new(String::new),
        };
        let told = Arc::clone(&gateway);
        let catalogue = Arc::new(Catalogue::embedded().expect("the catalogue"));
        let control =
            Control::open(store.clone(), Arc::clone(&vault), catalogue, settings, move |update| told.apply(update))
                .await
                .expect("a control plane");
        Self {
            router: control.router(),
            control,
            store,
            vault,
            gateway,
            provider,
            clock,
            owner: local.text.to_string(),
            setup: setup.text.to_string(),
            folder,
            said: Arc::default(),
        }
    }

    pub(crate) async fn raw(&self, method: Method, path: &str, token: Option<&str>, body: Body) -> (StatusCode, Bytes) {
        let mut request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = response.status();
        let head = format!("{:?}", response.headers());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let mut said = self.said.lock().unwrap();
        said.extend_from_slice(head.as_bytes());
        said.extend_from_slice(&bytes);
        (status, bytes)
    }

    pub(crate) async fn with(&self, token: &str, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let (status, bytes) = self.raw(method, &format!("/api/v1{path}"), Some(token), body).await;
        let answer = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        (status, answer)
    }

    /// A call by the operator that must succeed.
    pub(crate) async fn ok(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.with(&self.owner.clone(), method.clone(), path, &body).await;
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ok(Method::GET, path, Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.ok(Method::POST, path, body).await
    }

    /// A call by the operator that must be refused; answers status and problem.
    pub(crate) async fn refused(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let (status, answer) = self.with(&self.owner.clone(), method.clone(), path, &body).await;
        assert!(status.is_client_error() || status.is_server_error(), "{method} {path}: {status} {answer}");
        for field in ["type", "title", "status", "detail", "code"] {
            assert!(answer.get(field).is_some(), "{method} {path}: a problem without {field}: {answer}");
        }
        assert_eq!(answer["status"], status.as_u16());
        (status.as_u16(), answer)
    }

    /// Refused with a code.
    pub(crate) async fn refused_as(&self, method: Method, path: &str, body: Value, status: u16, code: &str) -> Value {
        let (got, problem) = self.refused(method, path, body).await;
        assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{problem}");
        problem
    }

    /// Makes and names a recovery identity.
    pub(crate) async fn recovery(&self) -> Recovery {
        let made = recovery::generate();
        self.post("/vault/recovery", json!({"recipient": made.recipient})).await;
        Recovery { identity: made.identity.to_string(), recipient: made.recipient }
    }

    /// A project with a policy that lets its keys call OpenAI.
    pub(crate) async fn project(&self, name: &str) -> Value {
        self.post("/projects", json!({"name": name, "policy": {"providers": ["openai"]}})).await
    }

    /// A credential with a made-up secret.
    pub(crate) async fn credential(&self, project: &str, name: &str, secret: &str) -> Value {
        let body = json!({"project": project, "provider": "openai", "name": name, "secret": secret});
        self.post("/credentials", body).await
    }

    pub(crate) async fn key(&self, project: &str, name: &str) -> Value {
        self.post("/keys", json!({"project": project, "environment": "production", "name": name})).await
    }

    /// A token of a role.
    pub(crate) async fn token(&self, role: &str) -> String {
        let made = self.post("/tokens", json!({"name": format!("a {role}"), "role": role})).await;
        made["token"].as_str().unwrap().to_owned()
    }

    /// The actions in the audit log, newest first.
    pub(crate) async fn actions(&self) -> Vec<String> {
        let log = self.get("/audit?limit=1000").await;
        log["items"].as_array().unwrap().iter().map(|item| item["action"].as_str().unwrap().to_owned()).collect()
    }
}

/// A secret that nobody has and that is easily found again: 40 random letters after a mark.
pub(crate) fn marked_secret() -> String {
    let token = clock::new_api_token().unwrap();
    format!("marked-{}", token.text.trim_start_matches("kwt_"))
}

pub(crate) fn hash_of(text: &str) -> TokenHash {
    keyward_domain::token::parse(text).expect("a key").hash
}

pub(crate) fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}"))
}
