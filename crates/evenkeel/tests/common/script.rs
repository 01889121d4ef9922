//! Messages of a client, put together by hand.

use testkit::wire::{Message, message};
use testkit::{Result, Wire};

/// A run of messages, sent at once.
#[derive(Clone, Default)]
pub struct Script {
    bytes: Vec<u8>,
    readies: usize,
}

impl Script {
    pub fn new() -> Self {
        Self::default()
    }

    /// A simple query.
    pub fn query(mut self, sql: &str) -> Self {
        self.readies += 1;
        self.push(b'Q', &cstr(sql))
    }

    /// Parse, all parameter types left to the server.
    pub fn parse(self, name: &str, sql: &str) -> Self {
        self.parse_typed(name, sql, &[])
    }

    /// Parse with the types of the first parameters, as object ids.
    pub fn parse_typed(self, name: &str, sql: &str, types: &[u32]) -> Self {
        let mut body = [cstr(name), cstr(sql), count(types.len())].concat();
        types.iter().for_each(|id| body.extend(id.to_be_bytes()));
        self.push(b'P', &body)
    }

    /// Bind with parameters as text, results as text.
    pub fn bind(self, portal: &str, statement: &str, values: &[&str]) -> Self {
        let mut body = [cstr(portal), cstr(statement), count(0), count(values.len())].concat();
        for value in values {
            body.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
            body.extend(value.as_bytes());
        }
        body.extend(count(0));
        self.push(b'B', &body)
    }

    pub fn describe_statement(self, name: &str) -> Self {
        self.push(b'D', &[b"S".to_vec(), cstr(name)].concat())
    }

    pub fn describe_portal(self, name: &str) -> Self {
        self.push(b'D', &[b"P".to_vec(), cstr(name)].concat())
    }

    /// Execute; 0 asks for all rows.
    pub fn execute(self, portal: &str, rows_max: u32) -> Self {
        self.push(b'E', &[cstr(portal), rows_max.to_be_bytes().to_vec()].concat())
    }

    pub fn close_statement(self, name: &str) -> Self {
        self.push(b'C', &[b"S".to_vec(), cstr(name)].concat())
    }

    pub fn close_portal(self, name: &str) -> Self {
        self.push(b'C', &[b"P".to_vec(), cstr(name)].concat())
    }

    pub fn sync(mut self) -> Self {
        self.readies += 1;
        self.push(b'S', b"")
    }

    /// A Sync that the server ignores, because COPY takes data.
    pub fn ignored_sync(self) -> Self {
        self.push(b'S', b"")
    }

    pub fn flush(self) -> Self {
        self.push(b'H', b"")
    }

    pub fn copy_data(self, data: &str) -> Self {
        self.push(b'd', data.as_bytes())
    }

    pub fn copy_done(self) -> Self {
        self.push(b'c', b"")
    }

    pub fn copy_fail(self, why: &str) -> Self {
        self.push(b'f', &cstr(why))
    }

    /// Bind and Execute of a prepared statement, through the unnamed portal.
    pub fn run(self, statement: &str, values: &[&str]) -> Self {
        self.bind("", statement, values).execute("", 0)
    }

    /// These messages, and then those of `other`.
    pub fn then(mut self, other: &Self) -> Self {
        self.bytes.extend(&other.bytes);
        self.readies += other.readies;
        self
    }

    /// The messages as bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many times ReadyForQuery will come.
    pub fn readies(&self) -> usize {
        self.readies
    }

    /// Sends it all at once and reads up to the last ReadyForQuery.
    pub fn run_on(&self, wire: &mut Wire) -> Result<Vec<Message>> {
        wire.send(&self.bytes)?;
        let mut messages = Vec::new();
        for _ in 0..self.readies {
            messages.extend(wire.read_until_ready()?);
        }
        Ok(messages)
    }

    fn push(mut self, tag: u8, body: &[u8]) -> Self {
        self.bytes.extend(message(tag, body));
        self
    }
}

fn cstr(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

fn count(count: usize) -> Vec<u8> {
    u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes().to_vec()
}

/// The seed of a random test, printed: a run repeats the last one, unless the environment asks for another.
pub fn seed(variable: &str) -> u64 {
    let seed = std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    println!("{variable}={seed}");
    seed
}

/// A generator good enough to choose what happens next (xorshift64*).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides.max(1)
    }
}
