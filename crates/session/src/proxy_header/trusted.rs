//! Networks whose word is taken.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

/// A network of addresses: those that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// How many bits.
    prefix: u8,
}

/// Not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a network: write an address and the number of bits that count, as in 10.0.0.0/8")]
pub struct BadNetwork;

impl Network {
    /// The network of the addresses that share the first `prefix` bits of `address`.
    ///
    /// # Errors
    /// [`BadNetwork`] when an address has fewer bits.
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, BadNetwork> {
        if u32::from(prefix) <= bits_of(address) { Ok(Self { address, prefix }) } else { Err(BadNetwork) }
    }

    /// Whether it has this address. An IPv4 address is the same however an IPv6 socket writes it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let prefix = u32::from(self.prefix);
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros() >= prefix,
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros() >= prefix,
            _ => false,
        }
    }
}

fn bits_of(address: IpAddr) -> u32 {
    if address.is_ipv4() { u32::BITS } else { u128::BITS }
}

impl FromStr for Network {
    type Err = BadNetwork;

    /// `10.0.0.0/8`; an address alone is a network of one.
    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| BadNetwork)?;
        match prefix {
            None => Self::new(address, bits_of(address) as u8),
            // `parse` would also take a sign.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Self::new(address, digits.parse().map_err(|_| BadNetwork)?)
            }
            Some(_) => Err(BadNetwork),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The networks whose balancers are believed, and from which nobody else may connect: a header is required there, and not
/// looked for anywhere else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trusted(Arc<[Network]>);

impl Trusted {
    /// Whether this address is in one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

impl FromIterator<Network> for Trusted {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_written_as_everywhere() {
        for (text, shown) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("::1", "::1/128"),
            ("fd00::/8", "fd00::/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0/8",
            "10.0.0.0/8/8",
            "localhost",
            "10.0.0.0/256",
        ] {
            assert_eq!(text.parse::<Network>(), Err(BadNetwork), "{text}");
        }
    }

    #[test]
    fn the_first_bits_decide() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3/8", "10.9.9.9", true),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.2", false),
            ("0.0.0.0/0", "200.1.2.3", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "fd00::1", true),
            ("fd00::/9", "fd7f::1", true),
            ("fd00::/9", "fd80::1", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
        ] {
            let (network, address): (Network, IpAddr) = (network.parse().unwrap(), address.parse().unwrap());
            assert_eq!(network.contains(address), expected, "{network} {address}");
            assert_eq!(Trusted::from_iter([network]).contains(address), expected);
        }
        assert!(!Trusted::default().contains("127.0.0.1".parse().unwrap()));
    }
}
