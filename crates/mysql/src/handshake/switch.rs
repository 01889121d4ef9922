//! What a server asks further in a login.

use super::Nonce;
use crate::{ProtocolError, cursor::Cursor, error::malformed, packet, view};

/// First byte of [`AuthMoreData`].
const MORE_DATA: u8 = 0x01;

/// "Use this method instead": the client answers with a packet that holds the method's first answer and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthSwitchRequest {
    /// The method's name.
    pub plugin: Vec<u8>,
    /// The method's first data: for most a nonce and a NUL, see [`AuthSwitchRequest::nonce`].
    pub data: Vec<u8>,
}

impl AuthSwitchRequest {
    /// Asks for `plugin` with a nonce of the usual length.
    #[must_use]
    pub fn new(plugin: &[u8], nonce: &Nonce) -> Self {
        Self { plugin: plugin.to_vec(), data: [&nonce.as_bytes()[..], &[0]].concat() }
    }

    /// Reads a request, first byte 0xFE.
    ///
    /// # Errors
    /// [`ProtocolError::Version`] for the one-byte request of servers before 4.1; [`ProtocolError::Malformed`] for anything
    /// else that is no request.
    pub fn parse(payload: &[u8]) -> Result<Self, ProtocolError> {
        let mut cursor = Cursor::new(payload);
        if cursor.u8() != Some(view::EOF) {
            return Err(malformed("a switch of method", "it does not begin with 0xfe"));
        }
        if cursor.is_empty() {
            return Err(ProtocolError::Version { what: "the password exchange from before MySQL 4.1" });
        }
        let plugin = cursor.cstr().ok_or_else(|| malformed("a switch of method", "the name has no end"))?;
        Ok(Self { plugin: plugin.to_vec(), data: cursor.rest().to_vec() })
    }

    /// Appends the packet.
    pub fn write(&self, out: &mut Vec<u8>, sequence: &mut u8) {
        packet::build(out, sequence, |out| {
            out.push(view::EOF);
            super::response::write_cstr(out, &self.plugin);
            out.extend_from_slice(&self.data);
        });
    }

    /// The method's nonce, where it has one of the usual length.
    #[must_use]
    pub fn nonce(&self) -> Option<Nonce> {
        Nonce::from_wire(&self.data)
    }
}

/// Data of the authentication method, from the server; the client answers with a packet without a first byte of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthMoreData<'a>(pub &'a [u8]);

impl<'a> AuthMoreData<'a> {
    /// Reads the packet, first byte 0x01.
    ///
    /// # Errors
    /// [`ProtocolError::Malformed`] for anything else.
    pub fn parse(payload: &'a [u8]) -> Result<Self, ProtocolError> {
        match payload.split_first() {
            Some((&MORE_DATA, data)) => Ok(Self(data)),
            _ => Err(malformed("further data of a login", "it does not begin with 0x01")),
        }
    }

    /// Appends the packet.
    pub fn write(&self, out: &mut Vec<u8>, sequence: &mut u8) {
        packet::build(out, sequence, |out| {
            out.push(MORE_DATA);
            out.extend_from_slice(self.0);
        });
    }
}
