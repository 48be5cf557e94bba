//! Named configuration and secrets, and the variables that stand for what is not in the manifest.

use std::collections::{BTreeMap, HashMap};

use reef_app::{Name, Part, Template, Variable};
use reef_document::{At, Diagnostic, Diagnostics};

use crate::{
    capability::Provider,
    schema::{Config, Manifest, Policy, Secret, SecretSource, Trait},
};

/// The type of policies that say where secrets are.
const SECRET_POLICY: &str = "policy.secret.wasmcloud.dev/v1alpha1";

/// How many values all links have together: a provider's are copied to each of its links.
const MOST_VALUES: usize = 100_000;

/// How many secrets of one name are told apart.
const MOST_SAME: usize = 8;

/// The longest list of what there is.
const LONGEST_LIST: usize = 12;

/// Values by their names.
pub(crate) type Values = BTreeMap<String, At<Template>>;

type Properties = BTreeMap<At<String>, At<String>>;

/// What the whole manifest defines, and the variables that it needs.
#[derive(Debug)]
pub(crate) struct Settings<'m> {
    configs: HashMap<&'m str, &'m Properties>,
    policies: HashMap<&'m str, &'m Policy>,
    secrets: HashMap<Name, &'m SecretSource>,
    /// Values that may still be copied.
    left: usize,
    pub(crate) variables: BTreeMap<At<Name>, Variable>,
}

/// What becomes of configuration that is not in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// A variable of its name.
    Variable,
    /// Nothing: its values would have to be known here.
    Nothing,
}

impl<'m> Settings<'m> {
    pub(crate) fn of(manifest: &'m Manifest, found: &mut Diagnostics) -> Self {
        let policies = &manifest.spec.policies;
        let mut settings = Self {
            configs: HashMap::new(),
            policies: policies.iter().map(|policy| (policy.name.as_str(), policy)).collect(),
            secrets: HashMap::new(),
            left: MOST_VALUES,
            variables: BTreeMap::new(),
        };
        for policy in policies.iter().filter(|policy| *policy.kind != SECRET_POLICY) {
            let warning = format!("the policy `{}` has no effect", policy.name);
            found.push(placed(Diagnostic::warning(warning), &policy.kind).help(format!(
                "policies of secrets are known, `{SECRET_POLICY}`; leave this one out"
            )));
        }
        for component in &manifest.spec.components {
            settings.define(&component.properties.config, found);
            for one in &component.traits {
                let Trait::Link(link) = one else { continue };
                if let Some(source) = &link.source {
                    settings.define(&source.config, found);
                }
                settings.define(&link.target.config, found);
                for old in link.source_config.iter().chain(&link.target_config) {
                    settings.define(old, found);
                }
            }
        }
        settings
    }

    fn define(&mut self, configs: &'m [Config], found: &mut Diagnostics) {
        for config in configs {
            let Some(properties) = &config.properties else { continue };
            let first = *self.configs.entry(config.name.as_str()).or_insert(properties);
            if first != properties {
                let error = format!("the configuration `{}` is there twice", config.name);
                let error = placed(Diagnostic::error(error), &config.name);
                found.push(error.label("with other values").help("give one of them another name"));
            }
        }
    }

    /// Takes note of copies; false, and an error, if there are too many.
    pub(crate) fn copy(&mut self, values: usize, found: &mut Diagnostics) -> bool {
        match self.left.checked_sub(values) {
            Some(left) => {
                self.left = left;
                true
            }
            None => {
                found.push(Diagnostic::error(format!(
                    "the links of this manifest have more than {MOST_VALUES} values together"
                )));
                false
            }
        }
    }

    /// Adds the values of named configuration to others, which they replace. `case` makes the one
    /// spelling of keys that are compared without regard to case.
    pub(crate) fn add(
        &mut self,
        values: &mut Values,
        configs: &'m [Config],
        case: impl Fn(&str) -> String,
        absent: Absent,
        found: &mut Diagnostics,
    ) {
        for config in configs {
            let name = config.name.as_str();
            let known = config.properties.as_ref().or(self.configs.get(name).copied());
            if let Some(properties) = known {
                if !self.copy(properties.len(), found) {
                    return;
                }
                for (key, value) in properties {
                    values.insert(case(key), value.clone().map(Template::literal));
                }
                continue;
            }
            let warning = format!("the values of the configuration `{name}` are not here");
            let help = match absent {
                Absent::Variable => format!(
                    "it is the variable of that name, and configuration under that name alone: add its `properties`, `{name}: {{ KEY: VALUE }}`"
                ),
                Absent::Nothing => "it has no effect: add its `properties`".to_owned(),
            };
            found.push(placed(Diagnostic::warning(warning), &config.name).help(help));
            if absent == Absent::Variable {
                let variable = Name::lenient(name);
                let description = Some("Named configuration that was kept outside of the manifest");
                let description = description.map(str::to_owned);
                if let Some(template) = reference(&variable) {
                    values.insert(name.to_owned(), config.name.clone().map(|_| template));
                    self.variables
                        .entry(variable.into())
                        .or_insert(Variable { description, ..Variable::default() });
                }
            }
        }
    }

    /// Adds secrets to values: each refers to a variable.
    pub(crate) fn add_secrets(
        &mut self,
        values: &mut Values,
        secrets: &'m [Secret],
        owner: &Name,
        found: &mut Diagnostics,
    ) {
        for secret in secrets {
            let source = &secret.properties;
            let backend = match self.backend(secret) {
                Ok(backend) => backend,
                Err(error) => {
                    found.push(error);
                    continue;
                }
            };
            // What has the same name elsewhere may be another secret.
            let mut variable = Name::lenient(&secret.name);
            let mut count = 1;
            let is_other = |variable: &Name, settings: &Self| match settings.secrets.get(variable) {
                Some(known) => *known != source,
                None => settings.variables.contains_key(&At::from(variable.clone())),
            };
            while is_other(&variable, self) && count <= MOST_SAME {
                let number = if count == 1 { String::new() } else { format!("-{count}") };
                variable = Name::lenient(&format!("{owner}{number}-{}", secret.name));
                count += 1;
            }
            if is_other(&variable, self) {
                let error = format!("too many secrets are called `{}`", secret.name);
                let error = placed(Diagnostic::error(error), &secret.name);
                found.push(error.help("give them names that tell them apart"));
                continue;
            }
            if !self.copy(1, found) {
                return;
            }
            let Some(template) = reference(&variable) else { continue };
            values.insert(secret.name.value.clone(), secret.name.clone().map(|_| template));
            self.secrets.insert(variable.clone(), source);
            let field = source.field.as_ref().map(|field| format!(", field `{field}`"));
            let version = source.version.as_ref().map(|version| format!(", version `{version}`"));
            let description = format!(
                "`{}`{}{} of the backend `{backend}`",
                source.key,
                field.unwrap_or_default(),
                version.unwrap_or_default()
            );
            let description = Some(description);
            let secret = Variable { description, secret: true, ..Variable::default() };
            self.variables.entry(variable.into()).or_insert(secret);
        }
    }

    /// Where a secret is, by its policy.
    fn backend(&self, secret: &Secret) -> Result<&'m str, Diagnostic> {
        let source = &secret.properties;
        let wrong = |what: String, help: String| {
            Err(placed(Diagnostic::error(what), &source.policy).help(help))
        };
        let add = "add it to `spec.policies`".to_owned();
        let Some(policy) = self.policies.get(source.policy.as_str()) else {
            let what = format!(
                "the secret `{}` has the policy `{}`, which is not here",
                secret.name, source.policy
            );
            return wrong(what, add);
        };
        if *policy.kind != SECRET_POLICY {
            let what = format!(
                "the secret `{}` has the policy `{}`, which is for something else",
                secret.name, source.policy
            );
            return wrong(what, format!("its type is to be `{SECRET_POLICY}`"));
        }
        match policy.properties.get("backend") {
            Some(backend) => Ok(backend),
            None => wrong(
                format!("the policy `{}` has no `backend`", source.policy),
                "add it to its `properties`".to_owned(),
            ),
        }
    }
}

/// Text that is the value of a variable.
fn reference(variable: &Name) -> Option<Template> {
    format!("{{{{ {variable} }}}}").parse().ok()
}

/// The text of a value that refers to nothing.
pub(crate) fn text(template: &Template) -> Option<&str> {
    match template.parts() {
        [] => Some(""),
        [Part::Text(text)] => Some(text),
        _ => None,
    }
}

/// `did you mean …?` and what there is.
pub(crate) fn nearest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let known: Vec<_> = known.into_iter().collect();
    let near = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&written.to_lowercase(), known), known))
        .filter(|(distance, known)| *distance <= known.len().max(3) / 3)
        .min_by_key(|(distance, _)| *distance);
    match near {
        Some((_, known)) => format!("did you mean `{known}`?"),
        None => {
            let all: Vec<_> = known.iter().map(|known| format!("`{known}`")).collect();
            let more = if all.len() > LONGEST_LIST { ", and more" } else { "" };
            let all = all.get(..LONGEST_LIST).unwrap_or(&all);
            format!("there is {}{more}", all.join(", "))
        }
    }
}

pub(crate) fn placed<T>(diagnostic: Diagnostic, place: &At<T>) -> Diagnostic {
    match place.span() {
        Some(span) => diagnostic.at(span),
        None => diagnostic,
    }
}

/// Says which backend it is, where the provider's name tells and nothing else does.
pub(crate) fn backend(values: &mut Values, provider: &Provider) {
    if let Some(backend) = &provider.backend {
        values.entry("backend".to_owned()).or_insert(Template::literal(backend.as_str()).into());
    }
}
