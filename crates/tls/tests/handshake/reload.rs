//! Certificates change while connections are there.

use std::fs;

use tls::Mode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    acceptor,
    authority::{Authority, GOOD, Wish},
    connector, meet,
};

#[tokio::test]
async fn new_connections_get_the_new_certificate_and_old_ones_stay() {
    let authority = Authority::new();
    let acceptor = acceptor(authority.issue("server", &GOOD));
    let connector = connector(Mode::VerifyFull, &authority.roots());
    let (old_server, old_client) = meet(&acceptor, &connector, "db.test").await;
    let (mut old_server, mut old_client) = (old_server.unwrap(), old_client.unwrap());
    let expires = acceptor.expires().unwrap();

    authority.issue("server", &Wish { until: 2090, ..GOOD });
    acceptor.reload().unwrap();
    assert!(acceptor.expires().unwrap() < expires);
    let (new_server, new_client) = meet(&acceptor, &connector, "db.test").await;
    let (new_server, new_client) = (new_server.unwrap(), new_client.unwrap());
    assert_eq!(new_server.server_end_point(), new_client.server_end_point());
    assert_ne!(new_client.server_end_point(), old_client.server_end_point());
    old_client.write_all(b"still here").await.unwrap();
    let mut read = [0; 10];
    old_server.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"still here");
}

#[tokio::test]
async fn what_cannot_be_loaded_changes_nothing() {
    let authority = Authority::new();
    let identity = authority.issue("server", &GOOD);
    let acceptor = acceptor(identity.clone());
    let connector = connector(Mode::VerifyFull, &authority.roots());
    let before = acceptor.expires();
    fs::write(&identity.key, "garbage").unwrap();
    assert!(acceptor.reload().unwrap_err().to_string().contains("server.key"));
    fs::remove_file(authority.path("ca.crt")).unwrap();
    assert!(connector.reload().unwrap_err().to_string().contains("ca.crt"));
    assert_eq!(acceptor.expires(), before);
    let (server, client) = meet(&acceptor, &connector, "db.test").await;
    server.unwrap();
    client.unwrap();
}

#[tokio::test]
async fn another_authority_is_trusted_from_a_reload_on() {
    let (authority, newer) = (Authority::new(), Authority::new());
    let acceptor = acceptor(newer.issue("server", &GOOD));
    let connector = connector(Mode::VerifyCa, &authority.roots());
    assert!(meet(&acceptor, &connector, "db.test").await.1.is_err());
    fs::copy(newer.path("ca.crt"), authority.path("ca.crt")).unwrap();
    connector.reload().unwrap();
    meet(&acceptor, &connector, "db.test").await.1.unwrap();
}
