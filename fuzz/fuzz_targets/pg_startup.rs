//! A client's first packet.
#![no_main]

use pg::startup::Packet;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some((Packet::Startup(startup), _))) = Packet::read(bytes) {
        startup.negotiate(&mut Vec::new());
    }
});
