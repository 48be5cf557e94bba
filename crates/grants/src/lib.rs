//! What a workload may do, and how much it may use, as people write it: the values of flags and of
//! manifest fields alike.
//!
//! * [`Grants`]: directories ([`DirGrant`]), variables ([`EnvGrant`]), destinations
//!   ([`Destination`]), listeners;
//! * [`Limits`]: a deadline, memory ([`ByteSize`]), processor time ([`CpuShare`]).
//!
//! Text in, values out: nothing is opened, resolved or enforced here.

mod address;
mod destination;
mod grants;
mod limits;

pub use address::{HostFault, IpNetwork, Target, is_localhost, is_public};
pub use destination::{Destination, DestinationError, Fault, Host, Ports};
pub use grants::{
    Access, DirGrant, EnvGrant, Grants, ParseGrantError, PemFile, ScratchGrant, Tls, VolumeGrant,
};
pub use limits::{ByteSize, CpuShare, Limits, ParseLimitError, parse_duration};
