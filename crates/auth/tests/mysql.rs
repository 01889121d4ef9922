//! The methods of MySQL and MariaDB with any password and any nonce, against somebody else's arithmetic where there is one.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

use auth::{Credential, Secret, caching_sha2, ed25519, native};
use mysql_common::auth::plugins::{caching_sha2_password::scramble_sha256, mysql_native_password::scramble_native};
use proptest::prelude::*;

/// The forms of a stored secret, each recognised by how it begins.
const STORED: [&str; 4] = [
    "*6C8989366EAF75BB670AD8EA7A7FC1176A95CEF4",
    "$A$005$aaaaaaaaaaaaaaaaaaaaX3XnYdfMUQcjRyMBUrXv4gZFFXjR5sAChERO1eZ9B99",
    "0x24412430303524031A69251C34295C4B35167C7F1E5A7B63091349503974624D34504B5A424679354856336868686F52485A736E4A733368786E427575516C73446469496537",
    "ed25519:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY",
];

fn password() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 1..80)
}

proptest! {
    #[test]
    fn answers_agree_and_teach(password in password(), nonce: [u8; 20], other: [u8; 20]) {
        let secret = Secret::new(password.clone());

        let theirs = scramble_native(&nonce, &password).unwrap();
        let told = native::Hash::from_password(&secret).accept(&nonce, &theirs).unwrap();
        prop_assert_eq!(told.answer(&other), scramble_native(&other, &password).unwrap());

        let theirs = scramble_sha256(&nonce, &password).unwrap();
        let told = caching_sha2::Stage1::from_password(&secret).stage2().accept(&nonce, &theirs).unwrap();
        prop_assert_eq!(told.answer(&other), scramble_sha256(&other, &password).unwrap());
    }

    /// A stored secret with a typing error is refused, or is another one of its form; only forms that a password may begin
    /// like become passwords.
    #[test]
    fn mistyped_secrets_are_not_taken_for_passwords(which in 0..STORED.len(), at in 0..142_usize, byte: u8, cut: bool) {
        let mut text = STORED[which].as_bytes().to_vec();
        let at = at % text.len();
        let prefix = [1, 3, 8, 8][which];
        prop_assume!(at >= prefix);
        if cut {
            text.truncate(at);
        } else {
            text[at] = byte;
        }
        match Credential::parse(Secret::new(text)) {
            Ok(Credential::Plain(_)) => prop_assert_eq!(which, 0),
            Ok(_) => prop_assert!(!cut),
            Err(_) => {}
        }
    }
}

proptest! {
    // Dear without optimisation: curve arithmetic, and 5,000 rounds a case.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn signatures_hold_for_their_nonce_and_password_alone(password in password(), nonce: [u8; 32], bit in 0..256_usize) {
        let secret = Secret::new(password.clone());
        let key = ed25519::PublicKey::from_password(&secret);
        let answer = ed25519::sign(&secret, &nonce);
        prop_assert!(key.accepts(&nonce, &answer));
        let mut other = nonce;
        other[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!key.accepts(&other, &answer));
        let longer = Secret::new([&password[..], b"x"].concat());
        prop_assert!(!key.accepts(&nonce, &ed25519::sign(&longer, &nonce)));
        prop_assert_eq!(ed25519::PublicKey::parse(key.to_text().as_bytes()), Ok(key));
    }

    #[test]
    fn verifiers_survive_both_text_forms(password in password(), salt: [u8; 20]) {
        let secret = Secret::new(password);
        let rounds = caching_sha2::Rounds::DEFAULT;
        let verifier = caching_sha2::Verifier::from_password(&secret, salt, rounds).unwrap();
        let text = verifier.to_text();
        let digits: String = text.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        for form in [text, Secret::from(format!("0x{digits}"))] {
            prop_assert_eq!(Credential::parse(form), Ok(Credential::CachingSha2(verifier.clone())));
        }
    }
}

#[test]
fn stored_secrets_are_what_they_look_like() {
    for text in STORED {
        assert!(!matches!(Credential::parse(Secret::from(text)), Ok(Credential::Plain(_)) | Err(_)), "{text}");
    }
}
