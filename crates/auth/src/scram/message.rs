//! The four messages of RFC 5802 as borrowed views, and how their fields are read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::derive::{Derivation, Iterations};
use super::key::Key;
use super::verifier::decode_key;
use crate::{Error, Message};

/// The longest message we read, in bytes.
///
/// PostgreSQL takes no more from a client (`PG_MAX_SASL_MESSAGE_LENGTH`, `src/include/libpq/sasl.h`); real ones have about 100.
pub const MESSAGE_LEN_MAX: usize = 1024;

/// One side's random contribution to an exchange; must never be used twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// Random bytes in a nonce, as PostgreSQL's (`SCRAM_RAW_NONCE_LEN`).
    pub const LEN: usize = 18;

    /// Makes a nonce of bytes from a cryptographic random source.
    pub fn new(random: [u8; Self::LEN]) -> Self {
        Self(BASE64.encode(random))
    }

    /// A nonce with the given text, for the RFC's own examples.
    #[cfg(test)]
    pub(super) fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// `client-first-message`: the header about channel binding, then the part that is signed.
pub(super) struct ClientFirst<'a> {
    pub(super) header: &'static [u8],
    pub(super) bare: &'a [u8],
    pub(super) nonce: &'a [u8],
}

impl<'a> ClientFirst<'a> {
    /// Reads it as a server that offered no channel binding.
    ///
    /// `y` (the client could bind, and believes we cannot) is accepted, because that is so. The user name is not looked at, as
    /// in PostgreSQL: the startup message has said who logs in.
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, Error> {
        const KIND: Message = Message::ClientFirst;
        check_length(KIND, message)?;
        let header = match message {
            [b'n', b',', b',', ..] => b"n,,",
            [b'y', b',', b',', ..] => b"y,,",
            [b'p', ..] => return Err(Error::ChannelBindingNotOffered),
            [b'n' | b'y', b',', b'a', ..] => return Err(Error::AuthorizationIdentity),
            _ => return Err(KIND.malformed("a channel binding flag")),
        };
        let bare = message.get(header.len()..).unwrap_or_default();
        let mut fields = Fields::new(KIND, bare);
        fields.no_mandatory_extension()?;
        fields.take(b'n', "the user name (n=)")?;
        let nonce = fields.take_nonce()?;
        fields.skip_extensions()?;
        Ok(Self { header, bare, nonce })
    }
}

/// `server-first-message`.
pub(super) struct ServerFirst<'a> {
    pub(super) nonce: &'a [u8],
    pub(super) derivation: Derivation,
}

impl<'a> ServerFirst<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, Error> {
        const KIND: Message = Message::ServerFirst;
        check_length(KIND, message)?;
        let mut fields = Fields::new(KIND, message);
        fields.no_mandatory_extension()?;
        let nonce = fields.take_nonce()?;
        let salt = fields.take(b's', "the salt (s=)")?;
        let salt = BASE64.decode(salt).map_err(|_| KIND.malformed("a salt in base64"))?;
        let iterations = fields.take(b'i', "the iteration count (i=)")?;
        let iterations = Iterations::parse(iterations).ok_or_else(|| KIND.malformed("a decimal iteration count"))??;
        fields.skip_extensions()?;
        Ok(Self { nonce, derivation: Derivation::new(&salt, iterations)? })
    }

    /// Writes the message a server with this nonce and derivation sends.
    pub(super) fn write(client_nonce: &[u8], server_nonce: &Nonce, derivation: &Derivation) -> Vec<u8> {
        let salt = BASE64.encode(derivation.salt());
        let tail = format!("{},s={salt},i={}", server_nonce.0, derivation.iterations().get());
        [b"r=", client_nonce, tail.as_bytes()].concat()
    }
}

/// `client-final-message`.
pub(super) struct ClientFinal<'a> {
    pub(super) binding: &'a [u8],
    pub(super) nonce: &'a [u8],
    pub(super) proof: Key,
    pub(super) without_proof: &'a [u8],
}

impl<'a> ClientFinal<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, Error> {
        const KIND: Message = Message::ClientFinal;
        check_length(KIND, message)?;
        // The proof signs all that precedes it and must be the last field; a value cannot hold a comma.
        let last_comma = message.iter().rposition(|&byte| byte == b',');
        let (without_proof, last) = last_comma.map_or((message, &b""[..]), |at| message.split_at(at));
        let proof = last.strip_prefix(b",p=").ok_or_else(|| KIND.malformed("the proof (p=) as last field"))?;
        let proof = decode_key(proof).ok_or_else(|| KIND.malformed("a 32-byte proof in base64"))?;

        let mut fields = Fields::new(KIND, without_proof);
        let binding = fields.take(b'c', "the channel binding (c=)")?;
        let nonce = fields.take_nonce()?;
        fields.skip_extensions()?;
        Ok(Self { binding, nonce, proof, without_proof })
    }

    /// Writes the part the proof signs.
    pub(super) fn write_without_proof(header: &[u8], nonce: &[u8]) -> Vec<u8> {
        [b"c=", binding_text(header).as_bytes(), b",r=", nonce].concat()
    }

    /// Adds the proof.
    pub(super) fn finish(mut without_proof: Vec<u8>, proof: &Key) -> Vec<u8> {
        without_proof.extend_from_slice(b",p=");
        without_proof.extend_from_slice(BASE64.encode(proof.expose()).as_bytes());
        without_proof
    }
}

/// `server-final-message`: the server's signature.
pub(super) struct ServerFinal;

impl ServerFinal {
    /// Reads the signature.
    pub(super) fn parse(message: &[u8]) -> Result<Key, Error> {
        const KIND: Message = Message::ServerFinal;
        check_length(KIND, message)?;
        let mut fields = Fields::new(KIND, message);
        if let Some(reason) = fields.take_if(b'e') {
            return Err(Error::ServerRefused { reason: reason.escape_ascii().to_string() });
        }
        let signature = fields.take(b'v', "the server's signature (v=)")?;
        fields.skip_extensions()?;
        decode_key(signature).ok_or_else(|| KIND.malformed("a 32-byte signature in base64"))
    }

    /// Writes the message.
    pub(super) fn write(signature: &Key) -> Vec<u8> {
        format!("v={}", BASE64.encode(signature.expose())).into_bytes()
    }
}

/// The `c=` value that belongs to a header without channel binding data.
pub(super) fn binding_text(header: &[u8]) -> String {
    BASE64.encode(header)
}

fn check_length(message: Message, bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() > MESSAGE_LEN_MAX {
        return Err(Error::TooLong { message, len: bytes.len(), max: MESSAGE_LEN_MAX });
    }
    Ok(())
}

/// The comma-separated `x=value` fields of a message, taken from the front.
struct Fields<'a> {
    message: Message,
    /// What has not been taken yet; `None` after the last field.
    rest: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn new(message: Message, bytes: &'a [u8]) -> Self {
        Self { message, rest: Some(bytes) }
    }

    /// Takes the next field if its name is `name`.
    fn take_if(&mut self, name: u8) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let [first, b'=', from_value @ ..] = rest else { return None };
        if *first != name {
            return None;
        }
        let mut parts = from_value.splitn(2, |&byte| byte == b',');
        let value = parts.next()?;
        self.rest = parts.next();
        Some(value)
    }

    fn take(&mut self, name: u8, expected: &'static str) -> Result<&'a [u8], Error> {
        self.take_if(name).ok_or_else(|| self.message.malformed(expected))
    }

    /// Takes `r=`: one or more printable ASCII characters (RFC 5802, section 7, `nonce`).
    fn take_nonce(&mut self) -> Result<&'a [u8], Error> {
        let nonce = self.take(b'r', "the nonce (r=)")?;
        if nonce.is_empty() || !nonce.iter().all(u8::is_ascii_graphic) {
            return Err(self.message.malformed("a nonce of printable characters"));
        }
        Ok(nonce)
    }

    /// Refuses `m=`, which RFC 5802 reserves for extensions that must not be ignored.
    fn no_mandatory_extension(&mut self) -> Result<(), Error> {
        match self.take_if(b'm') {
            Some(_) => Err(Error::UnknownExtension { message: self.message }),
            None => Ok(()),
        }
    }

    /// Skips the optional extensions at the end; they must at least be fields.
    fn skip_extensions(&mut self) -> Result<(), Error> {
        while let Some([name, ..]) = self.rest {
            if !name.is_ascii_alphabetic() {
                return Err(self.message.malformed("a field name"));
            }
            self.take(*name, "a field (x=…)")?;
        }
        match self.rest {
            None => Ok(()),
            Some(_) => Err(self.message.malformed("a field after the last comma")),
        }
    }
}
