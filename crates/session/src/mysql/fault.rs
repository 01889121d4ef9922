//! Why a session, or the work under way in it, ends other than as the client wished.

use std::io;

use mysql::{ErrorReply, ProtocolError};

use crate::stream::broken;

/// What went wrong, and on which side.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The client is gone: nobody is left to be told.
    ClientGone,
    /// The client sent what no client sends. It is told, and the session ends.
    Client(ProtocolError),
    /// We end the session, and tell the client why.
    Refused(Box<ErrorReply>),
    /// The server connection broke, and with it what the session had there.
    Server(ServerFault),
}

/// How a server connection broke.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerFault {
    /// The server ended it.
    #[error("the server closed the connection")]
    Closed,
    /// The network or the server's kernel ended it.
    #[error("the connection to the server broke: {0}")]
    Io(#[from] io::Error),
    /// The server sent what no server sends.
    #[error("the server broke the protocol: {0}")]
    Protocol(#[from] ProtocolError),
    /// The server sent a packet that must be seen whole and is too long for that.
    #[error("the server sent more in one packet than is reasonable")]
    TooLong,
    /// The session state that the client expects could not be set up.
    #[error("the server refused the client's settings: {0}")]
    Settings(String),
}

impl Fault {
    /// What it means that reading from the client failed.
    pub(crate) fn of_client(error: &io::Error) -> Self {
        match broken(error) {
            Some(ProtocolError::Malformed { .. }) => Self::Refused(Box::new(ErrorReply::uncompress())),
            Some(error) => Self::Client(error.clone()),
            None => Self::ClientGone,
        }
    }
}

impl From<ProtocolError> for Fault {
    fn from(error: ProtocolError) -> Self {
        Self::Client(error)
    }
}

impl From<ServerFault> for Fault {
    fn from(fault: ServerFault) -> Self {
        Self::Server(fault)
    }
}
