//! Vault, as its API is documented. The server is a stub: Vault itself cannot be installed here.

#![allow(clippy::unwrap_used, clippy::panic, clippy::type_complexity, reason = "tests")]

#[path = "vault/stub.rs"]
mod stub;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use reef_capability::{
    Caller, Failure, Gate, Link, Links, OpenError, Opened, Opening, Policy, Settings, find,
};
use reef_config::{BACKENDS, OPERATIONS, SECRETS, Store, Values};
use serde_json::json;

use self::stub::{Mode, Stub};

/// What must be shown nowhere.
const MARKER: &str = "hunter2";

fn try_open(settings: &[(&str, &str)], folder: &Path) -> Result<Arc<Store>, OpenError> {
    let settings: Settings =
        settings.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let runtime = tokio::runtime::Handle::current();
    let opening =
        Opening { application: "app", settings: &settings, folder, data: None, runtime: &runtime };
    Opened::default().open(find(BACKENDS, "vault")?, opening)
}

fn open(stub: &Stub, settings: &[(&str, &str)]) -> Arc<Store> {
    let mut all = vec![("url", stub.url.as_str()), ("cache", "0s")];
    all.extend(settings);
    try_open(&all, Path::new("/")).unwrap()
}

async fn get(store: &Store, name: &str) -> Option<String> {
    let value = store.get(name).await.unwrap();
    value.map(|value| value.text().unwrap().to_owned())
}

async fn all(store: &Store) -> Vec<(String, String)> {
    let all = store.all().await.unwrap();
    let mut all: Vec<_> =
        all.iter().map(|(name, value)| (name.clone(), value.text().unwrap().to_owned())).collect();
    all.sort();
    all
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn names_are_secrets_as_spin_has_them() {
    let stub = Stub::start().await;
    stub.put("secret/data/app/password", json!({ "value": "p", "other": "q" }));
    stub.put("secret/data/app/deep/a b", json!({ "value": "d" }));
    stub.put("secret/data/app/number", json!({ "value": 7 }));
    stub.put("secret/data/outside", json!({ "value": "o" }));
    let store = open(&stub, &[("token", "root"), ("prefix", "app/")]);
    assert_eq!(get(&store, "password").await.as_deref(), Some("p"));
    assert_eq!(get(&store, "deep/a b").await.as_deref(), Some("d"));
    assert_eq!(get(&store, "number").await.as_deref(), Some("7"));
    for none in ["gone", "../outside", "./password", "password?version=1", "a//b"] {
        assert_eq!(get(&store, none).await, None, "{none}");
    }
    assert_eq!(all(&store).await, pairs(&[("number", "7"), ("password", "p")]));
    let other = open(&stub, &[("token", "root"), ("prefix", "app"), ("field", "other")]);
    assert_eq!(all(&other).await, pairs(&[("password", "q")]));
    // What changed there is seen by the next read.
    stub.put("secret/data/app/password", json!({ "value": "new" }));
    assert_eq!(get(&store, "password").await.as_deref(), Some("new"));
}

#[tokio::test]
async fn names_are_fields_of_one_secret_in_both_versions() {
    let stub = Stub::start().await;
    let fields = json!({ "a": "1", "b": "2", "list": [1], "none": null });
    stub.put("kv/data/team/app", fields.clone());
    stub.put("old/team/app", fields);
    let two = [("token", "root"), ("mount", "kv"), ("path", "team/app"), ("keys", "a,list,none")];
    let one = [("token", "root"), ("mount", "old"), ("path", "team/app"), ("version", "1")];
    let store = open(&stub, &two);
    assert_eq!(get(&store, "a").await.as_deref(), Some("1"));
    assert_eq!(all(&store).await, pairs(&[("a", "1"), ("list", "[1]")]));
    let store = open(&stub, &one);
    assert_eq!(all(&store).await, pairs(&[("a", "1"), ("b", "2"), ("list", "[1]")]));
    // The wrong version is told as what it is.
    let wrong = open(&stub, &[("token", "root"), ("mount", "old"), ("path", "team/app")]);
    assert_eq!(get(&wrong, "a").await, None, "there is no such path");
    let wrong = open(
        &stub,
        &[("token", "root"), ("mount", "kv/data"), ("path", "x/../a"), ("version", "1")]
            .map(|(name, value)| if name == "path" { (name, "team/app") } else { (name, value) }),
    );
    assert_eq!(get(&wrong, "a").await, None, "its fields are those of version 2's answer");
}

#[tokio::test]
async fn a_login_is_renewed_in_time_and_done_again_when_it_ended() {
    let stub = Stub::start().await;
    stub.put("secret/data/a", json!({ "value": "1" }));
    let approle = [("role-id", "role"), ("secret-id", "secret")];
    let store = open(&stub, &approle);
    stub.lease(3600);
    for _ in 0..5 {
        assert_eq!(get(&store, "a").await.as_deref(), Some("1"));
    }
    assert_eq!((stub.logins(), stub.renewals()), (1, 0), "one login is enough");

    // Tokens of a second, renewable for an hour.
    let store = open(&stub, &approle);
    stub.lease(1);
    stub.renewed_lease(3600);
    assert_eq!(get(&store, "a").await.as_deref(), Some("1"));
    let began = Instant::now();
    while stub.renewals() == 0 && stub.logins() < 3 {
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!(get(&store, "a").await.as_deref(), Some("1"));
    }
    // By then another login may have been needed, if this machine is slow: never more than one.
    let logins = stub.logins();
    assert!(logins <= 3, "{logins}");
    assert_eq!(get(&store, "a").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_service_account_and_an_agent_s_file_lead_in() {
    let stub = Stub::start().await;
    stub.put("secret/data/a", json!({ "value": "1" }));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "jwt\n").unwrap();
    let file_text = file.to_str().unwrap();
    let store = open(&stub, &[("kubernetes-role", "reef"), ("jwt-file", file_text)]);
    assert_eq!(get(&store, "a").await.as_deref(), Some("1"));
    assert_eq!(stub.logins(), 1);
    let mounted = [
        ("kubernetes-role", "reef"),
        ("jwt-file", file_text),
        ("login-mount", "kubernetes/eu"),
        ("namespace", "team"),
    ];
    let store = open(&stub, &mounted);
    assert_eq!(get(&store, "a").await.as_deref(), Some("1"));

    let store = open(&stub, &[("token-file", file_text)]);
    let refused = store.get("a").await.unwrap_err();
    assert!(matches!(refused, Failure::Denied(_)), "{refused}");
    // Somebody puts a good one there.
    std::fs::write(&file, "root\n").unwrap();
    assert_eq!(get(&store, "a").await.as_deref(), Some("1"));
    std::fs::remove_file(&file).unwrap();
    let gone = store.get("a").await.unwrap_err();
    assert!(gone.to_string().contains("cannot read the token"), "{gone}");
}

#[tokio::test]
async fn a_token_that_is_refused_leads_to_few_logins() {
    let stub = Stub::start().await;
    stub.lease(3600);
    stub.put("secret/data/a", json!({ "value": "1" }));
    stub.mode(Mode::Denying);
    let store = open(&stub, &[("role-id", "role"), ("secret-id", "secret")]);
    for _ in 0..20 {
        let refused = store.get("a").await.unwrap_err();
        assert!(matches!(refused, Failure::Denied(_)), "{refused}");
        assert!(refused.to_string().contains("secret/data/a"), "{refused}");
    }
    assert_eq!(stub.logins(), 1);
    let wrong = open(&stub, &[("role-id", "role"), ("secret-id", MARKER)]);
    let refused = wrong.get("a").await.unwrap_err();
    assert!(refused.to_string().contains("auth/approle/login"), "{refused}");
}

/// A link with a short timeout.
fn link(store: Arc<Store>, timeout: Duration) -> Links<Store> {
    let workload: Arc<str> = "api".into();
    let policy = Policy { timeout, retries: 1, ..Policy::default() };
    let gate =
        Gate::new(workload.clone(), "default".into(), (SECRETS, "vault"), policy, OPERATIONS);
    let link = Arc::new(Link { place: None, gate, backend: store });
    Links::new(workload, SECRETS, vec![link])
}

#[tokio::test]
async fn whatever_goes_wrong_is_a_failure_in_time_that_shows_nothing() {
    let stub = Stub::start().await;
    stub.lease(3600);
    stub.put("secret/data/a", json!({ "value": MARKER }));
    let tokens = format!("{MARKER}-token");
    stub.allow(&tokens);
    let secret = format!("{MARKER}-secret");
    let own = Default::default();
    for settings in
        [vec![("token", tokens.as_str())], vec![("role-id", MARKER), ("secret-id", &secret)]]
    {
        for mode in Mode::BAD {
            stub.mode(mode);
            let links = link(open(&stub, &settings), Duration::from_millis(500));
            let values = Values { own: &own, links: &links };
            let began = Instant::now();
            let one = values.get(&Caller::default(), "a").await.unwrap_err();
            let all = values.all(&Caller::default()).await.unwrap_err();
            assert!(began.elapsed() < Duration::from_secs(5), "{mode:?}");
            let shown = format!("{one} {one:?} {all} {all:?} {links:?}");
            assert!(!shown.contains(MARKER), "{mode:?}: {shown}");
        }
    }
    stub.mode(Mode::Good);
    let links = link(open(&stub, &[("token", &tokens)]), Duration::from_secs(5));
    let values = Values { own: &own, links: &links };
    assert!(values.get(&Caller::default(), "a").await.unwrap().is_some());
    drop(stub);
    let down = values.get(&Caller::default(), "a").await.unwrap_err();
    assert!(matches!(down, Failure::Unavailable { .. }), "{down:?}");
}

#[tokio::test]
async fn settings_that_make_no_sense_are_told() {
    let url = ("url", "http://localhost:1");
    let cases: [(&[(&str, &str)], &str); 13] = [
        (&[("token", MARKER)], "`url` is missing"),
        (&[url], "exactly one is needed"),
        (&[url, ("token", ""), ("role-id", "")], "exactly one is needed"),
        (&[url, ("token", "")], "`token` is missing"),
        (&[("url", "vault"), ("token", MARKER)], "is no URL"),
        (&[("url", "http://a:hunter2@b"), ("token", MARKER)], "a password or a query"),
        (&[url, ("token", MARKER), ("version", "3")], "neither `2` nor `1`"),
        (&[url, ("token", MARKER), ("mount", "../sys")], "`mount` is no path"),
        (&[url, ("token", MARKER), ("path", "a"), ("prefix", "b")], "beside `path`"),
        (&[url, ("token", MARKER), ("path", "a"), ("field", "b")], "beside `path`"),
        (&[url, ("token", MARKER), ("secret-id", "b")], "means nothing beside `token`"),
        (&[url, ("token", MARKER), ("tls-roots", "gone.pem")], "gone.pem: No such file"),
        (&[url, ("tokn", MARKER)], "did you mean `token`"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (settings, told) in cases {
        let error = try_open(settings, folder.path()).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(told), "{shown}");
        assert!(!shown.contains(MARKER), "{shown}");
    }
}
