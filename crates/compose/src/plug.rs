//! Imports of a component satisfied by exports of others.

use crate::decode::Component;
use crate::error::Listed;
use crate::graph::Graph;
use crate::name::{self, Name};
use crate::own::{Own, OwnImports};
use crate::{ComposeError, Part, deny, encode};

/// A component that satisfies imports.
#[derive(Clone, Copy, Debug)]
pub struct Plug<'a> {
    pub component: Part<'a>,
    /// Which imports: an interface with or without its version (`acme:math/add@1.2.0`), a package for all
    /// that is imported of it (`acme:math`), or the name of a function.
    pub import: &'a str,
    /// What is exported for it, where that has another name. For a package: the other package.
    pub export: Option<&'a str>,
    /// Whether the component has the grants of the composition. One that does not is given what the other
    /// links offer, as far as they do not inherit either, and what reaches nothing: clocks, random
    /// numbers, streams, its log, and the types of HTTP. The rest of WASI is there and refuses.
    pub inherit: bool,
    /// What it imports that stays its own, whoever else imports the same. No other plug may use it then:
    /// it would reach what it was not granted.
    pub own: Option<Own<'a>>,
}

/// One component: `handler`, with imports satisfied by `plugs`, and with the exports of `handler`.
///
/// A link counts for the handler and for the other plugs, so plugs may stand on each other. The same
/// bytes with the same `inherit` are one instance, however many links name it. What no link satisfies
/// stays an import; several versions of one interface become the newest of its compatibility track.
/// Without links, the handler comes back as it is.
///
/// # Errors
/// Links that match no import or no export, versions and types that do not fit, circles, imports of a
/// part without the grants that nothing satisfies, and parts that cannot be read.
pub fn plug(handler: Part<'_>, plugs: &[Plug<'_>]) -> Result<Vec<u8>, ComposeError> {
    let mut graph = Graph::default();
    let handler = Component::read(handler)?;
    if plugs.is_empty() {
        return Ok(handler.bytes.into_owned());
    }
    graph.add(handler, true)?;
    let mut at: Vec<usize> = Vec::with_capacity(plugs.len());
    for (index, plug) in plugs.iter().enumerate() {
        let same = plugs[..index].iter().position(|before| {
            let part = |plug: &Plug<'_>| plug.own.map(|own| own.part);
            before.inherit == plug.inherit
                && part(before) == part(plug)
                && before.component.bytes == plug.component.bytes
        });
        at.push(match same {
            Some(same) => at[same],
            None => {
                let node = graph.add(Component::read(plug.component)?, plug.inherit)?;
                graph.nodes[node].own = plug.own.map(OwnImports::of);
                node
            }
        });
    }
    for (plug, from) in plugs.iter().zip(&at) {
        link(&mut graph, plug, *from)?;
    }
    graph.order()?;
    deny::cut_off(&mut graph)?;
    encode::component(graph)
}

fn link(graph: &mut Graph<'_>, plug: &Plug<'_>, from: usize) -> Result<(), ComposeError> {
    let wanted = Name::parse(plug.import);
    let mut found = false;
    for node in (0..graph.nodes.len()).filter(|node| *node != from) {
        let names: Vec<String> =
            graph.nodes[node].component.import_names().map(str::to_owned).collect();
        for (import, name) in names.iter().enumerate() {
            let parsed = Name::parse(name);
            if name != plug.import && !wanted.covers(&parsed) {
                continue;
            }
            let (of, into) = (&graph.nodes[from], &graph.nodes[node]);
            let described = into.component.only_describes(&into.component.imports[import]);
            if node != 0 && (of.has_own() || of.inherit && !into.inherit) {
                // Through this one it would reach what it was not granted.
                continue;
            }
            let target = target(&parsed, plug.export);
            if of.component.find_export(&target).is_none()
                && (described && !wanted.is_item() || node != 0)
            {
                // A package has interfaces that only describe data; and what the handler's links offer
                // beyond it is an offer.
                found |= described && node == 0;
                continue;
            }
            let written = if plug.export.is_some() { written(&target) } else { name.clone() };
            graph.link(node, import, from, &target, &written)?;
            found = true;
        }
    }
    if found {
        return Ok(());
    }
    let handler = &graph.nodes[0].component;
    Err(ComposeError::NoImport {
        component: handler.name.clone(),
        wanted: plug.import.to_owned(),
        imports: Listed::of(handler.import_names()),
        nearest: name::nearest(plug.import, handler.import_names()),
    })
}

/// The export that is looked for.
fn target<'a>(import: &Name<'a>, export: Option<&'a str>) -> Name<'a> {
    let Some(export) = export else { return import.clone() };
    let mut target = Name::parse(export);
    if !target.package.is_empty() && !target.is_item() {
        target.item = import.item;
    }
    target
}

fn written(name: &Name<'_>) -> String {
    let mut text = match name.package {
        "" => name.item.to_owned(),
        package => format!("{package}/{}", name.item),
    };
    if let Some(version) = &name.version {
        text = format!("{text}@{version}");
    }
    text
}
