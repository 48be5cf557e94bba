//! Values that are given with an application.

use std::collections::BTreeMap;

use reef_app::{Application, Name};
use reef_document::{At, Diagnostic, Diagnostics};

/// Looks at values that are to be kept with a revision, where everybody in the lattice finds them.
///
/// # Errors
/// Values of secrets, which are not kept, and of variables that there are not.
pub fn check_values(
    application: &Application,
    given: &BTreeMap<String, String>,
) -> Result<(), Diagnostics> {
    let mut found = Diagnostics::default();
    for name in given.keys() {
        let variable = name.parse::<Name>().ok().map(At::from);
        let variable = variable.and_then(|name| application.variables.get_key_value(&name));
        match variable {
            None => found.push(
                Diagnostic::error(format!("there is no variable `{name}`"))
                    .help(format!("declare it: `[variables.{name}]`, or leave its value out")),
            ),
            Some((declared, variable)) if variable.secret => {
                let error =
                    format!("the value of the secret `{name}` would be kept in the lattice");
                let error = Diagnostic::error(error);
                let error = declared.span().map_or(error.clone(), |span| error.at(span));
                found.push(error.help(
                    "leave it out, and say where hosts find it: `[[variable-source]]` with a `backend` such as `vault`, `file` or `env`",
                ));
            }
            Some(_) => {}
        }
    }
    if found.has_errors() { Err(found) } else { Ok(()) }
}
