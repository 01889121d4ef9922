//! What the client answers to the greeting: a request for TLS, and who it is.

use auth::Secret;

use super::Attributes;
use crate::{Capabilities, ProtocolError, cursor::Cursor, error::malformed, lenenc, packet};

/// Zeros between the fixed fields and the user's name; the last four are MariaDB's extended capabilities.
const FILLER: usize = 19;
/// Bytes of the fixed fields, which a request for TLS consists of.
const FIXED_LEN: usize = 4 + 4 + 1 + FILLER + 4;

/// The fields that a TLS request and a handshake response begin with.
fn read_fixed(cursor: &mut Cursor<'_>) -> Option<SslRequest> {
    let (basic, max_packet, charset) = (cursor.u32()?, cursor.u32()?, cursor.u8()?);
    cursor.take(FILLER)?;
    Some(SslRequest { capabilities: Capabilities::from_wire(basic, cursor.u32()?), max_packet, charset })
}

fn write_fixed(out: &mut Vec<u8>, fixed: SslRequest) {
    out.extend_from_slice(&fixed.capabilities.basic().to_le_bytes());
    out.extend_from_slice(&fixed.max_packet.to_le_bytes());
    out.push(fixed.charset);
    out.extend_from_slice(&[0; FILLER]);
    out.extend_from_slice(&fixed.capabilities.extended().to_le_bytes());
}

/// "Let us speak TLS": nothing is answered, the TLS handshake begins at once, and the response proper follows inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SslRequest {
    /// What the client asks for; it repeats it in its response.
    pub capabilities: Capabilities,
    /// Longest payload the client takes, in bytes.
    pub max_packet: u32,
    /// Number of the client's collation, lower byte.
    pub charset: u8,
}

impl SslRequest {
    /// Reads a request for TLS; `None` when the payload is a response, or nothing of the kind.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let request = read_fixed(&mut Cursor::new(payload))?;
        (payload.len() == FIXED_LEN && request.capabilities.contains(Capabilities::SSL)).then_some(request)
    }

    /// Appends the packet.
    pub fn write(&self, out: &mut Vec<u8>, sequence: &mut u8) {
        packet::build(out, sequence, |out| write_fixed(out, *self));
    }
}

/// "I am this user and want that database" (`HandshakeResponse41`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandshakeResponse {
    /// What the client asks for. It may ask for more than was offered: the session has what both have.
    pub capabilities: Capabilities,
    /// Longest payload the client takes, in bytes.
    pub max_packet: u32,
    /// Number of the client's collation, lower byte.
    pub charset: u8,
    /// User name.
    pub user: Vec<u8>,
    /// The answer to the greeting's challenge.
    pub auth_response: Secret,
    /// Database name; `None` when none is asked for.
    pub database: Option<Vec<u8>>,
    /// The authentication method that the answer is for; `None` when the client knows of no methods.
    pub plugin: Option<Vec<u8>>,
    /// What the client says of itself.
    pub attributes: Attributes,
    /// The level for zstd (1 to 22), with [`Capabilities::ZSTD_COMPRESSION_ALGORITHM`].
    pub zstd_level: Option<u8>,
}

impl HandshakeResponse {
    /// Reads a response.
    ///
    /// # Errors
    /// [`ProtocolError::Version`] for a client from before 4.1; [`ProtocolError::Malformed`] when a field is cut short;
    /// [`ProtocolError::Limit`] for too many attributes.
    pub fn parse(payload: &[u8]) -> Result<Self, ProtocolError> {
        let mut cursor = Cursor::new(payload);
        // The old response begins with two bytes of capabilities, among which is no PROTOCOL_41.
        if payload.get(1).is_some_and(|byte| byte & 0x02 == 0) {
            return Err(ProtocolError::Version { what: "a client from before MySQL 4.1" });
        }
        let cut = || malformed("a handshake response", "a field is cut short");
        let fixed = read_fixed(&mut cursor).ok_or_else(cut)?;
        let has = |flag| fixed.capabilities.contains(flag);
        let user = cursor.cstr().ok_or_else(cut)?.to_vec();
        let auth_response = read_auth_response(&mut cursor, fixed.capabilities).ok_or_else(cut)?;
        let database = has(Capabilities::CONNECT_WITH_DB).then(|| cursor.cstr_or_rest().to_vec());
        let plugin = has(Capabilities::PLUGIN_AUTH).then(|| cursor.cstr_or_rest().to_vec());
        // Servers take a response that ends before its attributes, and some clients send one.
        let attributes = match has(Capabilities::CONNECT_ATTRS) && !cursor.is_empty() {
            true => Attributes::read(&mut cursor)?,
            false => Attributes::default(),
        };
        let zstd_level = if has(Capabilities::ZSTD_COMPRESSION_ALGORITHM) { cursor.u8() } else { None };
        Ok(Self {
            capabilities: fixed.capabilities,
            max_packet: fixed.max_packet,
            charset: fixed.charset,
            user,
            auth_response: Secret::new(auth_response.to_vec()),
            database: database.filter(|name| !name.is_empty()),
            plugin,
            attributes,
            zstd_level,
        })
    }

    /// The request for TLS that goes before this response.
    #[must_use]
    pub fn ssl_request(&self) -> SslRequest {
        SslRequest { capabilities: self.capabilities, max_packet: self.max_packet, charset: self.charset }
    }

    /// Appends the packet. Fields without their capability are left out.
    pub fn write(&self, out: &mut Vec<u8>, sequence: &mut u8) {
        let has = |flag| self.capabilities.contains(flag);
        packet::build(out, sequence, |out| {
            write_fixed(out, self.ssl_request());
            write_cstr(out, &self.user);
            write_auth_response(out, self.auth_response.expose(), self.capabilities);
            if has(Capabilities::CONNECT_WITH_DB) {
                write_cstr(out, self.database.as_deref().unwrap_or_default());
            }
            if has(Capabilities::PLUGIN_AUTH) {
                write_cstr(out, self.plugin.as_deref().unwrap_or_default());
            }
            if has(Capabilities::CONNECT_ATTRS) {
                self.attributes.write(out);
            }
            if has(Capabilities::ZSTD_COMPRESSION_ALGORITHM) {
                out.push(self.zstd_level.unwrap_or(crate::compress::ZSTD_LEVEL_DEFAULT));
            }
        });
    }
}

fn read_auth_response<'a>(cursor: &mut Cursor<'a>, capabilities: Capabilities) -> Option<&'a [u8]> {
    if capabilities.contains(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA) {
        cursor.lenenc_bytes()
    } else if capabilities.contains(Capabilities::SECURE_CONNECTION) {
        let len = cursor.u8()?;
        cursor.take(usize::from(len))
    } else {
        cursor.cstr()
    }
}

/// An answer that does not fit the encoding is left empty, to be asked for again by a switch of method.
fn write_auth_response(out: &mut Vec<u8>, response: &[u8], capabilities: Capabilities) {
    if capabilities.contains(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA) {
        lenenc::write_bytes(out, response);
    } else if capabilities.contains(Capabilities::SECURE_CONNECTION) {
        write_short(out, response);
    } else {
        write_cstr(out, response);
    }
}

/// One byte of length, then the bytes; nothing of them when they are more than 255.
pub(super) fn write_short(out: &mut Vec<u8>, bytes: &[u8]) {
    match u8::try_from(bytes.len()) {
        Ok(len) => {
            out.push(len);
            out.extend_from_slice(bytes);
        }
        Err(_) => out.push(0),
    }
}

/// A NUL inside a name would end the field early and shift the rest; such a byte is dropped.
pub(super) fn write_cstr(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(text.iter().filter(|&&byte| byte != 0));
    out.push(0);
}
