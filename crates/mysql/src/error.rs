//! Errors of the protocol, and the error packets we write ourselves.

use std::borrow::Cow;

use crate::{Capabilities, packet};

/// Bytes that are not the protocol. The connection they came on must close.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A payload ends before its fields do, or its fields contradict each other.
    #[error("{payload} is malformed: {what}")]
    Malformed {
        /// What the payload should be.
        payload: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A payload that must not come here.
    #[error("a payload that begins with {first:#04x} is not expected {when}")]
    Unexpected {
        /// The payload's first byte.
        first: u8,
        /// In which state it came.
        when: &'static str,
    },
    /// A packet out of order.
    #[error("packet number {found} came where {expected} was due")]
    Sequence {
        /// The number that was due.
        expected: u8,
        /// The number that came.
        found: u8,
    },
    /// A protocol that we do not speak.
    #[error("{what} is not supported")]
    Version {
        /// Whose protocol, and which.
        what: &'static str,
    },
    /// A named limit was met.
    #[error("{what} exceeds the limit of {limit}")]
    Limit {
        /// What is too large or too many.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

pub(crate) fn malformed(payload: &'static str, what: &'static str) -> ProtocolError {
    ProtocolError::Malformed { payload, what }
}

/// An ERR packet of our own: the reason, in the numbers by which drivers decide what to do.
///
/// Numbers and states: MySQL's `share/messages_to_clients.txt`, MariaDB's `sql/share/errmsg-utf8.txt`. Drivers take a
/// state of class `08` as the end of the connection, and a login that was refused by number.
///
/// There is no constructor for 2006 (server has gone away) and 2013 (lost connection): those numbers exist only inside
/// client libraries, which make them up when a connection closes without a word. A server that sends one is taken for
/// broken (MariaDB: 2000 to 2999 and 5000 to 5999 are refused in an ERR packet). To let a client see them, close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorReply {
    /// The error's number.
    pub code: u16,
    /// SQLSTATE.
    pub sqlstate: [u8; 5],
    /// One sentence: what happened, and what the reader can do.
    pub message: Cow<'static, str>,
}

impl ErrorReply {
    /// An error with a number that has no constructor here.
    pub fn new(code: u16, sqlstate: [u8; 5], message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, sqlstate, message: message.into() }
    }

    /// 1040: no more connections. Drivers may try again later.
    pub fn too_many_connections(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(1040, *b"08004", message)
    }

    /// 1045: the login is refused; says the same whether the user exists or not, as MySQL does.
    #[must_use]
    pub fn access_denied(user: &str, host: &str, with_password: bool) -> Self {
        let using = if with_password { "YES" } else { "NO" };
        Self::new(1045, *b"28000", format!("Access denied for user '{user}'@'{host}' (using password: {using})"))
    }

    /// 1043: the greeting and the answer to it do not fit.
    pub fn bad_handshake(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(1043, *b"08S01", message)
    }

    /// 1046: a statement needs a database, and none is chosen.
    #[must_use]
    pub fn no_database() -> Self {
        Self::new(1046, *b"3D000", "No database selected")
    }

    /// 1047: a command that this server does not know.
    pub fn unknown_command(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(1047, *b"08S01", message)
    }

    /// 1049: there is no such database.
    #[must_use]
    pub fn unknown_database(name: &str) -> Self {
        Self::new(1049, *b"42000", format!("Unknown database '{name}'"))
    }

    /// 1053: the server is shutting down.
    pub fn shutdown(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(1053, *b"08S01", message)
    }

    /// 1094: `KILL` of a connection that is not there.
    #[must_use]
    pub fn unknown_thread(id: u64) -> Self {
        Self::new(1094, *b"HY000", format!("Unknown thread id: {id}"))
    }

    /// 1095: `KILL` of somebody else's connection.
    #[must_use]
    pub fn kill_denied(id: u64) -> Self {
        Self::new(1095, *b"HY000", format!("You are not owner of thread {id}"))
    }

    /// 1105: anything without a number of its own.
    pub fn unknown(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(1105, *b"HY000", message)
    }

    /// 1148: the command is not allowed here; `LOAD DATA LOCAL` by policy, for one.
    pub fn not_allowed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(1148, *b"42000", message)
    }

    /// 1153: a payload beyond `max_allowed_packet`. The connection closes after it.
    #[must_use]
    pub fn packet_too_large() -> Self {
        Self::new(1153, *b"08S01", "Got a packet bigger than 'max_allowed_packet' bytes")
    }

    /// 1156: packets out of order. The connection closes after it.
    #[must_use]
    pub fn packets_out_of_order() -> Self {
        Self::new(1156, *b"08S01", "Got packets out of order")
    }

    /// 1157: the compressed protocol was broken. The connection closes after it.
    #[must_use]
    pub fn uncompress() -> Self {
        Self::new(1157, *b"08S01", "Couldn't uncompress communication packet")
    }

    /// 1158: reading failed.
    pub fn read_error(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(1158, *b"08S01", message)
    }

    /// 1159: nothing came to read in time.
    pub fn read_timeout(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(1159, *b"08S01", message)
    }

    /// 1160: writing failed.
    pub fn write_error(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(1160, *b"08S01", message)
    }

    /// 1161: what was written was not taken in time.
    pub fn write_timeout(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(1161, *b"08S01", message)
    }

    /// 1231: no client can write in the character set that it has asked for.
    #[must_use]
    pub fn unusable_charset(name: &str) -> Self {
        Self::new(1231, *b"42000", format!("Variable 'character_set_client' can't be set to the value of '{name}'"))
    }

    /// 1203: the user has as many connections as it may.
    pub fn user_limit(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(1203, *b"42000", message)
    }

    /// 1205: a wait took too long. Drivers take it as worth another try.
    pub fn wait_timeout(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(1205, *b"HY000", message)
    }

    /// 1210: an execution's arguments do not fit its statement.
    #[must_use]
    pub fn wrong_arguments(to: &str) -> Self {
        Self::new(1210, *b"HY000", format!("Incorrect arguments to {to}"))
    }

    /// 1227: the user lacks a privilege.
    pub fn missing_privilege(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(1227, *b"42000", message)
    }

    /// 1235: not supported here.
    pub fn not_supported(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(1235, *b"42000", message)
    }

    /// 1243: there is no prepared statement of this number.
    #[must_use]
    pub fn unknown_statement(id: u32, function: &str) -> Self {
        let message = format!("Unknown prepared statement handler ({id}) given to {function}");
        Self::new(1243, *b"HY000", message)
    }

    /// 1251: the client's authentication is older than what we ask for.
    pub fn old_client(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(1251, *b"08004", message)
    }

    /// 1317: the statement was cancelled.
    pub fn interrupted(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(1317, *b"70100", message)
    }

    /// 1421: rows are fetched from a statement without an open cursor.
    #[must_use]
    pub fn no_cursor(id: u32, mariadb: bool) -> Self {
        let end = if mariadb { "" } else { "." };
        Self::new(1421, *b"HY000", format!("The statement ({id}) has no open cursor{end}"))
    }

    /// 1461: the session has as many prepared statements as it may.
    pub fn too_many_statements(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(1461, *b"42000", message)
    }

    /// 1835: a payload that is not the protocol. The connection closes after it.
    pub fn malformed_packet(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(1835, *b"HY000", message)
    }

    /// 1927: the connection was ended by somebody else (MariaDB; MySQL closes without a word).
    pub fn killed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(1927, *b"70100", message)
    }

    /// 3024: the statement ran longer than it may.
    pub fn statement_timeout(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(3024, *b"HY000", message)
    }

    /// 3159: the server takes encrypted connections only.
    pub fn encryption_required(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(3159, *b"HY000", message)
    }

    /// 4031: the session was idle for too long. Sent without being asked, before the connection closes.
    pub fn idle_timeout(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(4031, *b"HY000", message)
    }

    /// Appends the packet. Without [`Capabilities::PROTOCOL_41`], that is before the client has answered the greeting,
    /// there is no place for the SQLSTATE.
    pub fn write(&self, out: &mut Vec<u8>, sequence: &mut u8, capabilities: Capabilities) {
        packet::build(out, sequence, |out| {
            out.push(crate::view::ERR);
            out.extend_from_slice(&self.code.to_le_bytes());
            if capabilities.contains(Capabilities::PROTOCOL_41) {
                out.push(b'#');
                out.extend_from_slice(&self.sqlstate);
            }
            out.extend_from_slice(self.message.as_bytes());
        });
    }
}

/// How a broken protocol is reported to the client that broke it.
impl From<&ProtocolError> for ErrorReply {
    fn from(error: &ProtocolError) -> Self {
        match error {
            ProtocolError::Sequence { .. } => Self::packets_out_of_order(),
            ProtocolError::Limit { .. } => Self::packet_too_large(),
            ProtocolError::Version { .. } => Self::bad_handshake(error.to_string()),
            ProtocolError::Malformed { .. } | ProtocolError::Unexpected { .. } => {
                Self::malformed_packet(error.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{packet::Packet, view::ErrPacket};

    #[test]
    fn the_state_is_left_out_before_the_handshake() {
        let error = ErrorReply::too_many_connections("Too many connections");
        let (mut out, mut sequence) = (Vec::new(), 0);
        error.write(&mut out, &mut sequence, Capabilities::NONE);
        assert_eq!(out, b"\x17\0\0\0\xff\x10\x04Too many connections");
        out.clear();
        error.write(&mut out, &mut sequence, Capabilities::PROTOCOL_41);
        assert_eq!(out, b"\x1d\0\0\x01\xff\x10\x04#08004Too many connections");
        let (packet, _) = Packet::split(&out).unwrap();
        let read = ErrPacket::parse(packet.payload).unwrap();
        assert_eq!((read.code, read.sqlstate, read.message), (1040, Some(*b"08004"), &b"Too many connections"[..]));
    }

    #[test]
    fn a_refused_login_says_whether_a_password_came() {
        let error = ErrorReply::access_denied("app", "10.0.0.1", true);
        assert_eq!(error.message, "Access denied for user 'app'@'10.0.0.1' (using password: YES)");
    }
}
