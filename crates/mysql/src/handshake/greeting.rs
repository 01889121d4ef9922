//! The first packet of a connection, from the server (`HandshakeV10`).

use super::Nonce;
use crate::{Capabilities, ProtocolError, Status, cursor::Cursor, error::malformed, packet};

/// The only version of the handshake that either server sends (since MySQL 3.21).
const VERSION: u8 = 10;
/// Bytes of the nonce that stand before the capabilities.
const FIRST_PART: usize = 8;
/// Bytes between the nonce's length and its second part: zeros of MySQL's, extended capabilities of MariaDB's.
const FILLER: usize = 6;

/// The server's greeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// The server's version, as it says it; see [`Greeting::version_number`].
    pub version: Vec<u8>,
    /// The connection's number, by which it is killed.
    pub connection_id: u32,
    /// The challenge for the default method.
    pub nonce: Nonce,
    /// What the server can do.
    pub capabilities: Capabilities,
    /// Number of the server's collation, lower byte.
    pub charset: u8,
    /// The session's state.
    pub status: Status,
    /// The default authentication method.
    pub plugin: Vec<u8>,
}

impl Greeting {
    /// Reads a greeting. A server that refuses at once sends an ERR packet in its place; look for that first.
    ///
    /// # Errors
    /// [`ProtocolError::Version`] for another handshake or a server from before 4.1; [`ProtocolError::Malformed`] when a
    /// field is cut short.
    pub fn parse(payload: &[u8]) -> Result<Self, ProtocolError> {
        if payload.first() != Some(&VERSION) {
            return Err(ProtocolError::Version { what: "a handshake other than version 10" });
        }
        let greeting =
            Self::fields(Cursor::new(payload)).ok_or_else(|| malformed("a greeting", "a field is cut short"))?;
        if !greeting.capabilities.contains(Capabilities::PROTOCOL_41 | Capabilities::SECURE_CONNECTION) {
            return Err(ProtocolError::Version { what: "a server from before MySQL 4.1" });
        }
        Ok(greeting)
    }

    fn fields(mut cursor: Cursor<'_>) -> Option<Self> {
        let _version = cursor.u8()?;
        let version = cursor.cstr()?.to_vec();
        let connection_id = cursor.u32()?;
        let first: [u8; FIRST_PART] = cursor.array()?;
        let _filler = cursor.u8()?;
        let low = cursor.u16()?;
        let (charset, status) = (cursor.u8()?, Status(cursor.u16()?));
        let high = cursor.u16()?;
        let nonce_len = usize::from(cursor.u8()?);
        cursor.take(FILLER)?;
        let capabilities = Capabilities::from_wire(u32::from(high) << 16 | u32::from(low), cursor.u32()?);
        // At least 13 bytes: 12 of the nonce and a NUL, which some servers leave out at the packet's very end.
        let second_len = nonce_len.saturating_sub(FIRST_PART).max(Nonce::LEN + 1 - FIRST_PART);
        let second = cursor.take(second_len.min(cursor.rest().len()))?;
        let nonce = [&first[..], second.get(..Nonce::LEN - FIRST_PART)?].concat();
        let plugin = match capabilities.contains(Capabilities::PLUGIN_AUTH) {
            true => cursor.cstr_or_rest().to_vec(),
            false => super::plugin::NATIVE.to_vec(),
        };
        let nonce = Nonce::from_wire(&nonce)?;
        Some(Self { version, connection_id, nonce, capabilities, charset, status, plugin })
    }

    /// Appends the packet.
    pub fn write(&self, out: &mut Vec<u8>, sequence: &mut u8) {
        let basic = self.capabilities.basic().to_le_bytes();
        let (first, second) = self.nonce.as_bytes().split_at(FIRST_PART);
        packet::build(out, sequence, |out| {
            out.push(VERSION);
            out.extend(self.version.iter().filter(|&&byte| byte != 0));
            out.push(0);
            out.extend_from_slice(&self.connection_id.to_le_bytes());
            out.extend_from_slice(first);
            out.push(0);
            out.extend_from_slice(&basic[..2]);
            out.push(self.charset);
            out.extend_from_slice(&self.status.0.to_le_bytes());
            out.extend_from_slice(&basic[2..]);
            let named = self.capabilities.contains(Capabilities::PLUGIN_AUTH);
            out.push(if named { Nonce::LEN as u8 + 1 } else { 0 });
            out.extend_from_slice(&[0; FILLER]);
            out.extend_from_slice(&self.capabilities.extended().to_le_bytes());
            out.extend_from_slice(second);
            out.push(0);
            if named {
                out.extend_from_slice(&self.plugin);
                out.push(0);
            }
        });
    }

    /// Whether the server is MariaDB.
    #[must_use]
    pub fn is_mariadb(&self) -> bool {
        memchr::memmem::find(&self.version, b"MariaDB").is_some()
    }

    /// Major, minor and patch number; what is not a number is 0. See [`version_number`].
    #[must_use]
    pub fn version_number(&self) -> (u16, u16, u16) {
        version_number(&self.version)
    }
}

/// Major, minor and patch number of a server's version; what is not a number is 0.
///
/// MariaDB 10 puts `5.5.5-` in front, because replicas of MySQL 5.5 took a first digit for the whole number.
#[must_use]
pub fn version_number(version: &[u8]) -> (u16, u16, u16) {
    let version = version.strip_prefix(b"5.5.5-").unwrap_or(version);
    let end = version.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'.')).unwrap_or(version.len());
    let text = std::str::from_utf8(version.get(..end).unwrap_or_default()).unwrap_or_default();
    let mut numbers = text.split('.').map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}
