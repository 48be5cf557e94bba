//! The WAGI contract: a WASI 0.1 command answers an HTTP request the way a CGI/1.1 script does.
//!
//! Pure: bytes in, typed model out. Nothing here runs a guest or touches a socket.
//!
//! * [`modules`]: `modules.toml`, which says what handler answers which route;
//! * [`routes`]: what a module's own `_routes` function printed, as routes below the module's;
//! * [`environment`] and [`arguments`]: what the guest is started with, from [`RequestFacts`];
//! * [`ResponseParser`]: what the guest wrote to standard output, as it arrives, read as a header
//!   block and a body;
//! * [`experimental_http`]: the import module through which such guests send requests.
//!
//! Sources: RFC 3875 (CGI/1.1), the documents of deislabs/wagi, and Spin's `wagi` executor for
//! `argv`. Where those disagree or are unsafe, the item concerned says what is done and why.

pub mod experimental_http;
pub mod modules;
mod request;
mod response;
pub mod routes;

pub use request::{
    DEFAULT_ARGV, GATEWAY_INTERFACE, META_VARIABLES, RequestFacts, SERVER_SOFTWARE, arguments,
    environment,
};
pub use response::{
    Error, LineFault, MAX_HEADER_BLOCK, MAX_HEADERS, Progress, ResponseHead, ResponseParser,
};
