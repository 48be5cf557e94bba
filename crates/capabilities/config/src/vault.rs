//! In HashiCorp Vault, by its HTTP API: the engine `kv` in both of its versions.
//!
//! Values are the fields of one secret (`path`), or secrets of their own with one field each (`prefix`), as Spin has it.
//! Source: the API documentation of Vault: `secret/kv/kv-v2`, `secret/kv/kv-v1`, `auth/token`, `auth/approle`,
//! `auth/kubernetes`.

mod client;
mod login;
mod settings;

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};
use http::Method;
use reef_capability::{Backend, Failure, OpenError, Opening};
use serde_json::Value as Json;

use self::{client::Client, login::Login};
use crate::{Keys, MOST, Source, Store, Value, file::add_json};

pub(crate) const BACKEND: Backend<Store> =
    Backend { name: "vault", system: "vault", settings: settings::ALL, private: false, open };

/// Secrets that are read at once, where each value is one.
const AT_ONCE: usize = 8;

/// Which version of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// What a name is of.
#[derive(Debug)]
enum Layout {
    /// A field of one secret.
    Fields { path: String },
    /// A secret below the prefix, which has the value in a field.
    Secrets { prefix: String, field: String },
}

#[derive(Debug)]
struct Vault {
    client: Client,
    login: Login,
    mount: String,
    version: Version,
    layout: Layout,
}

fn open(opening: Opening<'_>) -> Result<Arc<Store>, OpenError> {
    Store::open(settings::read(opening)?, opening)
}

impl Vault {
    /// The address of a secret, or of a list of them.
    fn address(&self, of: &str, path: &str) -> String {
        match self.version {
            Version::One => format!("{}/{path}", self.mount),
            Version::Two => format!("{}/{of}/{path}", self.mount),
        }
    }

    /// What is at an address.
    async fn read(&self, address: &str) -> Result<Option<Json>, Failure> {
        let (token, since) = self.login.token(&self.client).await?;
        let read = self.client.call(Method::GET, address, Some(&token), None).await;
        if !matches!(read, Err(Failure::Denied(_))) || !self.login.forget(since).await {
            return read;
        }
        // The token may have been revoked.
        let (token, _) = self.login.token(&self.client).await?;
        self.client.call(Method::GET, address, Some(&token), None).await
    }

    /// The fields of a secret.
    async fn secret(&self, path: &str) -> Result<Option<Vec<(String, Value)>>, Failure> {
        let address = self.address("data", path);
        let Some(mut answer) = self.read(&address).await? else { return Ok(None) };
        let mut fields = answer.get_mut("data").map(Json::take).unwrap_or_default();
        if self.version == Version::Two {
            fields = fields.get_mut("data").map(Json::take).unwrap_or_default();
        }
        let Json::Object(entries) = fields else {
            return Err(Failure::Backend(format!(
                "Vault's answer for `{address}` has no fields: check `version` and `mount`"
            )));
        };
        let mut fields = Vec::new();
        for (name, value) in entries {
            match value {
                // A value that is a tree is one value: its text.
                tree @ (Json::Object(_) | Json::Array(_)) => {
                    fields.push((name, tree.to_string().into()));
                }
                leaf => add_json(&mut fields, name, leaf),
            }
        }
        Ok(Some(fields))
    }
}

#[async_trait]
impl Source for Vault {
    async fn get(&self, name: &str) -> Result<Option<Value>, Failure> {
        let (path, field) = match &self.layout {
            Layout::Fields { path } => (path.clone(), name),
            Layout::Secrets { prefix, field } => {
                let Some(path) = client::path(name) else { return Ok(None) };
                (format!("{prefix}{path}"), field.as_str())
            }
        };
        let fields = self.secret(&path).await?.unwrap_or_default();
        Ok(fields.into_iter().find(|(one, _)| one == field).map(|(_, value)| value))
    }

    async fn all(&self, granted: &Keys) -> Result<Vec<(String, Value)>, Failure> {
        let prefix = match &self.layout {
            Layout::Fields { path } => return Ok(self.secret(path).await?.unwrap_or_default()),
            Layout::Secrets { prefix, .. } => prefix,
        };
        let address = format!("{}?list=true", self.address("metadata", prefix));
        let Some(answer) = self.read(&address).await? else { return Ok(Vec::new()) };
        let names = answer.pointer("/data/keys").and_then(Json::as_array);
        let names = names.ok_or_else(|| {
            Failure::Backend("Vault's answer to a listing has no keys in it".to_owned())
        })?;
        let names = names.iter().filter_map(Json::as_str);
        // What ends with a slash is a folder.
        let names = names.filter(|name| !name.ends_with('/') && granted.grants(name));
        let names: Vec<String> = names.map(str::to_owned).take(MOST + 1).collect();
        if names.len() > MOST {
            return Err(Failure::Backend(format!("Vault has more than {MOST} values there")));
        }
        let each = names.into_iter().map(|name| async move {
            let value = self.get(&name).await?;
            Ok::<_, Failure>(value.map(|value| (name, value)))
        });
        let read: Vec<_> =
            futures::stream::iter(each).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(read.into_iter().flatten().collect())
    }

    fn is_whole(&self) -> bool {
        matches!(self.layout, Layout::Fields { .. })
    }
}
