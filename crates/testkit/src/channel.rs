//! A blocking byte stream that fails a test instead of hanging it: what both raw clients stand on.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// A connection over TCP or a unix socket, with the bytes read and not yet taken.
#[derive(Debug)]
pub(crate) struct Channel {
    stream: Stream,
    /// Bytes read and not yet taken, from `taken` on.
    input: Vec<u8>,
    taken: usize,
    address: String,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Channel {
    /// Connects; `address` is `host:port`, or the path of a unix socket.
    pub(crate) fn connect(address: &str) -> Result<Self> {
        let stream = if address.starts_with('/') {
            Stream::Unix(UnixStream::connect(address).with_context(|| format!("connect to {address}"))?)
        } else {
            let stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
            stream.set_nodelay(true)?;
            Stream::Tcp(stream)
        };
        let channel = Self { stream, input: Vec::new(), taken: 0, address: address.to_owned() };
        channel.set_timeout(TIMEOUT)?;
        Ok(channel)
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
        }
        .context("send")
    }

    /// Reads exactly `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.input.len() - self.taken < count {
            ensure!(self.receive()? > 0, "the other side closed the connection");
        }
        let bytes = self.input[self.taken..self.taken + count].to_vec();
        self.taken += count;
        if self.taken == self.input.len() {
            self.input.clear();
            self.taken = 0;
        }
        Ok(bytes)
    }

    /// Waits until the other side has closed, and returns what it said before.
    pub(crate) fn read_to_close(&mut self) -> Result<Vec<u8>> {
        while self.receive()? > 0 {}
        let rest = self.input.split_off(self.taken);
        self.input.clear();
        self.taken = 0;
        Ok(rest)
    }

    /// Closes our direction only.
    pub(crate) fn close_write(&self) -> Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write)?,
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write)?,
        }
        Ok(())
    }

    /// Bounds every single read and write from now on; 30 s at first.
    pub(crate) fn set_timeout(&self, limit: Duration) -> Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => {
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))?;
            }
            Stream::Unix(stream) => {
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))?;
            }
        }
        Ok(())
    }

    /// Where it leads, as it was given.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Whether it is a unix socket, which nobody between the ends can read.
    pub(crate) fn is_unix(&self) -> bool {
        matches!(self.stream, Stream::Unix(_))
    }

    fn receive(&mut self) -> Result<usize> {
        let mut chunk = [0; 8192];
        let read = match &mut self.stream {
            Stream::Tcp(stream) => stream.read(&mut chunk),
            Stream::Unix(stream) => stream.read(&mut chunk),
        };
        let count = match read {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => bail!("no answer within the timeout"),
            // A reset is how a close looks when we had sent something that was not read.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => return Err(error).context("receive"),
        };
        self.input.extend_from_slice(&chunk[..count]);
        Ok(count)
    }
}

const TIMEOUT: Duration = Duration::from_secs(30);
