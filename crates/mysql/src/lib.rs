//! The MySQL client/server protocol as MySQL and MariaDB speak it, sans-IO: bytes in, bytes and facts out.
//!
//! It knows packets, their payloads in both directions, the structures of a login, commands and compression. It
//! deliberately knows no socket, no task, no clock, no pool and no route. Its caller is crate `session`, which moves the
//! bytes. Formats: MySQL Source Code Documentation, "Client/Server Protocol"; MariaDB documentation, "Client/Server
//! Protocol". Where the two differ, the item says so.
//!
//! - [`packet`]: where a packet begins and ends; [`lenenc`] and [`cursor`]: the protocol's data types.
//! - [`capability`] and [`status`]: the flag words; both sides must read a payload under the same capabilities.
//! - [`view`]: borrowed views of replies; [`mod@write`]: their encoders; [`error::ErrorReply`]: errors of our own.
//! - [`handshake`]: the structures of a login; [`login`]: authenticating a client; [`dial`]: logging in to a server.
//! - [`command`]: what clients ask; [`compress`]: the compressed protocol.

mod by_number;
pub mod capability;
pub mod command;
pub mod compress;
pub mod cursor;
pub mod dial;
pub mod error;
pub mod exchange;
pub mod handshake;
pub mod lenenc;
pub mod login;
pub mod packet;
pub mod settings;
pub mod statement;
pub mod status;
pub mod view;
pub mod write;

pub use capability::Capabilities;
pub use error::{ErrorReply, ProtocolError};
pub use status::Status;
