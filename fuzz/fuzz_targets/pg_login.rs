//! Any client while it logs in: the first byte says how it is asked.
#![no_main]

use std::sync::Arc;

use auth::{
    Credential, Secret,
    scram::{Iterations, Key, Nonce, Verifier},
};
use pg::{
    frame::Message,
    login::{Demand, Exists, Known, Login, Step},
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, mut rest)) = bytes.split_first() else { return };
    let Ok(credential) = Credential::parse(Secret::from("pencil")) else { return };
    let known = Known::Credential(Arc::new(credential));
    let verifier = Verifier::mock(&Key::new([1; 32]), b"app", Iterations::DEFAULT);
    let demand = match kind % 3 {
        0 => Demand::Cleartext(known),
        1 => Demand::Md5 { known, salt: [1; 4] },
        _ => Demand::Scram { verifier, exists: Exists::No, nonce: Nonce::new([9; Nonce::LEN]) },
    };
    let mut out = Vec::new();
    let mut step = Ok(Login::begin(demand, &mut out));
    while let (Ok(Step::Wait(login)), Ok(Some((message, after)))) = (step, Message::split(rest)) {
        rest = after;
        step = login.handle(message.tag, message.body, b"app", &mut out);
    }
});
