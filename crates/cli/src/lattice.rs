//! What is asked of a lattice, by whoever applies, looks and drains.

mod apply;
mod change;
mod get;
mod pin;

mod socket;

use std::{
    io::{self, Write as _},
    path::Path,
    sync::Arc,
};

use anyhow::bail;
use reef_controller::api::Client;
use reef_lattice::{Address, Lattice, Objects};

use self::socket::Socket;
use crate::{
    args::Place,
    control::client::{Running, running},
    manage::block_on,
};

pub(crate) use self::{
    apply::{apply, diff, rollback},
    change::{cordon, delete, drain, namespace, rollout, scale, uncordon, wait},
    get::{describe, get, history},
    pin::{Pinner, pin},
};

/// A lattice that is asked.
pub(crate) struct Asking {
    /// What it is made of.
    objects: Arc<dyn Objects>,
    client: Client,
}

impl Asking {
    /// The one that is named, or else that of the host that runs on this machine.
    async fn new(place: Place<'_>) -> anyhow::Result<Self> {
        match place {
            Place { lattice: Some(address), socket: None } => Self::at(address),
            Place { socket, .. } => Self::here(socket).await,
        }
    }

    fn at(address: &Address) -> anyhow::Result<Self> {
        let lattice = Lattice::nats(address)?;
        let client = Client::new(lattice.bus, &lattice.name);
        Ok(Self { objects: lattice.objects, client })
    }

    async fn here(socket: Option<&Path>) -> anyhow::Result<Self> {
        let all = running(socket).await?;
        let (hosts, others): (Vec<_>, Vec<_>) =
            all.iter().partition(|host| host.lattice().is_some());
        let Some((first, name)) = hosts.first().and_then(|host| Some((host, host.lattice()?.0)))
        else {
            let up = match others.is_empty() {
                true => "",
                false => " (what `reef up` started is of none)",
            };
            bail!(
                "which lattice? No host of one runs on this machine{up}: start one with `reef host`, or name another \
                 by --lattice nats://HOST:4222 or REEF_LATTICE"
            );
        };
        // Any host of one lattice will do.
        if hosts.iter().any(|host| host.lattice() != first.lattice()) {
            bail!(
                "hosts of several lattices run on this machine; name a --socket:{}",
                hosts.iter().map(|host| said(host)).collect::<String>()
            );
        }
        let socket = Arc::new(Socket(first.socket.clone()));
        Ok(Self { objects: socket.clone(), client: Client::new(socket, name) })
    }
}

/// A host, for who has to choose.
fn said(host: &Running) -> String {
    let of = host.lattice().map_or_else(
        || "`reef up`".to_owned(),
        |(name, at)| format!("the lattice `{name}` at {at}"),
    );
    format!("\n  {of}: {}", host.socket.display())
}

/// Whether it is a lattice that is to be told, and not what `reef up` started here. `application` is asked for where that
/// decides it.
///
/// # Errors
/// When it may be either.
pub(crate) fn is_meant(
    place: Place<'_>,
    application: impl FnOnce() -> Option<String>,
) -> anyhow::Result<bool> {
    if place.lattice.is_some() && place.socket.is_none() {
        return Ok(true);
    }
    let all = block_on(running(place.socket))?;
    let (hosts, others): (Vec<_>, Vec<_>) = all.iter().partition(|host| host.lattice().is_some());
    if hosts.is_empty() || others.is_empty() {
        return Ok(!hosts.is_empty());
    }
    let application = application();
    if others.iter().any(|host| application.as_ref().is_some_and(|name| host.has(name))) {
        return Ok(false);
    }
    bail!(
        "both a host of a lattice and what `reef up` started run here; name a --socket:{}",
        all.iter().map(said).collect::<String>()
    )
}

/// Asks, and waits for the answer.
pub(crate) fn asked<T>(
    place: Place<'_>,
    asking: impl AsyncFnOnce(Asking) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async { asking(Asking::new(place).await?).await });
    // A resolver may sit in a call that nothing ends.
    runtime.shutdown_background();
    done
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{:#}", serde_json::to_value(value)?)?;
    Ok(())
}

/// `APPLICATION/WORKLOAD`, or an application.
fn split(name: &str) -> (&str, Option<&str>) {
    match name.split_once('/') {
        Some((application, workload)) => (application, Some(workload)),
        None => (name, None),
    }
}
