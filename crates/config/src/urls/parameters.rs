//! What follows the question mark of a URL, and in which words.

use crate::keys::{Protocol, ServerAddress, ServerTlsMode};
use crate::phrase::did_you_mean;
use crate::values::Written as _;

use super::Wrong;

/// Parameters that mean something here, as libpq names them.
const POSTGRES: [&str; 7] = ["budget", "host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey"];

/// The same, as the MySQL clients name them.
const MYSQL: [&str; 6] = ["budget", "socket", "ssl-mode", "ssl-ca", "ssl-cert", "ssl-key"];

/// libpq's modes. Its `allow` tries without encryption first, which no one could want of a new connection.
const POSTGRES_MODES: [(&str, ServerTlsMode); 6] = [
    ("disable", ServerTlsMode::Disable),
    ("allow", ServerTlsMode::Prefer),
    ("prefer", ServerTlsMode::Prefer),
    ("require", ServerTlsMode::Require),
    ("verify-ca", ServerTlsMode::VerifyCa),
    ("verify-full", ServerTlsMode::VerifyFull),
];

/// Those of the MySQL clients.
const MYSQL_MODES: [(&str, ServerTlsMode); 5] = [
    ("DISABLED", ServerTlsMode::Disable),
    ("PREFERRED", ServerTlsMode::Prefer),
    ("REQUIRED", ServerTlsMode::Require),
    ("VERIFY_CA", ServerTlsMode::VerifyCa),
    ("VERIFY_IDENTITY", ServerTlsMode::VerifyFull),
];

/// What follows the question mark.
#[derive(Default)]
pub(super) struct Parameters {
    host: Option<String>,
    port: Option<String>,
    pub(super) budget: Option<u32>,
    pub(super) tls: Tls,
}

/// How the connections are encrypted, as far as the URL says.
#[derive(Default)]
pub(super) struct Tls {
    pub(super) mode: Option<ServerTlsMode>,
    pub(super) ca: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
}

impl Parameters {
    pub(super) fn parse(query: &str, protocol: Protocol) -> Result<Self, Wrong> {
        let mut parameters = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match protocol {
                Protocol::Postgres => parameters.set_postgres(name, value)?,
                Protocol::Mysql => parameters.set_mysql(name, value)?,
            }
        }
        Ok(parameters)
    }

    fn set_postgres(&mut self, name: &str, value: &str) -> Result<(), Wrong> {
        match name {
            "host" => self.host = Some(decode_text("host", value)?),
            "port" => self.port = Some(decode_text("port", value)?),
            "budget" => self.budget = Some(budget(value)?),
            "sslmode" => self.tls.mode = Some(mode("sslmode", value, &POSTGRES_MODES)?),
            // The roots of the operating system, in libpq's words.
            "sslrootcert" if value == "system" => self.tls.ca = None,
            "sslrootcert" => self.tls.ca = Some(decode_text("sslrootcert", value)?),
            "sslcert" => self.tls.certificate = Some(decode_text("sslcert", value)?),
            "sslkey" => self.tls.key = Some(decode_text("sslkey", value)?),
            _ => return Err(unknown(name, &POSTGRES)?),
        }
        Ok(())
    }

    fn set_mysql(&mut self, name: &str, value: &str) -> Result<(), Wrong> {
        match name {
            "socket" => self.host = Some(decode_text("socket", value)?),
            "budget" => self.budget = Some(budget(value)?),
            "ssl-mode" => self.tls.mode = Some(mode("ssl-mode", value, &MYSQL_MODES)?),
            "ssl-ca" => self.tls.ca = Some(decode_text("ssl-ca", value)?),
            "ssl-cert" => self.tls.certificate = Some(decode_text("ssl-cert", value)?),
            "ssl-key" => self.tls.key = Some(decode_text("ssl-key", value)?),
            _ => return Err(unknown(name, &MYSQL)?),
        }
        Ok(())
    }

    /// Host and port, from here or from before the path.
    pub(super) fn address(&self, authority: &str, protocol: Protocol) -> Result<ServerAddress, Wrong> {
        let host = match &self.host {
            Some(host) => host.clone(),
            None if authority.is_empty() => "localhost".into(),
            // A socket's directory may be written %2Ftmp in the place of the host.
            None => decode_text("host", authority)?,
        };
        if host.contains(',') {
            return Err(Wrong::new("host", "one URL is one server: give several URLs instead of several hosts"));
        }
        let text = self.port.as_ref().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        let address = ServerAddress::read(&text).and_then(|address| address.parse(protocol.into()));
        address.map(|address| ServerAddress::from(&address)).map_err(|error| Wrong::new("host", error.to_string()))
    }
}

fn budget(value: &str) -> Result<u32, Wrong> {
    value.parse().map_err(|_| Wrong::new("budget", "a whole number is expected"))
}

/// Which mode is meant. Whoever asks for encryption in words that are not known must not get a connection without it.
fn mode(part: &'static str, value: &str, known: &[(&str, ServerTlsMode)]) -> Result<ServerTlsMode, Wrong> {
    let found = known.iter().find(|(name, _)| name.eq_ignore_ascii_case(value));
    found.map(|(_, mode)| *mode).ok_or_else(|| {
        let hint = Some(did_you_mean(value, known.iter().map(|(name, _)| *name).collect()));
        Wrong { part, message: format!("unknown value `{value}`"), hint }
    })
}

fn unknown(name: &str, known: &[&str]) -> Result<Wrong, Wrong> {
    let name = decode_text("parameter", name)?;
    let hint = Some(did_you_mean(&name, known.to_vec()));
    Ok(Wrong { part: "parameter", message: format!("unknown parameter `{name}`"), hint })
}

pub(super) fn decode_text(part: &'static str, text: &str) -> Result<String, Wrong> {
    String::from_utf8(decode(part, text)?).map_err(|_| Wrong::new(part, "it is not UTF-8 after percent-decoding"))
}

/// Percent-decoding (RFC 3986, section 2.1). A plus sign stays one: this is no form.
pub(super) fn decode(part: &'static str, text: &str) -> Result<Vec<u8>, Wrong> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err(Wrong::new(part, "a % is followed by two hexadecimal digits; a % itself is written %25"));
        };
        bytes.push((high * 16 + low) as u8);
        rest = &after[2..];
    }
    Ok(bytes)
}
