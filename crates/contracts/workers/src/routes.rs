//! Patterns as routes.
//!
//! A router prefers what is written out, from the left, and below a route that takes everything only
//! what is below the same folder. Wasm Workers Server asks patterns in one order for the whole site: every
//! path with parameters comes before every catch-all. Where the two would answer differently, a worker
//! gets a route more, for just those paths: `[x]/[y].js` beside `a/[...rest].js` answers at `/:x/:y` and,
//! because a router would give it to the catch-all, at `/a/:y`.

use std::collections::BTreeMap;

use crate::pattern::{Pattern, Segment};

/// A route and the worker that it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Its place in the order of precedence.
    pub(crate) owner: usize,
    pub(crate) segments: Vec<Segment>,
    pub(crate) below: bool,
    /// It is the worker's own pattern.
    own: bool,
}

/// The routes of a site, by their shape.
#[derive(Debug, Default)]
pub(crate) struct Routes(BTreeMap<String, Entry>);

/// More routes than the bound.
#[derive(Debug)]
pub(crate) struct TooMany;

impl Routes {
    /// The routes of patterns that are in their order of precedence, no two of one shape.
    pub(crate) fn of(patterns: &[&Pattern], most: usize) -> Result<Self, TooMany> {
        let mut routes = Self::default();
        for (owner, pattern) in patterns.iter().enumerate() {
            let (segments, below) = (pattern.segments.clone(), pattern.rest.is_some());
            routes.add(Entry { owner, segments, below, own: true });
        }
        // What was added may meet what is there: until nothing more comes.
        let mut fresh: Vec<Entry> =
            routes.0.values().filter(|entry| entry.below).cloned().collect();
        while !fresh.is_empty() {
            let mut met = Vec::new();
            let all: Vec<Entry> = routes.0.values().cloned().collect();
            for one in &all {
                for other in &fresh {
                    met.extend(one.over(other, patterns));
                    met.extend(other.over(one, patterns));
                    if met.len() > most {
                        return Err(TooMany);
                    }
                }
            }
            fresh = met.into_iter().filter(|entry| routes.add(entry.clone())).collect();
            if routes.0.len() > most {
                return Err(TooMany);
            }
        }
        Ok(routes)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.values()
    }

    /// True if it is new, or comes before the one of its shape.
    fn add(&mut self, entry: Entry) -> bool {
        let shape = shape(&entry.segments, entry.below);
        let before = self.0.get(&shape).is_none_or(|known| entry.owner < known.owner);
        if before {
            self.0.insert(shape, entry);
        }
        before
    }
}

impl Entry {
    /// The route by which this one's worker keeps its paths from `other`, where a router might choose
    /// that: for what both take, and for what only a router thinks that the other one takes.
    fn over(&self, other: &Self, patterns: &[&Pattern]) -> Option<Self> {
        if self.owner == other.owner {
            return None;
        }
        let is_first = self.owner < other.owner && (other.below || !other.own);
        if is_first && let Some(common) = self.common(other) {
            return Some(common);
        }
        // A catch-all's route takes its folder too, which the catch-all does not.
        let length = other.segments.len();
        if !other.below || length == 0 {
            return None;
        }
        let own = patterns.get(self.owner)?;
        let takes = match own.rest {
            None => own.segments.len() == length,
            Some(_) => own.segments.len() < length,
        };
        let fits =
            if self.below { self.segments.len() <= length } else { self.segments.len() == length };
        if !takes || !fits {
            return None;
        }
        let mut segments = unified(&self.segments, &other.segments)?;
        segments.extend_from_slice(&other.segments[self.segments.len()..]);
        Some(Self { owner: self.owner, segments, below: false, own: false })
    }

    /// What both take.
    fn common(&self, other: &Self) -> Option<Self> {
        let (own, others) = (self.segments.len(), other.segments.len());
        // A catch-all takes a segment more than its route is long, except at the root.
        let reaches = |length: usize, of: usize| of == 0 || length > of;
        let below = match (self.below, other.below) {
            (false, false) if own == others => false,
            (false, true) if reaches(own, others) => false,
            (true, false) if reaches(others, own) => false,
            (true, true) => true,
            _ => return None,
        };
        let mut segments = unified(&self.segments, &other.segments)?;
        let longer = if own > others { &self.segments } else { &other.segments };
        segments.extend_from_slice(&longer[own.min(others)..]);
        Some(Self { owner: self.owner, segments, below, own: false })
    }
}

/// As far as both go: what is written out in one of them; `None` where nothing fits both.
fn unified(one: &[Segment], other: &[Segment]) -> Option<Vec<Segment>> {
    let pair = |pair: (&Segment, &Segment)| match pair {
        (Segment::Literal(one), Segment::Literal(other)) if one != other => None,
        (Segment::Parameter(_), literal @ Segment::Literal(_)) => Some(literal.clone()),
        (one, _) => Some(one.clone()),
    };
    one.iter().zip(other).map(pair).collect()
}

/// Equal for routes that take the same paths.
pub(crate) fn shape(segments: &[Segment], below: bool) -> String {
    let mut shape = String::new();
    for segment in segments {
        shape.push('/');
        match segment {
            Segment::Literal(text) => shape.push_str(text),
            Segment::Parameter(_) => shape.push(':'),
        }
    }
    if below {
        shape.push_str("/...");
    }
    shape
}
