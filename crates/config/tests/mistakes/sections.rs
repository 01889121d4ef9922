//! Sections whose keys must fit together.

use config::Config;

use crate::{GOOD, before, problems, with, with_server};

#[test]
fn keys_of_tls_must_fit_together() {
    let nowhere = "No such file or directory (os error 2)";
    for (section, said) in [
        ("mode = \"require\"", "2:8: tls.mode: encryption needs a `certificate` and its `key`".to_owned()),
        ("mode = \"on\"", "2:8: tls.mode: unknown value `on`".into()),
        ("key = \"k.pem\"", "2:7: tls.key: `certificate` is missing: a certificate and its key belong together".into()),
        (
            "client_ca = \"ca.pem\"",
            "1:1: tls: clients show certificates only where they are shown one: give a `certificate`".into(),
        ),
        (
            "certificate = \"nowhere.pem\"",
            "2:15: tls.certificate: `key` is missing: a certificate and its key belong together".into(),
        ),
        (
            "certificate = \"src\"\nkey = \"nowhere.pem\"",
            "2:15: tls.certificate: cannot read src: Is a directory (os error 21)".into(),
        ),
        (
            "certificate = \"nowhere.pem\"\nkey = \"Cargo.toml\"",
            format!("2:15: tls.certificate: cannot read nowhere.pem: {nowhere}"),
        ),
        (
            "certificate = \"Cargo.toml\"\nkey = \"Cargo.toml\"",
            "2:15: tls.certificate: Cargo.toml: no certificate in it (BEGIN CERTIFICATE)".into(),
        ),
        (
            "certificate = \"Cargo.toml\"\nkey = \"Cargo.toml\"\nclient_certificates = \"required\"",
            "4:23: tls.client_certificates: certificates of clients are checked by a `client_ca`".into(),
        ),
    ] {
        let found = before(&format!("[tls]\n{section}"));
        assert_eq!(found.lines().next().unwrap(), format!("e.toml:{said}"), "{found}");
    }
    for (keys, said) in [
        ("tls = \"verify-full\"", "6:7: servers.tls: unknown value `verify-full`"),
        (
            "tls_ca = \"Cargo.toml\"",
            "6:10: servers.tls_ca: no certificate is checked unless `tls` is \"verify_ca\" or \"verify_full\"",
        ),
        (
            "tls = \"verify_ca\"\ntls_ca = \"nowhere.pem\"",
            "7:10: servers.tls_ca: cannot read nowhere.pem: No such file or directory (os error 2)",
        ),
        (
            "tls_key = \"Cargo.toml\"",
            "6:11: servers.tls_key: `tls_certificate` is missing: a certificate and its key belong together",
        ),
        ("tls_server_name = \"\"", "6:19: servers.tls_server_name: a name is expected"),
    ] {
        let found = with_server(keys);
        assert_eq!(found.lines().next().unwrap(), format!("e.toml:{said}"), "{found}");
    }
    let bad_key = with_server("tls_certificate = \"../tls/tests/fixtures/sha1.crt\"\ntls_key = \"Cargo.toml\"");
    let said = "e.toml:7:11: servers.tls_key: Cargo.toml: no private key in it (BEGIN PRIVATE KEY)\n";
    assert!(bad_key.starts_with(said), "{bad_key}");
    let unix = with("\"db:5432\"", "\"/run/pg\"\ntls = \"require\"");
    assert!(unix.starts_with("e.toml:5:7: servers.tls: connections over a unix socket are not encrypted\n"), "{unix}");
    assert!(with_server("tls = \"verify-full\"").contains("= did you mean `verify_full`?"));
    assert!(before("[tls]\ncertifcate = \"x\"").contains("= did you mean `certificate`?"));
}

#[test]
fn keys_of_mysql_must_fit_together() {
    for (section, said) in [
        (
            "server_version = \"MySQL 8\"",
            "2:18: mysql.server_version: a version as in \"8.0.36\" is expected, of at most 64 characters",
        ),
        (
            "server_version = \"8.0\\u0000\"",
            "2:18: mysql.server_version: a version as in \"8.0.36\" is expected, of at most 64 characters",
        ),
        ("auth_plugin = \"sha256_password\"", "2:15: mysql.auth_plugin: unknown value `sha256_password`"),
        ("unknown_users = \"pass\"", "2:17: mysql.unknown_users: unknown value `pass`"),
        ("binlog_dump = true", "2:15: mysql.binlog_dump: expected a text in quotes"),
        ("compression = [\"zlib\", \"zlib\"]", "2:15: mysql.compression: each way to compress is named once"),
        ("compression = [\"lz4\"]", "2:16: mysql.compression: unknown value `lz4`"),
        (
            "rsa_key = \"nowhere.pem\"",
            "2:11: mysql.rsa_key: cannot read nowhere.pem: No such file or directory (os error 2)",
        ),
        (
            "rsa_key = \"Cargo.toml\"",
            "2:11: mysql.rsa_key: Cargo.toml: not an RSA key: expected a PEM text with a PRIVATE KEY or an RSA PRIVATE \
             KEY, not encrypted",
        ),
        ("max_packet = \"1023B\"", "2:14: mysql.max_packet: a size from 1KiB to 1GiB is expected"),
        ("max_packet = \"2GiB\"", "2:14: mysql.max_packet: a size from 1KiB to 1GiB is expected"),
        ("localinfile = true", "2:1: mysql.localinfile: unknown key `localinfile`"),
    ] {
        let found = before(&format!("[mysql]\n{section}"));
        assert_eq!(found.lines().next().unwrap(), format!("e.toml:{said}"), "{found}");
    }
    for (keys, said) in [
        ("compression = \"zlib\"", "6:15: servers.compression: server `a` speaks PostgreSQL, which has no compression"),
        ("protocol = \"mariadb\"", "6:12: servers.protocol: unknown value `mariadb`"),
        (
            "protocol = \"mysql\"\n[[servers]]\nname = \"b\"\ncluster = \"shop\"\nrole = \"replica\"\naddress = \"db2\"",
            "7:1: servers.protocol: server `b` speaks PostgreSQL and server `a` MySQL: all servers of cluster `shop` must \
             speak one protocol",
        ),
    ] {
        let found = with_server(keys);
        assert_eq!(found.lines().next().unwrap(), format!("e.toml:{said}"), "{found}");
    }
    let socket = with("\"db:5432\"", "\"/run/mysqld:3306\"\nprotocol = \"mysql\"");
    let said = "e.toml:4:11: servers.address: a MySQL socket has no port: give its path, or its directory for \
                `mysql.sock` in it\n";
    assert!(socket.starts_with(said), "{socket}");
}

#[test]
fn places_to_listen_must_serve_somebody() {
    for (section, said) in [
        (
            "mysql = [\"/tmp:3306\"]",
            "2:10: listen.mysql: a MySQL socket has no port: give its path, or its directory for `mysql.sock` in it",
        ),
        (
            "mysql = [\"127.0.0.1:6432\"]",
            "2:10: listen.mysql: 127.0.0.1:6432 is the address for PostgreSQL clients already",
        ),
        ("postgres = [\"a:1\", \"b:1\", \"a:1\"]", "2:27: listen.postgres: a:1 is listed twice"),
        (
            "postgres = [\"0.0.0.0\", \"127.0.0.1\"]",
            "2:24: listen.postgres: 127.0.0.1:6432 is covered by 0.0.0.0:6432, which is the address for PostgreSQL clients \
             already",
        ),
        (
            "postgres = [\"10.0.0.1:7\", \"[::]:7\"]",
            "2:27: listen.postgres: [::]:7 covers 10.0.0.1:7, which is the address for PostgreSQL clients already",
        ),
        (
            "mysql = [\"0.0.0.0:6432\"]",
            "2:10: listen.mysql: 0.0.0.0:6432 covers 127.0.0.1:6432, which is the address for PostgreSQL clients already",
        ),
        ("http = \"127.0.0.1:6432\"", "2:8: listen.http: 127.0.0.1:6432 is the address for PostgreSQL clients already"),
        (
            "mysql = [\"[::ffff:127.0.0.1]:6033\"]\nhttp = \"0.0.0.0:6033\"",
            "3:8: listen.http: 0.0.0.0:6033 covers [::ffff:127.0.0.1]:6033, which is the address for MySQL clients already",
        ),
        (
            "postgres = [\"6432\"]",
            "2:13: listen.postgres: `6432` names no host: write \"127.0.0.1:6432\" for this machine alone, or \
             \"0.0.0.0:6432\" for all addresses",
        ),
        (
            "http = \":9\"",
            "2:8: listen.http: `:9` names no host: write \"127.0.0.1:9\" for this machine alone, or \"0.0.0.0:9\" for all \
             addresses",
        ),
        (
            "mysql = [\"*\"]",
            "2:10: listen.mysql: `*` names no host: write \"127.0.0.1:6033\" for this machine alone, or \"0.0.0.0:6033\" for \
             all addresses",
        ),
        ("mysql = [\"*:70000\"]", "2:10: listen.mysql: `70000` is no port: a port is a number from 1 to 65535"),
        (
            "proxy_protocol = [\"10.0.0.0/8\", \"10.0.0.1/8\"]",
            "2:33: listen.proxy_protocol: `10.0.0.1/8` is an address within a network: the network is `10.0.0.0/8`",
        ),
        (
            "proxy_protocol = [\"balancer\"]",
            "2:19: listen.proxy_protocol: `balancer` is no network: write it as in \"10.0.0.0/8\", or an IP address",
        ),
    ] {
        let found = before(&format!("[listen]\n{section}"));
        assert_eq!(found.lines().next().unwrap(), format!("e.toml:{said}"), "{found}");
    }
    let apart = "[listen]\npostgres = [\"0.0.0.0:1\", \"[::1]:1\", \"[::]:2\", \"localhost:1\"]\nhttp = \"0.0.0.0:3\"";
    Config::from_toml(&format!("{apart}\n{GOOD}"), "e.toml").unwrap();
    let deaf = problems(&format!("[listen]\nmysql = []\n{}", GOOD.replace("budget", "protocol = \"mysql\"\nbudget")));
    let said = "e.toml:2:9: listen.mysql: there is no address, so no client could connect\n";
    assert!(deaf.to_string().starts_with(said), "{deaf}");
}
