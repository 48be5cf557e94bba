//! Spin's runtime configuration, of which the providers of variables are read: `[[variables_provider]]`, or
//! `[[config_provider]]` as older files have it.
//!
//! Source: Spin's `crates/runtime-config` and `crates/variables-*`, and its documentation (`dynamic-configuration`).

use std::path::Path;

use anyhow::{Context as _, bail};
use reef_app::{Name, Template, Variable, VariableSource};
use reef_capability::Secret;
use reef_host::deploy::Order;
use toml::{Table, Value};

/// Bytes of the file.
const LARGEST: u64 = 1 << 20;
/// What lists the providers.
const PROVIDERS: [&str; 2] = ["variables_provider", "config_provider"];
/// Before variables in the environment, where a provider does not say.
const PREFIX: &str = "SPIN_VARIABLE";

/// Where variables have their values from, beside what manifests say.
#[derive(Debug, Default)]
pub(crate) struct RuntimeConfig(Vec<Provider>);

#[derive(Debug)]
struct Provider {
    backend: &'static str,
    /// Any of them may be secret.
    settings: Vec<(String, Secret)>,
}

impl RuntimeConfig {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or has a provider that is not known. What it says is not a part of the message.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let found = std::fs::metadata(path).with_context(|| format!("cannot read {name}"))?;
        if !found.is_file() || found.len() > LARGEST {
            bail!("{name} is no file of at most {LARGEST} bytes");
        }
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
        let read = Self::parse(&text);
        read.with_context(|| format!("{name} is no runtime configuration that can be used"))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut table: Table = toml::from_str(text).map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            anyhow::anyhow!("it is no TOML: line {}", 1 + before.matches('\n').count())
        })?;
        let providers = PROVIDERS.iter().find_map(|name| table.remove(*name));
        let others: Vec<_> = table.keys().map(String::as_str).collect();
        if !others.is_empty() {
            let fields = others.join(", ");
            tracing::warn!(
                fields,
                "Of a runtime configuration only providers of variables are read."
            );
        }
        let providers = match providers {
            None => Vec::new(),
            Some(Value::Array(providers)) => providers,
            Some(_) => bail!("its providers are a list: write `[[variables_provider]]`"),
        };
        let providers = providers.into_iter().enumerate().map(|(at, provider)| {
            let Value::Table(provider) = provider else {
                bail!("provider {} is no table", at + 1);
            };
            Provider::read(provider).with_context(|| format!("provider {}", at + 1))
        });
        Ok(Self(providers.collect::<Result<_, _>>()?))
    }

    /// Adds the providers to what an application says itself, which comes first.
    pub(crate) fn add_to(&self, order: &mut Order) {
        for (number, provider) in self.0.iter().enumerate() {
            let mut source = VariableSource {
                backend: Name::lenient(provider.backend).into(),
                config: Default::default(),
            };
            for (at, (setting, value)) in provider.settings.iter().enumerate() {
                // A value is no part of the application, which may be shown.
                let variable = Name::lenient(&format!("runtime-config-{}-{at}", number + 1));
                let declared = Variable { secret: true, ..Variable::default() };
                order.application.variables.insert(variable.clone().into(), declared);
                order.values.insert(variable.clone(), value.expose().to_owned());
                let reference = format!("{{{{ {variable} }}}}").parse::<Template>();
                let reference = reference.unwrap_or_else(|_| Template::default());
                source.config.insert(setting.clone(), reference.into());
            }
            order.application.variable_sources.push(source);
        }
    }
}

impl Provider {
    fn read(mut table: Table) -> anyhow::Result<Self> {
        let mut text = |name: &str| match table.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(Secret::from(text))),
            Some(_) => bail!("`{name}` is text"),
        };
        let kind = text("type")?.context("`type` is missing")?;
        let mut settings = Vec::new();
        let backend = match kind.expose() {
            "vault" => {
                for name in ["url", "token", "mount"] {
                    let value = text(name)?.with_context(|| format!("`{name}` is missing"))?;
                    settings.push((name.to_owned(), value));
                }
                settings.extend(text("prefix")?.map(|prefix| ("prefix".to_owned(), prefix)));
                "vault"
            }
            "env" => {
                let prefix = text("prefix")?;
                let prefix = prefix.as_ref().map_or(PREFIX, Secret::expose);
                if prefix.is_empty() {
                    bail!("an empty `prefix` would make the whole environment values");
                }
                if text("dotenv_path")?.is_some() {
                    bail!("`dotenv_path` is not read: write the values into `.env`");
                }
                settings.push(("prefix".to_owned(), format!("{prefix}_").into()));
                "env"
            }
            "static" => {
                let Some(Value::Table(values)) = table.remove("values") else {
                    bail!("`values` is missing: a table");
                };
                for (name, value) in values {
                    let Value::String(value) = value else { bail!("the value `{name}` is text") };
                    settings.push((format!("value.{name}"), value.into()));
                }
                "manifest"
            }
            other => bail!("the type `{other}` is not there; there is `vault`, `env`, `static`"),
        };
        if let Some(field) = table.keys().next() {
            bail!("`{field}` is not known");
        }
        Ok(Self { backend, settings })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn providers_are_read_in_both_spellings_and_never_shown() {
        let text = r#"
            [[NAME]]
            type = "vault"
            url = "http://127.0.0.1:8200"
            token = "hunter2"
            mount = "secret"
            [[NAME]]
            type = "env"
            prefix = "APP"
            [[NAME]]
            type = "static"
            values = { password = "hunter2", timeout = "hunter2" }
            [key_value_store.default]
            type = "spin"
        "#;
        for name in PROVIDERS {
            let read = RuntimeConfig::parse(&text.replace("NAME", name)).unwrap();
            let backends: Vec<_> = read.0.iter().map(|provider| provider.backend).collect();
            assert_eq!(backends, ["vault", "env", "manifest"]);
            assert_eq!(read.0[1].settings, [("prefix".to_owned(), "APP_".into())]);
            let names: Vec<_> = read.0[2].settings.iter().map(|(name, _)| &**name).collect();
            assert_eq!(names, ["value.password", "value.timeout"]);
            assert!(!format!("{read:?}").contains("hunter2"));
            let mut order = Order {
                application: reef_app::Application::new(Name::lenient("app")),
                folder: Default::default(),
                values: Default::default(),
                sourced: Default::default(),
                qualified: true,
                placed: None,
                tried: true,
            };
            read.add_to(&mut order);
            assert_eq!(order.application.variable_sources.len(), 3);
            assert!(!format!("{order:?}").contains("hunter2"), "{order:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_what_is_in_it() {
        for (text, told) in [
            ("a = 'hunter2", "line 1"),
            ("variables_provider = 'hunter2'", "a list"),
            ("[[config_provider]]\nurl = 'hunter2'", "`type` is missing"),
            ("[[config_provider]]\ntype = 'azure_key_vault'", "is not there"),
            ("[[config_provider]]\ntype = 'vault'\nurl = 'hunter2'", "`token` is missing"),
            ("[[config_provider]]\ntype = 'env'\nprefix = ''", "whole environment"),
            ("[[config_provider]]\ntype = 'static'\nvalues = { a = 1 }", "`a` is text"),
            ("[[config_provider]]\ntype = 'env'\nmore = 'hunter2'", "`more` is not known"),
        ] {
            let error = format!("{:#}", RuntimeConfig::parse(text).unwrap_err());
            assert!(error.contains(told) && !error.contains("hunter2"), "{error}");
        }
    }
}
