//! Who is trusted in which mode.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use tls::{
    Acceptor, AcceptorSettings, ClientAuth, Connector, ConnectorSettings, HandshakeError, Identity, LoadError, Mode,
    Roots,
};
use tokio::io::AsyncReadExt;
use tokio_rustls::TlsAcceptor;

use crate::{
    acceptor,
    authority::{Authority, GOOD, Wish},
    connector, meet,
};

const MODES: [Mode; 4] = [Mode::Prefer, Mode::Require, Mode::VerifyCa, Mode::VerifyFull];

/// The modes in which a server with this certificate is believed, asked for as `name`.
async fn believed(identity: Identity, roots: &Roots, name: &str) -> Vec<Mode> {
    let acceptor = acceptor(identity);
    let mut believed = Vec::new();
    for mode in MODES {
        match meet(&acceptor, &connector(mode, roots), name).await {
            (Ok(_), Ok(_)) => believed.push(mode),
            (_, Err(HandshakeError::Certificate(_))) => {}
            other => panic!("{mode:?}: {other:?}"),
        }
    }
    believed
}

#[tokio::test]
async fn a_good_certificate_is_believed_in_every_mode() {
    let authority = Authority::new();
    for name in ["db.test", "127.0.0.1"] {
        assert_eq!(believed(authority.issue("good", &GOOD), &authority.roots(), name).await, MODES);
    }
}

#[tokio::test]
async fn the_wrong_name_matters_only_in_verify_full() {
    let authority = Authority::new();
    let modes = believed(authority.issue("good", &GOOD), &authority.roots(), "other.test").await;
    assert_eq!(modes, [Mode::Prefer, Mode::Require, Mode::VerifyCa]);
}

#[tokio::test]
async fn the_wrong_authority_and_an_expired_certificate_fail_where_anything_is_verified() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let unverified = [Mode::Prefer, Mode::Require];
    assert_eq!(believed(stranger.issue("good", &GOOD), &authority.roots(), "db.test").await, unverified);
    let expired = authority.issue("expired", &Wish { until: 2001, ..GOOD });
    assert_eq!(believed(expired, &authority.roots(), "db.test").await, unverified);
}

#[tokio::test]
async fn a_signature_by_sha_1_is_worth_nothing() {
    let authority = Authority::new();
    let (certificate, key) = (include_str!("../fixtures/sha1.crt"), include_str!("../fixtures/sha1.key"));
    let identity = authority.write("sha1", certificate, key);
    std::fs::write(authority.path("sha1-ca.crt"), include_str!("../fixtures/sha1-ca.crt")).unwrap();
    let roots = Roots::File(authority.path("sha1-ca.crt"));
    assert_eq!(believed(identity, &roots, "db.test").await, [Mode::Prefer, Mode::Require]);
}

#[tokio::test]
async fn a_server_that_signed_itself_is_believed_if_its_certificate_is_named() {
    let authority = Authority::new();
    let own = |wish| {
        let identity = authority.self_signed("self", wish);
        let roots = Roots::File(identity.certificate.clone());
        (identity, roots)
    };
    let (identity, roots) = own(&GOOD);
    assert_eq!(believed(identity.clone(), &roots, "db.test").await, MODES);
    assert_eq!(believed(identity.clone(), &roots, "other.test").await, MODES[..3]);
    assert_eq!(believed(identity, &authority.roots(), "db.test").await, MODES[..2], "another authority is named");
    let (expired, roots) = own(&Wish { until: 2001, ..GOOD });
    assert_eq!(believed(expired, &roots, "db.test").await, MODES[..2]);
}

#[tokio::test]
async fn what_cannot_be_a_name_matters_only_where_names_do() {
    let authority = Authority::new();
    let acceptor = acceptor(authority.issue("good", &GOOD));
    let (_, client) = meet(&acceptor, &connector(Mode::VerifyFull, &authority.roots()), "not a name").await;
    assert!(matches!(client, Err(HandshakeError::Name(name)) if name == "not a name"));
    let (_, client) = meet(&acceptor, &connector(Mode::VerifyCa, &authority.roots()), "not a name").await;
    client.unwrap();
}

#[tokio::test]
async fn clients_show_what_they_must() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let identity = authority.issue("server", &GOOD);
    let (known, unknown) = (authority.issue("client", &GOOD), stranger.issue("client", &GOOD));
    let ca = authority.path("ca.crt");
    for (clients, shown, welcome) in [
        (ClientAuth::None, None, true),
        (ClientAuth::None, Some(&unknown), true),
        (ClientAuth::Optional(ca.clone()), None, true),
        (ClientAuth::Optional(ca.clone()), Some(&known), true),
        (ClientAuth::Optional(ca.clone()), Some(&unknown), false),
        (ClientAuth::Required(ca.clone()), None, false),
        (ClientAuth::Required(ca.clone()), Some(&known), true),
        (ClientAuth::Required(ca.clone()), Some(&unknown), false),
    ] {
        let what = format!("{clients:?} {shown:?}");
        let asks = clients != ClientAuth::None;
        let acceptor = Acceptor::load(AcceptorSettings { identity: identity.clone(), clients, alpn: vec![] }).unwrap();
        let settings = ConnectorSettings { mode: Mode::Require, roots: Roots::System, identity: shown.cloned() };
        let (server, client) = meet(&acceptor, &Connector::load(settings).unwrap(), "db.test").await;
        match server {
            Ok(stream) => {
                assert!(welcome, "{what}");
                assert_eq!(stream.peer_certificate().is_some(), shown.is_some() && asks, "{what}");
            }
            Err(error) => {
                assert!(!welcome && matches!(error, HandshakeError::Certificate(_)), "{what}: {error}");
                // In TLS 1.3 the client is done before it is refused: it hears of it when it reads.
                let read = client.unwrap().read(&mut [0]).await;
                assert!(matches!(HandshakeError::from(read.unwrap_err()), HandshakeError::Refused(_)), "{what}");
            }
        }
    }
}

#[test]
fn files_that_are_wrong_are_named_and_never_quoted() {
    let authority = Authority::new();
    let good = authority.issue("good", &GOOD);
    let other = authority.issue("other", &GOOD);
    let secret = "c2VjcmV0";
    let broken = authority.write(
        "broken",
        &format!("-----BEGIN CERTIFICATE-----\n{secret}\n-----END CERTIFICATE-----\n"),
        &format!("-----BEGIN PRIVATE KEY-----\n{secret}!\n-----END PRIVATE KEY-----\n"),
    );
    let endless = authority.write("endless", "", &format!("-----BEGIN PRIVATE KEY-----\n{secret}\n"));
    let encrypted = authority.write("encrypted", "", include_str!("../fixtures/encrypted.key"));
    for (certificate, key, expected) in [
        ("absent.crt".into(), &good.key, "cannot read absent.crt: No such file or directory"),
        (good.key.clone(), &good.key, "good.key: no certificate in it"),
        (good.certificate.clone(), &good.certificate, "good.crt: no private key in it"),
        (good.certificate.clone(), &other.key, "other.key: the key does not belong to the certificate in"),
        (good.certificate.clone(), &broken.key, "broken.key: damaged PEM: not base64"),
        (good.certificate.clone(), &endless.key, "endless.key: damaged PEM: a section has no end"),
        (good.certificate.clone(), &encrypted.key, "encrypted.key: the private key is encrypted"),
        (broken.certificate.clone(), &good.key, "broken.crt: "),
    ] {
        let identity = Identity { certificate, key: key.clone() };
        let settings = AcceptorSettings { identity, clients: ClientAuth::None, alpn: vec![] };
        let error = Acceptor::load(settings).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected), "{text}, not {expected}");
        assert!(!format!("{error:?} {text}").contains(secret), "{text}");
    }
    let settings = ConnectorSettings { mode: Mode::VerifyCa, roots: Roots::File(broken.certificate), identity: None };
    let error = Connector::load(settings).unwrap_err();
    assert!(matches!(error, LoadError::Content { .. }), "{error}");
    assert!(error.to_string().contains("broken.crt: certificate 1 in it cannot be trusted"), "{error}");
}

/// Shows a certificate without having its key.
#[derive(Debug)]
struct Thief(Arc<CertifiedKey>);

impl ResolvesServerCert for Thief {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

#[tokio::test]
async fn who_shows_a_certificate_must_have_its_key_in_every_mode() {
    let authority = Authority::new();
    let (victim, thief) = (authority.issue("victim", &GOOD), authority.issue("thief", &GOOD));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let chain = vec![CertificateDer::from_pem_file(victim.certificate).unwrap()];
    let key = provider.key_provider.load_private_key(PrivateKeyDer::from_pem_file(thief.key).unwrap()).unwrap();
    for version in [&TLS12, &TLS13] {
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Thief(Arc::new(CertifiedKey::new(chain.clone(), key.clone())))));
        for mode in MODES {
            let (here, there) = tokio::io::duplex(1 << 16);
            let connector = connector(mode, &authority.roots());
            let acceptor = TlsAcceptor::from(Arc::new(config.clone()));
            let (_, client) = tokio::join!(acceptor.accept(here), connector.connect("db.test", there));
            let error = client.unwrap_err();
            assert!(matches!(error, HandshakeError::Certificate(_)), "{mode:?} {version:?}: {error}");
        }
    }
}
