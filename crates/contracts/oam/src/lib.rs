//! The OAM contract: application manifests of wadm, the deployment manager of wasmCloud 1.
//!
//! Pure: a document in, an [`Application`] out. Source: wadm's `wadm-types` (its types, its JSON Schema
//! and its validation), and the documents of wasmCloud's providers for their configuration.
//!
//! # What becomes of a manifest
//!
//! | in the manifest | becomes |
//! | --- | --- |
//! | `metadata.name`, the annotations `version` and `description` | the application's |
//! | other annotations, labels | labels |
//! | component of type `component` (or `actor`) | a workload; its `id` is a label |
//! | its `config` with `properties` | configuration |
//! | `config` without `properties`, which wadm expects elsewhere | what another place of the manifest has under that name, or a variable |
//! | `secrets` | variables that are secret, and a link of `wasmcloud:secrets` to the capability `secrets` |
//! | trait `spreadscaler` | the scale: `instances` (`replicas`), and `spread` with its weights and `requirements`, which are labels of hosts |
//! | trait `daemonscaler` | the same with `daemon` instead: so many on each host |
//! | component of type `component` with an `application` | what links go to: that workload of that application. Its own links, configuration and scale are said there |
//! | component of type `capability` | a capability that this host has, by its image or its links, whoever shares it; its own scale says nothing |
//! | trait `link` | as follows |
//! | policies of secrets | what variables are described with; of other types, nothing |
//!
//! | link | becomes |
//! | --- | --- |
//! | HTTP server → component | an HTTP trigger: `/...`, or in the routing modes `path` and `host` that path or host; `timeout_ms` its deadline |
//! | messaging → component | a message trigger for each of `subscriptions` (`SUBJECT` or `SUBJECT\|QUEUE`), or `topic` and `consumer_group` of Kafka |
//! | component → HTTP client | egress |
//! | key-value → component | a trigger for what changes in that store, or one for each key of its `watch` (`SET@KEY,DEL@KEY`), and a link to it |
//! | component → key-value, blob store, messaging, Postgres | a link to that capability with the configuration of both, keys in lower case, and the `backend` that was asked for |
//! | component → component | a link to that workload for each interface, with its `application` if that is another one |
//!
//! A link to the HTTP client is a permission to send requests anywhere, and is kept as one: every
//! public host, by `http` and `https` only, and with a warning. Where the link's configuration (or the
//! client's) has `allowed_hosts`, which wasmCloud does not know, it is those alone:
//! `allowed_hosts: "api.example.com:443, https://*.example.org"`.
//!
//! What is not kept is refused by its name, with what to do about it: providers that this host has not
//! (they are native programs), links from components of other applications and routes to them, TLS and
//! read-only mode of the HTTP server, several addresses. What only has no effect is a warning.
//!
//! Where wadm wants `experimental.wasmcloud.dev/shared` on an application that others link to, it is a
//! label here: within a namespace, applications may link to each other.
//!
//! Where wadm passes over fields that it does not know (in metadata, in links), they are errors here,
//! as they are in all else.

mod capability;
mod http;
mod link;
mod read;
mod schema;
mod settings;
mod shared;

use std::collections::HashSet;

use reef_app::Application;
use reef_document::{Diagnostics, Node, Syntax, Value, parse};

/// What `apiVersion` says.
pub const API_VERSION: &str = "core.oam.dev/v1beta1";

/// What `kind` says.
pub const KIND: &str = "Application";

/// The label of a workload that has its `id`, by which a lattice knows it.
pub const ID: &str = "id";

/// Whether a document is a manifest of wadm: an application of OAM, whatever its version, with
/// components that have images.
pub fn is_manifest(node: &Node) -> bool {
    let version = node.get("apiVersion").and_then(Node::as_str);
    let components = node.get("spec").and_then(|spec| spec.get("components"));
    let list = components.is_some_and(|components| matches!(components.value, Value::Array(_)));
    version.is_some_and(|version| version.starts_with("core.oam.dev/"))
        || (list && node.get("kind").and_then(Node::as_str) == Some(KIND))
}

/// Reads a manifest. What is wrong is added to `found`; there is an application only if nothing makes
/// it unusable.
pub fn read(source: &reef_document::Source, found: &mut Diagnostics) -> Option<Application> {
    let node = match parse(source, Syntax::Yaml) {
        Ok(node) => node,
        Err(wrong) => {
            found.extend(wrong);
            return None;
        }
    };
    let mut all = Diagnostics::default();
    let manifest = schema::decode(node, source, &mut all);
    let application = manifest.map(|manifest| read::application(&manifest, &mut all));
    // A provider's configuration is looked at again with each of its links.
    let mut seen = HashSet::new();
    let mut own = Diagnostics::default();
    own.extend(all.into_iter().filter(|one| {
        let place = one.span().map(|span| (span.start, span.end));
        seen.insert((place, one.message().to_owned()))
    }));
    own.settle(source);
    let usable = !own.has_errors();
    found.extend(own);
    application.filter(|_| usable)
}
