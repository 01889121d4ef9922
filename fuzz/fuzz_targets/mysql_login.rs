//! Any client while it logs in: the first byte says how it is asked, the first packet is its handshake response.
#![no_main]

use std::sync::Arc;

use auth::{Channel, Credential, Learned, Secret};
use mysql::{
    handshake::{HandshakeResponse, Nonce},
    login::{Demand, Exists, Login, Opening, Step, Terms},
    packet::Packet,
};

/// A password, and each form that MySQL and MariaDB store one in; the salted one is left out, as it is slow by design.
const SECRETS: [&str; 3] =
    ["pencil", "*6C8989366EAF75BB670AD8EA7A7FC1176A95CEF4", "ed25519:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY"];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let Some((first, mut rest)) = Packet::split(rest) else { return };
    let Ok(response) = HandshakeResponse::parse(first.payload) else { return };
    let demand = match SECRETS.get(usize::from(kind % 4)) {
        Some(text) => match Credential::parse(Secret::from(*text)) {
            Ok(credential) => {
                Demand::Password { credential: Arc::new(credential), learned: Learned::default(), exists: Exists::Yes }
            }
            Err(_) => return,
        },
        None => Demand::PassThrough,
    };
    let terms = Terms {
        demand,
        capabilities: response.capabilities,
        channel: if kind & 4 == 0 { Channel::Plain } else { Channel::Secure },
        greeted: Nonce::from_random([3; 20]),
        random: [7; 32],
        keys: None,
    };
    let (mut sequence, mut out) = (2, Vec::new());
    let mut step = Ok(Login::begin(Opening::Response(&response), terms, &mut sequence, &mut out));
    while let (Ok(Step::Wait(login)), Some((packet, after))) = (step, Packet::split(rest)) {
        rest = after;
        step = login.handle(packet.payload, &mut sequence, &mut out);
    }
});
