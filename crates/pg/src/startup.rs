//! The packets before a session: TLS and GSS requests, cancel requests, and the startup message with its parameters.

use crate::{ProtocolError, view::split_cstr, write};

/// Longest first packet we accept, in bytes, including the length word.
///
/// PostgreSQL refuses more than this (`MAX_STARTUP_PACKET_LENGTH`, `src/include/libpq/pqcomm.h`), so a longer one is
/// not a client.
pub const STARTUP_LEN_MAX: usize = 10_000;

/// Code of a request for TLS.
pub const SSL_REQUEST: u32 = 80_877_103;
/// Code of a request for GSS encryption.
pub const GSS_REQUEST: u32 = 80_877_104;
/// Code of a cancel request.
pub const CANCEL_REQUEST: u32 = 80_877_102;
/// Protocol version 3.0.
pub const PROTOCOL_3_0: u32 = 0x0003_0000;
/// The newest minor version of protocol 3 that we speak (3.2: cancel keys of up to 256 bytes, PostgreSQL 18).
pub const MINOR_MAX: u16 = 2;
/// Bytes of the cancel key that clients of protocol 3.2 get.
pub const LONG_KEY_LEN: usize = 32;

/// A first packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// "May we speak TLS?" Answered with one byte; another first packet follows.
    Ssl,
    /// "May we speak GSS encryption?" Answered with one byte; another first packet follows.
    Gss,
    /// "Stop what this session runs." Nothing is answered.
    Cancel {
        /// The process number the session was given.
        process: u32,
        /// The key the session was given.
        key: Vec<u8>,
    },
    /// "I am this user and want that database."
    Startup(Startup),
}

/// Names and values of settings.
pub type Assignments = Vec<(Vec<u8>, Vec<u8>)>;

/// The startup message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Startup {
    /// The minor version of protocol 3 asked for.
    pub minor: u16,
    /// User name.
    pub user: Vec<u8>,
    /// Database name; the user's name when none was given.
    pub database: Vec<u8>,
    /// What kind of session.
    pub replication: Replication,
    /// Session settings: from parameters of their own and from `options`, names in lower case, later ones win.
    pub settings: Assignments,
    /// Protocol options (`_pq_.…`) asked for; we know none.
    pub protocol_options: Vec<Vec<u8>>,
}

/// Whether the session speaks the replication protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Replication {
    /// An ordinary session.
    #[default]
    None,
    /// Physical replication: no database.
    Physical,
    /// Logical replication: of one database.
    Logical,
}

impl Packet {
    /// Reads the packet at the start of `bytes` and how many bytes it takes; `None` when it is not complete yet.
    ///
    /// # Errors
    /// [`ProtocolError`] for a length that no first packet has, a version other than 3, or malformed parameters.
    pub fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some((&word, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
        let len = u32::from_be_bytes(word) as usize;
        if !(8..=STARTUP_LEN_MAX).contains(&len) {
            return Err(ProtocolError::Length { tag: 0, len });
        }
        let Some(body) = rest.get(..len - 4) else { return Ok(None) };
        let Some((&code, body)) = body.split_first_chunk::<4>() else { return Ok(None) };
        let packet = match u32::from_be_bytes(code) {
            SSL_REQUEST => Self::Ssl,
            GSS_REQUEST => Self::Gss,
            CANCEL_REQUEST => cancel(body)?,
            version => Self::Startup(startup(version, body)?),
        };
        Ok(Some((packet, len)))
    }
}

impl Startup {
    /// Appends `NegotiateProtocolVersion` when the client asked for more than we speak.
    pub fn negotiate(&self, out: &mut Vec<u8>) {
        if self.minor <= MINOR_MAX && self.protocol_options.is_empty() {
            return;
        }
        write::message(out, crate::frame::server::NEGOTIATE_PROTOCOL_VERSION, |out| {
            out.extend_from_slice(&(PROTOCOL_3_0 | u32::from(self.minor.min(MINOR_MAX))).to_be_bytes());
            out.extend_from_slice(&u32::try_from(self.protocol_options.len()).unwrap_or(u32::MAX).to_be_bytes());
            for option in &self.protocol_options {
                write::cstr(out, option);
            }
        });
    }

    /// Whether the client understands a cancel key longer than 4 bytes.
    #[must_use]
    pub fn takes_long_key(&self) -> bool {
        self.minor >= 2
    }
}

fn malformed(what: &'static str) -> ProtocolError {
    ProtocolError::Malformed { tag: 0, what }
}

fn cancel(body: &[u8]) -> Result<Packet, ProtocolError> {
    match body.split_first_chunk::<4>() {
        Some((&process, key)) if (4..=256).contains(&key.len()) => {
            Ok(Packet::Cancel { process: u32::from_be_bytes(process), key: key.to_vec() })
        }
        _ => Err(malformed("a cancel key has 4 to 256 bytes")),
    }
}

fn startup(version: u32, body: &[u8]) -> Result<Startup, ProtocolError> {
    let (major, minor) = ((version >> 16) as u16, (version & 0xffff) as u16);
    if major != 3 {
        return Err(ProtocolError::Version { major, minor });
    }
    let mut startup = Startup { minor, ..Startup::default() };
    let mut rest = body;
    loop {
        let (name, after) = split_cstr(rest).ok_or_else(|| malformed("a parameter name has no end"))?;
        if name.is_empty() {
            if !after.is_empty() {
                return Err(malformed("bytes after the last parameter"));
            }
            break;
        }
        let (value, after) = split_cstr(after).ok_or_else(|| malformed("a parameter value has no end"))?;
        startup.take(name, value)?;
        rest = after;
    }
    if startup.user.is_empty() {
        return Err(malformed("no user name"));
    }
    if startup.database.is_empty() {
        startup.database.clone_from(&startup.user);
    }
    Ok(startup)
}

impl Startup {
    fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), ProtocolError> {
        match name {
            b"user" => self.user = value.to_vec(),
            b"database" => self.database = value.to_vec(),
            b"replication" => {
                self.replication = match value {
                    b"database" => Replication::Logical,
                    b"true" | b"on" | b"yes" | b"1" => Replication::Physical,
                    b"false" | b"off" | b"no" | b"0" => Replication::None,
                    _ => return Err(malformed("replication is neither a truth value nor \"database\"")),
                };
            }
            b"options" => {
                for (name, value) in options(value)? {
                    self.set(&name, value);
                }
            }
            _ if name.starts_with(b"_pq_.") => self.protocol_options.push(name.to_vec()),
            _ => self.set(name, value.to_vec()),
        }
        Ok(())
    }

    fn set(&mut self, name: &[u8], value: Vec<u8>) {
        let name = name.to_ascii_lowercase();
        match self.settings.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.settings.push((name, value)),
        }
    }
}

/// Splits `options` as PostgreSQL does (`pg_split_opts`, `src/backend/utils/init/postinit.c`): words at white space,
/// a backslash takes the next byte as it is. Only settings are allowed: `-c name=value`, `-cname=value`, `--name=value`.
fn options(text: &[u8]) -> Result<Assignments, ProtocolError> {
    let mut settings = Vec::new();
    let mut words = words(text).into_iter();
    while let Some(word) = words.next() {
        let assignment = match word.strip_prefix(b"-c") {
            Some([]) => words.next().ok_or_else(|| malformed("options: nothing follows -c"))?,
            Some(rest) => rest.to_vec(),
            None => word.strip_prefix(b"--").ok_or_else(|| malformed("options: only settings can be given"))?.to_vec(),
        };
        let equals = memchr::memchr(b'=', &assignment).ok_or_else(|| malformed("options: a setting without \"=\""))?;
        let (name, value) = assignment.split_at(equals);
        if name.is_empty() {
            return Err(malformed("options: a setting without a name"));
        }
        // In option names, `-` stands for `_` (ParseLongOption, src/backend/utils/misc/guc.c).
        let name = name.iter().map(|&byte| if byte == b'-' { b'_' } else { byte }).collect();
        settings.push((name, value.get(1..).unwrap_or_default().to_vec()));
    }
    Ok(settings)
}

fn words(text: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => word.get_or_insert_default().extend(bytes.next()),
            _ if byte.is_ascii_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(code: u32, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write::untyped(&mut out, |out| {
            out.extend_from_slice(&code.to_be_bytes());
            out.extend_from_slice(body);
        });
        out
    }

    fn read_startup(body: &[u8]) -> Result<Startup, ProtocolError> {
        match Packet::read(&packet(PROTOCOL_3_0, body))? {
            Some((Packet::Startup(startup), _)) => Ok(startup),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn requests_are_told_apart() {
        assert_eq!(Packet::read(&packet(SSL_REQUEST, b"")).unwrap(), Some((Packet::Ssl, 8)));
        assert_eq!(Packet::read(&packet(GSS_REQUEST, b"")).unwrap(), Some((Packet::Gss, 8)));
        assert_eq!(
            Packet::read(&packet(CANCEL_REQUEST, b"\0\0\0\x07abcd")).unwrap(),
            Some((Packet::Cancel { process: 7, key: b"abcd".to_vec() }, 16))
        );
        assert_eq!(Packet::read(b"\0\0\0\x08\x04\xd2\x16").unwrap(), None);
        assert!(Packet::read(&packet(CANCEL_REQUEST, b"\0\0\0\x07")).is_err());
    }

    #[test]
    fn lengths_and_versions_out_of_bounds_are_refused() {
        for len in [0_u32, 7, 10_001, 0x1603_0100, u32::MAX] {
            assert!(matches!(Packet::read(&len.to_be_bytes()), Err(ProtocolError::Length { .. })), "{len}");
        }
        assert!(matches!(
            Packet::read(&packet(0x0002_0000, b"\0")),
            Err(ProtocolError::Version { major: 2, minor: 0 })
        ));
    }

    #[test]
    fn the_database_is_the_user_when_not_given() {
        let startup = read_startup(b"user\0app\0Application_Name\0x\0\0").unwrap();
        assert_eq!((&*startup.user, &*startup.database), (&b"app"[..], &b"app"[..]));
        assert_eq!(startup.settings, [(b"application_name".to_vec(), b"x".to_vec())]);
    }

    #[test]
    fn options_are_settings_and_nothing_else() {
        let startup = read_startup(b"user\0u\0options\0-c a=1 -cb=2  --c-d=x\\ y -c e=\0a\09\0\0").unwrap();
        let settings: Vec<_> = startup
            .settings
            .iter()
            .map(|(name, value)| format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)))
            .collect();
        assert_eq!(settings, ["a=9", "b=2", "c_d=x y", "e="]);
        for bad in ["-c", "-d x=1", "-c x", "-c =1", "--", "-c=", "x"] {
            let body = [b"user\0u\0options\0", bad.as_bytes(), b"\0\0"].concat();
            assert!(read_startup(&body).is_err(), "{bad}");
        }
    }

    #[test]
    fn malformed_parameters_are_refused() {
        for bad in [&b""[..], b"\0", b"user\0", b"user\0u\0", b"user\0u", b"user\0u\0\0x", b"database\0d\0\0"] {
            assert!(read_startup(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_newer_minor_version_is_negotiated_down() {
        let body = b"user\0u\0_pq_.magic\0on\0\0";
        let Some((Packet::Startup(startup), _)) = Packet::read(&packet(0x0003_0009, body)).unwrap() else { panic!() };
        let mut out = Vec::new();
        startup.negotiate(&mut out);
        assert_eq!(out, b"v\0\0\0\x17\0\x03\0\x02\0\0\0\x01_pq_.magic\0");
        assert!(startup.takes_long_key());
        let mut out = Vec::new();
        read_startup(b"user\0u\0\0").unwrap().negotiate(&mut out);
        assert!(out.is_empty());
    }
}
