//! What is changed in a lattice beside applications themselves: hosts, rollouts, numbers of instances.

use std::time::{Duration, Instant};

use anyhow::bail;
use reef_controller::api::{
    Delete, Describe, GetHosts, GetRollouts, RolloutChange, Scale, SetNamespace, SetRollout,
    SetSchedule,
};
use reef_lattice::record;
use reef_planner::{Quota, Schedule, Verdict};

use super::{Asking, apply, asked, print_json, say, split};
use crate::args::{self, Awaited, RolloutAction};

/// How often it is looked whether something is so.
const LOOK: Duration = Duration::from_millis(100);

/// Ends an application, and forgets it.
pub(crate) fn delete(args: &args::Delete) -> anyhow::Result<i32> {
    asked(args.asked.place(), async |asking| {
        let (namespace, app) = (args.asked.namespace.clone(), args.application.clone());
        asking.client.call(&Delete { namespace: namespace.clone(), app: app.clone() }).await?;
        if args.wait {
            asking.client.wait_gone(&namespace, &app, args.timeout).await?;
            say(&format!("{app} is gone."))?;
        } else {
            say(&format!("{app} is to be gone."))?;
        }
        Ok(0)
    })
}

/// Has so many instances, whatever the manifest says.
pub(crate) fn scale(args: &args::Scale) -> anyhow::Result<i32> {
    let (app, Some(workload)) = split(&args.name) else {
        bail!("which workload? Write {}/WORKLOAD", args.name);
    };
    asked(args.asked.place(), async |asking| {
        let request = Scale {
            namespace: args.asked.namespace.clone(),
            app: app.to_owned(),
            workload: workload.to_owned(),
            instances: args.instances,
        };
        asking.client.call(&request).await?;
        match args.instances {
            Some(1) => say(&format!("{} is to have 1 instance.", args.name))?,
            Some(many) => say(&format!("{} is to have {many} instances.", args.name))?,
            None => {
                say(&format!("{} is to have as many instances as its manifest says.", args.name))?
            }
        }
        Ok(0)
    })
}

/// Waits until an application is ready, or gone.
pub(crate) fn wait(args: &args::Wait) -> anyhow::Result<i32> {
    asked(args.asked.place(), async |asking| {
        let (namespace, app) = (&args.asked.namespace, &args.application);
        match args.what {
            Awaited::Ready => {
                let describe = Describe { namespace: namespace.clone(), app: app.clone() };
                let of = asking.client.call(&describe).await?.of;
                apply::wait(&asking, namespace, app, of, args.timeout, false).await?;
            }
            Awaited::Deleted => {
                asking.client.wait_gone(namespace, app, args.timeout).await?;
                say(&format!("{app} is gone."))?;
            }
        }
        Ok(0)
    })
}

/// Has a host take nothing new.
pub(crate) fn cordon(args: &args::Scheduled) -> anyhow::Result<i32> {
    asked(args.place(), async |asking| {
        schedule(&asking, &args.host, Schedule::Cordoned, false).await?;
        say(&format!("{} takes nothing new; what runs there stays.", args.host))?;
        Ok(0)
    })
}

/// Has a host take what comes again.
pub(crate) fn uncordon(args: &args::Scheduled) -> anyhow::Result<i32> {
    asked(args.place(), async |asking| {
        schedule(&asking, &args.host, Schedule::Open, false).await?;
        say(&format!("{} takes what comes.", args.host))?;
        Ok(0)
    })
}

/// Has what runs on a host moved elsewhere.
pub(crate) fn drain(args: &args::Drain) -> anyhow::Result<i32> {
    asked(args.of.place(), async |asking| {
        let name = &args.of.host;
        schedule(&asking, name, Schedule::Draining, args.leave).await?;
        if !args.wait {
            say(&format!("What runs on {name} moves elsewhere."))?;
            return Ok(0);
        }
        let until = Instant::now() + args.timeout;
        loop {
            let hosts = asking.client.call(&GetHosts::default()).await?;
            let host = hosts.iter().find(|host| host.name == *name || host.id == *name);
            let left = match host {
                Some(host) if args.leave => host.instances.max(1),
                Some(host) => host.instances,
                None => 0,
            };
            if left == 0 {
                break;
            }
            if Instant::now() >= until {
                bail!("{left} instances still run on {name}; `reef get apps` says why");
            }
            tokio::time::sleep(LOOK).await;
        }
        say(&format!("Nothing runs on {name} any more."))?;
        Ok(0)
    })
}

async fn schedule(
    asking: &Asking,
    host: &str,
    schedule: Schedule,
    leave: bool,
) -> anyhow::Result<()> {
    let request = SetSchedule { host: host.to_owned(), schedule, leave };
    asking.client.call(&request).await?;
    Ok(())
}

/// Says how rollouts are, or changes them.
pub(crate) fn rollout(args: &args::Rollout) -> anyhow::Result<i32> {
    let (app, workload) = split(&args.name);
    asked(args.asked.place(), async |asking| {
        let namespace = args.asked.namespace.clone();
        let change = match args.what {
            RolloutAction::Status => {
                let request = GetRollouts { namespace, app: app.to_owned() };
                let mut all = asking.client.call(&request).await?;
                all.retain(|one| workload.is_none_or(|workload| one.workload == workload));
                if args.json {
                    print_json(&all)?;
                    return Ok(0);
                }
                for one in &all {
                    if one.from.is_none() && one.state.is_none() {
                        say(&format!("{}: at revision {}; no rollout", one.workload, one.to))?;
                        continue;
                    }
                    let from =
                        one.from.map(|from| format!("from revision {from} ")).unwrap_or_default();
                    let how = one.state.as_ref().map_or_else(
                        || "has not begun".to_owned(),
                        |state| match &state.verdict {
                            Verdict::Going => format!("goes on, step {}", state.step + 1),
                            Verdict::Paused => format!("is paused at step {}", state.step + 1),
                            Verdict::Complete => "is complete".to_owned(),
                            Verdict::RolledBack(cause) => format!("went back: {cause}"),
                        },
                    );
                    say(&format!("{}: {from}to revision {}: {how}", one.workload, one.to))?;
                    for (revision, weight) in one.weights.iter().flatten() {
                        say(&format!("  revision {revision}: {weight} % of the requests"))?;
                    }
                    if let Some(measured) = &one.measured {
                        say(&format!(
                            "  measured: {} requests, {} failed, {} traps, {} ms",
                            measured.requests, measured.errors, measured.traps, measured.latency_ms
                        ))?;
                    }
                }
                return Ok(0);
            }
            RolloutAction::Pause => RolloutChange::Pause,
            RolloutAction::Resume => RolloutChange::Resume,
            RolloutAction::Abort => RolloutChange::Abort,
        };
        let workload = workload.map(str::to_owned);
        let request = SetRollout { namespace, app: app.to_owned(), workload, to: change };
        asking.client.call(&request).await?;
        say(match change {
            RolloutChange::Pause => "Paused: it stays as it is until it is resumed or aborted.",
            RolloutChange::Resume => "It goes on.",
            RolloutChange::Abort => "The revision before is gone back to.",
        })?;
        Ok(0)
    })
}

/// Says what a namespace may have, and what of it others may use.
pub(crate) fn namespace(args: &args::Namespace) -> anyhow::Result<i32> {
    asked(args.place(), async |asking| {
        let quota = Quota {
            instances: args.instances,
            memory: args.memory.map(|size| size.0),
            cpu: args.cpu.map(|share| (share.cores() * 1000.0) as u64),
        };
        let exports = args.export.iter().map(|(app, namespaces)| {
            (app.clone(), namespaces.split(',').map(|name| name.trim().to_owned()).collect())
        });
        let namespace = record::Namespace { quota, exports: exports.collect() };
        asking.client.call(&SetNamespace { name: args.name.clone(), namespace }).await?;
        say(&format!("Namespace {} is as you say; what is not said is not limited.", args.name))?;
        Ok(0)
    })
}
