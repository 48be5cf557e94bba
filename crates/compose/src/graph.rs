//! Components, and which import of each is satisfied by which export of another.

use crate::decode::Component;
use crate::error::{At, Listed};
use crate::name::{self, Name};
use crate::own::{OwnImports, own_import};
use crate::{ComposeError, MAX_PARTS};

/// An export of a component of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) node: usize,
    pub(crate) export: String,
}

#[derive(Debug)]
pub(crate) struct Node<'a> {
    pub(crate) component: Component<'a>,
    /// What satisfies each import, in their order; what nothing does stays an import.
    pub(crate) sources: Vec<Option<Source>>,
    /// Whether what stays an import may reach what was granted.
    pub(crate) inherit: bool,
    /// What stays an import under a name of its own.
    pub(crate) own: Option<OwnImports>,
}

impl Node<'_> {
    /// The part that it is, if an import stays its own.
    pub(crate) fn owns(&self, import: &str) -> Option<u32> {
        self.own.as_ref().filter(|own| own.covers(import)).map(|own| own.part)
    }

    /// Whether it reaches what was not given to the composition as a whole.
    pub(crate) fn has_own(&self) -> bool {
        let before = || self.component.import_names().any(|name| own_import(name).is_some());
        self.own.as_ref().is_some_and(|own| own.any_of(&self.component)) || before()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Graph<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
}

impl<'a> Graph<'a> {
    pub(crate) fn add(
        &mut self,
        component: Component<'a>,
        inherit: bool,
    ) -> Result<usize, ComposeError> {
        if self.nodes.len() == MAX_PARTS {
            let (component, what) = (component.name, "parts");
            return Err(ComposeError::TooMany { component, what, most: MAX_PARTS });
        }
        let sources = vec![None; component.imports.len()];
        self.nodes.push(Node { component, sources, inherit, own: None });
        Ok(self.nodes.len() - 1)
    }

    /// Satisfies one import by the export of another component that goes by the name `wanted`.
    pub(crate) fn link(
        &mut self,
        node: usize,
        import: usize,
        plug: usize,
        wanted: &Name<'_>,
        written: &str,
    ) -> Result<(), ComposeError> {
        let (into, from) = (&self.nodes[node], &self.nodes[plug].component);
        let import_name = &into.component.imports[import].name;
        let Some(export) = from.find_export(wanted) else {
            let other = from.exports.iter().find(|item| Name::parse(&item.name).same_item(wanted));
            let at = self.at(node, import, plug);
            return Err(match other {
                Some(other) => ComposeError::Version { at, export: other.name.clone() },
                None => ComposeError::NoExport {
                    at,
                    wanted: written.to_owned(),
                    exports: Listed::of(from.export_names()),
                    nearest: name::nearest(written, from.export_names()),
                },
            });
        };
        self.check_complete(node, import, plug, &export.name)?;
        let source = Source { node: plug, export: export.name.clone() };
        if let Some(before) = &into.sources[import]
            && *before != source
        {
            return Err(ComposeError::Twice {
                component: into.component.name.clone(),
                import: import_name.clone(),
                first: self.nodes[before.node].component.name.clone(),
                second: from.name.clone(),
            });
        }
        self.nodes[node].sources[import] = Some(source);
        Ok(())
    }

    /// Names only: whether the types fit too is found when all is put together.
    fn check_complete(
        &self,
        node: usize,
        import: usize,
        plug: usize,
        export: &str,
    ) -> Result<(), ComposeError> {
        let (into, from) = (&self.nodes[node].component, &self.nodes[plug].component);
        let wants = into.imported(&into.imports[import].name);
        let (Some(wants), Some(has)) = (wants, from.exported(export)) else {
            return Ok(());
        };
        let (wants, has) = (&into.resolve.interfaces[wants], &from.resolve.interfaces[has]);
        let functions = wants.functions.keys().filter(|name| !has.functions.contains_key(*name));
        let types = wants.types.keys().filter(|name| !has.types.contains_key(*name));
        let missing: Vec<&String> = functions.chain(types).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(ComposeError::Incomplete {
            at: self.at(node, import, plug),
            export: export.to_owned(),
            missing: Listed::of(missing),
        })
    }

    fn at(&self, node: usize, import: usize, plug: usize) -> Box<At> {
        let into = &self.nodes[node].component;
        Box::new(At {
            component: into.name.clone(),
            import: into.imports[import].name.clone(),
            plug: self.nodes[plug].component.name.clone(),
        })
    }

    /// The nodes that the first one needs, each after those that it needs.
    pub(crate) fn order(&self) -> Result<Vec<usize>, ComposeError> {
        #[derive(Clone, Copy, PartialEq)]
        enum Seen {
            Not,
            Above,
            Done,
        }
        let mut seen = vec![Seen::Not; self.nodes.len()];
        let mut order = Vec::new();
        // A node, and how many of its imports were followed.
        let mut path = vec![(0, 0)];
        while let Some((node, next)) = path.last_mut() {
            let node = *node;
            seen[node] = Seen::Above;
            let Some(source) = self.nodes[node].sources.get(*next) else {
                seen[node] = Seen::Done;
                order.push(node);
                path.pop();
                continue;
            };
            *next += 1;
            match source {
                Some(source) if seen[source.node] == Seen::Not => path.push((source.node, 0)),
                Some(source) if seen[source.node] == Seen::Above => {
                    let from = path.iter().position(|(node, _)| *node == source.node).unwrap_or(0);
                    let around = path[from..].iter().map(|(node, _)| *node).chain([source.node]);
                    let names: Vec<String> = around
                        .map(|node| format!("`{}`", self.nodes[node].component.name))
                        .collect();
                    return Err(ComposeError::Cycle { path: names.join(" → ") });
                }
                _ => {}
            }
        }
        Ok(order)
    }

    pub(crate) fn names(&self) -> Listed {
        Listed::of(self.nodes.iter().map(|node| node.component.name.clone()))
    }
}
