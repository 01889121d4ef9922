use super::*;
use crate::{Capabilities, ProtocolError, Status, packet::Packet};
use auth::Secret;
use mysql_common::{io::ParseBuf, packets, proto::MyDeserialize, proto::MySerialize};
use proptest::prelude::*;

const GREETING: &[u8] = include_bytes!("../../corpus/server-greeting");
const RESPONSE: &[u8] = include_bytes!("../../corpus/client-response");
const CHANGE_USER: &[u8] = include_bytes!("../../corpus/client-change-user");

/// What every client of today asks for.
const USUAL: Capabilities = Capabilities(
    Capabilities::PROTOCOL_41.0
        | Capabilities::SECURE_CONNECTION.0
        | Capabilities::PLUGIN_AUTH.0
        | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA.0
        | Capabilities::CONNECT_WITH_DB.0
        | Capabilities::CONNECT_ATTRS.0
        | Capabilities::LONG_PASSWORD.0,
);

fn payload(packet: &[u8]) -> &[u8] {
    let (packet, rest) = Packet::split(packet).unwrap();
    assert_eq!(rest, b"");
    packet.payload
}

fn written(write: impl FnOnce(&mut Vec<u8>, &mut u8)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, &mut 0);
    payload(&out).to_vec()
}

fn response() -> HandshakeResponse {
    HandshakeResponse {
        capabilities: USUAL,
        max_packet: 1 << 24,
        charset: 45,
        user: b"app".to_vec(),
        auth_response: Secret::new((1..21).collect()),
        database: Some(b"shop".to_vec()),
        plugin: Some(plugin::CACHING_SHA2.to_vec()),
        attributes: [(&b"program_name"[..], &b"test"[..]), (b"_pid", b"1")].into_iter().collect(),
        zstd_level: None,
    }
}

#[test]
fn mariadbs_greeting_is_understood_and_written_back() {
    let greeting = Greeting::parse(payload(GREETING)).unwrap();
    assert_eq!(greeting.version, b"5.5.5-10.11.19-MariaDB-0+deb12u1");
    assert_eq!((greeting.is_mariadb(), greeting.version_number()), (true, (10, 11, 19)));
    assert_eq!((greeting.connection_id, greeting.charset, greeting.status), (6, 8, Status(0x4002)));
    assert_eq!(greeting.nonce.as_bytes(), b"w'V]Sd}hs)lf<6=l,5ct");
    assert_eq!(greeting.plugin, plugin::NATIVE);
    let bulk = Capabilities::STMT_BULK_OPERATIONS | Capabilities::EXTENDED_METADATA | Capabilities::CACHE_METADATA;
    assert!(greeting.capabilities.contains(bulk | Capabilities::PROGRESS | Capabilities::DEPRECATE_EOF));
    assert!(!greeting.capabilities.contains(Capabilities::LONG_PASSWORD));
    assert_eq!(written(|out, sequence| greeting.write(out, sequence)), payload(GREETING));
}

#[test]
fn mysqls_greeting_and_client_are_understood_and_written_back() {
    let captured = payload(include_bytes!("../../corpus/mysql-server-greeting"));
    let greeting = Greeting::parse(captured).unwrap();
    assert_eq!(
        (&*greeting.version, greeting.is_mariadb(), greeting.version_number()),
        (&b"9.7.4-2"[..], false, (9, 7, 4))
    );
    assert_eq!((&*greeting.plugin, greeting.charset, greeting.status), (plugin::CACHING_SHA2, 255, Status::AUTOCOMMIT));
    assert!(greeting.capabilities.contains(Capabilities::LONG_PASSWORD | Capabilities::QUERY_ATTRIBUTES));
    assert_eq!(written(|out, sequence| greeting.write(out, sequence)), captured);

    let captured = payload(include_bytes!("../../corpus/mysql-client-response"));
    let read = HandshakeResponse::parse(captured).unwrap();
    assert_eq!(read.auth_response.expose(), b"\0", "an empty password is a NUL to caching_sha2_password");
    assert_eq!(read.attributes.get(b"program_name"), Some(&b"mysql"[..]));
    assert_eq!(written(|out, sequence| read.write(out, sequence)), captured);
}

#[test]
fn a_greeting_of_ours_is_understood_by_another_implementation() {
    let greeting = Greeting {
        version: b"8.4.3-evenkeel".to_vec(),
        connection_id: 77,
        nonce: Nonce::from_random(*b"ABCDEFGHIJKLMNOPQRST"),
        capabilities: USUAL | Capabilities::DEPRECATE_EOF,
        charset: 255,
        status: Status::AUTOCOMMIT,
        plugin: plugin::CACHING_SHA2.to_vec(),
    };
    let bytes = written(|out, sequence| greeting.write(out, sequence));
    let theirs = packets::HandshakePacket::deserialize((), &mut ParseBuf(&bytes)).unwrap();
    assert_eq!((theirs.server_version_ref(), theirs.connection_id()), (&b"8.4.3-evenkeel"[..], 77));
    assert_eq!(theirs.capabilities().bits(), greeting.capabilities.basic());
    assert_eq!(theirs.auth_plugin_name_ref(), Some(plugin::CACHING_SHA2));
    assert_eq!(theirs.nonce(), greeting.nonce.as_bytes());
    assert_eq!(Greeting::parse(&bytes), Ok(greeting));
}

#[test]
fn greetings_of_others_are_refused() {
    let cut = payload(GREETING);
    for short in 0..cut.len() - plugin::NATIVE.len() - 2 {
        assert!(Greeting::parse(&cut[..short]).is_err(), "{short}");
    }
    let mut old = cut.to_vec();
    old[0] = 9;
    assert!(matches!(Greeting::parse(&old), Err(ProtocolError::Version { .. })));
    assert!(Greeting::parse(b"\xff\x10\x04Too many connections").is_err());
}

#[test]
fn version_numbers_are_read_as_far_as_they_go() {
    let mut greeting = Greeting::parse(payload(GREETING)).unwrap();
    let cases: [(&[u8], _); 5] = [
        (b"8.0.36", (8, 0, 36)),
        (b"11.4.2-MariaDB", (11, 4, 2)),
        (b"5.5.5-10.6.1-MariaDB", (10, 6, 1)),
        (b"99999.x", (0, 0, 0)),
        ("٨.0".as_bytes(), (0, 0, 0)),
    ];
    for (version, number) in cases {
        greeting.version = version.to_vec();
        assert_eq!(greeting.version_number(), number, "{version:?}");
    }
}

#[test]
fn a_captured_response_is_understood_and_written_back() {
    let read = HandshakeResponse::parse(payload(RESPONSE)).unwrap();
    assert_eq!((&*read.user, read.database.as_deref()), (&b"app"[..], Some(&b"shop"[..])));
    assert_eq!((read.auth_response.expose().len(), read.plugin.as_deref()), (20, Some(plugin::NATIVE)));
    assert_eq!(read.attributes.get(b"_client_name"), Some(&b"libmariadb"[..]));
    assert_eq!(read.attributes.get(b"password"), None);
    assert!(read.capabilities.contains(Capabilities::EXTENDED_METADATA | Capabilities::SESSION_TRACK));
    assert_eq!(written(|out, sequence| read.write(out, sequence)), payload(RESPONSE));
    assert_eq!(SslRequest::parse(payload(RESPONSE)), None);
}

#[test]
fn our_response_is_understood_by_another_implementation() {
    let bytes = written(|out, sequence| response().write(out, sequence));
    let theirs = packets::HandshakeResponse::deserialize((), &mut ParseBuf(&bytes)).unwrap();
    assert_eq!((theirs.user(), theirs.db_name()), (&b"app"[..], Some(&b"shop"[..])));
    assert_eq!(theirs.scramble_buf(), response().auth_response.expose());
    assert_eq!(theirs.auth_plugin().map(|plugin| plugin.as_bytes()), Some(plugin::CACHING_SHA2));
    let attributes = theirs.connect_attributes().unwrap();
    assert_eq!((attributes.len(), &*attributes["program_name"]), (2, "test"));
    let mut again = Vec::new();
    theirs.serialize(&mut again);
    let again = HandshakeResponse::parse(&again).unwrap();
    assert_eq!((&again.user, again.capabilities), (&response().user, USUAL));
}

#[test]
fn a_login_never_shows_its_proof() {
    let proof = Secret::from("hunter2");
    let response = HandshakeResponse { auth_response: proof.clone(), ..response() };
    let change = ChangeUser { auth_response: proof, ..change_user() };
    let shown = format!("{response:?} {change:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("104, 117"), "{shown}");
}

#[test]
fn a_request_for_tls_is_the_beginning_of_a_response() {
    let response = HandshakeResponse { capabilities: USUAL | Capabilities::SSL, ..response() };
    let request = written(|out, sequence| response.ssl_request().write(out, sequence));
    assert_eq!(request.len(), 32);
    assert_eq!(SslRequest::parse(&request), Some(response.ssl_request()));
    assert!(written(|out, sequence| response.write(out, sequence)).starts_with(&request));
    assert_eq!(SslRequest::parse(&request[..31]), None);
    let plain = HandshakeResponse { capabilities: USUAL, ..response };
    assert_eq!(SslRequest::parse(&written(|out, sequence| plain.ssl_request().write(out, sequence))), None);
}

#[test]
fn proofs_have_three_encodings() {
    let lenenc = Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA;
    for (without, proof) in [
        (Capabilities::NONE, vec![0; 300]),
        (lenenc, vec![0; 255]),
        (lenenc | Capabilities::SECURE_CONNECTION, b"old".to_vec()),
    ] {
        let auth_response = Secret::new(proof);
        let response = HandshakeResponse { capabilities: USUAL.without(without), auth_response, ..response() };
        let bytes = written(|out, sequence| response.write(out, sequence));
        assert_eq!(HandshakeResponse::parse(&bytes), Ok(response));
    }
    // One that does not fit is left out, and the fields behind it stay where they belong.
    let auth_response = Secret::new(vec![1; 256]);
    let response = HandshakeResponse { capabilities: USUAL.without(lenenc), auth_response, ..response() };
    let read = HandshakeResponse::parse(&written(|out, sequence| response.write(out, sequence))).unwrap();
    assert!(read.auth_response.is_empty() && read.database == response.database);
}

#[test]
fn names_cannot_end_their_field_early() {
    let response = HandshakeResponse { user: b"app\0evil".to_vec(), ..response() };
    let read = HandshakeResponse::parse(&written(|out, sequence| response.write(out, sequence))).unwrap();
    assert_eq!((&*read.user, read.database), (&b"appevil"[..], response.database));
}

#[test]
fn old_cut_and_overlong_responses_are_refused() {
    assert!(matches!(
        HandshakeResponse::parse(b"\x85\x04\0\0\0app\0"),
        Err(ProtocolError::Version { what: "a client from before MySQL 4.1" })
    ));
    let whole = payload(RESPONSE);
    let names_end = whole.len() - 128; // the attributes' length, and 127 bytes of them
    for short in (0..32 + 4 + 21).chain(names_end + 1..whole.len()) {
        assert!(HandshakeResponse::parse(&whole[..short]).is_err(), "{short}");
    }
    let without = HandshakeResponse::parse(&whole[..names_end]).unwrap();
    assert!(without.attributes.is_empty(), "servers take a response that ends here");
    let mut many = whole[..names_end].to_vec();
    many.extend_from_slice(b"\xfd\x01\0\x01");
    let refused = HandshakeResponse::parse(&many);
    assert!(matches!(refused, Err(ProtocolError::Limit { limit: ATTRIBUTES_LEN_MAX, .. })), "{refused:?}");
}

#[test]
fn the_level_for_zstd_ends_a_response() {
    let capabilities = USUAL | Capabilities::ZSTD_COMPRESSION_ALGORITHM;
    let response = HandshakeResponse { capabilities, zstd_level: Some(7), ..response() };
    let bytes = written(|out, sequence| response.write(out, sequence));
    assert_eq!(bytes.last(), Some(&7));
    assert_eq!(HandshakeResponse::parse(&bytes), Ok(response));
}

fn change_user() -> ChangeUser {
    ChangeUser {
        user: b"app".to_vec(),
        auth_response: Secret::new((1..21).collect()),
        database: Some(b"shop".to_vec()),
        charset: Some(45),
        plugin: Some(plugin::NATIVE.to_vec()),
        attributes: [(&b"_os"[..], &b"Linux"[..]), (b"_pid", b"12345")].into_iter().collect(),
    }
}

#[test]
fn a_change_of_user_is_read_as_it_is_written() {
    let bytes = written(|out, sequence| change_user().write(out, sequence, USUAL));
    assert_eq!(bytes, payload(CHANGE_USER));
    assert_eq!(ChangeUser::parse(&bytes[1..], USUAL), Ok(change_user()));
    let mut theirs = Vec::new();
    let ctx = mysql_common::constants::CapabilityFlags::from_bits_truncate(USUAL.basic());
    packets::ComChangeUser::deserialize(ctx, &mut ParseBuf(&bytes)).unwrap().serialize(&mut theirs);
    assert_eq!(ChangeUser::parse(&theirs[1..], USUAL).unwrap().user, b"app");
}

#[test]
fn a_change_of_user_may_end_early() {
    let brief =
        ChangeUser { charset: None, plugin: None, database: None, attributes: Attributes::default(), ..change_user() };
    let bytes = written(|out, sequence| brief.write(out, sequence, USUAL));
    assert_eq!(ChangeUser::parse(&bytes[1..], USUAL), Ok(brief));
    for short in 0..4 + 21 {
        assert!(ChangeUser::parse(&bytes[1..][..short], USUAL).is_err(), "{short}");
    }
}

#[test]
fn a_switch_of_method_brings_a_nonce() {
    let packets: Vec<_> = crate::view::tests::payloads(include_bytes!("../../corpus/server-auth")).collect();
    let switch = AuthSwitchRequest::parse(packets[0]).unwrap();
    let nonce = Nonce::from_wire(&(1..21).collect::<Vec<_>>()).unwrap();
    assert_eq!((&*switch.plugin, switch.nonce()), (plugin::CACHING_SHA2, Some(nonce)));
    assert_eq!(switch, AuthSwitchRequest::new(plugin::CACHING_SHA2, &nonce));
    assert_eq!(written(|out, sequence| switch.write(out, sequence)), packets[0]);
    let theirs = packets::AuthSwitchRequest::deserialize((), &mut ParseBuf(packets[0])).unwrap();
    assert_eq!(theirs.plugin_data(), nonce.as_bytes());

    let more = AuthMoreData::parse(packets[1]).unwrap();
    assert_eq!(more, AuthMoreData(b"\x04"));
    assert_eq!(written(|out, sequence| more.write(out, sequence)), packets[1]);
    assert!(matches!(AuthSwitchRequest::parse(packets[3]), Err(ProtocolError::Version { .. })));
    assert!(AuthSwitchRequest::parse(b"\xfename").is_err() && AuthMoreData::parse(b"").is_err());
}

#[test]
fn a_nonce_holds_no_byte_that_ends_or_splits_it() {
    for start in (0..=255_u8).step_by(Nonce::LEN) {
        let nonce = Nonce::from_random(std::array::from_fn(|at| start.wrapping_add(at as u8)));
        assert!(nonce.as_bytes().iter().all(|&byte| (1..=127).contains(&byte) && byte != b'$'), "{nonce:?}");
    }
    assert_eq!(Nonce::from_wire(&[1; 19]), None);
    assert_eq!(Nonce::from_wire(&[1; 21]), None);
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1..=255_u8, 1..40)
}

proptest! {
    #[test]
    fn responses_are_read_as_they_are_written(
        user in name(),
        proof in prop::collection::vec(any::<u8>(), 0..256),
        database in prop::option::of(name()),
        plugin in name(),
        attributes in prop::collection::vec((name(), name()), 0..20),
        drop in any::<u32>(),
        extended in 0..64_u32,
    ) {
        // Any capabilities but the one without which a proof may hold no NUL, and the protocol itself.
        let fixed = Capabilities::PROTOCOL_41 | Capabilities::SECURE_CONNECTION;
        let capabilities = Capabilities::from_wire(!drop | fixed.basic(), extended);
        let has = |flag| capabilities.contains(flag);
        let attributes: Attributes = attributes.iter().map(|(name, value)| (&**name, &**value)).collect();
        let response = HandshakeResponse {
            capabilities,
            max_packet: drop,
            charset: 8,
            user,
            auth_response: Secret::new(proof),
            database: database.filter(|_| has(Capabilities::CONNECT_WITH_DB)),
            plugin: Some(plugin).filter(|_| has(Capabilities::PLUGIN_AUTH)),
            attributes: if has(Capabilities::CONNECT_ATTRS) { attributes } else { Attributes::default() },
            zstd_level: has(Capabilities::ZSTD_COMPRESSION_ALGORITHM).then_some(3),
        };
        let bytes = written(|out, sequence| response.write(out, sequence));
        prop_assert_eq!(HandshakeResponse::parse(&bytes), Ok(response));
    }
}
