//! The server's challenge.

/// The 20 random bytes by which a server challenges a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce([u8; Self::LEN]);

impl Nonce {
    /// Bytes of a nonce.
    pub const LEN: usize = 20;

    /// Makes a nonce of random bytes, which the caller provides.
    ///
    /// On the wire a nonce ends with a NUL and many clients look for it, so it may not hold one; nor a `$`, which separates
    /// the fields of stored `caching_sha2_password` verifiers. Each byte is brought into 1 to 127 as MySQL does
    /// (`generate_user_salt`, `mysys/crypt_genhash_impl.cc`), which leaves almost 7 of its 8 random bits.
    #[must_use]
    pub fn from_random(random: [u8; Self::LEN]) -> Self {
        Self(random.map(|byte| match byte & 0x7f {
            byte @ (0 | b'$') => byte + 1,
            byte => byte,
        }))
    }

    /// Takes a nonce that a server sent, with or without its terminating NUL; `None` for any other length.
    #[must_use]
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first_chunk::<{ Self::LEN }>() {
            Some((nonce, [] | [0])) => Some(Self(*nonce)),
            _ => None,
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}
