//! Networks: which peers something holds for.

use std::net::IpAddr;

use crate::values::{ValueError, Written, written};

/// A range of IP addresses, `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_len: u8,
}

impl Network {
    /// Its first address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many leading bits all its addresses share.
    #[must_use]
    pub const fn prefix_len(&self) -> u8 {
        self.prefix_len
    }
}

/// An address as a number, and how many bits it has.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(v4) => (v4.to_bits().into(), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

/// The number with everything behind its first `prefix_len` of `len` bits set to zero.
fn first_bits(bits: u128, len: u8, prefix_len: u8) -> u128 {
    let mask = u128::MAX.checked_shl((len - prefix_len).into()).unwrap_or(0);
    bits & mask
}

impl Written for Network {
    const EXPECTED: &'static str = "a network, as in \"10.0.0.0/8\", or an IP address";

    fn read(text: &str) -> Result<Self, ValueError> {
        let (address, prefix_len) = match text.split_once('/') {
            Some((address, prefix_len)) => (address, Some(prefix_len)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| ValueError::Network(text.into()))?;
        let (number, len) = bits(address);
        let prefix_len = match prefix_len {
            None => len,
            Some(digits) => {
                // `parse` would also take a sign.
                let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
                let parsed = digits.parse().ok().filter(|prefix_len| is_number && *prefix_len <= len);
                parsed.ok_or_else(|| ValueError::PrefixLen(digits.into(), len))?
            }
        };
        let first = first_bits(number, len, prefix_len);
        if first != number {
            // The address of a host where that of a network was meant, or a wrong prefix: guessing would trust strangers.
            let first = match address {
                IpAddr::V4(_) => IpAddr::V4(u32::try_from(first).unwrap_or_default().into()),
                IpAddr::V6(_) => IpAddr::V6(first.into()),
            };
            return Err(ValueError::HostBits { given: text.into(), network: format!("{first}/{prefix_len}") });
        }
        Ok(Self { address, prefix_len })
    }

    fn write(&self) -> String {
        format!("{}/{}", self.address, self.prefix_len)
    }
}

written!(Network: "network");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_written_back() {
        for (text, canonical) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("192.168.4.0/22", "192.168.4.0/22"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("FD00::/8", "fd00::/8"),
            ("::1", "::1/128"),
        ] {
            let read = Network::read(text).unwrap();
            assert_eq!(read.write(), canonical);
            assert_eq!(Network::read(canonical), Ok(read));
        }
    }

    #[test]
    fn what_is_no_network_says_why() {
        for (text, message) in [
            ("localhost", "`localhost` is no network: write it as in \"10.0.0.0/8\", or an IP address"),
            ("", "`` is no network: write it as in \"10.0.0.0/8\", or an IP address"),
            ("10.0.0.0/33", "`33` is no length of a prefix: a number from 0 to 32 is expected"),
            ("10.0.0.0/+8", "`+8` is no length of a prefix: a number from 0 to 32 is expected"),
            ("::/x", "`x` is no length of a prefix: a number from 0 to 128 is expected"),
            ("10.0.0.1/8", "`10.0.0.1/8` is an address within a network: the network is `10.0.0.0/8`"),
            ("fd00::1/64", "`fd00::1/64` is an address within a network: the network is `fd00::/64`"),
        ] {
            assert_eq!(Network::read(text).unwrap_err().to_string(), message);
        }
    }
}
