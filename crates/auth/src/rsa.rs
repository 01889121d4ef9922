//! RSA, with which a password crosses a connection that is not encrypted (`caching_sha2_password`, `sha256_password`).
//!
//! The client XORs the password and a closing NUL with the greeting's nonce and encrypts that with the server's public key, RSA
//! with OAEP padding, SHA-1 and MGF1. The key comes from the server in PEM; whoever can change what crosses the connection can
//! give another, so this hides a password from those who listen only.
//!
//! The arithmetic is aws-lc's, which the TLS of this program uses as well: its private-key operation takes constant time, as that
//! of the `rsa` crate does not (RUSTSEC-2023-0071). It draws the padding's and the key's random bytes itself, the one exception to
//! this crate's rule. Decrypting takes about a millisecond, so not on a thread that serves connections.
//!
//! Source: MySQL source documentation, "Caching_sha2_password information"; `sql/auth/sha2_password.cc`.

use std::fmt;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use crate::plugin::Nonce;
use crate::{Error, Secret};

/// Longest PEM text that is read, in bytes; a key of 8,192 bits takes less than 7,000.
pub const PEM_LEN_MAX: usize = 16 * 1024;

/// A server's key pair: ours, towards clients.
pub struct KeyPair {
    private: OaepPrivateDecryptingKey,
    public_pem: Box<[u8]>,
}

/// A server's public key: theirs, when we log in.
pub struct PublicKey(OaepPublicEncryptingKey);

impl KeyPair {
    /// Makes a pair of 2,048 bits, as MySQL does at its first start. Takes a fraction of a second.
    ///
    /// # Errors
    /// [`Error::Rsa`] when the library fails.
    pub fn generate() -> Result<Self, Error> {
        let key =
            PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(|_| Error::Rsa { what: "make a key pair" })?;
        Self::new(key)
    }

    /// Reads a private key in PEM: PKCS#8 (`BEGIN PRIVATE KEY`) or PKCS#1 (`BEGIN RSA PRIVATE KEY`), not encrypted.
    ///
    /// # Errors
    /// [`Error::NotAnRsaKey`] for any other text.
    pub fn from_pem(pem: &Secret) -> Result<Self, Error> {
        let pkcs8 = match pem_body(pem.expose(), "PRIVATE KEY") {
            Some(pkcs8) => pkcs8,
            None => {
                pem_body(pem.expose(), "RSA PRIVATE KEY").map(|pkcs1| pkcs8_of(&pkcs1)).ok_or(Error::NotAnRsaKey {
                    expected: "a PEM text with a PRIVATE KEY or an RSA PRIVATE KEY, not encrypted",
                })?
            }
        };
        let key = PrivateDecryptingKey::from_pkcs8(&pkcs8)
            .map_err(|_| Error::NotAnRsaKey { expected: "an RSA key of 2048 to 8192 bits" })?;
        Self::new(key)
    }

    fn new(key: PrivateDecryptingKey) -> Result<Self, Error> {
        let failed = Error::Rsa { what: "write a public key" };
        let public = key.public_key().as_der().map_err(|_| failed.clone())?;
        let public_pem = pem_text("PUBLIC KEY", public.as_ref()).into_bytes().into();
        Ok(Self { private: OaepPrivateDecryptingKey::new(key).map_err(|_| failed)?, public_pem })
    }

    /// The public key in PEM, as a client receives it.
    pub fn public_pem(&self) -> &[u8] {
        &self.public_pem
    }

    /// Length in bytes of whatever a client encrypts with this key.
    pub fn ciphertext_len(&self) -> usize {
        self.private.key_size_bytes()
    }

    /// The password that a client encrypted for `nonce`; `None` for anything that is not such a password.
    pub fn open(&self, ciphertext: &[u8], nonce: &Nonce) -> Option<Secret> {
        if ciphertext.len() != self.ciphertext_len() {
            return None;
        }
        let mut room = Zeroizing::new(vec![0; self.private.min_output_size()]);
        let masked = self.private.decrypt(&OAEP_SHA1_MGF1SHA1, ciphertext, &mut room, None).ok()?;
        let mut text = Zeroizing::new(masked.to_vec());
        mask(&mut text, nonce);
        let (&0, password) = text.split_last()? else { return None };
        Some(Secret::new(password.to_vec()))
    }
}

impl PublicKey {
    /// Reads a server's public key in PEM (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    /// [`Error::NotAnRsaKey`] for any other text.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        let der = pem_body(pem, "PUBLIC KEY").ok_or(Error::NotAnRsaKey { expected: "a PEM text with a PUBLIC KEY" })?;
        let key = PublicEncryptingKey::from_der(&der).and_then(|key| Ok(OaepPublicEncryptingKey::new(key)?));
        key.map(Self).map_err(|_| Error::NotAnRsaKey { expected: "an RSA key of 2048 to 8192 bits" })
    }

    /// Encrypts `password` for `nonce`.
    ///
    /// # Errors
    /// [`Error::PasswordTooLong`] when it does not fit into one block of this key.
    pub fn seal(&self, password: &Secret, nonce: &Nonce) -> Result<Vec<u8>, Error> {
        let max = self.0.max_plaintext_size(&OAEP_SHA1_MGF1SHA1).saturating_sub(1);
        if password.expose().len() > max {
            return Err(Error::PasswordTooLong { max });
        }
        let mut text = Zeroizing::new(password.expose().to_vec());
        text.push(0);
        mask(&mut text, nonce);
        let mut room = vec![0; self.0.ciphertext_size()];
        let sealed = self.0.encrypt(&OAEP_SHA1_MGF1SHA1, &text, &mut room, None);
        sealed.map(|sealed| sealed.to_vec()).map_err(|_| Error::Rsa { what: "encrypt a password" })
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair(…)")
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(…)")
    }
}

/// XORs with `nonce`, repeated.
fn mask(text: &mut [u8], nonce: &Nonce) {
    for (byte, with) in text.iter_mut().zip(nonce.iter().cycle()) {
        *byte ^= with;
    }
}

/// The bytes between the lines that begin and end a `label`; what stands before and after is ignored, as PEM's readers do.
fn pem_body(pem: &[u8], label: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text = std::str::from_utf8(pem).ok().filter(|text| text.len() <= PEM_LEN_MAX)?;
    let (_, after) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = after.split_once(&format!("-----END {label}-----"))?;
    let digits = Zeroizing::new(body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<_>>());
    BASE64.decode(&*digits).ok().map(Zeroizing::new)
}

fn pem_text(label: &str, der: &[u8]) -> String {
    const LINE: usize = 64;
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in BASE64.encode(der).as_bytes().chunks(LINE) {
        text.extend(line.iter().map(|&byte| char::from(byte)));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// Wraps a PKCS#1 private key into PKCS#8 (RFC 5208): version 0, the algorithm `rsaEncryption` (RFC 8017), and the key.
fn pkcs8_of(pkcs1: &[u8]) -> Zeroizing<Vec<u8>> {
    const VERSION_AND_ALGORITHM: [u8; 18] =
        [0x02, 0x01, 0x00, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    const SEQUENCE: u8 = 0x30;
    const OCTET_STRING: u8 = 0x04;
    let key = der_value(OCTET_STRING, pkcs1);
    let body = Zeroizing::new([&VERSION_AND_ALGORITHM, key.as_slice()].concat());
    der_value(SEQUENCE, &body)
}

/// A DER value with a length of two bytes, which every RSA key needs. [`PEM_LEN_MAX`] keeps the length within them.
fn der_value(tag: u8, body: &[u8]) -> Zeroizing<Vec<u8>> {
    let [.., high, low] = body.len().to_be_bytes();
    Zeroizing::new([&[tag, 0x82, high, low], body].concat())
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    static PAIR: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate().unwrap());
    const NONCE: Nonce = [7; 20];

    #[test]
    fn passwords_cross_and_depend_on_the_nonce() {
        let public = PublicKey::from_pem(PAIR.public_pem()).unwrap();
        for password in ["", "pencil", &"x".repeat(213)] {
            let sealed = public.seal(&Secret::from(password), &NONCE).unwrap();
            assert_eq!(sealed.len(), PAIR.ciphertext_len());
            assert_eq!(PAIR.open(&sealed, &NONCE), Some(Secret::from(password)));
            assert_ne!(PAIR.open(&sealed, &[8; 20]), Some(Secret::from(password)));
        }
        let too_long = public.seal(&Secret::from("x".repeat(214)), &NONCE);
        assert_eq!(too_long, Err(Error::PasswordTooLong { max: 213 }));
    }

    /// Encrypted by mysql_common's client, which does its own arithmetic.
    #[test]
    fn mysql_common_s_ciphertext_opens() {
        let mut text = b"pencil\0".to_vec();
        mask(&mut text, &NONCE);
        let sealed = mysql_common::crypto::encrypt(&text, PAIR.public_pem()).unwrap();
        assert_eq!(PAIR.open(&sealed, &NONCE), Some(Secret::from("pencil")));
    }

    #[test]
    fn other_ciphertexts_do_not_open() {
        let sealed = PublicKey::from_pem(PAIR.public_pem()).unwrap().seal(&Secret::from("pencil"), &NONCE).unwrap();
        for at in [0, 1, 100, 255] {
            let mut wrong = sealed.clone();
            wrong[at] ^= 1;
            assert_eq!(PAIR.open(&wrong, &NONCE), None, "byte {at}");
        }
        for wrong in [&b""[..], b"pencil", &sealed[..255], &[0xff; 256], &[0; 257]] {
            assert_eq!(PAIR.open(wrong, &NONCE), None);
        }
        // No closing NUL.
        let mut text = b"pencil".to_vec();
        mask(&mut text, &NONCE);
        let sealed = mysql_common::crypto::encrypt(&text, PAIR.public_pem()).unwrap();
        assert_eq!(PAIR.open(&sealed, &NONCE), None);
    }

    #[test]
    fn private_keys_in_both_forms() {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let public = KeyPair::new(key.clone()).unwrap();
        let pkcs8 = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&key).unwrap();
        let pkcs8 = pkcs8.as_ref();
        // PKCS#8 is a frame of 26 bytes around PKCS#1.
        let pkcs1 = &pkcs8[26..];
        assert_eq!(*pkcs8_of(pkcs1), pkcs8);
        for pem in [pem_text("PRIVATE KEY", pkcs8), pem_text("RSA PRIVATE KEY", pkcs1)] {
            let pair = KeyPair::from_pem(&Secret::from(pem)).unwrap();
            assert_eq!(pair.public_pem(), public.public_pem());
        }
    }

    #[test]
    fn other_texts_are_no_keys() {
        let public = std::str::from_utf8(PAIR.public_pem()).unwrap();
        for text in
            ["", "-----BEGIN PUBLIC KEY-----", &public[..200], &public.replace('M', "-"), &" ".repeat(PEM_LEN_MAX)]
        {
            assert!(matches!(PublicKey::from_pem(text.as_bytes()), Err(Error::NotAnRsaKey { .. })), "{text}");
        }
        assert!(PublicKey::from_pem(format!("a header\n{public}\na footer").as_bytes()).is_ok());
        assert!(PublicKey::from_pem(format!("{public}{}", " ".repeat(PEM_LEN_MAX)).as_bytes()).is_err());
        for label in ["PUBLIC KEY", "PRIVATE KEY", "RSA PRIVATE KEY"] {
            let text = Secret::from(pem_text(label, b"not a key"));
            assert!(matches!(KeyPair::from_pem(&text), Err(Error::NotAnRsaKey { .. })), "{label}");
        }
        assert_eq!(format!("{:?}", *PAIR), "KeyPair(…)");
    }
}
