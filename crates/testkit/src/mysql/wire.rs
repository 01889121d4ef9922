//! A small blocking MySQL client for tests that care which bytes cross the wire.
//!
//! Every wait has a deadline ([`MyWire::set_timeout`]), so a silent server fails a test instead of hanging it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::handshake::{CACHING_SHA2_ASK_KEY, Client, Greeting, capability, encrypt, greeting, scramble};
use super::result::{Answer, Column, Done, Fields, Row, ServerError, Table, row};
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
        let with_attributes = if client.attributes.is_empty() { 0 } else { capability::CONNECT_ATTRS };
        self.capabilities = client.capabilities | with_database | with_attributes;
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
        if !client.attributes.is_empty() {
            let mut attributes = Vec::new();
            for text in client.attributes.iter().flat_map(|(name, value)| [name, value]) {
                attributes.push(u8::try_from(text.len())?);
                attributes.extend(text.as_bytes());
            }
            // One byte tells lengths up to 250.
            body.push(u8::try_from(attributes.len()).ok().filter(|&len| len <= 250).context("too many attributes")?);
            body.extend(attributes);
        }
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
        self.read_rows(|_, body| row(body))
    }

    /// Reads one result, whose rows `read` understands.
    pub(super) fn read_rows(&mut self, read: impl Fn(&[Column], &[u8]) -> Result<Row>) -> Result<Answer> {
        let first = self.read_ok()?;
        let count = match first.body.first() {
            Some(0) => return Ok(Answer::Done(Done::read(&first.body)?)),
            Some(0xfb) => bail!("the server asks for a file: {first:?}"),
            _ => Fields(&first.body).length()?,
        };
        let mut columns = Vec::new();
        for _ in 0..count {
            columns.push(Column::read(&self.read_payload()?.body)?);
        }
        if self.has_classic_ends() {
            self.read_payload()?;
        }
        let mut rows = Vec::new();
        loop {
            let packet = self.read_ok()?;
            if packet.body.first() == Some(&0xfe) && packet.body.len() < PACKET_LEN_MAX as usize {
                let columns = columns.into_iter().map(|column| column.name).collect();
                return Ok(Answer::Rows(Table { columns, rows, status: self.end_status(&packet.body)? }));
            }
            rows.push(read(&columns, &packet.body)?);
        }
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

    /// Reads so many bytes, whatever they are.
    ///
    /// # Errors
    /// As [`MyWire::read`].
    pub fn read_bytes(&mut self, len: usize) -> Result<Vec<u8>> {
        self.channel.take(len)
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

    pub(super) fn read_ok(&mut self) -> Result<Packet> {
        let packet = self.read_payload()?;
        if packet.body.first() == Some(&0xff) {
            return Err(ServerError::read(&packet.body)?.into());
        }
        Ok(packet)
    }

    /// Whether an EOF packet follows the columns, and another the rows.
    pub(super) fn has_classic_ends(&self) -> bool {
        self.capabilities & capability::DEPRECATE_EOF == 0
    }

    /// The status flags in the packet that ends a result.
    fn end_status(&self, body: &[u8]) -> Result<u16> {
        if !self.has_classic_ends() {
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

const COM_QUIT: u8 = 1;
const COM_QUERY: u8 = 3;
/// `SERVER_MORE_RESULTS_EXISTS`.
const STATUS_MORE_RESULTS: u16 = 8;
const HEAD_LEN: usize = 4;
/// The longest payload of one packet; one of exactly this length is continued by the next.
const PACKET_LEN_MAX: u32 = (1 << 24) - 1;
/// A bound for what tests read, far above what they send.
const PAYLOAD_LEN_MAX: usize = 1 << 28;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_has_its_length_and_number_first() {
        assert_eq!(packet(3, b"ab").unwrap(), b"\x02\0\0\x03ab");
        assert!(packet(0, &vec![0; 1 << 24]).is_err());
    }
}
