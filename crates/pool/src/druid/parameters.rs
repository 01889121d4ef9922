//! Parameters of the driver: those of the JDBC URL, and what `connectionProperties` adds to them.

use std::time::Duration;

use super::effect::Effect;
use super::encryption::Encryption;
use super::setting::Value;
use super::translate::{MILLIS_MAX, QUERIES, number, shown};
use super::{Bean, Note, url};

/// What the driver was told of its link to the server.
pub(super) struct Link<'t> {
    /// [`None`]: the URL tells no driver, so its words cannot be understood.
    encryption: Option<Encryption<'t>>,
}

impl<'t> Link<'t> {
    pub(super) fn of(bean: &'t Bean) -> Self {
        let url = bean.get("url").and_then(url::read);
        let encryption = url.map(|url| {
            let added = PROPERTIES.iter().filter_map(|name| bean.get(name)).flat_map(pairs);
            Encryption::new(url.driver, url.parameters.into_iter().chain(added).collect())
        });
        Self { encryption }
    }

    /// A note for each parameter that a property holds.
    pub(super) fn notes(&self, property: &str, value: &str) -> Vec<Note> {
        if property == "url" {
            let parameters = url::read(value).map(|url| url.parameters).unwrap_or_default();
            let note = |(name, value)| note(property, name, value, self.parameter(name, value));
            parameters.into_iter().map(note).collect()
        } else if PROPERTIES.contains(&property) {
            // The rest of them configure Druid's filters, of which the property's own note tells.
            let told = |(name, value)| Some(note(property, name, value, self.encrypts(name, value)?));
            pairs(value).filter_map(told).collect()
        } else {
            Vec::new()
        }
    }

    fn parameter(&self, name: &str, value: &str) -> Effect {
        match name {
            "connectTimeout" => match number(value).and_then(|number| u64::try_from(number).ok()) {
                Some(time @ 1..=MILLIS_MAX) => {
                    Effect::pool("connect_timeout", Value::Period(Duration::from_millis(time)), "")
                }
                _ => Effect::holds("not above zero, so the default holds"),
            },
            "socketTimeout" => Effect::ignored(QUERIES),
            "autoReconnect" => Effect::ignored("a connection that broke is replaced before anyone gets it"),
            _ => self
                .encrypts(name, value)
                .unwrap_or_else(|| Effect::ignored("a matter of the driver, which stays as it is")),
        }
    }

    fn encrypts(&self, name: &str, value: &str) -> Option<Effect> {
        self.encryption.as_ref()?.effect(name, value)
    }
}

fn note(property: &str, name: &str, value: &str, effect: Effect) -> Note {
    let Effect { outcome, settings, why } = effect;
    Note { property: format!("{property}?{name}"), given: shown(name, value), outcome, settings, why }
}

/// Names and values, as `connectionProperties` has them.
fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(';').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (name.trim(), value.trim()))
}

/// Properties that hold parameters of the driver, beside those of Druid's filters.
const PROPERTIES: [&str; 2] = ["connectionProperties", "connectProperties"];
