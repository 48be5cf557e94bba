//! The application model.
