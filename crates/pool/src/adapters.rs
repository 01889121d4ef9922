//! Connectors for drivers that applications use, each behind a cargo feature of its name.

#[cfg(feature = "mysql-async")]
pub mod mysql;
#[cfg(feature = "tokio-postgres")]
pub mod postgres;
