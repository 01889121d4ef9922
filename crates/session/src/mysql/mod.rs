//! MySQL and MariaDB: greeting clients, dialling servers, and the session between them.

mod client;
mod compression;
mod connector;
mod driver;
mod facts;
mod fault;
pub(crate) mod greet;
pub(crate) mod guest;
mod kill;
mod operator;
mod server;

pub use connector::MyConnector;
pub(crate) use connector::{Habits, Login, ServerError, rows, run};
pub(crate) use driver::{Driver, Mysql};
pub(crate) use facts::Facts;
pub(crate) use kill::kill_query;
pub(crate) use server::ServerConnection;
