#![doc = include_str!("../README.md")]

mod application;
mod component;
mod dependency;
mod field;
pub mod headers;
mod hosts;
mod http_trigger;
mod id;
mod known;
mod middleware;
mod network;
pub mod reserved;
mod schema;
mod template;
mod trigger;
mod v1;
mod variable;

use reef_app::Application;
use reef_document::{Diagnostic, Diagnostics, Node, Source, Syntax, parse};

/// Whether a document is a `spin.toml`, by the field that says its version.
pub fn is_manifest(node: &Node) -> bool {
    node.get("spin_manifest_version").or_else(|| node.get("spin_version")).is_some()
}

/// Reads a `spin.toml` of version 2 or 1, as its profile of that name if one is given. What is wrong is
/// added to `found`; there is an application only if nothing makes it unusable.
pub fn read(
    source: &Source,
    profile: Option<&str>,
    found: &mut Diagnostics,
) -> Option<Application> {
    let node = match parse(source, Syntax::Toml) {
        Ok(node) => node,
        Err(wrong) => {
            found.extend(wrong);
            return None;
        }
    };
    let mut own = Diagnostics::default();
    let application = application::application(&node, profile, &mut own);
    if let Some(application) = &application {
        application.check(&mut own);
    }
    own.settle(source);
    let usable = !own.has_errors();
    let mut own: Vec<_> = own.into_iter().collect();
    // A route is there with a slash at its end too, and what is wrong with it is said once.
    own.dedup_by(|one, before| {
        let message = |diagnostic: &Diagnostic| diagnostic.message().trim_end_matches('/').len();
        one.span() == before.span()
            && one.message().starts_with(before.message().trim_end_matches('/'))
            && message(one) == message(before)
    });
    found.extend(own);
    application.filter(|_| usable)
}
