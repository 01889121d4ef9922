//! Any server while we log in to it: the first byte says what we know and how the connection is protected.
#![no_main]

use std::sync::Arc;

use auth::{Channel, Credential, Learned, Secret};
use mysql::{
    Capabilities,
    dial::{Account, Dial, KeySource, Step, Tls, Wanted},
    packet::Packet,
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, mut rest)) = bytes.split_first() else { return };
    let credential = Credential::parse(Secret::from("pencil")).ok().filter(|_| kind & 1 == 0).map(Arc::new);
    let account = Account { user: b"app".to_vec(), database: None, credential, learned: Learned::default() };
    let wanted = Wanted {
        capabilities: Capabilities::STMT_BULK_OPERATIONS,
        tls: if kind & 2 == 0 { Tls::Off } else { Tls::IfOffered },
        channel: if kind & 4 == 0 { Channel::Plain } else { Channel::Secure },
        keys: if kind & 8 == 0 { KeySource::Ask } else { KeySource::Never },
        max_packet: 1 << 24,
        charset: 45,
    };
    let mut dial = Dial::new(account, wanted);
    let (mut sequence, mut out) = (0, Vec::new());
    while let Some((packet, after)) = Packet::split(rest) {
        rest = after;
        let step = match dial.handle(packet.payload, &mut sequence, &mut out) {
            Ok(Step::StartTls) => dial.encrypted(&mut sequence, &mut out),
            step => step,
        };
        if !matches!(step, Ok(Step::Wait)) {
            return;
        }
    }
});
