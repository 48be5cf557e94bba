//! Where a component may connect, as destinations and links.

use std::{collections::HashSet, ops::Range};

use reef_app::{Link, Name, Template};
use reef_document::{At, Diagnostics};
use reef_grants::{Destination, Fault as DestinationFault};

use crate::{
    component::Described,
    field::{error, read, warning},
    hosts::{Allowed, Fault, Host, port_of},
    known::Known,
    template::{explained, template},
};

/// What a version 1 component may connect to that says nothing of it.
const DATABASES: [&str; 3] = ["redis://*:*", "mysql://*:*", "postgres://*:*"];

/// The capability that stands for the application's own routes.
const OWN_ROUTES: &str = "own-routes";

/// Destinations, and links to other components and to the application's own routes.
pub(crate) struct Outbound<'k> {
    known: &'k Known,
    component: &'k str,
    pub(crate) egress: Vec<At<Template>>,
    pub(crate) links: Vec<Link>,
    /// What is in either, as text.
    granted: HashSet<String>,
}

impl<'k> Outbound<'k> {
    /// Reads what a component says of it.
    pub(crate) fn read(
        known: &'k Known,
        described: &'k Described,
        found: &mut Diagnostics,
    ) -> Self {
        let component = described.id.as_str();
        let mut all = Self {
            known,
            component,
            egress: Vec::new(),
            links: Vec::new(),
            granted: HashSet::new(),
        };
        let before = known.left.get();
        let fields = &described.component;
        for entry in read(fields.allowed_outbound_hosts.as_ref(), found).unwrap_or_default() {
            all.entry(&entry, found);
        }
        for entry in read(fields.allowed_http_hosts.as_ref(), found).unwrap_or_default() {
            match Allowed::parse_http(&entry) {
                Ok(several) => several.iter().for_each(|one| all.add(one, entry.span(), found)),
                Err(fault) => found.push(faulty(&fault, entry.span())),
            }
        }
        if described.first && fields.allowed_outbound_hosts.is_none() {
            let databases = DATABASES.iter().filter_map(|entry| Allowed::parse(entry).ok());
            let databases = databases.filter_map(|allowed| allowed.destinations().ok());
            databases.flatten().for_each(|one| all.grant(&one, None));
        }
        if known.left.get() == 0 && before > 0 {
            let message =
                format!("up to `{component}` there are more destinations than Reef grants");
            found.push(error(message, described.id.span()).help("name fewer ports and hosts"));
        }
        all
    }

    fn entry(&mut self, entry: &At<String>, found: &mut Diagnostics) {
        let read = match template(entry) {
            Ok(read) => read,
            Err(fault) => {
                let (message, help) = explained(&fault);
                found.push(error(message, entry.span()).help(help));
                return;
            }
        };
        if read.variables().next().is_none() {
            match Allowed::parse(entry) {
                Ok(allowed) => self.add(&allowed, entry.span(), found),
                Err(fault) => found.push(faulty(&fault, entry.span())),
            }
        } else if let Some(read) = self.with_variables(entry, read, found) {
            self.egress.push(entry.clone().map(|_| read));
        }
    }

    fn add(&mut self, allowed: &Allowed, span: Option<Range<usize>>, found: &mut Diagnostics) {
        match allowed.destinations() {
            Ok(all) => all.iter().for_each(|one| self.grant(one, span.clone())),
            Err(fault) => found.push(faulty(&fault, span.clone())),
        }
        match &allowed.host {
            Host::Own => self.own_routes(span),
            Host::Component(name) => self.chain(name, allowed, span, found),
            Host::Components => {
                // Itself among them.
                let known = self.known;
                for name in known.http.iter().take(known.left.get()) {
                    self.chain(name, allowed, span.clone(), found);
                }
            }
            Host::Any => {
                let message = format!(
                    "this lets `{}` connect to every host, this machine and private networks among them",
                    self.component
                );
                found.push(
                    warning(message, span.clone()).help("name the hosts that it is meant for"),
                );
                if allowed.is_http() {
                    self.own_routes(span);
                }
            }
            Host::Outside(_) | Host::Network(_) if allowed.is_socket() => {
                found.push(sockets(span));
            }
            Host::Outside(_) | Host::Network(_) => {}
        }
    }

    /// An entry that is known only when the application runs. It is then read as a destination, which
    /// has other words than Spin for some of what may come out.
    fn with_variables(
        &self,
        entry: &At<String>,
        read: Template,
        found: &mut Diagnostics,
    ) -> Option<Template> {
        let text = entry.trim();
        let (text, mut read) = match text.strip_prefix("*://") {
            Some(rest) => (rest, template(rest).ok()?),
            None => (text, read),
        };
        let default = |name: &Name| self.known.default_of(name);
        // Without defaults nothing more can be said of it here.
        let Ok(whole) = template(entry).ok()?.resolve(default) else { return Some(read) };
        if matches!(whole.trim(), "" | "http://" | "https://") {
            return Some(read);
        }
        let failed = |message: String| {
            let message =
                format!("with the defaults of its variables this is `{whole}`: {message}");
            error(message, entry.span())
        };
        let allowed = match Allowed::parse(&whole) {
            Ok(allowed) => allowed,
            Err(fault) => {
                found.push(failed(fault.to_string()).help(fault.help()));
                return None;
            }
        };
        if matches!(allowed.host, Host::Own | Host::Component(_) | Host::Components) {
            let message = "components are linked to each other before any value is known";
            found.push(failed(message.to_owned()).help("write the host without a variable"));
            return None;
        }
        if allowed.is_socket() {
            found.push(sockets(entry.span()));
        }
        let mut resolved = read.resolve(default).ok()?;
        let port = allowed.scheme.as_deref().and_then(port_of);
        if let (Err(fault), Some(port)) = (resolved.parse::<Destination>(), port)
            && matches!(fault.fault, DestinationFault::NoPort { .. })
        {
            let without = text.strip_suffix('/').unwrap_or(text);
            read = template(&format!("{without}:{port}")).ok()?;
            resolved = read.resolve(default).ok()?;
        }
        if let Err(fault) = resolved.parse::<Destination>() {
            let help = "write what the host's form decides, such as ranges of ports and `*://`, \
                        without a variable";
            found.push(failed(fault.fault.to_string()).help(help));
            return None;
        }
        Some(read)
    }

    fn grant(&mut self, destination: &Destination, span: Option<Range<usize>>) {
        let text = destination.to_string();
        if self.granted.insert(text.clone()) && self.known.one_more() {
            self.egress.push(placed(Template::literal(text), span));
        }
    }

    fn own_routes(&mut self, span: Option<Range<usize>>) {
        let capability = OWN_ROUTES.parse::<Name>().ok().map(At::from);
        let link = Link { name: Some("self".to_owned()), capability, ..Link::of("wasi:http") };
        self.link(link, span);
    }

    /// A link to a component, over the schemes that an entry allows.
    fn chain(
        &mut self,
        name: &str,
        allowed: &Allowed,
        span: Option<Range<usize>>,
        found: &mut Diagnostics,
    ) {
        let scheme = allowed.scheme.as_deref();
        match name.parse::<Name>() {
            Ok(workload) => {
                for (_, before) in [("http", ""), ("https", "https://")]
                    .into_iter()
                    .filter(|(one, _)| scheme.is_none_or(|scheme| scheme == *one))
                {
                    let own = format!("{before}{name}.spin.internal");
                    let workload = Some(placed(workload.clone(), span.clone()));
                    let link = Link { name: Some(own), workload, ..Link::of("wasi:http") };
                    self.link(link, span.clone());
                }
            }
            Err(fault) => found.push(error(fault.to_string(), span)),
        }
    }

    fn link(&mut self, link: Link, span: Option<Range<usize>>) {
        // No destination has a name like this.
        let name = format!("link {}", link.name.as_deref().unwrap_or_default());
        if self.granted.insert(name) && self.known.one_more() {
            self.links.push(Link { import: placed(link.import.value.clone(), span), ..link });
        }
    }
}

fn placed<T>(value: T, span: Option<Range<usize>>) -> At<T> {
    match span {
        Some(span) => At::new(value, span),
        None => value.into(),
    }
}

fn faulty(fault: &Fault, span: Option<Range<usize>>) -> reef_document::Diagnostic {
    error(fault.to_string(), span).help(fault.help())
}

fn sockets(span: Option<Range<usize>>) -> reef_document::Diagnostic {
    warning("no raw socket has this yet: Reef grants sockets without a scheme", span)
        .help("`*://HOST:PORT` grants them, and every other scheme too")
}
