//! Parts that are not to have the grants.

use std::borrow::Cow;
use std::collections::BTreeSet;

use wasmparser::ComponentExternalKind;

use crate::ComposeError;
use crate::decode::Component;
use crate::error::Listed;
use crate::graph::{Graph, Source};
use crate::module;
use crate::name::{self, Name};
use crate::own::own_import;

mod refusals;

/// What reaches nothing that is granted, and what code can hardly do without: time, random numbers,
/// streams (which have to come from somewhere first), the words for a request, and saying what is wrong.
const HARMLESS: &[&str] = &[
    "wasi:io",
    "wasi:clocks",
    "wasi:random",
    "wasi:http/types",
    "wasi:cli/types",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
];

/// The translation of WASI 0.1 asks for it before it does anything else. A server's guests have none to
/// read; a command's is its own business.
const STDIN: &str = "wasi:cli/stdin";

/// Whose interfaces a host offers. Any other import is somebody's library, and was to be linked.
const HOSTS: &[&str] = &["wasi", "spin", "fermyon", "wasmcloud"];

/// Puts a component that refuses before each part without the grants, for what it imports of the host.
pub(crate) fn cut_off(graph: &mut Graph<'_>) -> Result<(), ComposeError> {
    for node in graph.order()? {
        if !graph.nodes[node].inherit {
            cut_off_node(graph, node)?;
        }
    }
    Ok(())
}

fn cut_off_node(graph: &mut Graph<'_>, node: usize) -> Result<(), ComposeError> {
    let run = Name::parse("wasi:cli/run");
    let command =
        graph.nodes[0].component.export_names().any(|name| run.covers(&Name::parse(name)));
    let component = &graph.nodes[node].component;
    let (mut refused, mut unlinked) = (Vec::new(), Vec::new());
    for (index, item) in component.imports.iter().enumerate() {
        let name = Name::parse(&item.name);
        let open = graph.nodes[node].sources[index].is_none();
        let own = graph.nodes[node].owns(&item.name).is_some() || own_import(&item.name).is_some();
        if !open || own || component.only_describes(item) || is_harmless(&name, command) {
            continue;
        }
        if item.kind == ComponentExternalKind::Instance && HOSTS.contains(&name.namespace()) {
            refused.push(index);
        } else {
            unlinked.push(item.name.clone());
        }
    }
    if !unlinked.is_empty() {
        let (component, imports) = (component.name.clone(), Listed::of(unlinked));
        return Err(ComposeError::Unlinked { component, imports });
    }
    if refused.is_empty() {
        return Ok(());
    }
    let names: BTreeSet<&str> =
        refused.iter().map(|index| &*component.imports[*index].name).collect();
    let bytes = refusals::component(component, &names)
        .map_err(|error| module::unreadable(&component.name, error))?;
    let called = format!("refusals for {}", component.name);
    let stub = graph.add(Component::from_bytes(called, Cow::Owned(bytes))?, true)?;
    // It takes types from where the part takes them.
    for index in 0..graph.nodes[stub].component.imports.len() {
        let wanted = Name::parse(&graph.nodes[stub].component.imports[index].name);
        let part = &graph.nodes[node];
        let same = part.component.imports.iter().position(|item| {
            let name = Name::parse(&item.name);
            name.same_item(&wanted) && name::compatible(&name.version, &wanted.version)
        });
        let source = same.and_then(|same| part.sources[same].clone());
        graph.nodes[stub].sources[index] = source;
    }
    for index in refused {
        let export = graph.nodes[node].component.imports[index].name.clone();
        graph.nodes[node].sources[index] = Some(Source { node: stub, export });
    }
    Ok(())
}

fn is_harmless(name: &Name<'_>, command: bool) -> bool {
    let stdin = (!command).then_some(&STDIN);
    HARMLESS.iter().chain(stdin).any(|harmless| Name::parse(harmless).covers(name))
}
