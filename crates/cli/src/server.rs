//! A host of applications, from the engine to the drain: the same for files and for manifests.

use std::{
    io::IsTerminal as _,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use http::Request;
use reef_engine::{Allocation, Background};
use reef_host::{
    deploy::{DeployError, Host, Order, TriggerStatus},
    serve::Ingress,
};
use reef_http::{
    AccessLog, CertificateFiles, HandlerFn, LogTarget, Peer, RequestBody, ResponseBody, Server,
    ServerConfig, Tls, Workers,
};
use reef_telemetry::{Family, GateSnapshot, Journal, Kind, OtlpConfig, Telemetry, Value};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    args::{Log, ServerArgs},
    control::{self, Control, Offered},
    dev::Watch,
    guest,
    host::{Joined, Joining},
    live, source,
    up::Sources,
};

/// What is logged where nothing is said: what libraries tell of each connection is said by ours, in other words.
pub(crate) const LOGGED: &str = "info,async_nats=warn";
/// How long traces that wait may take to be sent at the end.
const FLUSH: Duration = Duration::from_secs(3);
/// Lines and bytes of the log that are kept for `reef logs`.
const JOURNAL: (usize, usize) = (10_000, 8 << 20);

/// Where applications come from, for a host that is told to change them.
pub(crate) struct Managed {
    pub(crate) sources: Arc<Sources>,
    /// Where it is told.
    pub(crate) socket: control::Socket,
    /// Watches the files of an application that is worked on.
    pub(crate) watch: Option<Watch>,
    /// The lattice that the host is one of.
    pub(crate) joining: Option<Joining>,
}

/// Runs applications until a signal or the control socket says to stop.
pub(crate) fn serve(
    args: &ServerArgs,
    log: &Log,
    orders: Vec<Order>,
    mut managed: Option<Managed>,
) -> anyhow::Result<i32> {
    let joining = managed.as_mut().and_then(|managed| managed.joining.take());
    let journal = managed.as_ref().map(|_| Journal::new(JOURNAL.0, JOURNAL.1));
    match managed.as_ref().and_then(|managed| managed.watch.as_ref()) {
        Some(watch) => watch.log(log, journal.clone())?,
        None => guest::log_to(log, LOGGED, journal.clone())?,
    }
    reef_http::raise_open_files();
    let allocation = Allocation::Pooling { instances: args.max_instances };
    let engine = guest::engine(&args.cache, allocation, true, false);
    let tls = tls(args)?;
    let access_log = args.access_log.as_ref().map(|path| {
        let target = match path.as_os_str() == "-" {
            true => LogTarget::Stdout,
            false => LogTarget::File(path.clone()),
        };
        AccessLog::open(target, args.access_log_format.into())
    });
    let access_log = access_log.transpose()?;
    let telemetry = Telemetry::start(OtlpConfig::from_env(args.otlp.as_deref())?.as_ref())?;

    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = Workers::start(args.workers.unwrap_or(cores), "reef-worker")
        .context("cannot start the worker threads")?;
    let config = ServerConfig {
        addrs: args.addr.clone(),
        limits: http_limits(args),
        tls: tls.clone(),
        drain_timeout: args.http.drain,
    };
    // Bound before anything is compiled, so that an address in use is said at once.
    let mut server = Server::bind(config, &workers)?.with_request_ids(args.request_ids.into());
    if let Some(log) = &access_log {
        server = server.with_access_log(log.clone());
    }
    let admin =
        args.admin.map(|addr| Server::bind(ServerConfig::new(addr), &workers)).transpose()?;
    let background = Arc::new(Background::new(cores, workers.handle(0).clone()));
    let ingress = Ingress::new(&workers, background.clone(), telemetry.tracer().clone());
    if access_log.is_some() {
        ingress.name_responses();
    }
    let fetcher = source::fetcher(&args.cache, &args.sources);
    let scripts = guest::kept(&args.cache, "scripts");
    let worked_on = managed.as_ref().is_some_and(|managed| managed.watch.is_some());
    let data = match &joining {
        Some(joining) => Some(joining.data().join("data")),
        None => guest::data(&args.data, worked_on),
    };
    let host = Host::new(engine, ingress.clone(), workers, background, scripts, fetcher, data);
    host.watch(Box::new(live::event));
    host.export(telemetry.outbox().clone());
    let telemetry = Arc::new(telemetry);
    register(&telemetry, &host, &server);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let status = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let (stop, stopped) = watch::channel(false);
        let until_stopped = |mut stopped: watch::Receiver<bool>| async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let (ask, mut asked) = tokio::sync::mpsc::channel(1);
        let mut watch = None;
        let lattice = joining.as_ref().map(|joining| Arc::new(Offered::new(joining.lattice())));
        let control = managed.map(|managed| Control {
            host: host.clone(),
            sources: managed.sources,
            socket: {
                watch = managed.watch;
                managed.socket
            },
            journal: journal.unwrap_or_else(|| Journal::new(0, 0)),
            addrs: server.local_addrs(),
            tls: tls.is_some(),
            stop: ask,
            ready: AtomicBool::new(false),
            lattice: lattice.clone(),
        });
        // Before anything is started, so that it is seen and can be stopped.
        let control = control.map(Control::listen).transpose()?;
        let goes_on = watch.is_some();
        tokio::select! {
            started = start(&host, orders, control.as_deref(), goes_on) => started?,
            _ = terminate.recv() => return Ok(1),
            _ = interrupt.recv() => return Ok(130),
            Some(()) = asked.recv() => return Ok(1),
        }
        let mut joined = None;
        if let Some(joining) = joining {
            let addrs = server.local_addrs();
            let joining = joining.join(host.clone(), &addrs);
            tokio::select! {
                done = joining => {
                    let done = done?;
                    if let Some(offered) = &lattice {
                        offered.open(done.lattice());
                    }
                    joined = Some(done);
                }
                _ = terminate.recv() => return Ok(1),
                _ = interrupt.recv() => return Ok(130),
            }
        }
        if let Some(control) = &control {
            control.ready.store(true, Ordering::Release);
        }
        announce(&host, &server, admin.as_ref(), tls.is_some());
        telemetry.health().set_ready();
        if let (Some(watch), Some(control)) = (watch, &control) {
            tokio::spawn(watch.run(control.clone()));
        }

        if let Some(admin) = admin {
            let (telemetry, mut done) = (telemetry.clone(), stopped.clone());
            let handler = HandlerFn(move |request: Request<RequestBody>, _: Peer| {
                let response =
                    reef_telemetry::respond(&request, telemetry.metrics(), telemetry.health());
                std::future::ready(response.map(ResponseBody::full))
            });
            tokio::spawn(admin.serve(Arc::new(handler), async move {
                // Answers until the drain is over: that is when it is looked at most.
                let _ = done.wait_for(|stop| *stop).await;
                std::future::pending::<()>().await;
            }));
        }
        let stopped = until_stopped(stopped);
        let mut serving: Pin<Box<dyn Future<Output = _>>> = match &joined {
            Some(joined) => Box::pin(server.serve(joined.door(), stopped)),
            None => Box::pin(server.serve(ingress.clone(), stopped)),
        };
        let mut ending = None;
        let mut leaving = false;
        let report: reef_http::DrainReport = loop {
            tokio::select! {
                report = &mut serving => break report?,
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                Some(()) = asked.recv() => {}
                () = gone(joined.as_ref(), leaving, args.http.drain) => {
                    // What it ran is elsewhere.
                    joined = stop_joined(joined).await;
                }
                _ = hangup.recv() => {
                    reload(tls.as_ref());
                    // Whoever turns logs over says so in this way.
                    if let Some(log) = &access_log {
                        log.reopen();
                    }
                    if let Some(control) = &control {
                        control.reload();
                    }
                    continue;
                }
            }
            if joined.is_some() && !leaving {
                leaving = true;
                tracing::info!("Leaving the lattice: what runs here moves elsewhere first.");
                continue;
            }
            joined = stop_joined(joined).await;
            if stop.send_replace(true) {
                tracing::warn!("Stopping at once.");
                return Ok::<_, anyhow::Error>(1);
            }
            telemetry.health().set_draining();
            let (host, drain) = (host.clone(), args.http.drain);
            ending = Some(tokio::spawn(async move { host.end_tasks(drain).await }));
            tracing::info!(
                seconds = args.http.drain.as_secs(),
                "Stopping: requests in progress are answered, new ones are not taken."
            );
        };
        if let Some(ending) = ending {
            let _ = ending.await;
        }
        host.close();
        tracing::info!(completed = report.completed, cut = report.cut, "Stopped.");
        Ok((report.cut > 0).into())
    });
    // What is still being compiled is of no use to anybody.
    runtime.shutdown_background();
    let status = status?;
    if let Some(log) = access_log {
        log.flush(FLUSH);
        if log.dropped() > 0 {
            tracing::warn!(lines = log.dropped(), "Lines of the access log were dropped.");
        }
    }
    telemetry.shutdown(FLUSH);
    Ok(status)
}

/// Ready once a host may end: others have what it ran.
async fn gone(joined: Option<&Joined>, leaving: bool, within: Duration) {
    match joined {
        None => std::future::pending().await,
        Some(joined) if leaving => joined.leave(within).await,
        Some(joined) => joined.released().await,
    }
}

async fn stop_joined(joined: Option<Joined>) -> Option<Joined> {
    if let Some(joined) = joined {
        joined.stop().await;
    }
    None
}

/// Applies what the host is started with. What is stopped meanwhile is left out; `goes_on`: so is what
/// cannot run.
async fn start(
    host: &Arc<Host>,
    orders: Vec<Order>,
    control: Option<&Control>,
    goes_on: bool,
) -> anyhow::Result<()> {
    let mut left_out = 0;
    let all = orders.len();
    for order in orders {
        let name = order.application.name.to_string();
        match host.apply(order).await {
            Ok(_) => {}
            Err(DeployError::CalledOff { .. }) if left_out + 1 < all => {
                left_out += 1;
                tracing::warn!(application = name, "It was stopped before it had started.");
                if let Some(control) = control {
                    control.sources.forget(&name);
                }
            }
            Err(error) if goes_on => {
                tracing::error!("{error:#}\nNothing runs yet: waiting for a change.");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The certificates that flags name.
fn tls(args: &ServerArgs) -> anyhow::Result<Option<Tls>> {
    let default = match (&args.tls_cert, &args.tls_key) {
        (Some(cert), Some(key)) => Some(CertificateFiles { cert: cert.clone(), key: key.clone() }),
        _ => None,
    };
    if default.is_none() && args.tls_host.is_empty() {
        return Ok(None);
    }
    let hosts = args.tls_host.iter().map(|(host, cert, key)| {
        (host.as_str(), CertificateFiles { cert: cert.clone(), key: key.clone() })
    });
    Ok(Some(Tls::for_hosts(hosts, default)?))
}

fn http_limits(args: &ServerArgs) -> reef_http::Limits {
    let default = reef_http::Limits::default();
    reef_http::Limits {
        max_connections: args.http.max_connections.unwrap_or(default.max_connections),
        max_header_bytes: usize::try_from(args.http.max_header.0).unwrap_or(usize::MAX),
        max_body_bytes: args.http.max_body.0,
        idle_timeout: args.http.idle_timeout,
        ..default
    }
}

fn reload(tls: Option<&Tls>) {
    match tls.map(Tls::reload) {
        None | Some(Ok(false)) => {}
        Some(Ok(true)) => tracing::info!("The certificate was read anew."),
        Some(Err(error)) => tracing::error!(%error, "The old certificate stays in use."),
    }
}

fn announce(host: &Host, server: &Server, admin: Option<&Server>, tls: bool) {
    let scheme = if tls { "https" } else { "http" };
    // For people on standard output; the log has it for machines.
    let terminal = std::io::stdout().is_terminal();
    for addr in server.local_addrs() {
        for mounted in host.ingress().mounted() {
            let (route, name) = (mounted.route(), mounted.name());
            let path = route.path();
            let path = path.trim_end_matches("...");
            let url = match route.host() {
                None => format!("{scheme}://{addr}{path}"),
                Some(host) => format!("{scheme}://{host}:{}{path}", addr.port()),
            };
            if terminal {
                println!("Serving {name} at {url}");
            } else {
                tracing::info!(workload = &**name, url, "Serving.");
            }
        }
    }
    // One that is told later what to run says where it listens all the same.
    for addr in server.local_addrs().into_iter().filter(|_| host.ingress().mounted().is_empty()) {
        let url = format!("{scheme}://{addr}/");
        if terminal {
            println!("Listening at {url}");
        } else {
            tracing::info!(url, "Listening.");
        }
    }
    for application in host.status() {
        for workload in application.workloads {
            for trigger in workload.triggers {
                let TriggerStatus::Task(task) = trigger else { continue };
                if terminal {
                    println!("Running {}: {}", workload.qualified, task.trigger);
                } else {
                    tracing::info!(
                        workload = &*workload.qualified,
                        trigger = task.trigger,
                        "Running."
                    );
                }
            }
        }
    }
    for addr in admin.into_iter().flat_map(|admin| admin.local_addrs()) {
        tracing::info!(url = format!("http://{addr}"), "Metrics and health.");
    }
}

fn register(telemetry: &Telemetry, host: &Arc<Host>, server: &Server) {
    let weak: Weak<Host> = Arc::downgrade(host);
    telemetry.metrics().register(move |out| {
        let Some(host) = weak.upgrade() else { return };
        let workloads = host.workloads();
        let gates = workloads.iter().flat_map(|workload| workload.capabilities().gates());
        reef_telemetry::gate_families(out, gates.map(GateSnapshot::from));
        let meters: Vec<_> = workloads
            .into_iter()
            .map(|workload| (workload.name().clone(), workload.meter().snapshot()))
            .collect();
        let named = meters.iter().map(|(name, meter)| (&**name, meter.clone()));
        reef_telemetry::workload_families(out, named);
    });
    let stats = server.stats();
    telemetry.metrics().register(move |out| {
        let stats = stats.snapshot();
        for (name, help, kind, value) in [
            (
                "reef_http_connections_open",
                "Connections open now.",
                Kind::Gauge,
                stats.connections_open,
            ),
            (
                "reef_http_connections_total",
                "Connections accepted.",
                Kind::Counter,
                stats.connections_accepted,
            ),
            (
                "reef_http_connections_refused_total",
                "Connections over the limit.",
                Kind::Counter,
                stats.connections_refused,
            ),
            ("reef_http_requests_total", "Requests read.", Kind::Counter, stats.requests),
            (
                "reef_http_timeouts_total",
                "Clients that were too slow.",
                Kind::Counter,
                stats.timeouts,
            ),
            (
                "reef_http_tls_failures_total",
                "TLS handshakes that failed.",
                Kind::Counter,
                stats.tls_failures,
            ),
        ] {
            out.push(Family::new(name, kind, help).with(&[], Value::Integer(value)));
        }
    });
}
