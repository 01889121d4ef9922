//! PostgreSQL: greeting clients, dialling servers, and the session between them.

mod client;
mod connector;
mod driver;
pub(crate) mod encryption;
mod fault;
pub(crate) mod greet;
mod operator;
mod server;

pub use connector::PgConnector;
pub(crate) use connector::{ServerError, rows, run};
pub(crate) use driver::{Driver, Postgres};
pub(crate) use server::ServerConnection;
