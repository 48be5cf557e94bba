//! Where a guest may connect, and the client that connects.
