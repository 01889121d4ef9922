//! A small blocking PostgreSQL client for tests that care which bytes cross the wire.
//!
//! Every wait has a deadline ([`Wire::set_timeout`]), so a silent server fails a test instead of hanging it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};

use crate::channel::Channel;

/// One message from the server: a type byte and what follows the length.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The type, such as `b'Z'` for ReadyForQuery.
    pub tag: u8,
    /// The bytes after the length word.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{:?}", char::from(self.tag), String::from_utf8_lossy(&self.body))
    }
}

impl Message {
    /// The field `code` of an ErrorResponse or NoticeResponse, such as `b'C'` for the SQLSTATE or `b'M'` for the text.
    #[must_use]
    pub fn field(&self, code: u8) -> Option<String> {
        let fields = self.body.split(|byte| *byte == 0);
        let value = fields.filter_map(|field| field.split_first()).find(|(first, _)| **first == code)?.1;
        Some(String::from_utf8_lossy(value).into_owned())
    }
}

/// An error the server answered with, so that a test can look at its SQLSTATE through [`anyhow::Error::downcast_ref`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// SQLSTATE, five characters.
    pub code: String,
    /// The message text.
    pub text: String,
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.text)
    }
}

impl std::error::Error for ServerError {}

/// A row of a result as text, `None` for null.
pub type Row = Vec<Option<String>>;

/// A connection to a PostgreSQL server, or to something that claims to be one.
#[derive(Debug)]
pub struct Wire {
    channel: Channel,
    backend: Option<(u32, Vec<u8>)>,
}

impl Wire {
    /// Connects and sends nothing. `address` is `host:port`, or the path of a unix socket.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(address: &str) -> Result<Self> {
        Ok(Self { channel: Channel::connect(address)?, backend: None })
    }

    /// Connects and logs in, with whatever the server asks for: nothing, a clear-text password, md5 or SCRAM-SHA-256.
    ///
    /// # Errors
    /// When refused, as a [`ServerError`], or cut off.
    pub fn log_in(address: &str, user: &str, password: &str, database: &str) -> Result<Self> {
        let mut wire = Self::connect(address)?;
        wire.start(&[("user", user), ("database", database)])?;
        wire.authenticate(user, password)?;
        Ok(wire)
    }

    /// Sends a StartupMessage with these parameters.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn start(&mut self, parameters: &[(&str, &str)]) -> Result<()> {
        let mut body = PROTOCOL_3_0.to_be_bytes().to_vec();
        for text in parameters.iter().flat_map(|(name, value)| [name, value]) {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        body.push(0);
        self.send(&with_length(&body)?)
    }

    /// Answers the server's authentication requests until ReadyForQuery.
    ///
    /// # Errors
    /// When refused, or when the server proves not to know the password.
    pub fn authenticate(&mut self, user: &str, password: &str) -> Result<()> {
        let mut scram: Option<ScramSha256> = None;
        loop {
            let message = self.read_ok()?;
            match (message.tag, message.body.split_first_chunk::<4>()) {
                (b'R', Some((kind, rest))) => match (u32::from_be_bytes(*kind), &mut scram) {
                    (AUTH_OK, _) => {}
                    (AUTH_CLEARTEXT, _) => self.send_message(b'p', &with_nul(password.as_bytes()))?,
                    (AUTH_MD5, _) => {
                        let salt = rest.try_into().context("md5 salt")?;
                        let digest = md5_hash(user.as_bytes(), password.as_bytes(), salt);
                        self.send_message(b'p', &with_nul(digest.as_bytes()))?;
                    }
                    (AUTH_SASL, _) => {
                        let exchange = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
                        let first = exchange.message();
                        let mut body = with_nul(SCRAM_SHA_256.as_bytes());
                        body.extend(u32::try_from(first.len())?.to_be_bytes());
                        body.extend(first);
                        self.send_message(b'p', &body)?;
                        scram = Some(exchange);
                    }
                    (AUTH_SASL_CONTINUE, Some(exchange)) => {
                        exchange.update(rest)?;
                        let proof = exchange.message().to_vec();
                        self.send_message(b'p', &proof)?;
                    }
                    (AUTH_SASL_FINAL, Some(exchange)) => exchange.finish(rest)?,
                    (other, _) => bail!("authentication request {other}"),
                },
                (b'K', Some((id, secret))) => self.backend = Some((u32::from_be_bytes(*id), secret.to_vec())),
                (b'Z', _) => return Ok(()),
                _ => {}
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

    /// Sends one message: a type byte, the length, the body.
    ///
    /// # Errors
    /// As [`Wire::send`].
    pub fn send_message(&mut self, tag: u8, body: &[u8]) -> Result<()> {
        self.send(&message(tag, body))
    }

    /// Sends a simple query without waiting for its answer.
    ///
    /// # Errors
    /// As [`Wire::send`].
    pub fn send_query(&mut self, sql: &str) -> Result<()> {
        self.send_message(b'Q', &with_nul(sql.as_bytes()))
    }

    /// Runs a simple query and returns its rows as text, `None` for null.
    ///
    /// # Errors
    /// A [`ServerError`] when a statement fails (the connection stays usable), or when the connection is gone.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Row>> {
        self.query_named(sql).map(|(_, rows)| rows)
    }

    /// As [`Wire::query`], with the names of the columns before the rows.
    ///
    /// # Errors
    /// As [`Wire::query`].
    pub fn query_named(&mut self, sql: &str) -> Result<(Vec<String>, Vec<Row>)> {
        self.send_query(sql)?;
        let messages = self.read_until_ready()?;
        if let Some(error) = messages.iter().find(|message| message.tag == b'E') {
            return Err(server_error(error).into());
        }
        let names = messages.iter().find(|message| message.tag == b'T').map(|message| column_names(&message.body));
        let rows = messages
            .iter()
            .filter(|message| message.tag == b'D')
            .map(|message| row(&message.body))
            .collect::<Result<_>>()?;
        Ok((names.transpose()?.unwrap_or_default(), rows))
    }

    /// The single value of a query with one row of one column.
    ///
    /// # Errors
    /// As [`Wire::query`], and when the result has another shape.
    pub fn value(&mut self, sql: &str) -> Result<String> {
        let rows = self.query(sql)?;
        match rows.as_slice() {
            [row] if row.len() == 1 => row[0].clone().with_context(|| format!("{sql} is null")),
            _ => bail!("{sql} gave {rows:?}"),
        }
    }

    /// Reads one message, whatever it is.
    ///
    /// # Errors
    /// When the connection closes or the timeout passes first.
    pub fn read(&mut self) -> Result<Message> {
        let head = self.take(5)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        ensure!((4..=MESSAGE_LEN_MAX).contains(&length), "a message {:?} of {length} bytes", char::from(head[0]));
        let body = self.take(length - 4)?;
        Ok(Message { tag: head[0], body })
    }

    /// Reads messages up to and including ReadyForQuery.
    ///
    /// # Errors
    /// As [`Wire::read`]; an ErrorResponse is among the messages, not an error.
    pub fn read_until_ready(&mut self) -> Result<Vec<Message>> {
        let mut messages = Vec::new();
        loop {
            messages.push(self.read().with_context(|| format!("after {messages:?}"))?);
            if messages.last().is_some_and(|message| message.tag == b'Z') {
                return Ok(messages);
            }
        }
    }

    /// Reads exactly `count` raw bytes.
    ///
    /// # Errors
    /// When the connection closes or the timeout passes first.
    pub fn take(&mut self, count: usize) -> Result<Vec<u8>> {
        self.channel.take(count)
    }

    /// Waits until the other side has closed, and returns what it said before.
    ///
    /// # Errors
    /// When it is still open after the timeout.
    pub fn read_to_close(&mut self) -> Result<Vec<u8>> {
        self.channel.read_to_close()
    }

    /// Asks, on a connection of its own, to cancel what this one is running.
    ///
    /// # Errors
    /// When this connection got no key at login, or nobody listens any more.
    pub fn cancel(&self) -> Result<()> {
        let (id, secret) = self.backend.as_ref().context("no BackendKeyData")?;
        let mut body = CANCEL_REQUEST.to_be_bytes().to_vec();
        body.extend(id.to_be_bytes());
        body.extend(secret);
        let mut other = Self::connect(self.channel.address())?;
        other.send(&with_length(&body)?)?;
        // The server closes without an answer once it has acted.
        other.read_to_close().map(drop)
    }

    /// Says goodbye as a client should; the connection closes when the value is dropped.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn terminate(mut self) -> Result<()> {
        self.send_message(b'X', b"")
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

    /// The process id the server gave at login (a pooler invents one).
    #[must_use]
    pub fn backend_id(&self) -> Option<u32> {
        self.backend.as_ref().map(|(id, _)| *id)
    }

    fn read_ok(&mut self) -> Result<Message> {
        let message = self.read()?;
        if message.tag == b'E' {
            return Err(server_error(&message).into());
        }
        Ok(message)
    }
}

/// What PostgreSQL stores for a user with an md5 password: `md5` and the digest of password and name.
#[must_use]
pub fn md5_verifier(user: &str, password: &str) -> String {
    postgres_protocol::password::md5(password.as_bytes(), user)
}

/// The bytes of one message: a type byte, the length, the body.
#[must_use]
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    let mut bytes = vec![tag];
    bytes.extend(length.to_be_bytes());
    bytes.extend(body);
    bytes
}

fn with_length(body: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = u32::try_from(body.len() + 4)?.to_be_bytes().to_vec();
    bytes.extend(body);
    Ok(bytes)
}

fn with_nul(text: &[u8]) -> Vec<u8> {
    [text, b"\0"].concat()
}

fn server_error(message: &Message) -> ServerError {
    let field = |code| message.field(code).unwrap_or_default();
    ServerError { code: field(b'C'), text: field(b'M') }
}

/// Names in a RowDescription, each followed by 18 bytes about the column.
fn column_names(body: &[u8]) -> Result<Vec<String>> {
    let (count, mut rest) = body.split_first_chunk::<2>().context("row description")?;
    let mut names = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let end = rest.iter().position(|byte| *byte == 0).context("end of a column name")?;
        names.push(String::from_utf8_lossy(&rest[..end]).into_owned());
        rest = rest.get(end + 1 + COLUMN_FACTS_LEN..).context("facts of a column")?;
    }
    Ok(names)
}

fn row(body: &[u8]) -> Result<Row> {
    let (count, mut rest) = body.split_first_chunk::<2>().context("row header")?;
    let mut values = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>().context("column length")?;
        let length = i32::from_be_bytes(*length);
        let Ok(length) = usize::try_from(length) else {
            values.push(None);
            rest = after;
            continue;
        };
        ensure!(length <= after.len(), "a column longer than its row");
        let (value, after) = after.split_at(length);
        values.push(Some(String::from_utf8_lossy(value).into_owned()));
        rest = after;
    }
    Ok(values)
}

/// Table, attribute, type, type length, type modifier and format of a column in a RowDescription.
const COLUMN_FACTS_LEN: usize = 18;
/// A bound for what tests read, far above what they send.
const MESSAGE_LEN_MAX: usize = 1 << 28;

// Codes of `src/include/libpq/pqcomm.h` and `protocol.h`.
const PROTOCOL_3_0: u32 = 196_608;
const CANCEL_REQUEST: u32 = 80_877_102;
const AUTH_OK: u32 = 0;
const AUTH_CLEARTEXT: u32 = 3;
const AUTH_MD5: u32 = 5;
const AUTH_SASL: u32 = 10;
const AUTH_SASL_CONTINUE: u32 = 11;
const AUTH_SASL_FINAL: u32 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_nulls_and_text() {
        // DataRow: 2 columns, null, "ab"
        let body = [0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 2, b'a', b'b'];
        assert_eq!(row(&body).unwrap(), [None, Some("ab".to_owned())]);
    }

    #[test]
    fn column_names_stand_before_their_facts() {
        let body = [&[0, 2][..], b"one\0", &[1; 18], b"two\0", &[2; 18]].concat();
        assert_eq!(column_names(&body).unwrap(), ["one", "two"]);
        assert!(column_names(&body[..body.len() - 1]).is_err());
    }

    #[test]
    fn a_column_longer_than_its_row_is_an_error() {
        assert!(row(&[0, 1, 0, 0, 0, 9, b'a']).is_err());
    }

    #[test]
    fn error_fields_are_found_by_code() {
        let message = Message { tag: b'E', body: b"SFATAL\0C53300\0Msorry\0\0".to_vec() };
        assert_eq!(server_error(&message), ServerError { code: "53300".to_owned(), text: "sorry".to_owned() });
    }
}
