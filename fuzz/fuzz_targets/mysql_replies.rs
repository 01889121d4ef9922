//! What servers send, read under any capabilities: the input's first bytes.
#![no_main]

use mysql::{
    Capabilities,
    packet::Packet,
    view::{self, ColumnCount, ColumnDefinition, EofPacket, ErrPacket, OkPacket, PrepareOk, Progress, TextRow},
};

libfuzzer_sys::fuzz_target!(|input: (u32, &[u8])| {
    let (flags, mut rest) = input;
    let capabilities = Capabilities::from_wire(flags, flags.rotate_left(7));
    while let Some((Packet { payload, .. }, after)) = Packet::split(rest) {
        rest = after;
        if let Ok(ok) = OkPacket::parse(payload, capabilities) {
            assert!(ok.changes.count() <= payload.len());
        }
        let _ = (EofPacket::parse(payload), ErrPacket::parse(payload), Progress::parse(payload));
        let _ = (ColumnCount::parse(payload, capabilities), ColumnDefinition::parse(payload, capabilities));
        let _ = (PrepareOk::parse(payload, capabilities), view::local_infile_request(payload));
        assert!(TextRow::new(payload).count() <= payload.len());
    }
});
