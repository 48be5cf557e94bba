//! The interface of wadm, for clients that are there already: `wadm.api.LATTICE.model.*`.
//!
//! | operation | what is done |
//! | --- | --- |
//! | `put` | the manifest (YAML or JSON) is accepted as a revision that is not wanted yet |
//! | `deploy.NAME` | a version of it, or the last one, is wanted from then on |
//! | `undeploy.NAME`, `del.NAME` | nothing of it is; it is forgotten |
//! | `list`, `get`, `get.NAME`, `versions.NAME`, `history.NAME`, `status.NAME` | what there is |
//!
//! How an application is, is told at `wadm.status.LATTICE.NAME` as it changes.
//!
//! An application is in the namespace `default`. Its version is that of its annotation, or else the revision's number.
//! Artifacts are made ready when a manifest is put. Source: wadm's `wadm-types` (`api.rs`) and `wadm-client`
//! (`topics.rs`).

mod answers;
mod manifest;

use reef_bus::Message;
use reef_document::{Diagnostics, Source};
use reef_lattice::record::{App, Head, Revision};
use serde::Deserialize;
use serde_json::{Value, json};

use self::answers::{status, summary};
use crate::{
    api::{self, Accept, Code, Delete, Deploy, Fault, Server, To, Undeploy, Wants, change},
    core::{AppKey, Kept, Name},
    driver::Shared,
};

/// The version that is whichever is the last.
const LATEST: &str = "latest";

/// What a request may say.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    #[serde(default)]
    version: Option<String>,
}

/// Where requests come.
pub(crate) fn subject(lattice: &str) -> String {
    format!("wadm.api.{lattice}.model.>")
}

/// What is told of an application to those who follow its status; none of those that wadm knows nothing of.
pub(crate) fn told(shared: &Shared, app: &AppKey) -> Option<Message> {
    if *app.namespace != *reef_app::NAMESPACE {
        return None;
    }
    let status = status(&shared.core(), app);
    let subject = format!("wadm.status.{}.{}", shared.lattice.name, app.app);
    Message::new(&subject, status.to_string().into_bytes()).ok()
}

/// Answers a request.
pub(crate) async fn answer(server: &Server, subject: &str, body: &[u8]) -> Vec<u8> {
    let rest = subject.split_once(".model.").map_or("", |(_, rest)| rest);
    let (operation, name) = match rest.split_once('.') {
        Some((operation, name)) => (operation, Some(name)),
        None => (rest, None),
    };
    let asked: Result<Asked, _> = match (operation, body) {
        ("put", _) | (_, []) => Ok(Asked::default()),
        (_, body) => serde_json::from_slice(body),
    };
    if let Some(name) = name
        && let Err(behind) = server.follow(reef_app::NAMESPACE, name).await
    {
        return fault(&behind).to_string().into_bytes();
    }
    let answer = match (operation, name, asked) {
        (_, _, Err(error)) => failed(&format!("the request cannot be understood: {error}")),
        ("put", None, _) => put(server, body).await,
        ("list", None, _) => Value::Array(list(server)),
        ("get", None, _) => json!({
            "result": "success",
            "message": "all applications",
            "models": list(server),
        }),
        ("get", Some(name), Ok(asked)) => get(server, name, &asked),
        ("versions" | "history", Some(name), _) => versions(server, name),
        ("del", Some(name), Ok(asked)) => delete(server, name, &asked).await,
        ("deploy", Some(name), Ok(asked)) => deploy(server, name, &asked).await,
        ("undeploy", Some(name), _) => undeploy(server, name).await,
        ("status", Some(name), _) => one_status(server, name),
        (operation, ..) => failed(&format!("there is no operation `{operation}`")),
    };
    answer.to_string().into_bytes()
}

fn failed(message: &str) -> Value {
    json!({ "result": "error", "message": message })
}

fn fault(fault: &Fault) -> Value {
    failed(&fault.to_string())
}

fn not_found(name: &str) -> Value {
    json!({ "result": "notfound", "message": format!("there is no application `{name}`") })
}

fn key(name: &str) -> AppKey {
    AppKey::new(reef_app::NAMESPACE, name)
}

/// An application that is there, and has revisions.
fn there(server: &Server, name: &str) -> Option<App> {
    let core = server.core();
    let app = core.records().apps.get(&key(name)).and_then(Kept::get);
    app.filter(|app| !app.deleted && !app.revisions.is_empty()).cloned()
}

/// The revision of a version; the last one, where none is asked for.
fn find<'a>(app: &'a App, asked: &Asked) -> Option<&'a Head> {
    match asked.version.as_deref() {
        None | Some("" | LATEST) => app.revisions.last(),
        Some(wanted) => app.revisions.iter().rev().find(|head| head.name() == wanted),
    }
}

fn list(server: &Server) -> Vec<Value> {
    let core = server.core();
    let all = core.records().apps.iter();
    all.filter(|(key, _)| *key.namespace == *reef_app::NAMESPACE)
        .filter_map(|(key, kept)| summary(&core, key, kept))
        .collect()
}

fn get(server: &Server, name: &str, asked: &Asked) -> Value {
    let Some(app) = there(server, name) else { return not_found(name) };
    let core = server.core();
    let head = find(&app, asked);
    let record = head.and_then(|head| core.records().revision_of(&key(name), head.number));
    match record {
        Some(Revision { manifest: Some(manifest), .. }) => {
            json!({ "result": "success", "message": "", "manifest": manifest })
        }
        Some(_) => failed(&format!(
            "`{name}` was not written as a manifest of wadm: `reef describe {name}` shows it"
        )),
        None => {
            let message = format!("`{name}` has no such version");
            json!({ "result": "notfound", "message": message })
        }
    }
}

fn versions(server: &Server, name: &str) -> Value {
    let Some(app) = there(server, name) else {
        let mut answer = not_found(name);
        answer["versions"] = json!([]);
        return answer;
    };
    let all = app
        .revisions
        .iter()
        .map(|head| json!({ "version": head.name(), "deployed": app.wanted == Some(head.number) }));
    json!({ "result": "success", "message": "", "versions": all.collect::<Vec<_>>() })
}

fn one_status(server: &Server, name: &str) -> Value {
    if there(server, name).is_none() {
        return not_found(name);
    }
    let core = server.core();
    let status = status(&core, &key(name));
    json!({ "result": "ok", "message": "", "status": status })
}

async fn put(server: &Server, body: &[u8]) -> Value {
    match try_put(server, body).await {
        Ok(answer) => answer,
        Err(error) => fault(&error),
    }
}

async fn try_put(server: &Server, body: &[u8]) -> Result<Value, Fault> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Fault::invalid("a manifest is text: YAML or JSON"))?;
    let source = Source::new("manifest", text);
    let mut found = Diagnostics::default();
    let application = reef_oam::read(&source, &mut found);
    let Some(mut application) = application else {
        let faults = found.iter().map(ToString::to_string).collect();
        let message = "the manifest is not accepted".to_owned();
        return Err(Fault { code: Code::Invalid, message, faults });
    };
    let name = application.name.to_string();
    if application.namespace() != reef_app::NAMESPACE {
        return Err(Fault::invalid("this interface has applications of one namespace only"));
    }
    // No subject names it: another controller may have been asked for this version a moment ago.
    server.follow(reef_app::NAMESPACE, &name).await?;
    // Before anything is fetched for it.
    api::is_new_version(there(server, &name).as_ref(), &application)?;
    let pin = server.pin().ok_or_else(|| {
        Fault::invalid(
            "no controller here fetches artifacts: apply the manifest with `reef apply -f FILE`",
        )
    })?;
    let files = pin.pin(&mut application).await.map_err(Fault::invalid)?;
    let manifest = manifest::json(&source)?;
    let revision = Revision {
        number: 0,
        application: serde_json::to_value(&application)
            .map_err(|error| Fault::invalid(error.to_string()))?,
        values: Default::default(),
        files,
        workloads: Default::default(),
        autoscale: Default::default(),
        percentiles: Default::default(),
        manifest: Some(manifest),
        by: None,
    };
    let asked = Accept {
        namespace: reef_app::NAMESPACE.to_owned(),
        revision: Some(revision),
        cause: "wadm".to_owned(),
        ..Accept::default()
    };
    let accepted = api::accept(server, asked, Wants::WhatIs).await?;
    let all = there(server, &name).map_or(1, |app| app.revisions.len());
    let version = application.version.unwrap_or_else(|| accepted.number.to_string());
    Ok(json!({
        "result": if accepted.created { "created" } else { "newversion" },
        "name": name,
        "current_version": version,
        "total_versions": all,
        "message": format!("`{name}` {version} is kept; deploy it to have it run"),
    }))
}

async fn deploy(server: &Server, name: &str, asked: &Asked) -> Value {
    // It may have been put by another controller a moment ago.
    let app = match server.app(&key(name)).await {
        Ok(app) => app.filter(|app| !app.deleted && !app.revisions.is_empty()),
        Err(error) => return fault(&error),
    };
    let Some(app) = app else { return not_found(name) };
    let Some(head) = find(&app, asked) else {
        let version = asked.version.as_deref().unwrap_or_default();
        return failed(&format!("`{name}` has no version {version}"));
    };
    let request = Deploy {
        namespace: reef_app::NAMESPACE.to_owned(),
        app: name.to_owned(),
        number: Some(head.number),
    };
    match server.deploy(&request).await {
        Ok(_) => json!({
            "result": "acknowledged",
            "message": format!("`{name}` {} is to run", head.name()),
            "name": name,
            "version": head.name(),
        }),
        Err(error) => fault(&error),
    }
}

async fn undeploy(server: &Server, name: &str) -> Value {
    let request = Undeploy { namespace: reef_app::NAMESPACE.to_owned(), app: name.to_owned() };
    match server.undeploy(&request).await {
        Ok(_) => json!({
            "result": "acknowledged",
            "message": format!("nothing of `{name}` is to run"),
            "name": name,
        }),
        Err(error) if error.code == Code::NotFound => not_found(name),
        Err(error) => fault(&error),
    }
}

async fn delete(server: &Server, name: &str, asked: &Asked) -> Value {
    let noop = |message: String| json!({ "result": "noop", "message": message, "undeploy": false });
    let gone = || noop(format!("there is no application `{name}`"));
    let deleted = |message: String, undeploy: bool| json!({ "result": "deleted", "message": message, "undeploy": undeploy });
    let app = match server.app(&key(name)).await {
        Ok(app) => app.filter(|app| !app.deleted),
        Err(error) => return fault(&error),
    };
    let Some(app) = app else { return gone() };
    let head = asked.version.as_ref().map(|wanted| find(&app, asked).ok_or(wanted));
    let number = match head {
        Some(Err(wanted)) => return noop(format!("`{name}` has no version {wanted}")),
        Some(Ok(head)) => Some(head.number),
        None => None,
    };
    if let Some(number) = number.filter(|_| app.revisions.len() > 1) {
        let was = app.wanted == Some(number);
        let changed = change(server.lattice(), Name::App(key(name)), |app: Option<App>| {
            let Some(mut app) = app.filter(|app| !app.deleted) else { return Ok(To::Same) };
            app.revisions.retain(|head| head.number != number);
            if app.wanted == Some(number) {
                app.wanted = None;
                app.previous.clear();
            }
            Ok(To::Put(app))
        });
        return match changed.await {
            Ok(_) => deleted(format!("this version of `{name}` is forgotten"), was),
            Err(error) => fault(&error),
        };
    }
    let request = Delete { namespace: reef_app::NAMESPACE.to_owned(), app: name.to_owned() };
    match server.delete(&request).await {
        Ok(_) => deleted(format!("`{name}` is forgotten"), app.wanted.is_some()),
        Err(error) if error.code == Code::NotFound => gone(),
        Err(error) => fault(&error),
    }
}
