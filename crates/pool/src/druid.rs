//! Data sources of [Druid](https://github.com/alibaba/druid), the connection pool of many Java applications, translated
//! (feature `druid`).
//!
//! [`import`] reads Spring's XML (`<property name="maxActive" value="20" />`) or a properties file (`druid.maxActive=20`,
//! `spring.datasource.druid.max-active=20`) and says of every property what becomes of it: some mean the same here, some mean
//! something that has no name here, and some mean less than they say (Druid's `minIdle` is no floor, its `testWhileIdle` tests
//! no idle connection). What is behind each translation stands in its [`Note::why`].
//!
//! ```
//! let imports = pool::druid::import("druid.maxActive=20\ndruid.phyTimeoutMillis=600000\n")?;
//! let options = &imports[0].options;
//! assert_eq!(options.settings.budget, 20);
//! assert_eq!(options.settings.max_lifetime, Some(std::time::Duration::from_secs(600)));
//! # Ok::<(), pool::druid::Error>(())
//! ```

mod effect;
mod encryption;
mod parameters;
mod properties;
mod setting;
mod translate;
mod url;
mod xml;

use crate::options::Options;
pub use setting::{Place, Setting, Value};

/// The longest text that is read, in bytes.
const TEXT_LEN_MAX: usize = 1 << 20;

/// A data source, translated.
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// The bean's id; none in a properties file.
    pub name: Option<String>,
    /// The pool: everything that was translated, and defaults for the rest.
    pub options: Options,
    /// What became of each property that was given, in the order of the text; then what Druid would have done where nothing
    /// was said.
    pub notes: Vec<Note>,
}

/// What became of one property.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// Its name, as Druid spells it; of a parameter of the URL, `url?` and its name; of `connectionProperties` likewise.
    pub property: String,
    /// Its value; `None` for what was not given, and for secrets.
    pub given: Option<String>,
    /// In a word.
    pub outcome: Outcome,
    /// What is set for it.
    pub settings: Vec<Setting>,
    /// Why so, or what differs; may be empty.
    pub why: String,
}

/// What became of a property, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was translated.
    Mapped,
    /// It was not given, or says what holds anyway.
    Default,
    /// It has no meaning here.
    Ignored,
    /// Its value could not be understood.
    Unreadable,
}

impl Outcome {
    /// The word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mapped => "mapped",
            Self::Default => "default",
            Self::Ignored => "ignored",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Why nothing was imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no data source in the text.
    #[error(
        "no data source of Druid in there: Spring's XML with a bean of the class DruidDataSource is expected, or a \
         properties file with keys such as druid.maxActive or spring.datasource.druid.max-active"
    )]
    NoDataSource,
    /// The text is longer than a configuration.
    #[error("the text is longer than 1 MiB")]
    TooLong,
    /// A tag of the XML has no end.
    #[error("line {line}: this tag has no end")]
    OpenTag {
        /// From 1.
        line: usize,
    },
}

/// A data source as it was written.
#[derive(Debug, Default, PartialEq, Eq)]
struct Bean {
    name: Option<String>,
    /// Names in Druid's spelling, and values, in the order of the text.
    properties: Vec<(String, String)>,
}

impl Bean {
    /// The value that counts: the last one.
    fn get(&self, name: &str) -> Option<&str> {
        self.properties.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Translates every data source of Druid in a text, Spring's XML or properties.
///
/// # Errors
/// There is none in it, or it is no such text.
pub fn import(text: &str) -> Result<Vec<Import>, Error> {
    if text.len() > TEXT_LEN_MAX {
        return Err(Error::TooLong);
    }
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let beans = if text.starts_with('<') { xml::beans(text)? } else { properties::bean(text).into_iter().collect() };
    if beans.is_empty() {
        return Err(Error::NoDataSource);
    }
    Ok(beans.iter().map(translated).collect())
}

fn translated(bean: &Bean) -> Import {
    let notes = translate::notes(bean);
    let mut options = Options::default();
    for setting in notes.iter().flat_map(|note| &note.settings) {
        setting.apply(&mut options);
    }
    Import { name: bean.name.clone(), options, notes }
}

#[cfg(test)]
mod tests;
