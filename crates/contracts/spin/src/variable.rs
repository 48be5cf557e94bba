//! Variables of the application.

use std::collections::BTreeMap;

use reef_app::{Name, Variable};
use reef_document::{At, Diagnostics};

use crate::{
    component::no_variable,
    field::{Field, error, read, warning},
    id::is_lower_snake,
    schema::{Table, Variable as Field_},
};

/// The variables, and their defaults as Spin has them.
#[derive(Default)]
pub(crate) struct Variables {
    pub(crate) declared: BTreeMap<At<Name>, Variable>,
    pub(crate) defaults: BTreeMap<String, Option<String>>,
}

impl Variables {
    /// Reads `[variables]`.
    pub(crate) fn read(field: Option<&Field<Table<Field_>>>, found: &mut Diagnostics) -> Self {
        let mut all = Self::default();
        for (name, field) in read(field, found).unwrap_or_default() {
            if !is_lower_snake(&name) {
                found.push(no_variable(&name));
            }
            let declared = field.read(found);
            if let Some(Field_ { required, default, .. }) = &declared {
                match default {
                    Some(default) if *required => {
                        let message = format!("`{name}` is required and has a default");
                        let help = "leave out one of `required` and `default`";
                        found.push(error(message, default.span()).help(help));
                    }
                    None if !required => {
                        let message = format!("`{name}` has no default and is not required");
                        let help = "add `default = \"…\"` or `required = true`";
                        found.push(error(message, name.span()).help(help));
                    }
                    _ => {}
                }
            }
            let read = declared.unwrap_or(Field_ {
                description: None,
                required: true,
                default: None,
                secret: false,
            });
            let mut default = read.default.map(|default| (default.span(), default.value));
            let known = default.as_ref().map(|(_, default)| default.clone());
            all.defaults.insert(name.value.clone(), known);
            if read.secret
                && let Some((span, _)) = default.take()
            {
                let message = format!("the default of the secret `{name}` is left out");
                let help = "a manifest holds no secrets: give the value where the application runs";
                found.push(warning(message, span).help(help));
            }
            let declared = Variable {
                description: read.description,
                default: default.map(|(_, default)| default),
                secret: read.secret,
            };
            all.declared.insert(name.map(|name| Name::lenient(&name)), declared);
        }
        all
    }
}
