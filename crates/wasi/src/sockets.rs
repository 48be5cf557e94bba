//! Sockets and names: what of them a workload may use.

use std::{
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use reef_egress::{Egress, Sockets};
use reef_grants::Ports;
use wasmtime::{
    AsContextMut as _,
    component::{Linker, Resource},
};
use wasmtime_wasi::{
    WasiCtxBuilder,
    p2::bindings::sockets::{
        ip_name_lookup as names02,
        network::{ErrorCode, Network},
    },
    p3::{bindings::sockets::ip_name_lookup as names03, bindings::sockets::types::IpAddress},
    sockets::{SocketAddrUse, WasiSockets, WasiSocketsView as _},
};

use crate::guest::ComponentGuest;

const LOOKUP_0_2: &str = "wasi:sockets/ip-name-lookup@0.2.12";
const LOOKUP_0_3: &str = "wasi:sockets/ip-name-lookup@0.3.0";

/// The rules of one workload, shared by its instances.
pub(crate) struct SocketRules {
    workload: Arc<str>,
    egress: Egress,
    sockets: Sockets,
    listen: Box<[SocketAddr]>,
}

type Verdict = Pin<Box<dyn Future<Output = bool> + Send + Sync>>;

// === impl SocketRules ===

impl SocketRules {
    pub(crate) fn new(
        workload: Arc<str>,
        egress: Egress,
        sockets: Sockets,
        listen: &[SocketAddr],
    ) -> Self {
        Self { workload, egress, sockets, listen: listen.into() }
    }

    /// Has every use of an address checked. Making a socket is free, so that it is always an
    /// address that is refused, and the refusal can name it.
    pub(crate) fn apply(self: &Arc<Self>, wasi: &mut WasiCtxBuilder) {
        let rules = self.clone();
        wasi.allow_tcp(true)
            .allow_udp(true)
            // Each name is checked before: see `check_names`.
            .allow_ip_name_lookup(true)
            .socket_addr_check(move |addr, usage| rules.clone().check(addr, usage));
    }

    fn check(self: Arc<Self>, addr: SocketAddr, usage: SocketAddrUse) -> Verdict {
        let allowed = match usage {
            // Whatever port is free, which is what connecting takes. What then goes through the
            // socket is checked by itself.
            SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => {
                addr.port() == 0 || self.may_listen(addr)
            }
            SocketAddrUse::TcpListen => self.may_listen(addr),
            SocketAddrUse::TcpAccept => !self.listen.is_empty(),
            SocketAddrUse::UdpReceive if !self.listen.is_empty() => true,
            _ if self.egress.permits_addr(addr) => true,
            // No name was granted that this address could belong to.
            _ if self.egress.destinations().is_empty() => false,
            _ => {
                // Resolving is not `Sync`, which Wasmtime asks of the whole check; a task's handle is.
                let rules = self.clone();
                let asked = tokio::spawn(async move { rules.sockets.permits_socket(addr).await });
                return Box::pin(async move {
                    let allowed = asked.await.unwrap_or(false);
                    if !allowed {
                        self.refuse(addr, usage);
                    }
                    allowed
                });
            }
        };
        if !allowed {
            self.refuse(addr, usage);
        }
        Box::pin(std::future::ready(allowed))
    }

    fn may_listen(&self, addr: SocketAddr) -> bool {
        self.listen.iter().any(|granted| {
            let ip = granted.ip() == addr.ip()
                || (granted.ip().is_unspecified() && granted.is_ipv4() == addr.is_ipv4());
            ip && (granted.port() == addr.port() || granted.port() == 0)
        })
    }

    fn refuse(&self, addr: SocketAddr, usage: SocketAddrUse) {
        let workload = &*self.workload;
        let (what, flag) = match usage {
            SocketAddrUse::TcpBind => ("bind a TCP socket to", "--listen"),
            SocketAddrUse::TcpListen => ("listen on", "--listen"),
            SocketAddrUse::UdpBind => ("bind a UDP socket to", "--listen"),
            SocketAddrUse::UdpSend => ("send datagrams to", "--egress"),
            // Strangers must not be able to fill the log.
            SocketAddrUse::UdpReceive | SocketAddrUse::TcpAccept => {
                tracing::debug!(workload, %addr, "What came from an address not granted is dropped.");
                return;
            }
            _ => ("connect to", "--egress"),
        };
        let field = flag.trim_start_matches('-');
        tracing::warn!(
            workload,
            denied = field,
            grant = %addr,
            "workload `{workload}` may not {what} {addr}: it was not granted; allow it with \
             `{flag} {addr}`, in a manifest `{field} = [\"{addr}\"]`"
        );
    }

    /// Whether a name may be looked up: some grant covers it, whatever its port. Anything else would
    /// let a guest send what it likes to whoever answers for a domain.
    fn may_resolve(&self, name: &str) -> bool {
        // An address is its own answer; nobody is asked.
        if name.parse::<IpAddr>().is_ok() {
            return true;
        }
        let granted = self.egress.destinations().iter().any(|granted| {
            let port = match granted.ports() {
                Ports::One(port) => port,
                Ports::Any => 1,
            };
            self.egress.permits_host(granted.scheme(), name, port)
        });
        if !granted {
            let workload = &*self.workload;
            // A guest chooses its length; no name is longer than this (RFC 1035, section 2.3.4).
            let name: String = name.chars().take(253).flat_map(char::escape_debug).collect();
            tracing::warn!(
                workload,
                denied = "egress",
                grant = format!("{name}:*"),
                "workload `{workload}` may not look up {name}: it was not granted; allow it with \
                 `--egress {name}:PORT`, in a manifest `egress = [\"{name}:PORT\"]`"
            );
        }
        granted
    }
}

/// Puts the check of names before WASI 0.2's look-up.
pub(crate) fn check_names(linker: &mut Linker<ComponentGuest>) -> wasmtime::Result<()> {
    type Lookup = Result<Resource<names02::ResolveAddressStream>, ErrorCode>;
    linker.allow_shadowing(true);
    linker.instance(LOOKUP_0_2)?.func_wrap(
        "resolve-addresses",
        |mut store: wasmtime::StoreContextMut<'_, ComponentGuest>,
         (network, name): (Resource<Network>, String)| {
            if !store.data().rules().may_resolve(&name) {
                return Ok((Lookup::Err(ErrorCode::AccessDenied),));
            }
            let mut store = store.as_context_mut();
            let mut view = store.data_mut().sockets();
            Ok((match names02::Host::resolve_addresses(&mut view, network, name) {
                Ok(stream) => Lookup::Ok(stream),
                Err(error) => Lookup::Err(error.downcast()?),
            },))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The same for WASI 0.3.
pub(crate) fn check_names_concurrent(linker: &mut Linker<ComponentGuest>) -> wasmtime::Result<()> {
    type Lookup = Result<Vec<IpAddress>, names03::ErrorCode>;
    linker.allow_shadowing(true);
    linker.instance(LOOKUP_0_3)?.func_wrap_concurrent(
        "resolve-addresses",
        |accessor, (name,): (String,)| {
            Box::pin(async move {
                if !accessor.with(|mut store| store.data_mut().rules().may_resolve(&name)) {
                    return Ok((Lookup::Err(names03::ErrorCode::AccessDenied),));
                }
                let sockets = accessor.with_getter::<WasiSockets>(ComponentGuest::sockets);
                let found =
                    <WasiSockets as names03::HostWithStore<ComponentGuest>>::resolve_addresses(
                        &sockets, name,
                    )
                    .await?;
                Ok((found,))
            })
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

impl std::fmt::Debug for SocketRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SocketRules").field("egress", &self.egress).finish_non_exhaustive()
    }
}
