//! Any server's answers to a pipeline: the first byte says what was asked.
#![no_main]

use pg::{
    exchange::{Audience, Exchange, Expect},
    frame::Message,
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, mut rest)) = bytes.split_first() else { return };
    let audience = if kind & 1 == 0 { Audience::Client } else { Audience::Us };
    let asked = [
        Expect::Query(audience),
        Expect::Parse { audience, statement: None, name: None },
        Expect::FakeParse { name: None },
        Expect::Bind,
        Expect::Describe,
        Expect::Execute,
        Expect::CopyEnd,
        Expect::Sync(audience),
    ];
    let mut exchange = Exchange::default();
    for (place, expect) in asked.into_iter().enumerate() {
        if kind >> place & 1 == 1 {
            exchange.expect(expect);
        }
    }
    while let Ok(Some((message, after))) = Message::split(rest) {
        rest = after;
        if exchange.handle(message.tag, message.body).is_err() {
            return;
        }
        while exchange.poll_fake().is_some() {}
        exchange.take_skipped().for_each(drop);
        exchange.expect(Expect::Sync(audience));
    }
});
