//! Any server's answers: what was asked, under any capabilities, and packets that may be cut short where that is allowed.
#![no_main]

use mysql::{
    Capabilities, Status,
    exchange::{Asked, Event, Exchange},
    packet::{HEADER_LEN, Header},
};

const ASKED: [Asked; 7] =
    [Asked::Simple, Asked::Results, Asked::Rows, Asked::Fields, Asked::Prepare, Asked::Text, Asked::Events];

libfuzzer_sys::fuzz_target!(|input: (u8, u64, &[u8])| {
    let (kind, flags, mut rest) = input;
    let mut exchange = Exchange::new(Capabilities(flags), Status::AUTOCOMMIT);
    let mut asked = ASKED.iter().cycle().skip(usize::from(kind)).copied();
    while let Some(header) = Header::peek(rest) {
        if exchange.is_settled() {
            exchange.ask(asked.next().unwrap_or(Asked::Results));
        }
        let here = rest.get(HEADER_LEN..).unwrap_or_default();
        let payload = here.get(..header.len).unwrap_or(here);
        let first = payload.first().copied().unwrap_or_default();
        if payload.len() < header.len && exchange.needs_whole(header.len, first) {
            return;
        }
        match exchange.handle(header.len, payload) {
            Ok(Event::FileWanted) => assert!(exchange.wants_file()),
            Ok(_) => {}
            Err(_) => return,
        }
        exchange.file_sent();
        rest = here.get(header.len..).unwrap_or_default();
    }
});
