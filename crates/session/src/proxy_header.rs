//! The PROXY protocol: how a balancer says for whom it connects, before the first byte of the connection proper.
//!
//! The source of every rule is HAProxy's `doc/proxy-protocol.txt`, versions 1 (a line of text) and 2 (binary). Pure: bytes in,
//! facts out; [`Stream`](crate::Stream) reads and writes them.

mod trusted;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

pub use trusted::{BadNetwork, Network, Trusted};

/// The longest header accepted, in bytes. Version 2 allows 64 kB of extras, such as the certificates of the client's TLS; none
/// of them is used here.
pub const HEADER_LEN_MAX: usize = 4096;

/// The longest line of version 1, in bytes, with its end.
const LINE_LEN_MAX: usize = 107;
/// The shortest line of version 1, in bytes: `PROXY UNKNOWN`.
const LINE_LEN_MIN: usize = 15;
const LINE_START: &[u8] = b"PROXY ";

/// How version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Length of what version 2 always has: signature, command, family, length of the rest.
const FIXED_LEN: usize = 16;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX: u8 = 0x31;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// Nothing of use: the balancer connects for itself, as to look whether we are there, or cannot say for whom. The
    /// addresses of the connection count.
    Local,
    /// It connects for somebody.
    Tcp {
        /// Who connected to the balancer.
        source: SocketAddr,
        /// Where to.
        destination: SocketAddr,
    },
}

/// What comes of looking at the first bytes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// So many bytes are missing, at least. Who reads no more than that reads nothing of what follows the header.
    Missing(usize),
    /// A header of so many bytes.
    Found(Header, usize),
}

/// Why the first bytes of a connection are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// They are something else.
    #[error("the connection does not begin with a PROXY protocol header")]
    Absent,
    /// They break a rule.
    #[error("malformed PROXY protocol header: {0}")]
    Malformed(&'static str),
    /// They announce more than [`HEADER_LEN_MAX`].
    #[error("a PROXY protocol header of {0} bytes, more than the {HEADER_LEN_MAX} allowed")]
    TooLong(usize),
}

impl Header {
    /// Looks for a header at the start of a connection.
    ///
    /// # Errors
    /// [`HeaderError`], as soon as it is certain.
    pub fn look(bytes: &[u8]) -> Result<Look, HeaderError> {
        if is_start_of(bytes, SIGNATURE) && !bytes.is_empty() {
            binary(bytes)
        } else if is_start_of(bytes, LINE_START) {
            line(bytes)
        } else {
            Err(HeaderError::Absent)
        }
    }

    /// Writes it, in version 2. Two addresses of different families are no connection: they are written as
    /// [`Header::Local`].
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(SIGNATURE);
        match *self {
            Self::Tcp { source: SocketAddr::V4(source), destination: SocketAddr::V4(destination) } => {
                out.extend_from_slice(&[PROXY, TCP4, 0, 12]);
                out.extend_from_slice(&source.ip().octets());
                out.extend_from_slice(&destination.ip().octets());
                out.extend_from_slice(&source.port().to_be_bytes());
                out.extend_from_slice(&destination.port().to_be_bytes());
            }
            Self::Tcp { source: SocketAddr::V6(source), destination: SocketAddr::V6(destination) } => {
                out.extend_from_slice(&[PROXY, TCP6, 0, 36]);
                out.extend_from_slice(&source.ip().octets());
                out.extend_from_slice(&destination.ip().octets());
                out.extend_from_slice(&source.port().to_be_bytes());
                out.extend_from_slice(&destination.port().to_be_bytes());
            }
            Self::Local | Self::Tcp { .. } => out.extend_from_slice(&[LOCAL, UNSPECIFIED, 0, 0]),
        }
    }
}

/// Whether `bytes` begin with `start`, as far as they go.
fn is_start_of(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(one, other)| one == other)
}

/// Version 1, section 2.1.
fn line(bytes: &[u8]) -> Result<Look, HeaderError> {
    // Where the `\r` may be that ends it.
    let head = bytes.get(..LINE_LEN_MAX - 1).unwrap_or(bytes);
    let Some(end) = head.iter().position(|byte| *byte == b'\r') else {
        if head.len() == LINE_LEN_MAX - 1 {
            return Err(HeaderError::Malformed("the line has no end"));
        }
        return Ok(Look::Missing(LINE_LEN_MIN.saturating_sub(bytes.len()).max(2)));
    };
    let len = end + 2;
    match bytes.get(end + 1) {
        None => return Ok(Look::Missing(1)),
        Some(b'\n') => {}
        Some(_) => return Err(HeaderError::Malformed("the line has no end")),
    }
    let text = std::str::from_utf8(&bytes[LINE_START.len().min(end)..end]);
    let mut words = text.map_err(|_| HeaderError::Malformed("not a line of text"))?.split(' ');
    let header = match words.next() {
        // Whatever else stands there is to be ignored.
        Some("UNKNOWN") => return Ok(Look::Found(Header::Local, len)),
        Some("TCP4") => addresses::<Ipv4Addr>(&mut words),
        Some("TCP6") => addresses::<Ipv6Addr>(&mut words),
        _ => return Err(HeaderError::Malformed("neither TCP4 nor TCP6 nor UNKNOWN")),
    };
    match (header, words.next()) {
        (Some(header), None) => Ok(Look::Found(header, len)),
        _ => Err(HeaderError::Malformed("not two addresses and two ports")),
    }
}

fn addresses<'a, A: FromStr + Into<IpAddr>>(words: &mut impl Iterator<Item = &'a str>) -> Option<Header> {
    let [source, destination]: [IpAddr; 2] = [address::<A>(words.next()?)?, address::<A>(words.next()?)?];
    let (source_port, destination_port) = (port(words.next()?)?, port(words.next()?)?);
    Some(Header::Tcp {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    })
}

fn address<A: FromStr + Into<IpAddr>>(word: &str) -> Option<IpAddr> {
    word.parse::<A>().ok().map(Into::into)
}

/// Digits without zeros in front; `parse` alone would also take a sign.
fn port(word: &str) -> Option<u16> {
    let canonical = word == "0" || (!word.starts_with('0') && word.bytes().all(|byte| byte.is_ascii_digit()));
    canonical.then(|| word.parse().ok()).flatten()
}

/// Version 2, section 2.2.
fn binary(bytes: &[u8]) -> Result<Look, HeaderError> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_LEN>() else {
        return Ok(Look::Missing(FIXED_LEN - bytes.len()));
    };
    let [.., command, family, len_high, len_low] = *fixed;
    let len = usize::from(u16::from_be_bytes([len_high, len_low]));
    let total = FIXED_LEN + len;
    if total > HEADER_LEN_MAX {
        return Err(HeaderError::TooLong(total));
    }
    let Some(body) = rest.get(..len) else {
        return Ok(Look::Missing(len - rest.len()));
    };
    let short = HeaderError::Malformed("shorter than its addresses");
    // What follows the addresses are extras; each says its length, but all of them end where the header does.
    let header = match (command, family) {
        (LOCAL, _) | (PROXY, UNSPECIFIED) => Header::Local,
        (PROXY, TCP4) => {
            let (source, rest) = body.split_first_chunk::<4>().ok_or(short)?;
            let (destination, rest) = rest.split_first_chunk::<4>().ok_or(short)?;
            tcp((*source).into(), (*destination).into(), rest).ok_or(short)?
        }
        (PROXY, TCP6) => {
            let (source, rest) = body.split_first_chunk::<16>().ok_or(short)?;
            let (destination, rest) = rest.split_first_chunk::<16>().ok_or(short)?;
            tcp((*source).into(), (*destination).into(), rest).ok_or(short)?
        }
        // A process on the balancer's machine; it has no address that could be told from others.
        (PROXY, UNIX) => Header::Local,
        (PROXY, _) => return Err(HeaderError::Malformed("neither TCP nor a unix socket")),
        _ => return Err(HeaderError::Malformed("an unknown version or command")),
    };
    Ok(Look::Found(header, total))
}

fn tcp(source: IpAddr, destination: IpAddr, ports: &[u8]) -> Option<Header> {
    let (source_port, rest) = ports.split_first_chunk::<2>()?;
    let destination_port = rest.first_chunk::<2>()?;
    Some(Header::Tcp {
        source: SocketAddr::new(source, u16::from_be_bytes(*source_port)),
        destination: SocketAddr::new(destination, u16::from_be_bytes(*destination_port)),
    })
}

#[cfg(test)]
mod tests;
