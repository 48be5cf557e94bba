//! Components of other applications.

use reef_app::Name;
use reef_document::{At, Diagnostic, Diagnostics};

use crate::{
    schema::{Component, Trait},
    settings::placed,
};

/// A component of another application, which runs as that one's manifest says.
#[derive(Clone, Debug)]
pub(crate) struct Foreign {
    /// The application.
    pub(crate) application: At<Name>,
    /// What it is called there.
    pub(crate) component: At<Name>,
}

impl Foreign {
    /// What a component is, if it is of another application and of nothing else.
    pub(crate) fn of(component: &Component, found: &mut Diagnostics) -> Option<Self> {
        let properties = &component.properties;
        let shared = properties.application.as_ref().filter(|_| properties.image.is_none())?;
        check(component, found);
        let mut name = |text: &At<String>| match text.parse::<Name>() {
            Ok(name) => text.clone().map(|_| name),
            Err(error) => {
                found.push(placed(Diagnostic::error(error.to_string()), text));
                // What is wrong with the rest is found all the same.
                text.clone().map(|text| Name::lenient(&text))
            }
        };
        Some(Self { application: name(&shared.name), component: name(&shared.component) })
    }
}

/// Adds what a manifest cannot say of a component of another application: how it is configured, and how many there are.
pub(crate) fn check(component: &Component, found: &mut Diagnostics) {
    let properties = &component.properties;
    let Some(shared) = &properties.application else { return };
    let mut wrong = |what: &str, place: &At<String>| {
        let error = format!("the {what} of `{}` is not to be said here", component.name);
        found.push(placed(Diagnostic::error(error), place).help(format!(
            "it is `{}` of the application `{}`, whose manifest says it: leave it out",
            shared.component, shared.name
        )));
    };
    for config in &properties.config {
        wrong("configuration", &config.name);
    }
    for secret in &properties.secrets {
        wrong("secret", &secret.name);
    }
    for one in &component.traits {
        if let Trait::SpreadScaler(scaler) | Trait::DaemonScaler(scaler) = one {
            wrong("scale", &scaler.instances.clone().map(|_| String::new()));
        }
    }
}
