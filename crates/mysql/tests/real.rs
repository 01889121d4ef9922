//! Each half of a login with somebody else's other half: real servers, and the command-line clients that come with them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests: helpers outside #[test] functions too")]

mod stage;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use auth::{Channel, Learned, Plugin, rsa};
use mysql::{
    command::Command as Code,
    dial::{Account, ChangeUser, Dial, DialError, KeySource, Session, Step, Tls, Wanted},
    handshake::{HandshakeResponse, Nonce},
    login::{self, Accepted, Demand, Exists, Opening, Refusal, Terms},
    packet::Packet,
    view::OkPacket,
    write,
};
use stage::{KEYS, PASSWORD, Scene, ed25519_key, native_hash, password_demand, sha2_verifier, wanted};
use testkit::mysql::{Install, Kind, Login, Options, Server, skipped};

/// Nothing here takes long; a test that hangs says less than one that fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A socket that payloads are read from and packets written to.
struct Wire<S> {
    socket: S,
    unread: Vec<u8>,
    sequence: u8,
}

impl<S: Read + Write> Wire<S> {
    fn new(socket: S) -> Self {
        Self { socket, unread: Vec::new(), sequence: 0 }
    }

    /// The next payload; `None` at the end.
    fn read(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some((packet, rest)) = Packet::split(&self.unread) {
                let (payload, rest) = (packet.payload.to_vec(), rest.to_vec());
                self.sequence = packet.sequence.wrapping_add(1);
                self.unread = rest;
                return Some(payload);
            }
            let mut room = [0; 4096];
            let len = self.socket.read(&mut room).unwrap();
            if len == 0 {
                return None;
            }
            self.unread.extend_from_slice(&room[..len]);
        }
    }

    fn send(&mut self, out: &mut Vec<u8>) {
        self.socket.write_all(out).unwrap();
        out.clear();
    }

    /// Sends what was written and reads until the login is over.
    fn drive(
        &mut self,
        mut out: Vec<u8>,
        mut handle: impl FnMut(&[u8], &mut u8, &mut Vec<u8>) -> Result<Step, DialError>,
    ) -> Result<Session, DialError> {
        loop {
            self.send(&mut out);
            let payload = self.read().expect("the server says something before it closes");
            match handle(&payload, &mut self.sequence, &mut out)? {
                Step::Wait => {}
                Step::Ready(session) => return Ok(session),
                Step::StartTls => panic!("TLS was not asked for"),
            }
        }
    }

    fn dial(&mut self, account: Account, wanted: Wanted) -> Result<Session, DialError> {
        let mut dial = Dial::new(account, wanted);
        self.drive(Vec::new(), |payload, sequence, out| dial.handle(payload, sequence, out))
    }

    fn change_user(&mut self, account: Account, session: &Session) -> Result<Session, DialError> {
        let (mut sequence, mut out) = (0, Vec::new());
        let mut change = ChangeUser::begin(account, session, KeySource::Ask, &mut sequence, &mut out)?;
        self.drive(out, |payload, sequence, out| change.handle(payload, sequence, out))
    }

    /// Whether the session takes commands.
    fn ping(&mut self) {
        let (mut sequence, mut out) = (0, Vec::new());
        mysql::packet::write(&mut out, &mut sequence, &[Code::Ping.code()]);
        self.send(&mut out);
        assert_eq!(self.read().unwrap()[0], mysql::view::OK);
    }
}

fn tcp(server: &Server) -> Wire<TcpStream> {
    let socket = TcpStream::connect(server.address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    Wire::new(socket)
}

fn socket(server: &Server) -> Wire<UnixStream> {
    let socket = UnixStream::connect(server.socket()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    Wire::new(socket)
}

fn account(user: &str, password: Option<&str>) -> Account {
    let credential = password.map(stage::credential);
    Account { user: user.into(), database: Some(b"shop".to_vec()), credential, learned: Learned::default() }
}

fn asking() -> Wanted {
    wanted(&Scene { client_keys: KeySource::Ask, tls: Tls::Off, ..Scene::plain() })
}

fn secure() -> Wanted {
    wanted(&Scene::socket())
}

#[test]
fn mariadb_lets_us_in_by_each_of_its_methods() {
    let options = Options::new()
        .database("shop")
        .user("native", PASSWORD, Login::Native)
        .user("ed25519", PASSWORD, Login::Ed25519)
        .user("open", "", Login::Native);
    let server = Server::start(Kind::MariaDb, options).unwrap();
    let users = [account("native", Some(PASSWORD)), account("ed25519", Some(PASSWORD)), account("open", None)];
    for user in &users {
        let session = tcp(&server).dial(user.clone(), asking()).unwrap();
        assert!(session.is_mariadb && session.connection_id > 0);
    }

    // One connection, all of them in turn.
    let mut wire = tcp(&server);
    let mut session = wire.dial(users[0].clone(), asking()).unwrap();
    for user in users.iter().cycle().skip(1).take(5) {
        session = wire.change_user(user.clone(), &session).unwrap();
        wire.ping();
    }

    // A hash logs in with what a client's login here has taught.
    let learned = stage::log_in(&Scene::plain(), password_demand(&native_hash()), stage::by_password(PASSWORD));
    let knowing = Account { learned: learned.0.accepted().learned, ..account("native", Some(&native_hash())) };
    tcp(&server).dial(knowing, asking()).unwrap();

    for user in ["native", "ed25519", "open", "nobody"] {
        let error = tcp(&server).dial(account(user, Some("wrong")), asking()).unwrap_err();
        assert!(matches!(error, DialError::Refused { code: 1045, sqlstate, .. } if sqlstate == *b"28000"), "{error}");
    }
    let error = tcp(&server).dial(account("native", Some(PASSWORD)), Wanted { tls: Tls::Required, ..asking() });
    assert!(matches!(error, Err(DialError::NoTls)), "{error:?}");

    // Whoever runs this test is known to the system by the name that the server wants.
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    server.sql(&format!("create user if not exists '{0}'@'%' identified via unix_socket", user.trim())).unwrap();
    let by_system = Account { database: None, ..account(user.trim(), None) };
    socket(&server).dial(by_system, secure()).unwrap();
}

#[test]
fn mysql_lets_us_in_with_its_cache_cold_and_warm() {
    if let Err(why) = Install::find(Kind::MySql) {
        return skipped("MySQL", &format!("{why:#}"));
    }
    let options = Options::new()
        .database("shop")
        .user("app", PASSWORD, Login::CachingSha2)
        .user("other", PASSWORD, Login::CachingSha2)
        .user("open", "", Login::CachingSha2)
        .user("sha256", PASSWORD, Login::Sha256);
    let server = Server::start(Kind::MySql, options).unwrap();
    let app = || account("app", Some(PASSWORD));
    let knowing = || {
        let (end, _) = stage::log_in(&Scene::plain(), password_demand(PASSWORD), stage::by_password(PASSWORD));
        let credential = Some(sha2_verifier());
        Account { learned: end.accepted().learned, credential, ..account("app", None) }
    };
    let never = || Wanted { keys: KeySource::Never, ..asking() };

    // Cold: the server wants the password itself, which a hash is not, and which must not cross in the open.
    assert!(matches!(socket(&server).dial(knowing(), secure()), Err(DialError::OnlyHash)));
    let error = tcp(&server).dial(app(), never()).unwrap_err();
    assert!(matches!(error, DialError::Unprotected { plugin: Plugin::CachingSha2 }), "{error}");
    let session = tcp(&server).dial(app(), asking()).unwrap();
    assert!(!session.is_mariadb);
    // Warm.
    tcp(&server).dial(app(), never()).unwrap();
    tcp(&server).dial(knowing(), never()).unwrap();

    // Cold again, over a unix socket, and with a key that we have already.
    server.sql("flush privileges").unwrap();
    socket(&server).dial(app(), secure()).unwrap();
    server.sql("flush privileges").unwrap();
    let pem = server.sql("show status like 'Caching_sha2_password_rsa_public_key'").unwrap();
    let pem = pem.split_once('\t').unwrap().1.replace("\\n", "\n");
    let key = Arc::new(rsa::PublicKey::from_pem(pem.as_bytes()).unwrap());
    tcp(&server).dial(app(), Wanted { keys: KeySource::Pinned(key), ..asking() }).unwrap();

    // One connection, several users in turn, some of whom the server does not remember.
    let mut wire = tcp(&server);
    let mut session = wire.dial(app(), asking()).unwrap();
    for user in [account("other", Some(PASSWORD)), account("open", None), app(), account("other", Some(PASSWORD))] {
        session = wire.change_user(user, &session).unwrap();
        wire.ping();
    }

    for user in ["app", "open", "sha256", "nobody", "someone", "anyone"] {
        let error = tcp(&server).dial(account(user, Some("wrong")), asking()).unwrap_err();
        assert!(matches!(error, DialError::Refused { code: 1045, .. }), "{user}: {error}");
    }
    tcp(&server).dial(account("sha256", Some(PASSWORD)), asking()).unwrap();
    socket(&server).dial(account("sha256", Some(PASSWORD)), secure()).unwrap();
}

/// Lets one client in, or not, and answers OK to whatever it then asks.
fn serve(listener: &TcpListener, scene: &Scene, demand: Demand) -> Result<Accepted, Refusal> {
    let (socket, _) = listener.accept().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut wire, mut out) = (Wire::new(socket), Vec::new());
    let greeted = Nonce::from_random([77; 20]);
    stage::greeting(scene, greeted).write(&mut out, &mut wire.sequence);
    wire.send(&mut out);
    let response = HandshakeResponse::parse(&wire.read().expect("the client answers the greeting")).unwrap();
    let capabilities = response.capabilities & scene.offered;
    let keys = scene.server_keys.clone();
    let terms = Terms { demand, capabilities, channel: Channel::Plain, greeted, random: [200; 32], keys };
    let mut step = login::Login::begin(Opening::Response(&response), terms, &mut wire.sequence, &mut out);
    let end = loop {
        match step {
            login::Step::Wait(login) => {
                wire.send(&mut out);
                let Some(payload) = wire.read() else { break Err(Refusal::Unprotected) };
                step = login.handle(&payload, &mut wire.sequence, &mut out).unwrap();
            }
            login::Step::Check(check) => break check.run(),
            login::Step::Accepted(accepted) => break Ok(accepted),
            login::Step::Refused(refusal) => break Err(refusal),
        }
    };
    match &end {
        Ok(_) => write::ok(&mut out, &mut wire.sequence, capabilities, &OkPacket::default()),
        Err(refusal) => refusal.reply(b"app", "localhost").write(&mut out, &mut wire.sequence, capabilities),
    }
    wire.send(&mut out);
    while end.is_ok() && wire.read().is_some_and(|payload| payload[0] != Code::Quit.code()) {
        write::ok(&mut out, &mut wire.sequence, capabilities, &OkPacket::default());
        wire.send(&mut out);
    }
    end
}

/// Has a command-line client log in to [`serve`]: what it said, and what came of it here.
fn client(install: &Install, scene: &Scene, demand: Demand, password: &str) -> (String, Result<Accepted, Refusal>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let (name, options): (_, &[&str]) = match install.kind() {
        Kind::MariaDb => ("bin/mariadb", &["--skip-ssl"]),
        Kind::MySql => ("bin/mysql", &["--ssl-mode=DISABLED", "--get-server-public-key"]),
    };
    let mut command = install.program(name);
    command.args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--port", &port, "--user=app"]);
    command.arg(format!("--password={password}")).args(options).args(["--execute", "do 1"]);
    std::thread::scope(|threads| {
        let said = threads.spawn(move || command.output().unwrap());
        let end = serve(&listener, scene, demand);
        let output = said.join().unwrap();
        assert_eq!(output.status.success(), end.is_ok(), "{end:?}: {}", String::from_utf8_lossy(&output.stderr));
        (String::from_utf8_lossy(&output.stderr).into_owned(), end)
    })
}

#[test]
fn real_clients_get_in_here() {
    for kind in Kind::ALL {
        let install = match Install::find(kind) {
            Ok(install) => install,
            Err(why) => {
                skipped(kind.name(), &format!("{why:#}"));
                continue;
            }
        };
        let verifier =
            || Demand::Password { credential: sha2_verifier(), learned: Learned::default(), exists: Exists::Yes };
        let mut cases = vec![
            (Plugin::CachingSha2, password_demand(PASSWORD)),
            (Plugin::CachingSha2, verifier()),
            (Plugin::CachingSha2, Demand::PassThrough),
            (Plugin::CachingSha2, Demand::Trust),
        ];
        // The clients of MySQL 9 know mysql_native_password no more, and those of MySQL never knew ed25519.
        if kind == Kind::MariaDb {
            cases.extend([
                (Plugin::Native, password_demand(PASSWORD)),
                (Plugin::Native, verifier()),
                (Plugin::Native, password_demand(&native_hash())),
                (Plugin::CachingSha2, password_demand(&native_hash())),
                (Plugin::CachingSha2, password_demand(&ed25519_key())),
            ]);
        }
        for (proposed, demand) in cases {
            let scene = Scene { server_keys: Some(KEYS.clone()), ..Scene::plain() }.proposing(proposed);
            let (said, end) = client(&install, &scene, demand, PASSWORD);
            assert!(end.is_ok(), "{} by {proposed}: {said}", kind.name());
        }
        for demand in [password_demand(PASSWORD), verifier()] {
            let scene = Scene { server_keys: Some(KEYS.clone()), ..Scene::plain() };
            let (said, end) = client(&install, &scene, demand, "wrong");
            assert!(end.is_err() && said.contains("ERROR 1045 (28000): Access denied"), "{said}");
        }
        // No key and no TLS: the client is told before it is asked.
        let (said, _) = client(&install, &Scene::plain(), Demand::PassThrough, PASSWORD);
        assert!(said.contains("ERROR 3159 (HY000)") && said.contains("connect with TLS"), "{said}");
    }
}
