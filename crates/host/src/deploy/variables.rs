//! Values of variables that nobody gave: from the sources that the application names, when it is made.

use std::{collections::BTreeMap, fmt, sync::Arc};

use reef_app::Name;
use reef_capability::{
    Caller, Gate, Link, Links, OpenError, Opening, Policy, Secret, Settings, find,
};
use reef_config::{BACKENDS, CONFIG, OPERATIONS, Store, Values};

use super::{DeployError, Host, Order};

impl Host {
    /// What the sources of an application have of its variables, in their order.
    pub(super) async fn sourced(
        &self,
        order: &Order,
    ) -> Result<BTreeMap<Name, Secret>, DeployError> {
        let application = &order.application;
        // What they had before may not be what they have now.
        let mut found = Order { sourced: BTreeMap::new(), ..order.clone() };
        for (at, source) in application.variable_sources.iter().enumerate() {
            let which = format!("variable-source {} ({})", at + 1, source.backend.value);
            let wrong = |why: String| DeployError::Value {
                workload: application.name.to_string(),
                why: format!("{which}: {why}"),
            };
            let mut settings = Settings::default();
            for (name, template) in &source.config {
                settings.insert(name.clone(), found.text(template)?);
            }
            let of = (which.as_str(), source.backend.as_str());
            let link = self.open_source(&found, of, &settings);
            let link = link.map_err(|error| wrong(error.to_string()))?;
            let (own, caller) = (BTreeMap::new(), Caller::default());
            for name in application.variables.keys() {
                let missing = !found.values.contains_key(&name.value)
                    && !found.sourced.contains_key(&name.value);
                let granted = link.iter().all(|link| link.backend.keys().grants(name.as_str()));
                if !(missing && granted) {
                    continue;
                }
                let values = Values { own: &own, links: &link };
                let value = values.get(&caller, name.as_str()).await;
                let value = value.map_err(|failure| {
                    wrong(format!("the variable `{name}` cannot be read: {failure}"))
                })?;
                let Some(value) = value else { continue };
                let text = value.text_of(name.as_str());
                let text = text.map_err(|failure| wrong(failure.to_string()))?;
                found.sourced.insert(name.value.clone(), text.into());
            }
        }
        Ok(found.sourced)
    }

    fn open_source(
        &self,
        order: &Order,
        (which, backend): (&str, &str),
        settings: &Settings,
    ) -> Result<Links<Store>, OpenError> {
        let backend = find(BACKENDS, backend)?;
        let policy = Policy::read(settings)?;
        let application: Arc<str> = order.application.name.as_str().into();
        let opening = Opening {
            application: &application,
            settings,
            folder: &order.folder,
            data: None,
            runtime: self.workers.handle(0),
        };
        let store = self.backends.config.open(backend, opening)?;
        let about = (CONFIG, backend.system);
        let gate = Gate::new(application.clone(), which.into(), about, policy, OPERATIONS);
        let link = Arc::new(Link { place: None, gate, backend: store });
        Ok(Links::new(application, CONFIG, vec![link]))
    }
}

impl fmt::Debug for Order {
    /// Without the values, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order")
            .field("application", &self.application)
            .field("folder", &self.folder)
            .field("values", &self.values.keys())
            .field("sourced", &self.sourced.keys())
            .finish_non_exhaustive()
    }
}
