//! The drivers: client loop, dialling and logging in to servers, relay.
