//! Where messages begin and end, and what their bodies say.
#![no_main]

use pg::{frame::Message, view};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Some((Message { tag, body }, after))) = Message::split(rest) {
        rest = after;
        let _ = (view::query(body), view::parse(body), view::bind_names(body), view::target(tag, body));
        let _ = (view::parameter_status(body), view::backend_key_data(body), view::command_tag(body));
        let _ = view::error_field(body, b'M');
    }
});
