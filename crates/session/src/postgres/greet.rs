//! From an accepted socket to a session: first packets, limits, authentication, greeting.

use std::{future::Future, pin::Pin as StdPin, sync::Arc, time::Duration};

use auth::{Credential, scram::Nonce};
use pg::{
    ErrorReply, ProtocolError,
    frame::{HEADER_LEN, Header, Message},
    login::{self, AUTH_LEN_MAX, Demand, Exists, Known, Login},
    settings::Settings,
    startup::{LONG_KEY_LEN, Packet, Replication},
    write,
};
use pool::Checkout;
use route::{Protocol, Timeouts};
use tls::{Acceptor, HandshakeError, TlsStream};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use crate::{
    approach::Approach,
    console::{self, Operator},
    driver::AnyLink,
    engine::{Engine, LaneError},
    lane::{Flavour, Link},
    plan::{AuthMethod, ClientTls, Plan, UserEntry},
    postgres::Postgres,
    postgres::{client::Client, operator},
    registry::{Admission, Alarm, Full, Party, Presence},
    secrets::random,
    stream::Stream,
};

/// How long a refused client may take to read why.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);

/// What clients name that begin with TLS at once (PostgreSQL, `PG_ALPN_PROTOCOL`).
const ALPN: &[u8] = b"postgresql";

/// The first byte of such a client: a handshake record (RFC 8446, section 5.1). As the first byte of a packet's length it
/// would be far too long.
const HANDSHAKE_RECORD: u8 = 0x16;

/// Why somebody is not let in.
#[derive(Debug)]
enum Refusal {
    /// Gone, or never was a client: nobody to tell.
    Gone,
    /// Told why.
    Told(Box<ErrorReply>),
    /// Told only that authentication failed; the true reason is for the log.
    Secret(Vec<u8>, String),
    /// Did not become encrypted: cannot be told anything any more.
    Handshake(HandshakeError),
    /// A cancel request: done, and nothing is ever answered.
    CancelRequest,
}

impl From<ErrorReply> for Refusal {
    fn from(reply: ErrorReply) -> Self {
        Self::Told(Box::new(reply))
    }
}

impl From<Full> for Refusal {
    fn from(full: Full) -> Self {
        ErrorReply::fatal("53300", full.what).detail(format!("The limit is {}.", full.limit)).into()
    }
}

impl From<ProtocolError> for Refusal {
    fn from(error: ProtocolError) -> Self {
        let code = if matches!(error, ProtocolError::Version { .. }) { "0A000" } else { "08P01" };
        ErrorReply::fatal(code, error.to_string()).into()
    }
}

/// A socket whose owner has not logged in yet.
struct Guest {
    stream: Stream,
    read: Vec<u8>,
    out: Vec<u8>,
}

/// Serves whoever connected, to the end.
pub(crate) async fn receive(engine: Arc<Engine>, stream: Stream, place: OwnedSemaphorePermit) {
    let peer = stream.peer();
    let mut guest = Guest { stream, read: Vec::new(), out: Vec::new() };
    let limit = engine.plan().login_timeout;
    // Boxed: a login needs far more room than the session that follows, and is soon over.
    let greeting: StdPin<Box<dyn Future<Output = _> + Send>> =
        Box::pin(timeout(limit, greet(&engine, &mut guest, place)));
    let greeted = greeting.await.unwrap_or_else(|_| {
        Err(ErrorReply::fatal("08P01", "client_login_timeout")
            .detail(format!("Logging in took longer than {limit:?} (timeouts.login)."))
            .into())
    });
    match greeted {
        Ok(Session::Client(client)) => {
            // A task of its own: what logging in needed is given back now, not when the client leaves.
            let Newcomer { lane, presence, settings } = client;
            tokio::spawn(Client::new(guest.stream, engine, lane, presence, settings).serve());
        }
        Ok(Session::Console { admission: _admission, operator }) => {
            Box::pin(operator::serve(&engine, guest.stream, operator)).await;
        }
        Err(Refusal::Gone | Refusal::CancelRequest) => {}
        Err(Refusal::Handshake(error)) => {
            let why: &dyn std::error::Error = &error;
            tracing::info!(%peer, why, "client refused");
        }
        Err(Refusal::Told(reply)) => {
            tracing::info!(%peer, sqlstate = %reply.code, why = %reply.message, detail = reply.detail, "client refused");
            guest.refuse(&reply).await;
        }
        Err(Refusal::Secret(user, why)) => {
            let user_text = String::from_utf8_lossy(&user);
            tracing::info!(%peer, user = %user_text, why, "client refused");
            guest.refuse(&login::refusal(&user)).await;
        }
    }
}

/// What a login leads to.
enum Session {
    Client(Newcomer),
    Console { admission: Admission, operator: Operator },
}

/// A client that has logged in and waits to be told so.
struct Newcomer {
    lane: Arc<Link<Postgres>>,
    presence: Presence,
    settings: Settings,
}

async fn greet(engine: &Arc<Engine>, guest: &mut Guest, place: OwnedSemaphorePermit) -> Result<Session, Refusal> {
    let startup = match guest.first_packet(&engine.plan().client_tls).await? {
        Packet::Startup(startup) => startup,
        Packet::Cancel { process, key } => {
            cancel(engine, process, &key).await;
            return Err(Refusal::CancelRequest);
        }
        // `first_packet` answers these itself.
        Packet::Ssl | Packet::Gss => return Err(Refusal::Gone),
    };
    let is_operator = console::DATABASES.iter().any(|name| name.as_bytes() == startup.database);
    let party = if is_operator { Party::Operator } else { Party::Client };
    let mut admission = engine.registry.admit(guest.stream.peer(), party)?;
    drop(place);
    if matches!(engine.plan().client_tls, ClientTls::Required(_)) && !guest.stream.is_secure_channel() {
        return Err(ErrorReply::fatal("28000", "connections must be encrypted")
            .hint("Connect with TLS: sslmode=require or a stronger mode.")
            .into());
    }
    startup.negotiate(&mut guest.out);
    let plan = engine.plan();
    let user = text(&startup.user)?;
    let database = text(&startup.database)?;
    let entry = plan.users.get(&*user).cloned();
    guest.authenticate(engine, &plan, &startup.user, entry.as_ref()).await?;
    if is_operator {
        let Some(&role) = plan.console.get(&*user) else {
            return Err(ErrorReply::fatal("42501", "this user may not use the console")
                .hint("Name it in admin.users or admin.stats_users.")
                .into());
        };
        guest.write().await?;
        return Ok(Session::Console { admission, operator: Operator { user, role } });
    }
    let lane = engine.link(&user, &database, Flavour::Plain).and_then(AnyLink::postgres).map_err(no_lane)?;
    let resolved = plan.table.resolve(&user, &database).map_err(|error| no_lane(error.into()))?;
    let (user_limit, database_limit) =
        (plan.table.user(resolved.user).max_clients, plan.table.database(resolved.database).max_clients);
    admission.name(&user, user_limit, &database, database_limit)?;
    if startup.replication != Replication::None {
        return Err(ErrorReply::fatal("0A000", "replication connections are not supported")
            .hint("Connect replication clients to the database server itself.")
            .into());
    }
    let settings = Settings::from_startup(&startup.settings);
    guest.greet(&lane, &settings).await?;
    let key: [u8; LONG_KEY_LEN] = random();
    let approach = Approach::new(Protocol::Postgres, &guest.stream);
    let presence = admission.enter(user, database, key, approach);
    let entry = presence.entry();
    let given = if startup.takes_long_key() { &key[..] } else { &key[..4] };
    write::backend_key_data(&mut guest.out, entry.process(), given);
    write::ready_for_query(&mut guest.out, b'I');
    guest.write().await?;
    tracing::debug!(client = entry.number(), user = %entry.user, database = %entry.database, peer = %entry.peer, "client logged in");
    Ok(Session::Client(Newcomer { lane, presence, settings }))
}

impl Guest {
    /// Reads to the first packet that is not a request for encryption; those are answered, once each.
    async fn first_packet(&mut self, tls: &ClientTls) -> Result<Packet, Refusal> {
        if let Some(acceptor) = tls.acceptor()
            && self.stream.peek().await == Some(HANDSHAKE_RECORD)
        {
            self.start_tls(acceptor).await?;
            // Only a client that names the protocol is certain to mean it (PostgreSQL 17, `ProcessSSLStartup`): another
            // server's client could be led here, its requests taken for ours.
            if self.stream.tls().and_then(TlsStream::alpn) != Some(ALPN) {
                return Err(ErrorReply::fatal("08P01", "direct TLS without the name of the protocol (ALPN)")
                    .hint("Clients that begin with TLS at once must ask for \"postgresql\" by ALPN.")
                    .into());
            }
        }
        // One request for TLS, one for GSS encryption, then the packet itself.
        for _ in 0..3 {
            let (packet, len) = loop {
                match Packet::read(&self.read) {
                    Ok(Some(found)) => break found,
                    Ok(None) => self.read_to(first_packet_len(&self.read)).await?,
                    Err(error) => return Err(error.into()),
                }
            };
            self.read.drain(..len);
            if !matches!(packet, Packet::Ssl | Packet::Gss) {
                return Ok(packet);
            }
            if self.stream.is_encrypted() {
                return Err(unexpected("within an encrypted connection"));
            }
            // Bytes sent along with the request, before its answer, could have been put there by anybody on the way
            // (CVE-2021-23214).
            if !self.stream.is_quiet() {
                return Err(unexpected("before the request for encryption is answered"));
            }
            match tls.acceptor() {
                Some(acceptor) if packet == Packet::Ssl => {
                    self.out.push(b'S');
                    self.write().await?;
                    self.start_tls(acceptor).await?;
                }
                _ => {
                    self.out.push(b'N');
                    self.write().await?;
                }
            }
        }
        Err(unexpected("after encryption was declined"))
    }

    async fn start_tls(&mut self, acceptor: &Acceptor) -> Result<(), Refusal> {
        self.stream.start_tls_server(acceptor).await.map_err(Refusal::Handshake)
    }

    async fn authenticate(
        &mut self,
        engine: &Engine,
        plan: &Plan,
        user: &[u8],
        entry: Option<&UserEntry>,
    ) -> Result<(), Refusal> {
        let mut step = Login::begin(demand(engine, plan, user, entry), &mut self.out);
        loop {
            match step {
                login::Step::Accepted(keys) => {
                    if let (Some(keys), Some(secret)) = (keys, entry.and_then(|entry| entry.secret.as_ref())) {
                        secret.learn(*keys);
                    }
                    // Also where nothing is asked, a user must be known.
                    return match entry {
                        Some(_) => Ok(()),
                        None => Err(Refusal::Secret(user.to_vec(), "no such user".into())),
                    };
                }
                login::Step::Refused(error) => {
                    let why = if entry.is_none() { "no such user".into() } else { error.to_string() };
                    return Err(Refusal::Secret(user.to_vec(), why));
                }
                login::Step::Wait(login) => {
                    self.write().await?;
                    let (tag, body) = self.message().await?;
                    step = login.handle(tag, &body, user, &mut self.out)?;
                }
            }
        }
    }

    /// Tells the client what it must know of the server. The first client of a route waits until a server was seen.
    async fn greet(&mut self, lane: &Link<Postgres>, settings: &Settings) -> Result<(), Refusal> {
        if lane.shared.parameters.load().is_none() {
            let Timeouts { checkout, .. } = lane.terms.load().timeouts;
            let leased = lane.pool.checkout(lane.id, Checkout::new().within(checkout)).await;
            drop(leased.map_err(|error| {
                let said = match &error {
                    pool::CheckoutError::LoginRefused(error) => error.said(),
                    _ => None,
                };
                match said {
                    Some((code, message)) => {
                        let mut reply = ErrorReply::fatal("08006", message.to_owned())
                            .detail("The database server refused the login of the pool.");
                        reply.code = code.to_owned().into();
                        reply
                    }
                    None => ErrorReply::fatal("08006", "no database server can be reached").detail(error.to_string()),
                }
            })?);
        }
        if let Some(parameters) = &*lane.shared.parameters.load() {
            for (name, value) in parameters.iter() {
                // What the client asked for holds on whichever connection will serve it.
                let own = settings.get(&name.to_ascii_lowercase());
                let value = match own {
                    Some(pg::settings::Value::Plain(own)) => own,
                    _ if name.eq_ignore_ascii_case(b"application_name") => &Box::default(),
                    _ => value,
                };
                write::parameter_status(&mut self.out, name, value);
            }
        }
        Ok(())
    }

    async fn message(&mut self) -> Result<(u8, Vec<u8>), Refusal> {
        loop {
            if let Some((message, rest)) = Message::split(&self.read)? {
                let found = (message.tag, message.body.to_vec());
                let left = rest.len();
                self.read.drain(..self.read.len() - left);
                return Ok(found);
            }
            let len = Header::peek(&self.read)?.map_or(HEADER_LEN, |header| header.total);
            if len > AUTH_LEN_MAX {
                return Err(ProtocolError::Limit { what: "an authentication message", limit: AUTH_LEN_MAX }.into());
            }
            self.read_to(len).await?;
        }
    }

    /// Reads once, to at most `len` bytes in all. What a hasty client sent behind them stays in the socket: it is the
    /// session's.
    async fn read_to(&mut self, len: usize) -> Result<(), Refusal> {
        let missing = len.saturating_sub(self.read.len()).max(1);
        match self.stream.read_up_to(&mut self.read, missing).await {
            Ok(1..) => Ok(()),
            Ok(0) | Err(_) => Err(Refusal::Gone),
        }
    }

    async fn write(&mut self) -> Result<(), Refusal> {
        let written = self.stream.write_all(&self.out).await;
        self.out.clear();
        written.map_err(|_| Refusal::Gone)
    }

    async fn refuse(&mut self, reply: &ErrorReply) {
        self.out.clear();
        reply.write(&mut self.out);
        let told = timeout(REFUSAL_TIMEOUT, async {
            if self.write().await.is_ok() {
                self.stream.shut_down().await;
            }
        });
        if told.await.is_err() {
            tracing::debug!("a refused client does not read why");
        }
    }
}

fn unexpected(when: &'static str) -> Refusal {
    ProtocolError::Unexpected { tag: 0, when }.into()
}

/// Length of a first packet that begins with `read`, as far as can be told. Whether it is believed is decided where the
/// packet is read.
fn first_packet_len(read: &[u8]) -> usize {
    match read.first_chunk::<4>() {
        Some(length) => u32::from_be_bytes(*length) as usize,
        None => 4,
    }
}

/// What a client must prove: by the configured method, as far as what is known of the user allows it.
fn demand(engine: &Engine, plan: &Plan, user: &[u8], entry: Option<&UserEntry>) -> Demand {
    let secret = entry.and_then(|entry| entry.secret.as_ref());
    let known = || match secret {
        Some(secret) => Known::Credential(secret.credential().clone()),
        None => Known::NoSuchUser,
    };
    let method = match (plan.demand, secret.map(|secret| &**secret.credential())) {
        (AuthMethod::Trust, _) => return Demand::Trust,
        (AuthMethod::Cleartext, _) => return Demand::Cleartext(known()),
        (AuthMethod::Md5 | AuthMethod::Scram, Some(Credential::Md5(_))) => AuthMethod::Md5,
        (AuthMethod::Md5 | AuthMethod::Scram, Some(Credential::Scram(_))) => AuthMethod::Scram,
        (method, _) => method,
    };
    if method == AuthMethod::Md5 {
        return Demand::Md5 { known: known(), salt: random() };
    }
    let verifier = secret.and_then(|secret| secret.verifier(random)).cloned();
    let exists = if verifier.is_some() { Exists::Yes } else { Exists::No };
    let mock = || auth::scram::Verifier::mock(&engine.mock_seed, user, auth::scram::Iterations::DEFAULT);
    Demand::Scram { verifier: verifier.unwrap_or_else(mock), exists, nonce: Nonce::new(random()) }
}

async fn cancel(engine: &Engine, process: u32, key: &[u8]) {
    let Some(entry) = engine.registry.find(process, key) else {
        tracing::info!("cancel request with a key that was not given out");
        return;
    };
    tracing::debug!(client = entry.number(), "cancel request");
    match entry.cancel_target() {
        Some(underway) => underway.deliver().await,
        None => entry.raise(Alarm::Cancel),
    }
}

fn text(name: &[u8]) -> Result<Arc<str>, Refusal> {
    match std::str::from_utf8(name) {
        Ok(name) => Ok(name.into()),
        Err(_) => Err(ErrorReply::fatal("08P01", "user and database names must be UTF-8").into()),
    }
}

fn no_lane(error: LaneError) -> Refusal {
    match error {
        LaneError::NoRoute(route::NoRoute::UnknownDatabase { name, nearest }) => {
            tracing::info!(database = name, nearest, "no such database");
            ErrorReply::fatal("3D000", format!("database \"{name}\" does not exist")).into()
        }
        LaneError::NoRoute(error) => ErrorReply::fatal("28000", error.to_string()).into(),
        LaneError::OtherProtocol(_) => ErrorReply::fatal("08001", error.to_string())
            .hint("Connect with a MySQL client to the address in listen.mysql.")
            .into(),
        LaneError::TooMany => ErrorReply::fatal("53400", error.to_string()).into(),
    }
}
