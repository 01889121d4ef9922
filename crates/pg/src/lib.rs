//! The PostgreSQL frontend/backend protocol, version 3, sans-IO: bytes in, bytes and facts out.
//!
//! It knows message formats and their order, both sides of a login, prepared statements and session settings as the
//! protocol shows them. It deliberately knows no socket, no task, no clock, no pool and no route. Its caller is crate
//! `session`, which moves the bytes. Message formats: PostgreSQL documentation, chapter "Frontend/Backend Protocol".
//!
//! - [`frame`]: where a message begins and ends; [`view`]: borrowed views of bodies; [`write`]: encoders.
//! - [`startup`]: the untyped first packets; [`login`]: authenticating a client; [`dial`]: logging in to a server.
//! - [`exchange`]: which replies are outstanding on a server connection, and where a unit of work ends.
//! - [`statement`]: prepared statements shared between clients; [`settings`]: session state that can be replayed.

pub mod dial;
pub mod error;
pub mod exchange;
pub mod frame;
pub mod login;
pub mod settings;
pub mod startup;
pub mod statement;
pub mod view;
pub mod write;

pub use error::{ErrorReply, ProtocolError, Severity};
