//! A good file becomes what it says; two files differ in what they say.

use std::time::Duration;

use auth::{Credential, Secret};
use config::keys::{AuthPlugin, BinlogDump, ClientCompression, ServerCompression, UnknownUsers};
use config::{Applies, Change, Config, ConsoleAccess, Subject, What, diff};
use route::{Identity, Protocol, ServerIndex};
use tls::{ClientAuth, Mode, Roots};

const FILE: &str = r#"
[pool]
max_lifetime = "2h"
min_idle = 1

[limits]
max_clients_per_user = 7

[admin]
users = ["app"]
stats_users = ["watch"]
password = "console"

[[servers]]
name = "a"
address = "/run/pg"

[[servers]]
name = "b"
cluster = "crm"
address = "b.internal"
budget = 40
[servers.pool]
max = 9
max_lifetime = "off"

[[databases]]
name = "shop"
cluster = "a"
query_timeout = "3s"

[[databases]]
name = "crm"
cluster = "crm"
server_user = "crm"
server_password = "inside"

[[databases]]
name = "legacy"
server = "b"
server_user = "app"

[[users]]
name = "app"
password = "outside"
max_clients = 0

[[users]]
name = "alias"
password = "outside too"
server_user = "app"

[[users]]
name = "other"
password = "md5e5c2e0d7a2cf0fe6dc4a8d3e3c6b8a5f"
server_password = "plain"
query_timeout = "off"

[[routes]]
user = "a*"
weight = 2
"#;

fn read(text: &str) -> Config {
    Config::from_toml(text, "e.toml").unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn a_server_inherits_what_it_does_not_change() {
    let config = read(FILE);
    let (a, b) = (config.pool(ServerIndex(0)), config.pool(ServerIndex(1)));
    assert_eq!(a.max_lifetime.get(), Some(Duration::from_secs(7_200)));
    assert_eq!((a.max.get(), a.min_idle), (None, 1));
    assert_eq!(b.max_lifetime.get(), None);
    assert_eq!((b.max.get(), b.min_idle), (Some(9), 1));
    assert_eq!(b.connect_timeout, a.connect_timeout);
    let terms = |user, database| config.table().resolve(user, database).unwrap().terms;
    assert_eq!(terms("app", "crm").limits.cap, Some(9));
    assert_eq!(terms("app", "crm").limits.weight, 2);
    assert_eq!(terms("app", "shop").timeouts.query, route::Timeout::After(Duration::from_secs(3)));
    assert_eq!(terms("other", "shop").timeouts.query, route::Timeout::Off);
    let max_clients = |user| config.table().user(config.table().user_index(user).unwrap()).max_clients;
    assert_eq!((max_clients("app"), max_clients("alias")), (None, Some(7)));
}

#[test]
fn each_login_has_its_credential() {
    let config = read(FILE);
    let server = |user, database| {
        let route = config.table().resolve(user, database).unwrap();
        (route.server_user.to_string(), route.identity, config.server_credential(&route).cloned().unwrap())
    };
    let plain = |text: &str| Credential::Plain(Secret::from(text));
    assert_eq!(server("app", "shop"), ("app".into(), Identity::Client, plain("outside")));
    assert_eq!(server("alias", "shop"), ("app".into(), Identity::User, plain("outside")));
    assert_eq!(server("other", "shop"), ("other".into(), Identity::Client, plain("plain")));
    assert_eq!(server("other", "crm"), ("crm".into(), Identity::Database, plain("inside")));
    assert_eq!(server("other", "legacy"), ("app".into(), Identity::Database, plain("outside")));
    assert_eq!(config.client_credential("alias"), Some(&plain("outside too")));
    assert!(matches!(config.client_credential("other"), Some(Credential::Md5(_))));
    assert_eq!(config.client_credential("watch"), Some(&plain("console")));
    assert_eq!(config.client_credential("nobody"), None);
    assert_eq!(config.console_access("app"), ConsoleAccess::Admin);
    assert_eq!(config.console_access("watch"), ConsoleAccess::Stats);
    assert_eq!(config.console_access("other"), ConsoleAccess::None);
}

#[test]
fn secrets_show_nowhere() {
    let config = read(FILE);
    let shown = format!("{config:?} {} {:?}", serde_json::to_string(config.keys()).unwrap(), diff(&config, &config));
    for secret in ["outside", "inside", "console\"", "plain\"", "md5e5c2"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn the_same_file_makes_no_difference() {
    assert_eq!(diff(&read(FILE), &read(FILE)), []);
}

#[test]
fn each_difference_is_named() {
    let new = FILE
        .replace("max_lifetime = \"2h\"", "max_lifetime = \"120m\"\nmax_uses = 5")
        .replace(
            "[limits]",
            "[listen]\npostgres = [\"/tmp\"]\n[runtime]\nworkers = 3\nrelay_buffer = \"8KiB\"\n[limits]",
        )
        .replace("budget = 40", "")
        .replace("\"inside\"", "\"inside out\"")
        .replace("\"outside too\"", "\"elsewhere\"")
        .replace("\"console\"", "\"cockpit\"")
        .replace("name = \"other\"", "name = \"another\"")
        .replace("max = 9", "max = 10")
        .replace("weight = 2", "weight = 3\n[[routes]]");
    let (live, restart) = (Applies::Live, Applies::Restart);
    let key = |key: &str, from: &str, to: &str| What::Key { key: key.into(), from: from.into(), to: to.into() };
    let change = |subject, what, applies| Change { subject, what, applies };
    assert_eq!(
        diff(&read(FILE), &read(&new)),
        [
            change(
                Subject::Section("listen"),
                key("postgres", "[\"127.0.0.1:6432\"]", "[\"/tmp/.s.PGSQL.6432\"]"),
                restart
            ),
            change(Subject::Section("pool"), key("max_uses", "0", "5"), live),
            change(Subject::Section("runtime"), key("workers", "0", "3"), restart),
            change(Subject::Section("runtime"), key("relay_buffer", "\"16KiB\"", "\"8KiB\""), restart),
            change(Subject::Section("admin"), What::Secret, live),
            change(Subject::Server("b".into()), key("budget", "40", "20"), live),
            change(Subject::Server("b".into()), key("pool.max", "9", "10"), live),
            change(Subject::Server("b".into()), key("pool.max_uses", "0", "5"), live),
            change(Subject::Database("crm".into()), What::Secret, live),
            change(Subject::User("other".into()), What::Removed, live),
            change(Subject::User("another".into()), What::Added, live),
            change(Subject::User("alias".into()), What::Secret, live),
            change(Subject::Route(0), key("weight", "2", "3"), live),
            change(Subject::Route(1), What::Added, live),
        ]
    );
}

/// Two protocols, and every key that has to do with one of them or with TLS.
const MIXED: &str = r#"
[listen]
mysql = ["127.0.0.1:6033", "/tmp", "/run/evenkeel/my.sock"]
proxy_protocol = ["10.0.0.0/8", "::1"]

[tls]
certificate = "server.crt"
key = "server.key"
client_ca = "ca.crt"

[mysql]
server_version = "8.0.36"
auth_plugin = "mysql_native_password"
unknown_users = "ask_server"
local_infile = true
binlog_dump = "pass"
compression = ["zlib"]
rsa_key = "rsa.key"
max_packet = "16MiB"

[[servers]]
name = "my-a"
protocol = "mysql"
address = "db.internal"
tls = "verify_full"
tls_ca = "ca.crt"
tls_certificate = "server.crt"
tls_key = "server.key"
tls_server_name = "my-a.internal"
proxy_protocol = true
compression = "zstd"

[[servers]]
name = "my-b"
protocol = "mysql"
address = "/run/mysqld/mysqld.sock"

[[servers]]
name = "pg"
address = "pg.internal"
tls = "disable"

[[databases]]
name = "sales"
cluster = "my-a"

[[databases]]
name = "shop"
cluster = "pg"
"#;

/// `text` as a file beside those that it names.
fn read_beside_files(text: &str) -> (tempfile::TempDir, Config) {
    let directory = tempfile::tempdir().expect("a folder can be made");
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["my-a.internal".to_owned()]).expect("a certificate can be made");
    let rsa = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key can be made").serialize_pem();
    let pem = signing_key.serialize_pem();
    for (name, text) in [("server.crt", cert.pem()), ("server.key", pem), ("ca.crt", cert.pem()), ("rsa.key", rsa)] {
        std::fs::write(directory.path().join(name), text).expect("a file can be written");
    }
    let path = directory.path().join("e.toml");
    std::fs::write(&path, text).expect("a file can be written");
    let config = Config::load(&path).unwrap_or_else(|error| panic!("{error}"));
    (directory, config)
}

#[test]
fn tls_is_as_the_keys_say() {
    let (directory, config) = read_beside_files(MIXED);
    let file = |name: &str| directory.path().join(name);
    let identity = tls::Identity { certificate: file("server.crt"), key: file("server.key") };
    let clients = config.client_tls().unwrap();
    assert!(!clients.required);
    let shown = clients.acceptor.settings();
    assert_eq!((&shown.identity, &shown.clients), (&identity, &ClientAuth::Optional(file("ca.crt"))));
    assert_eq!(shown.alpn, [b"postgresql"]);
    let server = config.server_tls(ServerIndex(0)).unwrap();
    let asked = server.connector.settings();
    assert_eq!((asked.mode, server.name.as_deref()), (Mode::VerifyFull, Some("my-a.internal")));
    assert_eq!((&asked.roots, &asked.identity), (&Roots::File(file("ca.crt")), &Some(identity)));
    assert!(config.server_tls(ServerIndex(1)).is_none());
    assert!(config.server_tls(ServerIndex(2)).is_none());
    assert!(config.rsa_key().is_some());

    let (_, strict) = read_beside_files(
        &MIXED
            .replace("client_ca = \"ca.crt\"", "client_certificates = \"ignore\"\nmode = \"require\"")
            .replace("tls = \"disable\"", ""),
    );
    let clients = strict.client_tls().unwrap();
    assert_eq!((clients.required, &clients.acceptor.settings().clients), (true, &ClientAuth::None));
    let prefer = strict.server_tls(ServerIndex(2)).unwrap();
    assert_eq!((prefer.connector.mode(), &prefer.name), (Mode::Prefer, &None));

    let off = read(&format!("[tls]\nmode = \"disable\"\ncertificate = \"nowhere\"\n{FILE}"));
    assert!(off.client_tls().is_none());
}

#[test]
fn both_protocols_stand_side_by_side() {
    let (_, config) = read_beside_files(MIXED);
    let listeners: Vec<_> = config.listeners().map(|(protocol, at)| format!("{protocol} {at}")).collect();
    assert_eq!(
        listeners,
        ["PostgreSQL 127.0.0.1:6432", "MySQL 127.0.0.1:6033", "MySQL /tmp/mysql.sock", "MySQL /run/evenkeel/my.sock"]
    );
    let balancers: Vec<String> = config.keys().listen.proxy_protocol.iter().map(ToString::to_string).collect();
    assert_eq!(balancers, ["10.0.0.0/8", "::1/128"]);
    let mysql = &config.keys().mysql;
    assert_eq!(mysql.server_version.as_deref(), Some("8.0.36"));
    assert_eq!(mysql.auth_plugin, AuthPlugin::MysqlNativePassword);
    assert_eq!(mysql.unknown_users, UnknownUsers::AskServer);
    assert_eq!((mysql.local_infile, mysql.binlog_dump), (true, BinlogDump::Pass));
    assert_eq!((&*mysql.compression, mysql.max_packet.get()), (&[ClientCompression::Zlib][..], 16 << 20));
    let server = |index| config.server(ServerIndex(index));
    assert_eq!((server(0).proxy_protocol, server(0).compression), (true, ServerCompression::Zstd));
    assert_eq!((server(1).proxy_protocol, server(1).compression), (false, ServerCompression::Off));

    let table = config.table();
    let address = |index| table.server(ServerIndex(index)).address.to_string();
    assert_eq!(
        [address(0), address(1), address(2)],
        ["db.internal:3306", "/run/mysqld/mysqld.sock", "pg.internal:5432"]
    );
    let guest = table.resolve("zoe", "sales").unwrap();
    assert_eq!((&*guest.server_user, config.server_credential(&guest)), ("zoe", None));
    assert!(table.resolve("zoe", "shop").is_err());
}

#[test]
fn what_servers_store_for_a_password_is_known() {
    let credential = |password: &str| {
        let text = FILE.replace("password = \"outside\"", &format!("password = '{password}'\nserver_password = \"x\""));
        read(&text).client_credential("app").cloned()
    };
    assert!(matches!(credential("outside"), Some(Credential::Plain(_))));
    assert!(matches!(credential("md5e5c2e0d7a2cf0fe6dc4a8d3e3c6b8a5f"), Some(Credential::Md5(_))));
    assert!(matches!(credential("*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"), Some(Credential::Native(_))));
    let ed25519 = "ed25519:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY";
    assert!(matches!(credential(ed25519), Some(Credential::Ed25519(_))));
}

#[test]
fn who_is_not_configured_is_not_listened_for() {
    let only = |config: &Config| config.listeners().map(|(protocol, _)| protocol).collect::<Vec<_>>();
    assert_eq!(only(&read(FILE)), [Protocol::Postgres]);
    let mysql = "[[servers]]\nname = \"a\"\nprotocol = \"mysql\"\naddress = \"db\"\n\
                 [[databases]]\nname = \"*\"\ncluster = \"a\"\n[[users]]\nname = \"app\"\npassword = \"x\"\n";
    assert_eq!(only(&read(mysql)), [Protocol::Mysql]);
    let both = format!("[listen]\npostgres = [\"/tmp\"]\n{mysql}");
    assert_eq!(only(&read(&both)), [Protocol::Postgres, Protocol::Mysql]);
}

#[test]
fn differences_of_tls_and_mysql_are_named() {
    let (directory, old) = read_beside_files(MIXED);
    let path = directory.path().join("e.toml");
    let new = MIXED
        .replace("\"/tmp\", ", "")
        .replace("\"::1\"", "\"fd00::/8\"")
        .replace("client_ca = \"ca.crt\"", "mode = \"require\"")
        .replace("rsa_key = \"rsa.key\"", "")
        .replace("max_packet = \"16MiB\"", "")
        .replace("compression = \"zstd\"", "");
    std::fs::write(&path, new).unwrap();
    let changes: Vec<String> =
        diff(&old, &Config::load(&path).unwrap()).iter().map(|change| format!("{change}")).collect();
    assert_eq!(
        changes,
        [
            "[listen] mysql: [\"127.0.0.1:6033\",\"/tmp/mysql.sock\",\"/run/evenkeel/my.sock\"] -> \
             [\"127.0.0.1:6033\",\"/run/evenkeel/my.sock\"] (at the next start)",
            "[listen] proxy_protocol: [\"10.0.0.0/8\",\"::1/128\"] -> [\"10.0.0.0/8\",\"fd00::/8\"]",
            "[tls] client_ca: \"ca.crt\" -> null",
            "[tls] mode: null -> \"require\"",
            "[mysql] rsa_key: \"rsa.key\" -> null",
            "[mysql] max_packet: \"16MiB\" -> \"64MiB\"",
            "server my-a compression: \"zstd\" -> \"off\"",
        ]
    );
}
