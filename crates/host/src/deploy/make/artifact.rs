//! What a workload is made from: its artifact, with the components in it that it is linked to.

use reef_app::{Source, Workload as Described};
use reef_artifact::{Artifact, Form, Import};
use reef_compose::{ComposeError, Own, Part, Plug, check_no_own};
use reef_document::At;

use super::Making;
use crate::{
    deploy::{DeployError, Stage, order::is_http, runtime},
    fetch::{self, FetchError, Wanted},
    workload::import_names,
};

impl<'a> Making<'a> {
    /// What a workload is made from, whole; and the arguments of its runtime.
    pub(super) fn artifact(
        &self,
        described: &Described,
        name: &str,
    ) -> Result<(Artifact, Vec<String>), DeployError> {
        if let Some(runtime) = &described.runtime {
            self.doing.step(name, Stage::Evaluating);
            let variables: Vec<_> = described.env.keys().map(String::as_str).collect();
            let scripted = runtime::prepare(
                &self.host.engine,
                &self.host.background,
                self.host.workers.handle(0),
                &self.host.snapshots,
                runtime.as_str(),
                &described.source,
                &self.order.folder,
                &variables,
            );
            let scripted = scripted.map_err(|error| DeployError::Value {
                workload: name.to_owned(),
                why: error.to_string(),
            })?;
            return Ok((scripted.artifact, scripted.args));
        }
        let artifact = self.fetched(described, &described.source, &described.digest, name)?;
        let artifact = self.componentized(artifact, name)?;
        Ok((self.linked(described, artifact, name)?, Vec::new()))
    }

    /// A core module that was built against a WIT world as the component that it is meant to be: what
    /// Spin's SDKs up to version 5 build. Any other artifact as it is.
    fn componentized(&self, artifact: Artifact, name: &str) -> Result<Artifact, DeployError> {
        let bound = artifact.exports().iter().any(|export| reef_compose::is_binding(export.name()));
        if artifact.form() != Form::Module || !bound {
            return Ok(artifact);
        }
        let part = Part { name: artifact.name(), bytes: artifact.bytes() };
        match reef_compose::componentize(part) {
            Ok(bytes) => self.read(name, bytes.into_owned()),
            // What only looks like one is run as what it is.
            Err(ComposeError::NoWorld { .. }) => Ok(artifact),
            Err(cause) => {
                let workload = name.to_owned();
                Err(DeployError::Compose { workload, cause: cause.into() })
            }
        }
    }

    /// An artifact of a workload, if it is the one that is pinned.
    fn fetched(
        &self,
        of: &Described,
        source: &Source,
        pinned: &Option<At<String>>,
        name: &str,
    ) -> Result<Artifact, DeployError> {
        let wanted = Wanted::of(of, source, pinned.as_ref());
        let artifact = fetch::source(&wanted, &self.order.folder, self.fetched);
        let artifact = artifact.map_err(|cause| DeployError::Fetch {
            workload: name.to_owned(),
            cause: cause.into(),
        })?;
        let imports = import_names(&artifact).map(|name| name.to_string());
        check_no_own(name, imports).map_err(|cause| DeployError::Compose {
            workload: name.to_owned(),
            cause: cause.into(),
        })?;
        if let Some(pinned) = pinned
            && !pinned.eq_ignore_ascii_case(&artifact.digest().to_string())
        {
            return Err(DeployError::Digest {
                workload: name.to_owned(),
                artifact: source.to_string(),
                is: artifact.digest().to_string(),
                pinned: pinned.value.clone(),
            });
        }
        Ok(artifact)
    }

    /// The artifact with the components in it that it is linked to.
    fn linked(
        &self,
        described: &'a Described,
        artifact: Artifact,
        name: &str,
    ) -> Result<Artifact, DeployError> {
        let mut parts = Vec::new();
        for link in &described.links {
            let other = link.workload.as_ref().filter(|_| !is_http(link));
            if self.order.is_elsewhere(link) {
                continue;
            }
            let (part, own) = match (&link.component, other) {
                (Some(part), _) => (self.fetched(described, part, &link.digest, name)?, None),
                (None, Some(workload)) => {
                    // With its own links, which may be to workloads again.
                    let other = self.described(workload)?;
                    let part = self.artifact(other, other.name.as_str())?.0;
                    (part, Some(self.order.own(other, link.inherit)))
                }
                (None, None) => continue,
            };
            parts.push((link, part, own));
        }
        if parts.is_empty() {
            return Ok(artifact);
        }
        let plugs: Vec<_> = parts
            .iter()
            .map(|(link, part, own)| Plug {
                component: Part { name: part.name(), bytes: part.bytes() },
                import: &link.import.value,
                export: link.export.as_deref(),
                inherit: link.inherit,
                own: own.as_ref().map(|(part, imports)| Own { part: *part, imports }),
            })
            .collect();
        let whole = Part { name: artifact.name(), bytes: artifact.bytes() };
        let composed = reef_compose::plug(whole, &plugs).map_err(|cause| DeployError::Compose {
            workload: name.to_owned(),
            cause: cause.into(),
        })?;
        self.read(name, composed)
    }

    pub(super) fn read(&self, name: &str, bytes: Vec<u8>) -> Result<Artifact, DeployError> {
        Artifact::read(name, bytes).map_err(|error| DeployError::Fetch {
            workload: name.to_owned(),
            cause: Box::new(FetchError::Artifact(error)),
        })
    }

    /// The middleware of WASI 0.2 that stands next to a handler, outermost first: a component that imports
    /// what it exports. It becomes one component with the handler; that of 0.3 is linked by the host.
    pub(super) fn composed(
        &self,
        described: &Described,
        middleware: &[&'a Described],
    ) -> Result<Vec<(&'a Described, Artifact)>, DeployError> {
        let mut composed = Vec::new();
        if described.runtime.is_some() {
            return Ok(composed);
        }
        for one in middleware.iter().rev() {
            let (artifact, _) = self.artifact(one, one.name.as_str())?;
            let takes_next = artifact.imports().iter().any(|import| match import {
                Import::Component { name, .. } => name.name == "wasi:http/incoming-handler",
                Import::Core { .. } => false,
            });
            if !takes_next {
                break;
            }
            composed.insert(0, (*one, artifact));
        }
        Ok(composed)
    }
}
