//! HTTP middleware in front of a handler.

use crate::decode::Component;
use crate::error::Listed;
use crate::graph::Graph;
use crate::module::Item;
use crate::name::Name;
use crate::{ComposeError, Part, deny, encode};

/// The interfaces that middleware imports and exports: those of WASI 0.2 and 0.3.
pub const HANDLERS: &[&str] = &["wasi:http/incoming-handler", "wasi:http/handler"];

/// A component of a chain.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    pub component: Part<'a>,
    /// Whether it has the grants of the chain, as in [`Plug`](crate::Plug).
    pub inherit: bool,
}

/// One component: a request goes to the first of `middleware`, which hands it to the next, and so on to
/// `handler`. It exports what the first one does.
///
/// Each imports and exports `wasi:http/incoming-handler` of WASI 0.2 or `wasi:http/handler` of 0.3, and
/// so do its neighbours. The types of requests and responses stay imports of all, so that a request
/// passes through unchanged. Without middleware, the handler comes back as it is.
///
/// # Errors
/// Components that are no middleware, neighbours of different versions, and parts that cannot be read.
pub fn in_front(middleware: &[Layer<'_>], handler: Layer<'_>) -> Result<Vec<u8>, ComposeError> {
    let mut graph = Graph::default();
    for layer in middleware.iter().chain([&handler]) {
        graph.add(Component::read(layer.component)?, layer.inherit)?;
    }
    for node in 0..middleware.len() {
        let component = &graph.nodes[node].component;
        let lacks =
            |lacks| ComposeError::NotMiddleware { component: component.name.clone(), lacks };
        if !component.exports.iter().any(is_handler) {
            return Err(lacks("export"));
        }
        let imports = component.imports.iter().enumerate().filter(|(_, item)| is_handler(item));
        let imports: Vec<(usize, String)> =
            imports.map(|(index, item)| (index, item.name.clone())).collect();
        if imports.is_empty() {
            return Err(lacks("import"));
        }
        for (import, name) in imports {
            graph.link(node, import, node + 1, &Name::parse(&name), &name)?;
        }
    }
    let last = &graph.nodes[middleware.len()].component;
    if !last.exports.iter().any(is_handler) {
        let (component, exports) = (last.name.clone(), Listed::of(last.export_names()));
        return Err(ComposeError::NoHandler { component, exports });
    }
    if middleware.is_empty() && handler.inherit {
        return Ok(std::mem::take(&mut graph.nodes[0].component.bytes).into_owned());
    }
    deny::cut_off(&mut graph)?;
    encode::component(graph)
}

fn is_handler(item: &Item) -> bool {
    let name = Name::parse(&item.name);
    HANDLERS.iter().any(|handler| Name::parse(handler).same_item(&name))
}
