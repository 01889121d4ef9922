//! A small blocking MySQL client for tests that care which bytes cross the wire.
//!
//! Every wait has a deadline ([`MyWire::set_timeout`]), so a silent server fails a test instead of hanging it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::prelude::{BASE64_STANDARD, Engine};
use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::result::{Answer, Done, Fields, Row, ServerError, Table, column_name, row};
use crate::channel::Channel;

/// One packet: its number and its payload.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    /// The number in its head, which counts from 0 in every command.
    pub sequence: u8,
    /// What follows the head.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{:?}", self.sequence, String::from_utf8_lossy(&self.body))
    }
}

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
        }
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

/// A connection to a MySQL server, or to something that claims to be one.
#[derive(Debug)]
pub struct MyWire {
    channel: Channel,
    /// The number of the next packet in either direction.
    sequence: u8,
    greeting: Option<Greeting>,
    capabilities: u32,
}

impl MyWire {
    /// Connects, and neither reads nor sends. `address` is `host:port`, or the path of a unix socket.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(address: &str) -> Result<Self> {
        let channel = Channel::connect(address)?;
        Ok(Self { channel, sequence: 0, greeting: None, capabilities: 0 })
    }

    /// Connects and logs in as a plain client.
    ///
    /// # Errors
    /// As [`MyWire::log_in_as`].
    pub fn log_in(address: &str, user: &str, password: &str, database: Option<&str>) -> Result<Self> {
        Self::log_in_as(address, &Client::new(user, password, database))
    }

    /// Connects and logs in with whatever the server asks for of `mysql_native_password` and `caching_sha2_password`.
    ///
    /// # Errors
    /// When refused, as a [`ServerError`], or cut off.
    pub fn log_in_as(address: &str, client: &Client) -> Result<Self> {
        let mut wire = Self::connect(address)?;
        let greeting = wire.greet()?.clone();
        let answer = scramble(&greeting.plugin, &client.password, &greeting.challenge).unwrap_or_default();
        wire.send_login(client, &greeting.plugin, &answer)?;
        wire.finish_login(&client.password, &greeting.challenge)?;
        Ok(wire)
    }

    /// Reads the server's greeting.
    ///
    /// # Errors
    /// When the server refuses at once, as a [`ServerError`], or says something else.
    pub fn greet(&mut self) -> Result<&Greeting> {
        let packet = self.read_ok()?;
        let greeting = greeting(&packet.body).with_context(|| format!("greeting {packet:?}"))?;
        Ok(self.greeting.insert(greeting))
    }

    /// Sends a handshake response with this answer to the challenge.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send_login(&mut self, client: &Client, plugin: &str, answer: &[u8]) -> Result<()> {
        let with_database = client.database.as_ref().map_or(0, |_| capability::CONNECT_WITH_DB);
        self.capabilities = client.capabilities | with_database;
        let mut body = self.capabilities.to_le_bytes().to_vec();
        body.extend(PACKET_LEN_MAX.to_le_bytes());
        body.push(client.collation);
        body.extend([0; 23]);
        body.extend(client.user.as_bytes());
        body.push(0);
        body.push(u8::try_from(answer.len())?);
        body.extend(answer);
        if let Some(database) = &client.database {
            body.extend(database.as_bytes());
            body.push(0);
        }
        body.extend(plugin.as_bytes());
        body.push(0);
        self.send_packet(&body)
    }

    /// Answers the server until it says OK; `challenge` is the greeting's.
    ///
    /// # Errors
    /// When refused, as a [`ServerError`], or when the server asks for what this client cannot do.
    pub fn finish_login(&mut self, password: &str, challenge: &[u8]) -> Result<()> {
        let mut challenge = challenge.to_vec();
        loop {
            let packet = self.read_ok()?;
            match packet.body.split_first() {
                Some((0, _)) => return Ok(()),
                Some((0xfe, rest)) => {
                    let mut fields = Fields(rest);
                    let plugin = String::from_utf8_lossy(fields.until_zero()?).into_owned();
                    challenge = fields.0.strip_suffix(b"\0").unwrap_or(fields.0).to_vec();
                    let answer = scramble(&plugin, password, &challenge)
                        .with_context(|| format!("the server asks for {plugin}"))?;
                    self.send_packet(&answer)?;
                }
                // caching_sha2_password: 3, the answer was right and an OK follows; 4, the server wants the password.
                Some((1, [3])) => {}
                Some((1, [4])) if self.channel.is_unix() => self.send_packet(&[password.as_bytes(), b"\0"].concat())?,
                Some((1, [4])) => self.send_packet(&[CACHING_SHA2_ASK_KEY])?,
                Some((1, key)) => self.send_packet(&encrypt(password, &challenge, key)?)?,
                _ => bail!("{packet:?} during the login"),
            }
        }
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection is gone, or the other side does not read for the timeout.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.channel.send(bytes)
    }

    /// Sends a packet with the number that is next.
    ///
    /// # Errors
    /// As [`MyWire::send`], and when it is too long for one packet.
    pub fn send_packet(&mut self, body: &[u8]) -> Result<()> {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        self.send(&packet(sequence, body)?)
    }

    /// Sends a command: a packet with number 0, whose payload is a code (`COM_…`) and what belongs to it.
    ///
    /// # Errors
    /// As [`MyWire::send_packet`].
    pub fn send_command(&mut self, code: u8, payload: &[u8]) -> Result<()> {
        self.sequence = 0;
        self.send_packet(&[&[code], payload].concat())
    }

    /// Sends a query without waiting for its answer.
    ///
    /// # Errors
    /// As [`MyWire::send`].
    pub fn send_query(&mut self, sql: &str) -> Result<()> {
        self.send_command(COM_QUERY, sql.as_bytes())
    }

    /// Runs SQL and returns the rows of its last result as text, `None` for null.
    ///
    /// # Errors
    /// A [`ServerError`] when a statement fails (the connection stays usable), or when the connection is gone.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Row>> {
        Ok(match self.answers(sql)?.pop() {
            Some(Answer::Rows(table)) => table.rows,
            Some(Answer::Done(_)) | None => Vec::new(),
        })
    }

    /// Runs SQL and returns what each of its statements gave.
    ///
    /// # Errors
    /// As [`MyWire::query`].
    pub fn answers(&mut self, sql: &str) -> Result<Vec<Answer>> {
        self.send_query(sql)?;
        let mut answers = Vec::new();
        loop {
            let answer = self.read_answer()?;
            let more = answer.status() & STATUS_MORE_RESULTS != 0;
            answers.push(answer);
            if !more {
                return Ok(answers);
            }
        }
    }

    /// The single value of a query with one row of one column.
    ///
    /// # Errors
    /// As [`MyWire::query`], and when the result has another shape.
    pub fn value(&mut self, sql: &str) -> Result<String> {
        let rows = self.query(sql)?;
        match rows.as_slice() {
            [row] if row.len() == 1 => row[0].clone().with_context(|| format!("{sql} is null")),
            _ => bail!("{sql} gave {rows:?}"),
        }
    }

    /// Reads one result of the text protocol.
    ///
    /// # Errors
    /// As [`MyWire::query`].
    pub fn read_answer(&mut self) -> Result<Answer> {
        let first = self.read_ok()?;
        let count = match first.body.first() {
            Some(0) => return Ok(Answer::Done(Done::read(&first.body)?)),
            Some(0xfb) => bail!("the server asks for a file: {first:?}"),
            _ => Fields(&first.body).length()?,
        };
        let mut columns = Vec::new();
        for _ in 0..count {
            columns.push(column_name(&self.read_payload()?.body)?);
        }
        if self.capabilities & capability::DEPRECATE_EOF == 0 {
            self.read_payload()?;
        }
        let mut rows = Vec::new();
        loop {
            let packet = self.read_ok()?;
            if packet.body.first() == Some(&0xfe) && packet.body.len() < PACKET_LEN_MAX as usize {
                return Ok(Answer::Rows(Table { columns, rows, status: self.end_status(&packet.body)? }));
            }
            rows.push(row(&packet.body)?);
        }
    }

    /// Prepares a statement: its id, how many parameters it takes, how many columns it gives.
    ///
    /// # Errors
    /// As [`MyWire::query`].
    pub fn prepare(&mut self, sql: &str) -> Result<(u32, u16, u16)> {
        self.send_command(COM_STMT_PREPARE, sql.as_bytes())?;
        let head = self.read_ok()?;
        let mut fields = Fields(head.body.get(1..).unwrap_or_default());
        let (id, columns, parameters) = (fields.u32()?, fields.u16()?, fields.u16()?);
        let with_end = self.capabilities & capability::DEPRECATE_EOF == 0;
        for described in [parameters, columns] {
            let end = u16::from(described > 0 && with_end);
            for _ in 0..described + end {
                self.read_payload()?;
            }
        }
        Ok((id, parameters, columns))
    }

    /// Reads one packet, whatever it is; the next packet sent carries the number after its own.
    ///
    /// # Errors
    /// When the connection closes or the timeout passes first.
    pub fn read(&mut self) -> Result<Packet> {
        let head = self.channel.take(HEAD_LEN)?;
        let length = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize;
        let body = self.channel.take(length)?;
        self.sequence = head[3].wrapping_add(1);
        Ok(Packet { sequence: head[3], body })
    }

    /// Reads one payload: a packet, and those that continue it because it is full.
    ///
    /// # Errors
    /// As [`MyWire::read`], and when it is longer than tests send.
    pub fn read_payload(&mut self) -> Result<Packet> {
        let mut whole = self.read()?;
        let mut last = whole.body.len();
        while last == PACKET_LEN_MAX as usize {
            let next = self.read()?;
            last = next.body.len();
            whole.body.extend(next.body);
            ensure!(whole.body.len() <= PAYLOAD_LEN_MAX, "a payload of more than {PAYLOAD_LEN_MAX} bytes");
        }
        Ok(whole)
    }

    /// Waits until the other side has closed, and returns what it said before.
    ///
    /// # Errors
    /// When it is still open after the timeout.
    pub fn read_to_close(&mut self) -> Result<Vec<u8>> {
        self.channel.read_to_close()
    }

    /// Says goodbye as a client should; the connection closes when the value is dropped.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn quit(mut self) -> Result<()> {
        self.send_command(COM_QUIT, b"")
    }

    /// Closes our direction only.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn close_write(&self) -> Result<()> {
        self.channel.close_write()
    }

    /// Bounds every single read and write from now on; 30 s at first.
    ///
    /// # Errors
    /// When `limit` is zero.
    pub fn set_timeout(&self, limit: Duration) -> Result<()> {
        self.channel.set_timeout(limit)
    }

    /// What the server said first, once it was read.
    #[must_use]
    pub fn greeting(&self) -> Option<&Greeting> {
        self.greeting.as_ref()
    }

    fn read_ok(&mut self) -> Result<Packet> {
        let packet = self.read_payload()?;
        if packet.body.first() == Some(&0xff) {
            return Err(ServerError::read(&packet.body)?.into());
        }
        Ok(packet)
    }

    /// The status flags in the packet that ends a result.
    fn end_status(&self, body: &[u8]) -> Result<u16> {
        if self.capabilities & capability::DEPRECATE_EOF != 0 {
            return Ok(Done::read(body)?.status);
        }
        let mut fields = Fields(body.get(1..).unwrap_or_default());
        let _warnings = fields.u16()?;
        fields.u16()
    }
}

/// The bytes of one packet: the length in three bytes, the number, the payload.
///
/// # Errors
/// When the payload is too long for one packet.
pub fn packet(sequence: u8, body: &[u8]) -> Result<Vec<u8>> {
    ensure!(body.len() <= PACKET_LEN_MAX as usize, "{} bytes are too many for a packet", body.len());
    let mut bytes = u32::try_from(body.len())?.to_le_bytes().to_vec();
    bytes[3] = sequence;
    bytes.extend(body);
    Ok(bytes)
}

/// Reads the greeting, `Protocol::HandshakeV10`.
fn greeting(body: &[u8]) -> Result<Greeting> {
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
fn scramble(plugin: &str, password: &str, challenge: &[u8]) -> Option<Vec<u8>> {
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
fn encrypt(password: &str, challenge: &[u8], key: &[u8]) -> Result<Vec<u8>> {
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
const CACHING_SHA2_ASK_KEY: u8 = 2;
const COM_QUIT: u8 = 1;
const COM_QUERY: u8 = 3;
const COM_STMT_PREPARE: u8 = 22;
/// `SERVER_MORE_RESULTS_EXISTS`.
const STATUS_MORE_RESULTS: u16 = 8;
/// The collation of this number is the same in both servers.
const UTF8MB4_GENERAL_CI: u8 = 45;
const HEAD_LEN: usize = 4;
/// The longest payload of one packet; one of exactly this length is continued by the next.
const PACKET_LEN_MAX: u32 = (1 << 24) - 1;
/// A bound for what tests read, far above what they send.
const PAYLOAD_LEN_MAX: usize = 1 << 28;

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
    fn a_packet_has_its_length_and_number_first() {
        assert_eq!(packet(3, b"ab").unwrap(), b"\x02\0\0\x03ab");
        assert!(packet(0, &vec![0; 1 << 24]).is_err());
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
