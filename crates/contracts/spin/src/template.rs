//! Spin's templates: text with `{{ variable }}` in it.

use reef_app::{Name, Template, TemplateError};

/// Reads a template. In Spin's grammar (`crates/expressions`, the same in versions 1 to 4) what
/// follows `{{` up to the next `}}` is a variable, and no way exists to write the braces themselves;
/// a single `{` or a `}}` on its own is text.
///
/// # Errors
/// Braces without an end, and what is no variable's name.
pub(crate) fn template(text: &str) -> Result<Template, TemplateError> {
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        let inside = &rest[at + 2..];
        let (name, after) = inside.split_once("}}").ok_or(TemplateError::Open)?;
        if name.trim().parse::<Name>().is_err() {
            return Err(TemplateError::Name(name.to_owned()));
        }
        rest = after;
    }
    // No `{{` here is an escape, so that both grammars read the same.
    text.parse()
}

/// What goes wrong says how braces are written in `reef.toml`; here there is no way.
pub(crate) fn explained(error: &TemplateError) -> (String, &'static str) {
    let message = match error {
        TemplateError::Open => "`{{` has no `}}`".to_owned(),
        TemplateError::Name(name) => format!("`{{{{{name}}}}}` names no variable"),
    };
    (message, "in double braces stands the name of a variable: `{{ api_token }}`")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reef_app::Part;

    use super::*;

    /// Spin's own walk over a template, written down again.
    fn model(text: &str) -> Option<Vec<(bool, String)>> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(inside) = rest.strip_prefix("{{") {
                let (name, after) = inside.split_once("}}")?;
                parts.push((true, name.trim().to_owned()));
                rest = after;
            } else {
                let (plain, after) = rest.split_at(rest.find("{{").unwrap_or(rest.len()));
                parts.push((false, plain.to_owned()));
                rest = after;
            }
        }
        Some(parts)
    }

    proptest! {
        #[test]
        fn templates_are_read_as_spin_reads_them(
            parts in prop::collection::vec(prop_oneof!["[a{} ]{1,4}", Just("{{ a_b }}".to_owned())], 0..5)
        ) {
            let text = parts.concat();
            let expected = model(&text).filter(|parts| {
                parts.iter().all(|(variable, name)| !variable || name.parse::<Name>().is_ok())
            });
            let read = template(&text).ok().map(|template| {
                let parts = template.parts().iter().map(|part| match part {
                    Part::Text(text) => (false, text.clone()),
                    Part::Variable(name) => (true, name.to_string()),
                });
                parts.collect::<Vec<_>>()
            });
            prop_assert_eq!(read, expected, "{}", text);
        }
    }
}
