//! Where components come from, and what is composed into them.
//!
//! Source: Spin's `crates/manifest/src/{schema/v2,normalize}.rs`, `crates/serde/src/dependencies.rs`;
//! how a registry's package becomes a reference is the OCI mapping of `wasm-pkg-tools`.

use std::{collections::BTreeSet, ops::Range};

use reef_app::{Link, Source};
use reef_document::{At, Diagnostic, Diagnostics};
use semver::{Op, Version, VersionReq};

use crate::{
    component::Described,
    field::{Field, error, warning},
    id::is_kebab,
    known::Known,
    schema::{Dependency, Remote},
};

/// An artifact, and the digest that it must have.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) source: At<Source>,
    pub(crate) digest: Option<At<String>>,
}

/// What a dependency has of what its component may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Inherited {
    Nothing,
    /// These of [`PERMISSIONS`].
    Some(BTreeSet<&'static str>),
    Everything,
}

impl Inherited {
    /// Whether that is a part of it.
    pub(crate) fn has(&self, permission: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Some(names) => names.contains(permission),
            Self::Everything => true,
        }
    }
}

/// Most dependencies of a component.
const MOST: usize = 200;

/// What can be inherited one by one.
const PERMISSIONS: [&str; 7] = [
    "ai_models",
    "allowed_outbound_hosts",
    "environment",
    "files",
    "key_value_stores",
    "sqlite_databases",
    "variables",
];

/// The source of a component: a path, or a table with a URL or a package.
pub(crate) fn source(field: &Field<Remote>, found: &mut Diagnostics) -> Option<Target> {
    if let Some(path) = field.text() {
        return file(path, found);
    }
    let remote = field.read(found)?;
    match (&remote.url, &remote.package) {
        (Some(url), None) => {
            let rest = [&remote.registry, &remote.version];
            let rest = rest.into_iter().flatten().next();
            if let Some(odd) = rest {
                let message = "a download has a `url` and a `digest`, and no more";
                found.push(error(message, odd.span()).help("leave this out"));
            }
            download(url, remote.digest.as_ref(), field.span(), found)
        }
        (None, Some(package)) => {
            if let Some(digest) = &remote.digest {
                let message = "a package of a registry has no `digest` here";
                found.push(error(message, digest.span()).help("its version says which one it is"));
            }
            let version = remote.version.as_ref();
            let version = version.or_else(|| missing("version", field.span(), found))?;
            if Version::parse(version).is_err() {
                let message = format!("`{version}` is not a version");
                found.push(error(message, version.span()).help("write all of it: `1.2.0`"));
                return None;
            }
            let source =
                package_at(remote.registry.as_ref(), package, version, field.span(), found)?;
            Some(Target { source, digest: None })
        }
        _ => {
            let message = "this is not one source";
            let help = "write a path, a `url` with its `digest`, or a `package` of a registry";
            found.push(error(message, Some(field.span())).help(help));
            None
        }
    }
}

/// What is composed into a component, as links.
pub(crate) fn links(known: &Known, described: &Described, found: &mut Diagnostics) -> Vec<Link> {
    let all = described.dependencies(found);
    let whole = described.component.dependencies_inherit_configuration.as_ref();
    let mut names = Vec::new();
    let mut links = Vec::new();
    for (name, field) in all {
        let Some(import) = import(&name, found) else { continue };
        let Some(dependency) = plain_or_table(&field, found) else { continue };
        if let Some(message) = import.refuses(&dependency) {
            found.push(error(message.0, Some(field.span())).help(message.1));
        }
        let own = dependency.inherit_configuration.as_ref();
        if let (Some(_), Some(own)) = (whole, own) {
            let message = "`inherit_configuration` and `dependencies_inherit_configuration` exclude each other";
            let help = format!("leave one of them out of `{}`", described.id);
            found.push(error(message, Some(own.span())).help(help));
        }
        // Spin gives what is written as a version alone nothing, whatever else is said.
        let all_inherit = || match whole {
            Some(whole) if field.text().is_none() => whole.boolean().unwrap_or(false),
            _ => false,
        };
        let inherit = match own {
            Some(own) => match inherited(own, found) {
                Inherited::Some(_) => {
                    // It becomes one component with the one around it, which has one set of grants.
                    let message = "what is composed inherits all permissions or none";
                    let help = "write `true` for all of them, or `false` for none";
                    found.push(error(message, Some(own.span())).help(help));
                    Inherited::Nothing
                }
                other => other,
            },
            None if all_inherit() => Inherited::Everything,
            None => Inherited::Nothing,
        };
        let package = import.package();
        let target = dependency.target(known, package.as_deref(), field.span(), found);
        names.push((name.clone(), import));
        let Some(Target { source, digest }) = target else { continue };
        links.push(Link {
            import: name.clone(),
            component: Some(source),
            digest,
            export: dependency.export.map(|export| export.value),
            inherit: inherit == Inherited::Everything,
            ..Link::of(name.value)
        });
    }
    if let Some(whole) = whole {
        whole.read(found);
    }
    disjoint(&names, found);
    links
}

/// Adds what is wrong in a dependency that nobody asked for.
pub(crate) fn check(name: &At<String>, field: &Field<Dependency>, found: &mut Diagnostics) {
    import(name, found);
    plain_or_table(field, found);
}

fn plain_or_table(field: &Field<Dependency>, found: &mut Diagnostics) -> Option<Dependency> {
    match field.text() {
        Some(version) => Some(Dependency::version(version)),
        None => field.read(found),
    }
}

impl Dependency {
    fn version(version: At<String>) -> Self {
        Self {
            version: Some(version),
            registry: None,
            package: None,
            path: None,
            url: None,
            digest: None,
            component: None,
            export: None,
            inherit_configuration: None,
        }
    }

    /// Where it comes from; `package` if it does not say which one.
    pub(crate) fn target(
        &self,
        known: &Known,
        package: Option<&str>,
        span: Range<usize>,
        found: &mut Diagnostics,
    ) -> Option<Target> {
        match (&self.path, &self.url, &self.component, &self.version) {
            (Some(path), None, None, None) => {
                self.without([&self.registry, &self.package, &self.digest], found);
                file(path.clone(), found)
            }
            (None, Some(url), None, None) => {
                self.without([&self.registry, &self.package, &None], found);
                download(url, self.digest.as_ref(), span, found)
            }
            (None, None, Some(id), None) => {
                self.without([&self.registry, &self.package, &self.digest], found);
                component(known, id, found)?.source(&mut Diagnostics::default())
            }
            (None, None, None, Some(version)) => {
                self.without([&self.digest, &None, &None], found);
                let package = match (&self.package, package) {
                    (Some(package), _) => package.clone(),
                    (None, Some(package)) => version.clone().map(|_| package.to_owned()),
                    (None, None) => return missing("package", span, found),
                };
                let version = one_version(version, found)?;
                let source = package_at(self.registry.as_ref(), &package, &version, span, found)?;
                Some(Target { source, digest: None })
            }
            _ => {
                let help = "write one of `path`, `url`, `component` and `version`";
                found.push(error("this is not one dependency", Some(span)).help(help));
                None
            }
        }
    }

    /// Adds the fields that this form does not have.
    fn without(&self, fields: [&Option<At<String>>; 3], found: &mut Diagnostics) {
        for odd in fields.into_iter().flatten() {
            let message = "this does not belong to a dependency of this kind";
            found.push(error(message, odd.span()).help("leave it out"));
        }
    }
}

/// The component of this id that is to be composed into another: one that may do nothing itself.
pub(crate) fn component<'k>(
    known: &'k Known,
    id: &At<String>,
    found: &mut Diagnostics,
) -> Option<&'k Described> {
    let Some(described) = known.components.get(id.as_str()) else {
        let message = format!("there is no component `{id}`");
        found.push(error(message, id.span()).help(known.components()));
        return None;
    };
    let own = described.permissions();
    if !own.is_empty() {
        let message = format!(
            "`{id}` cannot be composed into another: it has its own {}",
            own.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ")
        );
        let help = "what is composed has the permissions of the component around it, if any";
        found.push(error(message, id.span()).help(help));
    }
    Some(described)
}

/// What a dependency inherits.
pub(crate) fn inherited(field: &Field<()>, found: &mut Diagnostics) -> Inherited {
    let some = |every: bool| if every { Inherited::Everything } else { Inherited::Nothing };
    if let Some(every) = field.boolean() {
        return some(every);
    }
    let Some(elements) = field.elements() else {
        let message = "true, false or a list of permissions is expected here";
        let help = "write `true` for all that the component may do, or `false` for nothing";
        found.push(error(message, Some(field.span())).help(help));
        return Inherited::Nothing;
    };
    let mut names = BTreeSet::new();
    for element in elements {
        let text = element.text();
        let known = PERMISSIONS
            .into_iter()
            .find(|known| text.as_ref().is_some_and(|name| name.as_str() == *known));
        match known {
            Some(name) => {
                names.insert(name);
            }
            None => {
                let known: Vec<_> = PERMISSIONS.iter().map(|name| format!("`{name}`")).collect();
                let help = format!("there is {}", known.join(", "));
                let message = "this is not a permission";
                found.push(error(message, Some(element.span())).help(help));
            }
        }
    }
    match names.len() {
        0 => Inherited::Nothing,
        all if all == PERMISSIONS.len() => Inherited::Everything,
        _ => Inherited::Some(names),
    }
}

fn file(path: At<String>, found: &mut Diagnostics) -> Option<Target> {
    match path.parse::<Source>() {
        // Nothing else than a file's name, so that it is the same when it is written.
        Ok(Source::File(file)) if file.as_os_str() == path.as_str() => {
            Some(Target { source: path.map(|_| Source::File(file)), digest: None })
        }
        Ok(_) => {
            let message = format!("`{path}` is not the path of a file");
            let help = "a download is a table: `{ url = \"https://…\", digest = \"sha256:…\" }`";
            found.push(error(message, path.span()).help(help));
            None
        }
        Err(_) => {
            let message = format!("`{path}` is not the path of a file");
            found.push(error(message, path.span()).help("write one from the manifest's folder on"));
            None
        }
    }
}

fn download(
    url: &At<String>,
    digest: Option<&At<String>>,
    span: Range<usize>,
    found: &mut Diagnostics,
) -> Option<Target> {
    let digest = digest.or_else(|| missing("digest", span, found))?;
    let source = match url.parse::<Source>() {
        Ok(source @ Source::Url(_)) => source,
        _ => {
            let message = format!("`{url}` is not the address of a download");
            found.push(error(message, url.span()).help("it begins with https://"));
            return None;
        }
    };
    Some(Target { source: url.clone().map(|_| source), digest: Some(digest.clone()) })
}

/// The reference of a package: `user:app` at `1.0.0` in `ghcr.io` is `ghcr.io/user/app:1.0.0`.
fn package_at(
    registry: Option<&At<String>>,
    package: &At<String>,
    version: &At<String>,
    span: Range<usize>,
    found: &mut Diagnostics,
) -> Option<At<Source>> {
    let Some(registry) = registry else {
        let message = format!("`{package}` has no registry, and Reef has no default one");
        found.push(error(message, Some(span.clone())).help("add it: `registry = \"ghcr.io\"`"));
        return None;
    };
    let host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:_".contains(&byte);
    if registry.is_empty() || !registry.bytes().all(host) {
        let message = format!("`{registry}` is not a registry");
        found.push(error(message, registry.span()).help("write its host: `ghcr.io`"));
        return None;
    }
    let Some((namespace, name)) =
        package.split_once(':').filter(|(namespace, name)| is_kebab(namespace) && is_kebab(name))
    else {
        let message = format!("`{package}` is not a package");
        found.push(error(message, package.span()).help("write `namespace:name`"));
        return None;
    };
    let tag = version.replace('+', "_");
    let reference = format!("{}/{namespace}/{name}:{tag}", registry.value);
    Some(At::new(Source::Oci(reference), span))
}

/// The version to take where a requirement is written: the least that fulfils it. Spin asks the
/// registry and takes the newest.
fn one_version(requirement: &At<String>, found: &mut Diagnostics) -> Option<At<String>> {
    let parsed = VersionReq::parse(requirement).ok();
    let one = parsed.and_then(|parsed| match &parsed.comparators[..] {
        [one] if !matches!(one.op, Op::Less | Op::LessEq | Op::Greater) => {
            let version =
                Version { pre: one.pre.clone(), ..Version::new(one.major, one.minor?, one.patch?) };
            Some((one.op == Op::Exact, version))
        }
        _ => None,
    });
    let Some((exact, version)) = one else {
        let message = format!("`{requirement}` does not say which version to take");
        found.push(error(message, requirement.span()).help("write the version: `=1.2.0`"));
        return None;
    };
    if !exact {
        let message = format!("of `{requirement}` Reef takes {version}, and Spin the newest");
        let help = format!("write `={version}` to say so");
        found.push(warning(message, requirement.span()).help(help));
    }
    Some(requirement.clone().map(|_| version.to_string()))
}

fn missing<T>(field: &str, span: Range<usize>, found: &mut Diagnostics) -> Option<T> {
    let message = format!("`{field}` is missing");
    found.push(error(message, Some(span)).help(format!("add `{field}` here")));
    None
}

/// The import that a dependency is for.
enum Import {
    /// A name of the component's own.
    Plain,
    /// `PACKAGE[/INTERFACE][@VERSION]`
    Package { package: String, interface: Option<String>, version: Option<Version> },
}

fn import(name: &At<String>, found: &mut Diagnostics) -> Option<Import> {
    let parsed = if name.contains([':', '/']) { parse_package(name) } else { parse_plain(name) };
    if parsed.is_none() {
        let message = format!("`{}` is not an import", name.value);
        let help = "write a package or an interface of one: `acme:math`, `acme:math/add@1.0.0`";
        found.push(error(message, name.span()).help(help));
    }
    parsed
}

fn parse_plain(name: &str) -> Option<Import> {
    is_kebab(name).then_some(Import::Plain)
}

fn parse_package(name: &str) -> Option<Import> {
    let (path, version) = match name.split_once('@') {
        Some((path, version)) => (path, Some(Version::parse(version).ok()?)),
        None => (name, None),
    };
    let (package, interface) = match path.split_once('/') {
        Some((package, interface)) => (package, Some(interface)),
        None => (path, None),
    };
    let (namespace, own) = package.split_once(':')?;
    let kebab = is_kebab(namespace) && is_kebab(own) && interface.is_none_or(is_kebab);
    let interface = interface.map(str::to_owned);
    kebab.then(|| Import::Package { package: package.to_owned(), interface, version })
}

impl Import {
    fn package(&self) -> Option<String> {
        match self {
            Self::Plain => None,
            Self::Package { package, .. } => Some(package.clone()),
        }
    }

    /// What cannot be together, and what to do.
    fn refuses(&self, dependency: &Dependency) -> Option<(&'static str, &'static str)> {
        let whole = matches!(self, Self::Package { interface: None, .. });
        (whole && dependency.export.is_some()).then_some((
            "one export cannot be a whole package",
            "name the interface: `acme:math/add`",
        ))
    }

    /// Whether both could be the same interface.
    fn overlaps(&self, other: &Self) -> bool {
        let (
            Self::Package { package, interface, version },
            Self::Package { package: other_package, interface: other_interface, version: other },
        ) = (self, other)
        else {
            return false;
        };
        let both_differ = match (version, other) {
            (Some(one), Some(other)) => compatible(one) != compatible(other),
            _ => false,
        };
        let apart = match (interface, other_interface) {
            (Some(one), Some(other)) => one != other,
            _ => false,
        };
        package == other_package && !both_differ && !apart
    }
}

/// The version that stands for all that can be used in its place.
fn compatible(version: &Version) -> Version {
    match version {
        Version { pre, .. } if !pre.is_empty() => {
            Version { build: Default::default(), ..version.clone() }
        }
        Version { major: 0, minor: 0, patch, .. } => Version::new(0, 0, *patch),
        Version { major: 0, minor, .. } => Version::new(0, *minor, 0),
        Version { major, .. } => Version::new(*major, 0, 0),
    }
}

fn disjoint(names: &[(At<String>, Import)], found: &mut Diagnostics) {
    if let Some((name, _)) = names.get(MOST) {
        let error = error(format!("there are more than {MOST} dependencies"), name.span());
        found.push(error.help("compose some of them beforehand"));
        return;
    }
    for (at, (name, import)) in names.iter().enumerate() {
        if let Some((first, _)) = names[..at].iter().find(|(_, other)| other.overlaps(import)) {
            let message = format!("`{first}` and `{name}` are for the same import");
            found.push(conflict(message, name));
        }
    }
}

fn conflict(message: String, name: &At<String>) -> Diagnostic {
    error(message, name.span()).help("leave one of them out, or name different interfaces")
}
