//! `COM_CHANGE_USER`: another login on a live connection, which also resets the session.

use auth::Secret;

use super::Attributes;
use super::response::{write_cstr, write_short};
use crate::{Capabilities, ProtocolError, command::Command, cursor::Cursor, error::malformed, packet};

/// The body of `COM_CHANGE_USER`. The server answers as to a handshake response: OK, ERR, or a switch of method with a new
/// challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeUser {
    /// User name.
    pub user: Vec<u8>,
    /// The answer to the challenge of the connection's greeting, or of its last switch of method.
    pub auth_response: Secret,
    /// Database name; `None` for none.
    pub database: Option<Vec<u8>>,
    /// Number of the client's collation; `None` when the client leaves it as it is.
    pub charset: Option<u16>,
    /// The authentication method that the answer is for; `None` when the client knows of no methods.
    pub plugin: Option<Vec<u8>>,
    /// What the client says of itself.
    pub attributes: Attributes,
}

impl ChangeUser {
    /// Reads what follows the command's code.
    ///
    /// # Errors
    /// [`ProtocolError::Malformed`] when a field is cut short; [`ProtocolError::Limit`] for too many attributes.
    pub fn parse(body: &[u8], capabilities: Capabilities) -> Result<Self, ProtocolError> {
        let mut cursor = Cursor::new(body);
        let cut = || malformed("a change of user", "a field is cut short");
        let user = cursor.cstr().ok_or_else(cut)?.to_vec();
        let auth_response = match capabilities.contains(Capabilities::SECURE_CONNECTION) {
            true => cursor.u8().and_then(|len| cursor.take(usize::from(len))),
            false => cursor.cstr(),
        };
        let auth_response = Secret::new(auth_response.ok_or_else(cut)?.to_vec());
        let database = cursor.cstr_or_rest().to_vec();
        let charset = cursor.u16();
        let named = capabilities.contains(Capabilities::PLUGIN_AUTH) && !cursor.is_empty();
        let plugin = named.then(|| cursor.cstr_or_rest().to_vec());
        let attributes = match capabilities.contains(Capabilities::CONNECT_ATTRS) && !cursor.is_empty() {
            true => Attributes::read(&mut cursor)?,
            false => Attributes::default(),
        };
        let database = Some(database).filter(|name| !name.is_empty());
        Ok(Self { user, auth_response, database, charset, plugin, attributes })
    }

    /// Appends the command. `sequence` is 0 before it, as before every command.
    pub fn write(&self, out: &mut Vec<u8>, sequence: &mut u8, capabilities: Capabilities) {
        packet::build(out, sequence, |out| {
            out.push(Command::ChangeUser.code());
            write_cstr(out, &self.user);
            match capabilities.contains(Capabilities::SECURE_CONNECTION) {
                true => write_short(out, self.auth_response.expose()),
                false => write_cstr(out, self.auth_response.expose()),
            }
            write_cstr(out, self.database.as_deref().unwrap_or_default());
            // The fields behind stand or fall together: each is found by the end of the one before.
            let Some(charset) = self.charset else { return };
            out.extend_from_slice(&charset.to_le_bytes());
            if capabilities.contains(Capabilities::PLUGIN_AUTH) {
                write_cstr(out, self.plugin.as_deref().unwrap_or_default());
            }
            if capabilities.contains(Capabilities::CONNECT_ATTRS) {
                self.attributes.write(out);
            }
        });
    }
}
