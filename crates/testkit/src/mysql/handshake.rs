//! How a MySQL client logs in: the greeting, what a client says about itself, answers to challenges.

use anyhow::{Context, Result, ensure};
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::prelude::{BASE64_STANDARD, Engine};
use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::result::Fields;

/// What a server says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Its version, as text.
    pub version: String,
    /// The connection's id, as `connection_id()` gives it (a pooler invents one).
    pub connection_id: u32,
    /// What it can do; see [`capability`].
    pub capabilities: u32,
    /// Status flags.
    pub status: u16,
    /// The challenge, 20 bytes.
    pub challenge: Vec<u8>,
    /// The login it proposes.
    pub plugin: String,
}

/// What a client says about itself at login.
#[derive(Clone, Debug)]
pub struct Client {
    /// The user's name.
    pub user: String,
    /// The password; an empty one is no password.
    pub password: String,
    /// The database to begin in.
    pub database: Option<String>,
    /// What the client claims to be able to do, sent as it is; [`capability::CONNECT_WITH_DB`] is added with a database.
    pub capabilities: u32,
    /// The number of a collation.
    pub collation: u8,
    /// Attributes of the connection, short ones; with any, [`capability::CONNECT_ATTRS`] is added.
    pub attributes: Vec<(String, String)>,
}

impl Client {
    /// A plain client: several statements and results, classic ends of results, utf8mb4.
    #[must_use]
    pub fn new(user: &str, password: &str, database: Option<&str>) -> Self {
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
            database: database.map(str::to_owned),
            capabilities: capability::PLAIN,
            collation: UTF8MB4_GENERAL_CI,
            attributes: Vec::new(),
        }
    }

    /// Also sends this attribute of its connection.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Also claims these abilities.
    #[must_use]
    pub fn with(mut self, capabilities: u32) -> Self {
        self.capabilities |= capabilities;
        self
    }
}

/// Flags of what a server or client can do (`CLIENT_…` in MySQL's `mysql_com.h`).
pub mod capability {
    /// Remembers rows found, not rows changed.
    pub const FOUND_ROWS: u32 = 1 << 1;
    /// Names a database at login.
    pub const CONNECT_WITH_DB: u32 = 1 << 3;
    /// The compressed protocol, with zlib.
    pub const COMPRESS: u32 = 1 << 5;
    /// Files of the client's may be asked for.
    pub const LOCAL_FILES: u32 = 1 << 7;
    /// The protocol since 4.1.
    pub const PROTOCOL_41: u32 = 1 << 9;
    /// Changes to TLS before the login.
    pub const SSL: u32 = 1 << 11;
    /// Reads status flags.
    pub const TRANSACTIONS: u32 = 1 << 13;
    /// A challenge of 20 bytes.
    pub const SECURE_CONNECTION: u32 = 1 << 15;
    /// Sends several statements in one text.
    pub const MULTI_STATEMENTS: u32 = 1 << 16;
    /// Takes several results.
    pub const MULTI_RESULTS: u32 = 1 << 17;
    /// Takes several results of a prepared statement.
    pub const PS_MULTI_RESULTS: u32 = 1 << 18;
    /// Names its login.
    pub const PLUGIN_AUTH: u32 = 1 << 19;
    /// Sends attributes of the connection.
    pub const CONNECT_ATTRS: u32 = 1 << 20;
    /// Reads changes of the session's state in OK packets.
    pub const SESSION_TRACK: u32 = 1 << 23;
    /// Results end with an OK packet instead of an EOF packet.
    pub const DEPRECATE_EOF: u32 = 1 << 24;

    /// What [`super::Client::new`] claims.
    pub const PLAIN: u32 = 1 // the long form of old passwords, which every client claims
        | PROTOCOL_41
        | TRANSACTIONS
        | SECURE_CONNECTION
        | MULTI_STATEMENTS
        | MULTI_RESULTS
        | PS_MULTI_RESULTS
        | PLUGIN_AUTH;
}

/// Reads the greeting, `Protocol::HandshakeV10`.
pub(super) fn greeting(body: &[u8]) -> Result<Greeting> {
    let mut fields = Fields(body);
    ensure!(fields.u8()? == 10, "not version 10 of the handshake");
    let version = String::from_utf8_lossy(fields.until_zero()?).into_owned();
    let connection_id = fields.u32()?;
    let mut challenge = fields.take(8)?.to_vec();
    fields.take(1)?;
    let low = fields.u16()?;
    let _collation = fields.u8()?;
    let status = fields.u16()?;
    let high = fields.u16()?;
    let _challenge_len = fields.u8()?;
    fields.take(10)?;
    challenge.extend(fields.take(12)?);
    fields.take(1)?;
    let plugin = String::from_utf8_lossy(fields.until_zero()?).into_owned();
    let capabilities = u32::from(high) << 16 | u32::from(low);
    Ok(Greeting { version, connection_id, capabilities, status, challenge, plugin })
}

/// The answer to a challenge; `None` for a login that this client does not know.
#[must_use]
pub fn scramble(plugin: &str, password: &str, challenge: &[u8]) -> Option<Vec<u8>> {
    let known = matches!(plugin, NATIVE | CACHING_SHA2);
    if known && password.is_empty() {
        // What a server takes for no password, without a further question.
        return Some(Vec::new());
    }
    match plugin {
        NATIVE => {
            // SHA1(password) XOR SHA1(challenge, SHA1(SHA1(password)))
            let once = Sha1::digest(password);
            let mask = Sha1::new().chain_update(challenge).chain_update(Sha1::digest(once)).finalize();
            Some(xor(&once, &mask))
        }
        CACHING_SHA2 => {
            // SHA256(password) XOR SHA256(SHA256(SHA256(password)), challenge)
            let once = Sha256::digest(password);
            let mask = Sha256::new().chain_update(Sha256::digest(once)).chain_update(challenge).finalize();
            Some(xor(&once, &mask))
        }
        _ => None,
    }
}

/// The password for a server that wants all of it where others may listen: with its zero byte, masked by the challenge,
/// encrypted for the server's RSA key, which came as PEM.
pub(super) fn encrypt(password: &str, challenge: &[u8], key: &[u8]) -> Result<Vec<u8>> {
    ensure!(!challenge.is_empty(), "no challenge");
    let lines = std::str::from_utf8(key)?.lines().filter(|line| !line.starts_with('-'));
    let der = BASE64_STANDARD.decode(lines.collect::<String>()).context("the server's key")?;
    let key = PublicEncryptingKey::from_der(&der).ok().and_then(|key| OaepPublicEncryptingKey::new(key).ok());
    let key = key.context("the server's key is no RSA key")?;
    let masked: Vec<u8> = password.bytes().chain([0]).zip(challenge.iter().cycle()).map(|(a, b)| a ^ b).collect();
    let mut encrypted = vec![0; key.ciphertext_size()];
    key.encrypt(&OAEP_SHA1_MGF1SHA1, &masked, &mut encrypted, None).ok().context("the password is too long")?;
    Ok(encrypted)
}

fn xor(left: &[u8], right: &[u8]) -> Vec<u8> {
    left.iter().zip(right).map(|(left, right)| left ^ right).collect()
}

const NATIVE: &str = "mysql_native_password";
const CACHING_SHA2: &str = "caching_sha2_password";
/// Asks for the server's public key (`request_public_key`, sha2_password.cc).
pub(super) const CACHING_SHA2_ASK_KEY: u8 = 2;
/// The collation of this number is the same in both servers.
const UTF8MB4_GENERAL_CI: u8 = 45;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_an_empty_answer_and_a_strange_plugin_none() {
        assert_eq!(scramble(NATIVE, "", &[7; 20]), Some(Vec::new()));
        assert_eq!(scramble("dialog", "x", &[7; 20]), None);
        assert_eq!(scramble(NATIVE, "x", &[7; 20]).map(|answer| answer.len()), Some(20));
        assert_eq!(scramble(CACHING_SHA2, "x", &[7; 20]).map(|answer| answer.len()), Some(32));
    }

    #[test]
    fn a_greeting_cut_short_is_an_error() {
        let whole =
            [&b"\x0a9.4\0"[..], &[1, 0, 0, 0], b"12345678\0", &[0xff; 7], &[21], &[0; 10], b"123456789012\0", b"p\0"];
        let whole = whole.concat();
        assert_eq!(greeting(&whole).unwrap().challenge, b"12345678123456789012");
        for end in 0..whole.len() {
            assert!(greeting(&whole[..end]).is_err(), "{end} bytes");
        }
    }
}
