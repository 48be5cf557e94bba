//! The Bindle contract: packages of files, in which WAGI looks for modules.
//!
//! [`Id`] names a bindle, [`Invoice`] is what a server says of it, and [`Invoice::wasm`] finds the parcel
//! that is the WebAssembly, by the rule that WAGI has for a `bindle:` reference in `modules.toml`. Where
//! they are on a server is [`invoice_path`] and [`parcel_path`] (Bindle 1.0.0: invoice, label, reference
//! and protocol specifications).

mod id;
mod invoice;

pub use id::{Id, IdError};
pub use invoice::{Invoice, InvoiceError, LARGEST, Parcel, ParcelError};

/// Where the invoice is, from the server's base on.
pub fn invoice_path(id: &Id) -> String {
    format!("/_i/{}", id.encoded())
}

/// Where a parcel is, from the server's base on.
pub fn parcel_path(id: &Id, parcel: &Parcel) -> String {
    format!("/_i/{}@{}", id.encoded(), parcel.digest.hex())
}
