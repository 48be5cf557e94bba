//! Who subscribes to what: a tree of tokens, so that finding those who want a message takes as long as
//! its subject is, however many others there are.

use std::{collections::HashMap, sync::Arc};

use reef_app::Subject;

/// Values under patterns of subjects.
#[derive(Debug)]
pub(crate) struct Subjects<T>(Node<T>);

#[derive(Debug)]
struct Node<T> {
    /// Under the next token.
    tokens: HashMap<Box<str>, Node<T>>,
    /// Under `*`.
    any: Option<Box<Node<T>>>,
    /// Under a `>` that stands here.
    rest: Vec<Arc<T>>,
    /// Under the pattern that ends here.
    here: Vec<Arc<T>>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { tokens: HashMap::new(), any: None, rest: Vec::new(), here: Vec::new() }
    }
}

impl<T> Default for Subjects<T> {
    fn default() -> Self {
        Self(Node::default())
    }
}

impl<T> Subjects<T> {
    pub(crate) fn insert(&mut self, pattern: &Subject, value: Arc<T>) {
        let mut node = &mut self.0;
        for token in pattern.as_str().split('.') {
            node = match token {
                ">" => return node.rest.push(value),
                "*" => node.any.get_or_insert_default(),
                token => node.tokens.entry(token.into()).or_default(),
            };
        }
        node.here.push(value);
    }

    /// Takes a value out again, if it is there.
    pub(crate) fn remove(&mut self, pattern: &Subject, value: &Arc<T>) {
        let tokens: Vec<_> = pattern.as_str().split('.').collect();
        self.0.remove(&tokens, value);
    }

    /// All whose pattern matches a subject.
    pub(crate) fn find(&self, subject: &str) -> Vec<Arc<T>> {
        let mut found = Vec::new();
        // Two for each token at most, and none that is not there: the tree bounds it.
        let mut level = vec![&self.0];
        for token in subject.split('.') {
            let mut below = Vec::with_capacity(level.len());
            for node in level {
                found.extend(node.rest.iter().cloned());
                below.extend(node.tokens.get(token));
                below.extend(node.any.as_deref());
            }
            if below.is_empty() {
                return found;
            }
            level = below;
        }
        found.extend(level.into_iter().flat_map(|node| node.here.iter().cloned()));
        found
    }
}

impl<T> Node<T> {
    fn remove(&mut self, tokens: &[&str], value: &Arc<T>) {
        let without = |all: &mut Vec<Arc<T>>| all.retain(|one| !Arc::ptr_eq(one, value));
        match tokens {
            [] => without(&mut self.here),
            [">"] => without(&mut self.rest),
            ["*", below @ ..] => {
                if let Some(any) = &mut self.any {
                    any.remove(below, value);
                    self.any.take_if(|any| any.is_empty());
                }
            }
            [token, below @ ..] => {
                if let Some(node) = self.tokens.get_mut(*token) {
                    node.remove(below, value);
                    if node.is_empty() {
                        self.tokens.remove(*token);
                    }
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.any.is_none() && self.rest.is_empty() && self.here.is_empty()
    }
}
