//! Runs workloads.
