//! The WAGI contract: a WASI 0.1 command answers an HTTP request the way a CGI/1.1 script does.
//!
//! Pure: bytes in, typed model out. Nothing here runs a guest or touches a socket.
//!
//! * [`environment`] and [`arguments`]: what the guest is started with, from [`RequestFacts`];
//! * [`ResponseParser`]: what the guest wrote to standard output, as it arrives, read as a header
//!   block and a body.
//!
//! Sources: RFC 3875 (CGI/1.1), the documents of deislabs/wagi, and Spin's `wagi` executor for
//! `argv`. Where those disagree or are unsafe, the item concerned says what is done and why.

mod request;
mod response;

pub use request::{
    DEFAULT_ARGV, GATEWAY_INTERFACE, RequestFacts, SERVER_SOFTWARE, arguments, environment,
};
pub use response::{
    Error, LineFault, MAX_HEADER_BLOCK, MAX_HEADERS, Progress, ResponseHead, ResponseParser,
};
