//! Why somebody is not let in, and what that reads like.

use mysql::{ErrorReply, ProtocolError, login::Refusal as Refused};

use crate::{engine::LaneError, registry::Full};

/// Why somebody is not let in.
#[derive(Debug)]
pub(in crate::mysql) enum Refusal {
    /// Gone, or never was a client: nobody to tell.
    Gone,
    /// Told why.
    Told(Box<ErrorReply>),
    /// Told only that access is denied; the true reason is for the log.
    Secret { user: Vec<u8>, why: Refused },
}

impl From<ErrorReply> for Refusal {
    fn from(reply: ErrorReply) -> Self {
        Self::Told(Box::new(reply))
    }
}

impl From<Full> for Refusal {
    fn from(full: Full) -> Self {
        let message = format!("{} (the limit is {})", full.what, full.limit);
        let is_total = full.what.contains("no more connections");
        if is_total { ErrorReply::too_many_connections(message) } else { ErrorReply::user_limit(message) }.into()
    }
}

impl From<ProtocolError> for Refusal {
    fn from(error: ProtocolError) -> Self {
        ErrorReply::bad_handshake(format!("Bad handshake: {error}")).into()
    }
}

/// Why there is no route, as a client reads it.
pub(in crate::mysql) fn no_lane(error: LaneError, database: &str) -> Refusal {
    match error {
        LaneError::NoRoute(route::NoRoute::UnknownDatabase { name, nearest }) => {
            tracing::info!(database = name, nearest, "no such database");
            ErrorReply::unknown_database(database).into()
        }
        LaneError::OtherProtocol(_) => ErrorReply::unknown_database(database).into(),
        error => ErrorReply::not_allowed(error.to_string()).into(),
    }
}
