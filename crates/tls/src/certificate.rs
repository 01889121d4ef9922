//! What we must read in a certificate ourselves: how it was signed, and how long it is valid. Nothing is verified here.

use std::fmt;

use rustls::{pki_types::CertificateDer, server::ParsedCertificate};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The hash of a server's certificate: the channel binding `tls-server-end-point` (RFC 5929, section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndPoint {
    bytes: [u8; Self::LEN_MAX],
    len: usize,
}

impl EndPoint {
    /// The most bytes it has: those of SHA-512.
    pub const LEN_MAX: usize = 64;

    fn new(hash: &[u8]) -> Self {
        let mut bytes = [0; Self::LEN_MAX];
        let len = hash.len().min(Self::LEN_MAX);
        bytes[..len].copy_from_slice(&hash[..len]);
        Self { bytes, len }
    }

    /// The hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// When a certificate is valid, in seconds since 1970; the ends are part of it (RFC 5280, section 4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
}

/// The channel binding of a certificate. `None` where RFC 5929 defines none, as for Ed25519; PostgreSQL has none then either
/// (`be_tls_get_certificate_hash`).
pub(crate) fn end_point(certificate: &[u8]) -> Option<EndPoint> {
    Some(match signature_hash(certificate)? {
        Hash::Sha256 => EndPoint::new(&Sha256::digest(certificate)),
        Hash::Sha384 => EndPoint::new(&Sha384::digest(certificate)),
        Hash::Sha512 => EndPoint::new(&Sha512::digest(certificate)),
    })
}

/// The channel binding of a server that we are connected to.
///
/// It is worth something only if the server proved that it holds the certificate's key, which is checked for every
/// certificate that can be read in full, and only for those (see [`Anyone`](crate::verifier::Anyone)).
pub(crate) fn proven_end_point(certificate: &CertificateDer<'_>) -> Option<EndPoint> {
    is_readable(certificate).then(|| end_point(certificate)).flatten()
}

/// Whether the signature of a handshake can be checked against this certificate.
pub(crate) fn is_readable(certificate: &CertificateDer<'_>) -> bool {
    ParsedCertificate::try_from(certificate).is_ok()
}

pub(crate) fn validity(certificate: &[u8]) -> Option<Validity> {
    let mut fields = Der(Der(certificate).take(SEQUENCE)?).take(SEQUENCE).map(Der)?;
    if fields.peek() == Some(VERSION) {
        fields.take(VERSION)?;
    }
    fields.take(INTEGER)?; // serial number
    fields.take(SEQUENCE)?; // signature algorithm
    fields.take(SEQUENCE)?; // issuer
    let mut times = Der(fields.take(SEQUENCE)?);
    Some(Validity { not_before: times.time()?, not_after: times.time()? })
}

/// What RFC 5929 hashes a certificate with: the hash of its signature, but nothing weaker than SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

fn signature_hash(certificate: &[u8]) -> Option<Hash> {
    let mut fields = Der(Der(certificate).take(SEQUENCE)?);
    fields.take(SEQUENCE)?; // what is signed
    let mut algorithm = Der(fields.take(SEQUENCE)?);
    match algorithm.take(OBJECT_ID)? {
        MD5_RSA | SHA1_RSA | SHA1_ECDSA | SHA256_RSA | SHA256_ECDSA => Some(Hash::Sha256),
        SHA384_RSA | SHA384_ECDSA => Some(Hash::Sha384),
        SHA512_RSA | SHA512_ECDSA => Some(Hash::Sha512),
        RSA_PSS => pss_hash(Der(algorithm.take(SEQUENCE)?)),
        _ => None,
    }
}

/// RFC 4055, section 3.1: the hash is a parameter, and SHA-1 when it is left out.
fn pss_hash(mut parameters: Der<'_>) -> Option<Hash> {
    if parameters.peek() != Some(PSS_HASH) {
        return Some(Hash::Sha256);
    }
    match Der(Der(parameters.take(PSS_HASH)?).take(SEQUENCE)?).take(OBJECT_ID)? {
        SHA1 | SHA256 => Some(Hash::Sha256),
        SHA384 => Some(Hash::Sha384),
        SHA512 => Some(Hash::Sha512),
        _ => None,
    }
}

const INTEGER: u8 = 0x02;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const PSS_HASH: u8 = 0xa0;

// Object identifiers as DER has them: RFC 8017, appendix C; RFC 5758, section 3.2; NIST's hashes.
const MD5_RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04";
const SHA1_RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05";
const RSA_PSS: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";
const SHA256_RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b";
const SHA384_RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c";
const SHA512_RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d";
const SHA1_ECDSA: &[u8] = b"\x2a\x86\x48\xce\x3d\x04\x01";
const SHA256_ECDSA: &[u8] = b"\x2a\x86\x48\xce\x3d\x04\x03\x02";
const SHA384_ECDSA: &[u8] = b"\x2a\x86\x48\xce\x3d\x04\x03\x03";
const SHA512_ECDSA: &[u8] = b"\x2a\x86\x48\xce\x3d\x04\x03\x04";
const SHA1: &[u8] = b"\x2b\x0e\x03\x02\x1a";
const SHA256: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02\x01";
const SHA384: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02\x02";
const SHA512: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02\x03";

/// DER elements that are still to be read: tag, length, value, one after the other (X.690).
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The value of the next element, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&[found, first], rest) = self.0.split_first_chunk::<2>()?;
        if found != tag {
            return None;
        }
        let (len, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // More than three bytes of length: 16 MB and above, which no file or handshake brings here.
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some(value)
    }

    /// The next element, a time, in seconds since 1970 (RFC 5280, section 4.1.2.5). Times before 1970 are 1970.
    fn time(&mut self) -> Option<u64> {
        let (year, rest) = match self.peek()? {
            UTC_TIME => {
                let (year, rest) = self.take(UTC_TIME)?.split_at_checked(2)?;
                let year = number(year)?;
                (if year < 50 { 2000 + year } else { 1900 + year }, rest)
            }
            GENERALIZED_TIME => {
                let (year, rest) = self.take(GENERALIZED_TIME)?.split_at_checked(4)?;
                (number(year)?, rest)
            }
            _ => return None,
        };
        let digits: &[u8; 10] = rest.strip_suffix(b"Z")?.try_into().ok()?;
        let (pairs, _) = digits.as_chunks::<2>();
        let &[month, day, hour, minute, second] = pairs else { return None };
        let [month, day, hour, minute, second] = [month, day, hour, minute, second].map(|pair| number(&pair));
        let days = days_since_1970(year, month?, day?)?;
        Some(days * 86_400 + hour? * 3600 + minute? * 60 + second?)
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar; `None` when there is no such month or day.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March: the leap day is then a year's last, and the months before it are regular.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    /// Days from 0000-03-01 to 1970-01-01.
    const EPOCH: u64 = 719_468;
    Some(days.saturating_sub(EPOCH))
}

impl fmt::Display for EndPoint {
    /// In hexadecimal digits, as tools print fingerprints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests;
