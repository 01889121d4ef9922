//! Doors that stand open to whoever is on the network.

use std::net::IpAddr;

use route::Address;

use crate::Config;
use crate::keys::{AuthMethod, ClientCertificates};

impl Config {
    /// What others than those on this machine can do, or read, without a proof.
    pub(super) fn open_doors(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        let listen = &self.keys.listen;
        let postgres = || listen.postgres.iter().map(|address| &address.0).filter(|address| !is_local(address));
        match listen.auth {
            AuthMethod::Trust if !self.asks_for_certificates() => {
                let operators = if self.keys.admin.users.is_empty() { "" } else { ", operators included" };
                let open = self.listeners().map(|(_, address)| address).filter(|address| !is_local(address));
                doubts.extend(open.map(|address| {
                    format!("listen.auth is \"trust\": anyone who reaches {address} may be any user{operators}")
                }));
            }
            AuthMethod::Password if self.client_tls.is_none() => doubts.extend(postgres().map(|address| {
                format!("listen.auth is \"password\" and [tls] is off: passwords can be read on their way to {address}")
            })),
            _ => {}
        }
        // It shows names and addresses, and changes nothing: who has no operators may well have chosen to show them.
        if !self.keys.admin.users.is_empty() {
            let open = listen.http.0.iter().filter(|address| !is_private(address));
            doubts.extend(open.map(|address| {
                format!(
                    "listen.http asks for no password: anyone who reaches {address} sees users, databases and clients"
                )
            }));
        }
        doubts
    }

    /// Whether nobody gets in without a certificate that is checked.
    fn asks_for_certificates(&self) -> bool {
        let is_encrypted = self.client_tls.as_ref().is_some_and(|tls| tls.required);
        is_encrypted && self.keys.tls.client_certificates == Some(ClientCertificates::Required)
    }
}

/// Whether only this machine can connect there.
fn is_local(address: &Address) -> bool {
    match address {
        Address::Unix { .. } => true,
        Address::Tcp { host, .. } => host == "localhost" || ip(host).is_some_and(|ip| ip.is_loopback()),
    }
}

/// Whether only this machine or a private network can.
fn is_private(address: &Address) -> bool {
    let Address::Tcp { host, .. } = address else { return true };
    let of_a_network = |ip| match ip {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    };
    is_local(address) || ip(host).is_some_and(of_a_network)
}

fn ip(host: &str) -> Option<IpAddr> {
    host.parse().ok().map(|ip: IpAddr| ip.to_canonical())
}
