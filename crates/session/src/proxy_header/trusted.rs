//! Networks whose word is taken.

use std::{net::IpAddr, sync::Arc};

/// A network of addresses: those that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// How many bits.
    prefix: u8,
}

/// Not a network: an address has fewer bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an address has fewer bits")]
pub struct BadNetwork;

impl Network {
    /// The network of the addresses that share the first `prefix` bits of `address`.
    ///
    /// # Errors
    /// [`BadNetwork`] when an address has fewer bits.
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, BadNetwork> {
        let bits = if address.is_ipv4() { u32::BITS } else { u128::BITS };
        if u32::from(prefix) <= bits { Ok(Self { address, prefix }) } else { Err(BadNetwork) }
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
    fn the_first_bits_decide() {
        for (network, prefix, address, expected) in [
            ("10.0.0.0", 8, "10.255.0.1", true),
            ("10.0.0.0", 8, "11.0.0.1", false),
            ("10.1.2.3", 8, "10.9.9.9", true),
            ("10.1.2.3", 32, "10.1.2.3", true),
            ("10.1.2.3", 32, "10.1.2.2", false),
            ("0.0.0.0", 0, "200.1.2.3", true),
            ("0.0.0.0", 0, "::1", false),
            ("::", 0, "fd00::1", true),
            ("fd00::", 9, "fd7f::1", true),
            ("fd00::", 9, "fd80::1", false),
            ("10.0.0.0", 8, "::ffff:10.1.1.1", true),
        ] {
            let (network, address): (IpAddr, IpAddr) = (network.parse().unwrap(), address.parse().unwrap());
            let network = Network::new(network, prefix).unwrap();
            assert_eq!(network.contains(address), expected, "{network:?} {address}");
            assert_eq!(Trusted::from_iter([network]).contains(address), expected);
        }
        assert_eq!(Network::new("10.0.0.0".parse().unwrap(), 33), Err(BadNetwork));
        assert_eq!(Network::new("::".parse().unwrap(), 129), Err(BadNetwork));
        assert!(!Trusted::default().contains("127.0.0.1".parse().unwrap()));
    }
}
