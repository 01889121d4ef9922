//! Both halves of a login against each other, over the payloads as they go over the wire.
#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod stage;

use std::sync::Arc;

use auth::{Channel, Learned, Plugin, Secret, rsa};
use mysql::{
    Capabilities,
    dial::{DialError, KeySource, Tls},
    login::{Accepted, Demand, Exists, Given, Refusal},
};
use stage::{
    End, KEYS, PASSWORD, Scene, account, by_password, change_user, credential, ed25519_key, log_in, native_hash,
    outline, password_demand, sha2_verifier,
};

#[test]
fn each_way_in_takes_its_packets() {
    let native = |scene: Scene| scene.proposing(Plugin::Native);
    for (scene, demand, expected) in [
        (Scene::plain(), Demand::Trust, "greeting response more(2) ok"),
        (native(Scene::plain()), Demand::Trust, "greeting response ok"),
        (Scene::plain(), password_demand(PASSWORD), "greeting response more(2) ok"),
        (native(Scene::plain()), password_demand(PASSWORD), "greeting response ok"),
        (Scene::plain(), password_demand(&native_hash()), "greeting response switch (20) ok"),
        (native(Scene::plain()), password_demand(&native_hash()), "greeting response ok"),
        (Scene::plain(), password_demand(&ed25519_key()), "greeting response switch (64) ok"),
        (Scene::tls(), password_demand(PASSWORD), "greeting ssl response more(2) ok"),
        (Scene::tls(), Demand::PassThrough, "greeting ssl response more(2) (7) ok"),
        (native(Scene::tls()), Demand::PassThrough, "greeting ssl response switch (32) more(2) (7) ok"),
        (Scene::socket(), Demand::PassThrough, "greeting response more(2) (7) ok"),
        (Scene::rsa(), Demand::PassThrough, "greeting response more(2) (1) more(452) (256) ok"),
        // Over TLS the password itself checks what the method alone could not.
        (Scene::tls(), password_demand(&native_hash()), "greeting ssl response more(2) (7) ok"),
        (Scene::tls(), password_demand(&ed25519_key()), "greeting ssl response more(2) (7) ok"),
    ] {
        let (end, transcript) = log_in(&scene, demand, by_password(PASSWORD));
        assert!(matches!(end, End::In { .. }), "{expected}: {end:?}");
        assert_eq!(outline(&transcript), expected);
    }
}

#[test]
fn a_verifier_needs_the_password_once() {
    let demand = |learned| Demand::Password { credential: sha2_verifier(), learned, exists: Exists::Yes };
    for (scene, first, then) in [
        (Scene::rsa(), "greeting response more(2) (1) more(452) (256) ok", "greeting response more(2) ok"),
        (Scene::tls(), "greeting ssl response more(2) (7) ok", "greeting ssl response more(2) ok"),
    ] {
        let (end, transcript) = log_in(&scene, demand(Learned::default()), by_password(PASSWORD));
        assert_eq!(outline(&transcript), first);
        let learned = end.accepted().learned;
        assert_eq!(learned, Learned::from_password(&Secret::from(PASSWORD)));
        let (end, transcript) = log_in(&scene, demand(learned.clone()), by_password(PASSWORD));
        assert_eq!(outline(&transcript), then);
        assert_eq!(end.accepted().learned.sha2, learned.sha2);
    }
    let (end, transcript) = log_in(&Scene::plain(), demand(Learned::default()), by_password(PASSWORD));
    assert!(matches!(end, End::Refused(Refusal::Unprotected)), "{end:?}");
    assert_eq!(outline(&transcript), "greeting response err");
}

/// A client that was given the key beforehand sends the password without asking for it.
#[test]
fn a_pinned_key_is_not_asked_for() {
    let pinned = Arc::new(rsa::PublicKey::from_pem(KEYS.public_pem()).unwrap());
    let scene = Scene { client_keys: KeySource::Pinned(pinned), ..Scene::rsa() };
    let (end, transcript) = log_in(&scene, Demand::PassThrough, by_password(PASSWORD));
    assert_eq!(outline(&transcript), "greeting response more(2) (256) ok");
    assert_eq!(end.accepted().clear, Some(Secret::from(PASSWORD)));
}

#[test]
fn the_password_is_handed_out_in_pass_through_only() {
    for scene in [Scene::tls(), Scene::socket(), Scene::rsa()] {
        let accepted = log_in(&scene, Demand::PassThrough, by_password(PASSWORD)).0.accepted();
        assert_eq!(accepted, Accepted { learned: Learned::default(), clear: Some(Secret::from(PASSWORD)) });
        let accepted = log_in(&scene, Demand::PassThrough, account(None)).0.accepted();
        assert_eq!(accepted.clear, Some(Secret::from("")));
        for text in [PASSWORD, &native_hash(), &ed25519_key()] {
            assert_eq!(log_in(&scene, password_demand(text), by_password(PASSWORD)).0.accepted().clear, None);
        }
    }
    let (end, _) = log_in(&Scene::plain(), Demand::PassThrough, by_password(PASSWORD));
    assert!(matches!(end, End::Refused(Refusal::Unprotected)), "{end:?}");
}

/// A user known by a hash only is logged in to a server with what its client has proved.
#[test]
fn what_a_login_teaches_logs_in_elsewhere() {
    let hash = native_hash();
    let (end, _) = log_in(&Scene::plain(), password_demand(&hash), by_password(&hash));
    let End::Failed(DialError::Auth(error)) = end else { panic!("{end:?}") };
    assert!(matches!(error, auth::Error::CannotUse { .. } | auth::Error::NeedsLearned { .. }), "{error}");

    let learned = log_in(&Scene::plain(), password_demand(&hash), by_password(PASSWORD)).0.accepted().learned;
    for proposed in [Plugin::Native, Plugin::CachingSha2] {
        let knowing = mysql::dial::Account { learned: learned.clone(), ..by_password(&hash) };
        let (end, _) = log_in(&Scene::plain().proposing(proposed), password_demand(&hash), knowing);
        assert!(matches!(end, End::In { .. }), "{end:?}");
    }

    // The same by caching_sha2_password, until the server wants the password itself.
    let learned = log_in(&Scene::plain(), password_demand(PASSWORD), by_password(PASSWORD)).0.accepted().learned;
    let knowing = || mysql::dial::Account { learned: learned.clone(), ..account(Some(sha2_verifier())) };
    assert!(matches!(log_in(&Scene::plain(), password_demand(PASSWORD), knowing()).0, End::In { .. }));
    let cold = Demand::Password { credential: sha2_verifier(), learned: Learned::default(), exists: Exists::Yes };
    let (end, _) = log_in(&Scene::tls(), cold, knowing());
    assert!(matches!(end, End::Failed(DialError::OnlyHash)), "{end:?}");
}

#[test]
fn wrong_passwords_and_unknown_users_look_the_same() {
    let refused = |end: &End, given| match end {
        End::Refused(refusal) => *refusal == Refusal::WrongPassword { given } || *refusal == Refusal::Unprotected,
        _ => false,
    };
    for scene in [Scene::plain(), Scene::tls(), Scene::rsa(), Scene::plain().proposing(Plugin::Native)] {
        for decoy in [credential(PASSWORD), sha2_verifier(), credential(&native_hash()), credential(&ed25519_key())] {
            let demand = |exists| Demand::Password { credential: decoy.clone(), learned: Learned::default(), exists };
            let known = log_in(&scene, demand(Exists::Yes), by_password("wrong"));
            let unknown = log_in(&scene, demand(Exists::No), by_password("wrong"));
            assert_eq!(outline(&known.1), outline(&unknown.1));
            // Even the decoy's own password lets nobody in.
            let lucky = log_in(&scene, demand(Exists::No), by_password(PASSWORD));
            for (end, _) in [known, unknown, lucky] {
                assert!(refused(&end, Given::Yes), "{end:?}");
            }
            let (end, _) = log_in(&scene, demand(Exists::Yes), account(None));
            // By ed25519 a client without a password has nothing to sign with.
            let no_password = matches!(end, End::Failed(DialError::NoPassword { plugin: Plugin::Ed25519 }));
            assert!(no_password || refused(&end, Given::No), "{end:?}");
        }
    }
}

#[test]
fn a_client_without_plugins_is_checked_by_the_one_it_has() {
    let old = Scene { offered: Scene::plain().offered.without(Capabilities::PLUGIN_AUTH), ..Scene::plain() };
    for text in [PASSWORD, &native_hash()] {
        let (end, transcript) = log_in(&old, password_demand(text), by_password(PASSWORD));
        assert!(matches!(end, End::In { .. }), "{end:?}");
        assert_eq!(outline(&transcript), "greeting response ok");
    }
    let (end, _) = log_in(&old, password_demand(&ed25519_key()), by_password(PASSWORD));
    assert!(matches!(end, End::Refused(Refusal::OldClient { needed: Plugin::Ed25519 })), "{end:?}");
}

#[test]
fn a_session_moves_between_users() {
    let scene = Scene::tls();
    let (end, _) = log_in(&scene, password_demand(PASSWORD), by_password(PASSWORD));
    let End::In { mut session, .. } = end else { panic!("{end:?}") };
    let expected = Capabilities::FOUND_ROWS | Capabilities::SSL | Capabilities::CONNECT_WITH_DB;
    assert!(session.capabilities.contains(expected));
    assert_eq!((session.connection_id, session.is_mariadb, session.channel), (7, false, Channel::Secure));
    for (text, expected) in [
        (PASSWORD.to_owned(), "change switch (32) more(2) ok"),
        (native_hash(), "change switch (32) more(2) (7) ok"),
        (PASSWORD.to_owned(), "change switch (32) more(2) ok"),
    ] {
        let (end, transcript) = change_user(&scene, &session, password_demand(&text), by_password(PASSWORD));
        assert_eq!(outline(&transcript), expected);
        let End::In { session: after, .. } = end else { panic!("{end:?}") };
        assert_eq!(after.connection_id, session.connection_id);
        session = after;
    }
    let (end, _) = change_user(&scene, &session, password_demand(PASSWORD), by_password("wrong"));
    assert!(matches!(end, End::Refused(Refusal::WrongPassword { .. })), "{end:?}");
}

#[test]
fn tls_is_taken_or_demanded() {
    let with_ssl = Scene::tls().offered;
    let without = Scene::plain().offered;
    for (tls, offered, encrypted) in [
        (Tls::IfOffered, with_ssl, true),
        (Tls::IfOffered, without, false),
        (Tls::Off, with_ssl, false),
        (Tls::Required, with_ssl, true),
    ] {
        let scene = Scene { offered, tls, ..Scene::plain() };
        let (end, transcript) = log_in(&scene, password_demand(PASSWORD), by_password(PASSWORD));
        let End::In { session, .. } = end else { panic!("{end:?}") };
        assert_eq!(outline(&transcript).contains("ssl"), encrypted, "{tls:?}");
        assert_eq!(session.capabilities.contains(Capabilities::SSL), encrypted);
        assert_eq!(session.channel == Channel::Secure, encrypted);
    }
    let scene = Scene { tls: Tls::Required, ..Scene::plain() };
    assert!(matches!(log_in(&scene, Demand::Trust, by_password(PASSWORD)).0, End::Failed(DialError::NoTls)));
}
