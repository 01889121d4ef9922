//! `[[classes]]`, and which of them a server has.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::values::{Cap, impl_schema};

/// An entry of `[[classes]]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ClassKeys {
    /// Its name, unique. One of the preset's (`oltp`, `transaction`, …) changes that class: the keys given here replace the
    /// preset's, those that say what it takes all together.
    pub name: String,
    /// Server connections that all its routes together may hold at most, on each server that has it; 0: only the `budget`
    /// limits it. By default the preset's for a class of the preset, else 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<Cap>,
    /// It takes traffic of these kinds; empty: of all. The key to most classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traffic: Vec<TrafficKind>,
    /// It takes the work of these users only; `*` stands for any run of characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// It takes the work on these databases only, as clients name them; `*` stands for any run of characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<String>,
    /// It takes the work of clients that call themselves so only: `application_name` of PostgreSQL clients, `program_name` of
    /// MySQL clients. `*` stands for any run of characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applications: Vec<String>,
    /// It takes the work of MySQL clients with these connection attributes only, all of them: names and what their values
    /// must be, with `*`: `attributes = { team = "billing*" }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// It takes the work of MySQL clients that asked for this at their login only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability: Option<Capability>,
    /// It takes statements of these kinds only; a transaction counts by the statement that opens it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<StatementKind>,
    /// It takes the work of sessions only that said so, by `SET workload = 'olap'` (MySQL) or `SET evenkeel.workload = 'olap'`
    /// (PostgreSQL).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
    /// The classes that may use what is left of its cap; it gets it back as their connections fall idle. By default caps are
    /// hard.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lends_to: Vec<String>,
    /// Its name in VTTablet's metrics, `vttablet_…_capacity`. By default the preset's, or its name with `_pool`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
}

impl ClassKeys {
    /// Whether a key says what it takes.
    pub(crate) fn has_rule(&self) -> bool {
        let Self { name, cap: _, lends_to: _, metric: _, .. } = self;
        let without = Self {
            cap: self.cap,
            lends_to: self.lends_to.clone(),
            metric: self.metric.clone(),
            name: name.clone(),
            ..Self::default()
        };
        *self != without
    }
}

/// How a unit of work uses its server connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum TrafficKind {
    /// Statements outside transactions.
    Statement,
    /// Transactions.
    Transaction,
    /// COPY, cursors outside transactions, and what sessions send that chose the workload `olap`.
    Stream,
}

impl From<TrafficKind> for route::Traffic {
    fn from(kind: TrafficKind) -> Self {
        match kind {
            TrafficKind::Statement => Self::Statement,
            TrafficKind::Transaction => Self::Transaction,
            TrafficKind::Stream => Self::Stream,
        }
    }
}

/// What a client asks for at its login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Capability {
    /// `CLIENT_FOUND_ROWS`: `UPDATE` counts the rows it found, not those it changed.
    FoundRows,
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum StatementKind {
    /// `SELECT`, `TABLE`, `VALUES`, `WITH … SELECT`.
    Select,
    /// `INSERT`, `REPLACE`.
    Insert,
    /// `UPDATE`.
    Update,
    /// `DELETE`.
    Delete,
    /// `CREATE`, `ALTER`, `DROP`, `TRUNCATE` and the like.
    Ddl,
    /// `COPY`, `LOAD DATA`.
    Copy,
    /// `CALL`, `DO`, `EXECUTE`.
    Call,
    /// `SET`, `RESET`.
    Set,
    /// Everything else.
    Other,
}

impl From<StatementKind> for route::StatementKind {
    fn from(kind: StatementKind) -> Self {
        match kind {
            StatementKind::Select => Self::Select,
            StatementKind::Insert => Self::Insert,
            StatementKind::Update => Self::Update,
            StatementKind::Delete => Self::Delete,
            StatementKind::Ddl => Self::Ddl,
            StatementKind::Copy => Self::Copy,
            StatementKind::Call => Self::Call,
            StatementKind::Set => Self::Set,
            StatementKind::Other => Self::Other,
        }
    }
}

/// What a session says of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Workload {
    /// Short statements; what sessions are that say nothing.
    Oltp,
    /// Long answers.
    Olap,
    /// Maintenance.
    Dba,
}

impl From<Workload> for route::Workload {
    fn from(workload: Workload) -> Self {
        match workload {
            Workload::Oltp => Self::Oltp,
            Workload::Olap => Self::Olap,
            Workload::Dba => Self::Dba,
        }
    }
}

/// The classes of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ServerClasses {
    /// One for everything.
    #[default]
    Single,
    /// VTTablet's.
    Vttablet,
    /// Those of these names.
    Named(Vec<String>),
    /// Those of these names, with these caps.
    Capped(BTreeMap<String, Cap>),
}

const SINGLE: &str = "single";
const VTTABLET: &str = "vttablet";

impl Serialize for ServerClasses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Single => serializer.serialize_str(SINGLE),
            Self::Vttablet => serializer.serialize_str(VTTABLET),
            Self::Named(names) => names.serialize(serializer),
            Self::Capped(caps) => caps.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ServerClasses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = ServerClasses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"single\", \"vttablet\", a list of classes, or a table of classes and their caps")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ServerClasses, E> {
                match text {
                    SINGLE => Ok(ServerClasses::Single),
                    VTTABLET => Ok(ServerClasses::Vttablet),
                    other => Err(E::unknown_variant(other, &[SINGLE, VTTABLET])),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<ServerClasses, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = entries.next_element()? {
                    names.push(name);
                }
                Ok(ServerClasses::Named(names))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<ServerClasses, A::Error> {
                let mut caps = BTreeMap::new();
                while let Some((name, cap)) = entries.next_entry()? {
                    if caps.insert(name, cap).is_some() {
                        return Err(A::Error::custom("this class is named twice"));
                    }
                }
                Ok(ServerClasses::Capped(caps))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl_schema!(ServerClasses, {
    "anyOf": [
        { "const": "single", "description": "One class for everything." },
        {
            "const": "vttablet",
            "description": "Those of Vitess's VTTablet, 326 connections and those that sessions reserve: `oltp` 16, `transaction` 20, `found_rows` 20, `stream` 200, `dba` 20, `app` 40, `tx_read` 3, `online_ddl_executor` 3, `table_gc` 2, `throttler` 2, `reserved`."
        },
        { "type": "array", "items": { "type": "string" } },
        { "type": "object", "additionalProperties": { "type": "integer", "minimum": 0, "maximum": u32::MAX } }
    ]
});
