//! The structures of a login: what is accepted means the same when it is written again.
#![no_main]

use mysql::{
    Capabilities,
    handshake::{AuthMoreData, AuthSwitchRequest, ChangeUser, Greeting, HandshakeResponse, SslRequest},
    packet::Packet,
};

fn written(write: impl FnOnce(&mut Vec<u8>, &mut u8)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, &mut 0);
    Packet::split(&out).expect("one packet was written").0.payload.to_vec()
}

libfuzzer_sys::fuzz_target!(|input: (u32, &[u8])| {
    let (flags, payload) = input;
    let capabilities = Capabilities::from_wire(flags, 0);
    if let Ok(greeting) = Greeting::parse(payload) {
        let _ = (greeting.version_number(), greeting.is_mariadb());
        assert_eq!(Greeting::parse(&written(|out, sequence| greeting.write(out, sequence))), Ok(greeting));
    }
    if let Ok(response) = HandshakeResponse::parse(payload) {
        let again = HandshakeResponse::parse(&written(|out, sequence| response.write(out, sequence)));
        assert_eq!(again.map(|again| (again.user, again.attributes)), Ok((response.user, response.attributes)));
    }
    if let Ok(change) = ChangeUser::parse(payload, capabilities) {
        let again = written(|out, sequence| change.write(out, sequence, capabilities));
        assert_eq!(ChangeUser::parse(&again[1..], capabilities).map(|again| again.user), Ok(change.user));
    }
    let _ = (SslRequest::parse(payload), AuthSwitchRequest::parse(payload), AuthMoreData::parse(payload));
});
