//! The greatest flow of least cost through a network.
//!
//! Successive shortest paths, many at a time: as long as the sink can be reached, the distances of all nodes are found
//! (Bellman and Ford's, with a queue), and then paths along them are filled up.

use std::collections::VecDeque;

/// A network of directed edges, each with what it may carry and what each unit of it costs.
#[derive(Debug)]
pub(crate) struct Network {
    /// Edges that leave a node. An edge's way back is the one beside it: `edge ^ 1`.
    leaving: Vec<Vec<usize>>,
    edges: Vec<Edge>,
}

#[derive(Debug)]
struct Edge {
    to: usize,
    left: u64,
    cost: i64,
}

impl Network {
    pub(crate) fn new(nodes: usize) -> Self {
        Self { leaving: vec![Vec::new(); nodes], edges: Vec::new() }
    }

    /// Adds an edge; what comes back says which, for [`Network::carried`].
    pub(crate) fn edge(&mut self, from: usize, to: usize, capacity: u64, cost: i64) -> usize {
        let at = self.edges.len();
        self.edges.push(Edge { to, left: capacity, cost });
        self.edges.push(Edge { to: from, left: 0, cost: -cost });
        self.leaving[from].push(at);
        self.leaving[to].push(at + 1);
        at
    }

    /// What an edge carries.
    pub(crate) fn carried(&self, edge: usize) -> u64 {
        self.edges[edge + 1].left
    }

    /// Sends as much as possible, as cheaply as possible; what comes back is how much.
    pub(crate) fn fill(&mut self, source: usize, sink: usize) -> u64 {
        let mut total = 0;
        while let Some(distances) = self.distances(source, sink) {
            let mut next = vec![0; self.leaving.len()];
            loop {
                let sent = self.send(source, sink, &distances, &mut next);
                if sent == 0 {
                    break;
                }
                total += sent;
            }
        }
        total
    }

    /// The cost of the cheapest way to each node, if there is one to the sink.
    fn distances(&self, source: usize, sink: usize) -> Option<Vec<i64>> {
        let mut distances = vec![i64::MAX; self.leaving.len()];
        let mut queued = vec![false; self.leaving.len()];
        let mut queue = VecDeque::from([source]);
        distances[source] = 0;
        while let Some(node) = queue.pop_front() {
            queued[node] = false;
            for edge in self.leaving[node].iter().map(|edge| &self.edges[*edge]) {
                let distance = distances[node].saturating_add(edge.cost);
                if edge.left > 0 && distance < distances[edge.to] {
                    distances[edge.to] = distance;
                    if !std::mem::replace(&mut queued[edge.to], true) {
                        queue.push_back(edge.to);
                    }
                }
            }
        }
        (distances[sink] < i64::MAX).then_some(distances)
    }

    /// Fills one cheapest way up; what comes back is how much went. `next` is which edge of each node is looked at:
    /// those before it lead nowhere.
    fn send(&mut self, source: usize, sink: usize, distances: &[i64], next: &mut [usize]) -> u64 {
        let mut way: Vec<usize> = Vec::new();
        let mut on_way = vec![false; self.leaving.len()];
        let mut node = source;
        on_way[source] = true;
        while node != sink {
            let Some(at) = self.leaving[node].get(next[node]).copied() else {
                let Some(back) = way.pop() else { return 0 };
                on_way[node] = false;
                node = self.edges[back ^ 1].to;
                next[node] += 1;
                continue;
            };
            let edge = &self.edges[at];
            let cheapest = distances[node].saturating_add(edge.cost) == distances[edge.to];
            if edge.left > 0 && cheapest && !on_way[edge.to] {
                way.push(at);
                node = edge.to;
                on_way[node] = true;
            } else {
                next[node] += 1;
            }
        }
        let sent = way.iter().map(|edge| self.edges[*edge].left).min().unwrap_or(0);
        for edge in way {
            self.edges[edge].left -= sent;
            self.edges[edge ^ 1].left += sent;
        }
        sent
    }
}
