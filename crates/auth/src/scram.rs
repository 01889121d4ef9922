//! SCRAM-SHA-256, server side and client side (RFC 5802, RFC 7677).
//!
//! Each wait point of the exchange is a type of its own and each message consumes it, so an exchange cannot be answered out of
//! order or twice:
//!
//! ```text
//! Client ──client-first──▶ Server
//! Challenged ◀──server-first── Challenging
//! Answered ──client-final──▶ (accept)
//! (verify) ◀──server-final── Accepted
//! ```
//!
//! Only PBKDF2 is expensive (about a millisecond at 4,096 rounds), and neither [`Server`] nor [`Client`] runs it: the server
//! works from a [`Verifier`], the client from [`ClientKeys`], and whoever must derive those from a password calls
//! [`Challenged::derive`] or [`Verifier::from_password`] where a millisecond hurts nobody, and keeps the result.
//!
//! Channel binding (SCRAM-SHA-256-PLUS) is not offered. To add `tls-server-end-point`, [`ClientBinding`] and the header that
//! `message` accepts gain a variant that carries the certificate's hash; `c=` is already compared with the header as received.

mod cache;
mod client;
mod derive;
mod key;
mod message;
mod saslprep;
mod server;
mod verifier;

pub use cache::KeyCache;
pub use client::{Answered, Challenged, Client, ClientBinding};
pub use derive::{ClientKeys, Derivation, Iterations};
pub use key::Key;
pub use message::{MESSAGE_LEN_MAX, Nonce};
pub use server::{Accepted, Challenging, Server};
pub use verifier::Verifier;

/// The mechanism's name in PostgreSQL's `AuthenticationSASL` and `SASLInitialResponse`.
pub const MECHANISM: &str = "SCRAM-SHA-256";
