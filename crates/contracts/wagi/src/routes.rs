//! Routes that a module tells of itself.
//!
//! WAGI calls a module's export `_routes`, if it has one, before the first request, without
//! environment, arguments, volumes or network, and reads what it prints: lines of two words, a route
//! and the function that answers it. Those routes stand below the module's own.

use std::str::FromStr;

use reef_app::{Route, RouteError};

/// The export that prints routes.
pub const EXPORT: &str = "_routes";

/// Most bytes that a module may print.
pub const MAX_OUTPUT: usize = 64 * 1024;

/// Most routes of one module.
pub const MAX_ROUTES: usize = 1024;

/// The longest line in bytes.
pub const MAX_LINE: usize = 2048;

/// Longest piece of a line that an error repeats, in characters.
const EXCERPT: usize = 80;

/// What a `_routes` function printed: patterns and the functions that answer them, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DynamicRoutes {
    routes: Vec<DynamicRoute>,
}

/// One line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamicRoute {
    /// From the module's own route on, as it was printed: `/hello`, `/goodbye/...`.
    pub pattern: String,
    /// The export that answers: `hello`, `_start`.
    pub entrypoint: String,
}

/// Who answers at a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handler {
    /// The whole route.
    pub route: Route,
    /// The export that answers; `None` for the one that the manifest says.
    pub entrypoint: Option<String>,
}

/// Output that is no list of routes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoutesError {
    #[error(
        "`_routes` printed nothing: print `/path function` for each route, or do not export it"
    )]
    Empty,
    #[error("`_routes` printed more than {MAX_OUTPUT} bytes")]
    TooLong,
    #[error("`_routes` printed more than {MAX_ROUTES} routes")]
    TooMany,
    #[error("what `_routes` printed is not text in UTF-8")]
    NotText,
    #[error("line {line} of what `_routes` printed is longer than {MAX_LINE} bytes")]
    LongLine {
        /// From 1.
        line: usize,
    },
    #[error(
        "line {line} of what `_routes` printed, {text:?}, has {words} words: a line is a route and the \
         function that answers it, such as `/hello hello`"
    )]
    Words {
        /// From 1.
        line: usize,
        /// The start of the line.
        text: String,
        /// How many there are.
        words: usize,
    },
    #[error("line {line} of what `_routes` printed: {fault}")]
    Route {
        /// From 1.
        line: usize,
        /// What is wrong.
        fault: PathFault,
    },
}

/// Not a path of WAGI's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    #[error("the route is longer than {MAX_LINE} bytes")]
    TooLong,
    #[error("the route `{0}` does not begin with `/`")]
    NoSlash(String),
    #[error(
        "the route `{0}` has a segment that begins with `:`, which is a parameter here and itself in WAGI"
    )]
    Parameter(String),
    #[error(transparent)]
    Route(#[from] RouteError),
}

/// A route as WAGI writes it: `/path` is itself alone, `/path/...` also everything below.
///
/// # Errors
/// When it is not a path, or one that Reef would read as something else.
pub(crate) fn literal(host: &str, path: &str) -> Result<Route, PathFault> {
    if path.len() > MAX_LINE {
        return Err(PathFault::TooLong);
    }
    if !path.starts_with('/') {
        return Err(PathFault::NoSlash(path.to_owned()));
    }
    if path.contains("/:") {
        return Err(PathFault::Parameter(path.to_owned()));
    }
    Ok(format!("{host}{path}").parse()?)
}

/// Whether every request that `narrow` takes is taken by `wide` too.
pub(crate) fn covers(wide: &Route, narrow: &Route) -> bool {
    wide.host() == narrow.host()
        && if wide.takes_below() {
            narrow.segments().starts_with(wide.segments())
        } else {
            !narrow.takes_below() && wide.segments() == narrow.segments()
        }
}

impl DynamicRoutes {
    /// Reads what was printed.
    ///
    /// Empty lines are left out, as WAGI does; so are lines of white space, and lines that begin with
    /// `#`, which no path can.
    ///
    /// # Errors
    /// What WAGI refuses, a line that has not two words and a list without any; what exceeds the
    /// bounds of this module; and patterns that are no routes.
    pub fn parse(output: &[u8]) -> Result<Self, RoutesError> {
        if output.len() > MAX_OUTPUT {
            return Err(RoutesError::TooLong);
        }
        let text = std::str::from_utf8(output).map_err(|_| RoutesError::NotText)?;
        let mut routes = Vec::new();
        for (line, text) in text.lines().enumerate() {
            let line = line + 1;
            if text.len() > MAX_LINE {
                return Err(RoutesError::LongLine { line });
            }
            let mut words = text.split_whitespace();
            let (pattern, entrypoint) = match (words.next(), words.next(), words.next()) {
                (None, ..) => continue,
                (Some(first), ..) if first.starts_with('#') => continue,
                (Some(pattern), Some(entrypoint), None) => (pattern, entrypoint),
                _ => {
                    let words = text.split_whitespace().count();
                    let text = text.chars().take(EXCERPT).collect();
                    return Err(RoutesError::Words { line, text, words });
                }
            };
            // Below `/` is the shortest way to see whether it is one.
            below("/", pattern).map_err(|fault| RoutesError::Route { line, fault })?;
            if routes.len() == MAX_ROUTES {
                return Err(RoutesError::TooMany);
            }
            let (pattern, entrypoint) = (pattern.to_owned(), entrypoint.to_owned());
            routes.push(DynamicRoute { pattern, entrypoint });
        }
        if routes.is_empty() { Err(RoutesError::Empty) } else { Ok(Self { routes }) }
    }

    /// The lines.
    pub fn iter(&self) -> impl Iterator<Item = &DynamicRoute> {
        self.routes.iter()
    }

    /// The routes of a module whose own route is `base`, its own among them.
    ///
    /// WAGI takes the last line that fits a request, and the module's own route where none does;
    /// Reef takes the longest route. Those are the same once routes are left out that a later one
    /// takes all requests of, as is done here.
    ///
    /// Each line's route is what WAGI's documents say, the module's route with the line's behind it.
    /// (The WAGI server made `/example//...` of `/example` and `/...`, which took next to nothing.)
    ///
    /// # Errors
    /// When a route together with its base is too long for one.
    pub fn under(&self, base: &Route) -> Result<Vec<Handler>, PathFault> {
        let own = Handler { route: base.clone(), entrypoint: None };
        let mut handlers = vec![own];
        let path = base.path();
        let start = path.strip_suffix("/...").unwrap_or(&path);
        for line in &self.routes {
            let below = below(start, &line.pattern)?;
            let host = base.host().unwrap_or_default();
            let route = Route::from_str(&format!("{host}{below}"))?;
            handlers.push(Handler { route, entrypoint: Some(line.entrypoint.clone()) });
        }
        let mut kept: Vec<Handler> = Vec::new();
        for handler in handlers.into_iter().rev() {
            if !kept.iter().any(|later| covers(&later.route, &handler.route)) {
                kept.push(handler);
            }
        }
        kept.reverse();
        Ok(kept)
    }
}

/// A line's pattern behind its module's path, with one slash between.
fn below(base: &str, pattern: &str) -> Result<String, PathFault> {
    let base = base.strip_suffix('/').unwrap_or(base);
    let path = format!("{base}/{}", pattern.strip_prefix('/').unwrap_or(pattern));
    // What the base has is not the line's: a route of Reef's may hold parameters.
    literal("", &path[base.len()..])?;
    Ok(path)
}

#[cfg(test)]
mod tests;
