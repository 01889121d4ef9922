//! Certificates made by openssl; their hashes and dates are what it prints.

use super::*;

const SHA256_EC: &[u8] = include_bytes!("tests/v1.der");
const PSS_SHA1: &[u8] = include_bytes!("tests/pss-sha1.der");
const PSS_SHA256: &[u8] = include_bytes!("tests/pss-sha256.der");
const PSS_SHA384: &[u8] = include_bytes!("tests/pss-sha384.der");
const PSS_SHA512: &[u8] = include_bytes!("tests/pss-sha512.der");
const MD5: &[u8] = include_bytes!("tests/md5.der");
const ED25519: &[u8] = include_bytes!("tests/ed25519.der");

#[test]
fn the_hash_is_that_of_the_signature_and_never_a_weak_one() {
    for (certificate, len, begins) in [
        (SHA256_EC, 32, "16cafb947f71f5c5"),
        (MD5, 32, "65da5af58bec84d5"),
        (PSS_SHA1, 32, "3819faa355d63915"),
        (PSS_SHA256, 32, "976ef04ef6d2854d"),
        (PSS_SHA384, 48, "84489e6cc407d423"),
        (PSS_SHA512, 64, "fedd32790dc77c9c"),
    ] {
        let found = end_point(certificate).unwrap();
        assert_eq!(found.as_bytes().len(), len);
        assert!(found.to_string().starts_with(begins), "{found}, not {begins}");
    }
    assert_eq!(end_point(ED25519), None);
}

#[test]
fn what_no_handshake_can_prove_binds_nothing() {
    assert_eq!(proven_end_point(&CertificateDer::from(SHA256_EC)), None, "version 1");
    assert_eq!(proven_end_point(&CertificateDer::from(PSS_SHA256)), end_point(PSS_SHA256));
}

#[test]
fn dates_are_read() {
    for certificate in [SHA256_EC, PSS_SHA256, ED25519] {
        let expected = Validity { not_before: 1_795_271_251, not_after: 4_948_871_251 };
        assert_eq!(validity(certificate), Some(expected));
    }
}

#[test]
fn times_as_certificates_write_them() {
    let time = |tag, text: &[u8]| Der(&[&[tag, text.len() as u8], text].concat()).time();
    assert_eq!(time(UTC_TIME, b"700101000000Z"), Some(0));
    assert_eq!(time(UTC_TIME, b"491231235959Z"), Some(29_219 * 86_400 + 86_399));
    assert_eq!(time(UTC_TIME, b"500101000000Z"), Some(0), "1950 is before all time");
    assert_eq!(time(GENERALIZED_TIME, b"20000229010203Z"), Some(11_016 * 86_400 + 3723));
    assert_eq!(time(GENERALIZED_TIME, b"99991231235959Z"), Some(253_402_300_799));
    for wrong in
        [&b"20000229010203"[..], b"2000022901020Z", b"20001301000000Z", b"20000100000000Z", b"2000010100000xZ", b""]
    {
        assert_eq!(time(GENERALIZED_TIME, wrong), None, "{}", wrong.escape_ascii());
    }
    assert_eq!(time(INTEGER, b"20000229010203Z"), None);
}

#[test]
fn every_cut_and_every_changed_byte_is_survived() {
    for certificate in [SHA256_EC, PSS_SHA384, ED25519] {
        for end in 0..certificate.len() {
            assert_eq!(signature_hash(&certificate[..end]), None, "cut at {end}");
        }
        for at in 0..certificate.len() {
            for byte in [0, 0x30, 0x7f, 0x80, 0x81, 0x84, 0xff] {
                let mut changed = certificate.to_vec();
                changed[at] = byte;
                let _ = (validity(&changed), end_point(&changed));
            }
        }
    }
}
