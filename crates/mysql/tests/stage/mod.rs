//! A client half and a server half that talk to each other, with the callers' part in it: carrying packets, running checks,
//! writing OK.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::sync::{Arc, LazyLock};

use auth::{Channel, Credential, Learned, Plugin, Secret, caching_sha2, ed25519, native, rsa};
use mysql::{
    Capabilities, Status,
    command::Command,
    dial::{self, ALWAYS, Account, ChangeUser, Dial, DialError, KeySource, Session, Tls, Wanted},
    handshake::{self, Greeting, HandshakeResponse, Nonce, SslRequest},
    login::{Accepted, Demand, Exists, Login, Opening, Refusal, Step, Terms},
    packet::Packet,
    view::OkPacket,
    write,
};

/// Keys take a moment to make.
pub(crate) static KEYS: LazyLock<Arc<rsa::KeyPair>> = LazyLock::new(|| Arc::new(rsa::KeyPair::generate().unwrap()));

pub(crate) const PASSWORD: &str = "pencil";

/// How the server greets, and what the client makes of it.
pub(crate) struct Scene {
    pub(crate) offered: Capabilities,
    pub(crate) proposed: Plugin,
    pub(crate) channel: Channel,
    pub(crate) tls: Tls,
    pub(crate) server_keys: Option<Arc<rsa::KeyPair>>,
    pub(crate) client_keys: KeySource,
}

impl Scene {
    /// MySQL 8 on a network, without TLS.
    pub(crate) fn plain() -> Self {
        Self {
            offered: ALWAYS | Capabilities::CONNECT_WITH_DB | Capabilities::FOUND_ROWS,
            proposed: Plugin::CachingSha2,
            channel: Channel::Plain,
            tls: Tls::Off,
            server_keys: None,
            client_keys: KeySource::Never,
        }
    }

    pub(crate) fn tls() -> Self {
        let plain = Self::plain();
        Self { offered: plain.offered | Capabilities::SSL, tls: Tls::Required, ..plain }
    }

    pub(crate) fn socket() -> Self {
        Self { channel: Channel::Secure, ..Self::plain() }
    }

    pub(crate) fn rsa() -> Self {
        Self { server_keys: Some(KEYS.clone()), client_keys: KeySource::Ask, ..Self::plain() }
    }

    pub(crate) fn proposing(self, proposed: Plugin) -> Self {
        Self { proposed, ..self }
    }
}

/// How a login ended.
#[derive(Debug)]
pub(crate) enum End {
    In { accepted: Box<Accepted>, session: Box<Session> },
    Refused(Refusal),
    Failed(DialError),
}

impl End {
    pub(crate) fn accepted(self) -> Accepted {
        match self {
            Self::In { accepted, .. } => *accepted,
            other => panic!("{other:?}"),
        }
    }
}

/// What a login took: the packets by who sent them, how they begin, and their length.
pub(crate) type Transcript = Vec<(Side, u8, usize)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

pub(crate) fn credential(text: &str) -> Arc<Credential> {
    Arc::new(Credential::parse(Secret::from(text)).unwrap())
}

pub(crate) fn account(credential: Option<Arc<Credential>>) -> Account {
    Account { user: b"app".to_vec(), database: Some(b"shop".to_vec()), credential, learned: Learned::default() }
}

pub(crate) fn by_password(text: &str) -> Account {
    account(Some(credential(text)))
}

pub(crate) fn password_demand(text: &str) -> Demand {
    Demand::Password { credential: credential(text), learned: Learned::default(), exists: Exists::Yes }
}

pub(crate) fn native_hash() -> String {
    let text = native::Hash::from_password(&Secret::from(PASSWORD)).to_text();
    String::from_utf8(text.expose().to_vec()).unwrap()
}

pub(crate) fn sha2_verifier() -> Arc<Credential> {
    let rounds = caching_sha2::Rounds::DEFAULT;
    let verifier = caching_sha2::Verifier::from_password(&Secret::from(PASSWORD), [b'x'; 20], rounds).unwrap();
    Arc::new(Credential::CachingSha2(verifier))
}

pub(crate) fn ed25519_key() -> String {
    format!("ed25519:{}", ed25519::PublicKey::from_password(&Secret::from(PASSWORD)).to_text())
}

/// The server's half and its caller.
pub(crate) struct Server {
    state: State,
    sequence: u8,
    out: Vec<u8>,
}

enum State {
    Opening(Terms),
    Asking(Login),
    Ended(Result<Accepted, Refusal>),
    Over,
}

impl Server {
    pub(crate) fn new(scene: &Scene, demand: Demand, channel: Channel) -> Self {
        let terms = Terms {
            demand,
            capabilities: scene.offered,
            channel,
            greeted: Nonce::from_random([3; 20]),
            random: [200; 32],
            keys: scene.server_keys.clone(),
        };
        Self { state: State::Opening(terms), sequence: 0, out: Vec::new() }
    }

    fn greet(&mut self, scene: &Scene) {
        greeting(scene, Nonce::from_random([3; 20])).write(&mut self.out, &mut self.sequence);
    }

    fn take(&mut self, packet: Packet<'_>) {
        assert_eq!(packet.sequence, self.sequence, "the client's packets are in order");
        self.sequence = packet.sequence.wrapping_add(1);
        let step = match std::mem::replace(&mut self.state, State::Over) {
            State::Opening(terms) => match SslRequest::parse(packet.payload) {
                Some(_) => {
                    self.state = State::Opening(Terms { channel: Channel::Secure, ..terms });
                    return;
                }
                None => self.open(terms, packet.payload),
            },
            State::Asking(login) => login.handle(packet.payload, &mut self.sequence, &mut self.out).unwrap(),
            State::Ended(_) | State::Over => panic!("the client goes on after the end"),
        };
        let end = match step {
            Step::Wait(login) => return self.state = State::Asking(login),
            Step::Check(check) => check.run(),
            Step::Accepted(accepted) => Ok(accepted),
            Step::Refused(refusal) => Err(refusal),
        };
        match &end {
            Ok(_) => write::ok(&mut self.out, &mut self.sequence, ALWAYS, &OkPacket::default()),
            Err(refusal) => refusal.reply(b"app", "localhost").write(&mut self.out, &mut self.sequence, ALWAYS),
        }
        self.state = State::Ended(end);
    }

    fn open(&mut self, terms: Terms, payload: &[u8]) -> Step {
        let wanted = (&b"app"[..], Some(&b"shop"[..]));
        match payload.split_first() {
            // No response begins so: its first byte would ask for LONG_PASSWORD without the 4.1 protocol in the second.
            Some((&code, body)) if code == Command::ChangeUser.code() && self.sequence == 1 => {
                let command = handshake::ChangeUser::parse(body, terms.capabilities).unwrap();
                assert_eq!((&*command.user, command.database.as_deref()), wanted);
                Login::begin(Opening::ChangeUser(&command), terms, &mut self.sequence, &mut self.out)
            }
            _ => {
                let response = HandshakeResponse::parse(payload).unwrap();
                assert_eq!((&*response.user, response.database.as_deref()), wanted);
                assert_eq!(response.attributes.get(b"program_name"), Some(&b"evenkeel"[..]));
                let terms = Terms { capabilities: response.capabilities & terms.capabilities, ..terms };
                Login::begin(Opening::Response(&response), terms, &mut self.sequence, &mut self.out)
            }
        }
    }
}

/// How a server of this scene greets.
pub(crate) fn greeting(scene: &Scene, nonce: Nonce) -> Greeting {
    Greeting {
        version: b"8.4.6".to_vec(),
        connection_id: 7,
        nonce,
        capabilities: scene.offered,
        charset: 45,
        status: Status::AUTOCOMMIT,
        plugin: scene.proposed.name().into(),
    }
}

/// What we want of servers here.
pub(crate) fn wanted(scene: &Scene) -> Wanted {
    Wanted {
        capabilities: Capabilities::FOUND_ROWS,
        tls: scene.tls,
        channel: scene.channel,
        keys: scene.client_keys.clone(),
        max_packet: 1 << 24,
        charset: 45,
    }
}

/// Runs a first login of `account` where `demand` is made.
pub(crate) fn log_in(scene: &Scene, demand: Demand, account: Account) -> (End, Transcript) {
    let mut server = Server::new(scene, demand, scene.channel);
    server.greet(scene);
    let mut dial = Dial::new(account, wanted(scene));
    converse(&mut server, Vec::new(), |payload, sequence, out| match dial.handle(payload, sequence, out)? {
        dial::Step::StartTls => dial.encrypted(sequence, out),
        step => Ok(step),
    })
}

/// Runs a change of user on a session that is logged in.
pub(crate) fn change_user(scene: &Scene, session: &Session, demand: Demand, account: Account) -> (End, Transcript) {
    let mut server = Server::new(scene, demand, session.channel);
    let (mut sequence, mut out) = (9, Vec::new());
    match ChangeUser::begin(account, session, scene.client_keys.clone(), &mut sequence, &mut out) {
        Ok(mut change) => {
            assert_eq!(sequence, 1, "a command begins with packet 0");
            converse(&mut server, out, |payload, sequence, out| change.handle(payload, sequence, out))
        }
        Err(error) => (End::Failed(error), Vec::new()),
    }
}

/// Carries packets to and fro until one side is done.
fn converse(
    server: &mut Server,
    mut to_server: Vec<u8>,
    mut client: impl FnMut(&[u8], &mut u8, &mut Vec<u8>) -> Result<dial::Step, DialError>,
) -> (End, Transcript) {
    let mut transcript = Transcript::new();
    for _ in 0..20 {
        let bytes = std::mem::take(&mut to_server);
        for packet in packets(&bytes) {
            transcript.push((Side::Client, packet.payload.first().copied().unwrap_or_default(), packet.payload.len()));
            server.take(packet);
        }
        let bytes = std::mem::take(&mut server.out);
        for packet in packets(&bytes) {
            transcript.push((Side::Server, packet.payload.first().copied().unwrap_or_default(), packet.payload.len()));
            let mut sequence = packet.sequence.wrapping_add(1);
            let step = client(packet.payload, &mut sequence, &mut to_server);
            match (step, std::mem::replace(&mut server.state, State::Over)) {
                (Ok(dial::Step::Ready(session)), State::Ended(Ok(accepted))) => {
                    return (End::In { accepted: accepted.into(), session: session.into() }, transcript);
                }
                (Err(DialError::Refused { .. }), State::Ended(Err(refusal))) => {
                    return (End::Refused(refusal), transcript);
                }
                (Err(error), _) => return (End::Failed(error), transcript),
                (Ok(dial::Step::Wait), state) => server.state = state,
                (Ok(step), _) => panic!("{step:?} before the server has said so: {transcript:?}"),
            }
        }
    }
    panic!("a login without an end: {transcript:?}");
}

fn packets(bytes: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (packet, after) = Packet::split(rest)?;
        rest = after;
        Some(packet)
    })
}

/// A transcript in words: packets by name, answers by length.
pub(crate) fn outline(transcript: &Transcript) -> String {
    let mut words: Vec<String> = Vec::new();
    for &(side, first, len) in transcript {
        let before = words.last().map_or("", String::as_str);
        words.push(match (side, first) {
            (Side::Server, 0x0a) => "greeting".into(),
            (Side::Server, 0x00) => "ok".into(),
            (Side::Server, 0x01) => format!("more({len})"),
            (Side::Server, 0xfe) => "switch".into(),
            (Side::Server, 0xff) => "err".into(),
            (Side::Client, _) if before == "greeting" && len == 32 => "ssl".into(),
            (Side::Client, _) if before == "greeting" || before == "ssl" => "response".into(),
            (Side::Client, 0x11) if before.is_empty() => "change".into(),
            (_, _) => format!("({len})"),
        });
    }
    words.join(" ")
}
