//! Password authentication, both sides of every exchange: pure, no I/O, no clock, and but for [`rsa`] no
//! randomness of its own.
//!
//! It deliberately does not know how messages are framed, where users are configured or which methods a listener offers.
//! The main types are [`Credential`] (what a configured secret can prove and check) and the two halves of SCRAM-SHA-256,
//! [`scram::Server`] and [`scram::Client`]; the methods of MySQL and MariaDB are functions and small types, a module for each
//! [`Plugin`]. The callers are the logins of `pg` and `mysql`, with [`Secret`] shared by `config`.
//!
//! ```
//! use auth::{Secret, scram};
//!
//! let password = Secret::from("pencil");
//! let derivation = scram::Derivation::new(b"a 16 byte salt..", scram::Iterations::DEFAULT)?;
//! let verifier = scram::Verifier::from_password(&password, derivation);
//!
//! let (client, first) = scram::Client::begin(scram::Nonce::new([1; 18]), scram::ClientBinding::Unsupported);
//! let (server, challenge) = scram::Server::new(verifier, scram::Nonce::new([2; 18])).challenge(&first)?;
//! let challenged = client.challenge(&challenge)?;
//! let keys = challenged.derive(&password);
//! let (client, proof) = challenged.answer(&keys)?;
//! let accepted = server.accept(&proof)?;
//! client.verify(&accepted.reply)?;
//! # Ok::<(), auth::Error>(())
//! ```

pub mod caching_sha2;
pub mod credential;
pub mod ed25519;
mod error;
mod fixed;
mod hex;
mod learned;
pub mod md5;
pub mod native;
pub mod plugin;
pub mod rsa;
pub mod scram;
mod secret;

pub use credential::Credential;
pub use error::{Error, Message};
pub use learned::Learned;
pub use plugin::{Channel, Plugin};
pub use secret::Secret;
