//! From an accepted socket to a session: greeting, encryption, limits, authentication.

use std::{future::Future, pin::Pin as StdPin, sync::Arc, time::Duration};

use auth::Channel;
use mysql::{
    Capabilities, ErrorReply, ProtocolError, Status,
    handshake::{Greeting, HandshakeResponse, Nonce, PAYLOAD_LEN_MAX, SslRequest},
    login::{Accepted, Demand, Exists, Given, Login, Opening, Refusal as Refused, Step, Terms},
    packet::{HEADER_LEN, Header},
    settings::Settings,
    view::OkPacket,
    write,
};
use pool::Checkout;
use route::Protocol;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use super::{
    Mysql,
    client::{Client, Newcomer, State, Words, login_refused},
    compression,
    facts::Facts,
    operator,
};
use crate::{
    approach::Approach,
    console::{self, Operator},
    driver::AnyLink,
    engine::Engine,
    lane::{Flavour, Link},
    plan::{AuthMethod, ClientTls, Plan, UserEntry},
    registry::{Admission, KEY_LEN, Party},
    secrets::{UserSecret, random},
    stream::Stream,
};

mod offer;
mod reentry;
mod refusal;

use offer::{CHARSET, offered, version};
pub(super) use reentry::{Admitted, Reentry};
pub(super) use refusal::{Refusal, no_lane};

/// How long a refused client may take to read why.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);

/// A socket whose owner has not logged in yet, or is about to log in anew.
struct Guest<'a> {
    stream: &'a mut Stream,
    read: Vec<u8>,
    out: Vec<u8>,
    /// The number of the next packet, of either side.
    sequence: u8,
    /// What both sides can do, as far as is known.
    capabilities: Capabilities,
}

/// Serves whoever connected, to the end.
pub(crate) async fn receive(engine: Arc<Engine>, mut stream: Stream, place: OwnedSemaphorePermit) {
    let peer = stream.peer();
    let limit = engine.plan().login_timeout;
    // Boxed: a login needs far more room than the session that follows, and is soon over.
    let welcoming: StdPin<Box<dyn Future<Output = _> + Send + '_>> =
        Box::pin(timeout(limit, welcome(&engine, &mut stream, place)));
    let welcomed = welcoming.await.unwrap_or_else(|_| {
        tracing::info!(%peer, ?limit, "client refused: logging in took too long (timeouts.login)");
        Err(Refusal::Gone)
    });
    match welcomed {
        Ok(Session::Client(newcomer)) => {
            // A task of its own: what logging in needed is given back now, not when the client leaves.
            tokio::spawn(Client::new(stream, engine, *newcomer).serve());
        }
        Ok(Session::Console { admission, operator, capabilities }) => {
            let id = admission.number() as u32;
            Box::pin(operator::serve(&engine, stream, &operator, capabilities, id)).await;
        }
        Err(_) => {}
    }
}

/// What a login leads to.
enum Session {
    Client(Box<Newcomer>),
    Console { admission: Admission, operator: Operator, capabilities: Capabilities },
}

async fn welcome(engine: &Arc<Engine>, stream: &mut Stream, place: OwnedSemaphorePermit) -> Result<Session, Refusal> {
    let peer = stream.peer();
    let mut guest = Guest { stream, read: Vec::new(), out: Vec::new(), sequence: 0, capabilities: Capabilities::NONE };
    let result = guest.welcome(engine, place).await;
    match &result {
        Ok(_) | Err(Refusal::Gone) => {}
        Err(Refusal::Told(reply)) => {
            tracing::info!(%peer, code = reply.code, why = %reply.message, "client refused");
            guest.refuse(reply).await;
        }
        Err(Refusal::Secret { user, why }) => {
            tracing::info!(%peer, user = %String::from_utf8_lossy(user), %why, "client refused");
            let host = peer.ip().map_or_else(|| "localhost".to_owned(), |ip| ip.to_string());
            guest.refuse(&why.reply(user, &host)).await;
        }
    }
    result
}

impl Guest<'_> {
    async fn welcome(&mut self, engine: &Arc<Engine>, place: OwnedSemaphorePermit) -> Result<Session, Refusal> {
        let plan = engine.plan();
        // Whether it is an operator shows only in its answer; a full house is told to others then.
        let (mut admission, full) = match engine.registry.admit(self.stream.peer(), Party::Client) {
            Ok(admission) => (admission, None),
            Err(full) => (engine.registry.admit(self.stream.peer(), Party::Operator)?, Some(full)),
        };
        drop(place);
        let nonce = Nonce::from_random(random());
        let offered = offered(engine, &plan);
        let greeting = Greeting {
            version: version(engine, &plan),
            connection_id: admission.number() as u32,
            nonce,
            capabilities: offered,
            charset: CHARSET,
            status: Status::AUTOCOMMIT,
            plugin: plan.mysql.auth_plugin.name().into(),
        };
        greeting.write(&mut self.out, &mut self.sequence);
        self.write().await?;
        let response = self.response(&plan).await?;
        // Asking for more than was offered is usual.
        self.capabilities = response.capabilities & (offered | Capabilities::SSL);
        let database = response.database.clone().unwrap_or_default();
        let is_operator = console::DATABASES.iter().any(|name| name.as_bytes() == database);
        if let Some(full) = full.filter(|_| !is_operator) {
            return Err(full.into());
        }
        let user = text(&response.user)?;
        let entry = plan.users.get(&*user).cloned();
        let accepted = self.authenticate(engine, &plan, Opening::Response(&response), entry.as_ref(), nonce).await?;
        if is_operator {
            let Some(&role) = plan.console.get(&*user) else {
                let message = "This user may not use the console. Name it in admin.users or admin.stats_users";
                return Err(ErrorReply::missing_privilege(message).into());
            };
            let ok = OkPacket { status: Status::AUTOCOMMIT, ..OkPacket::default() };
            write::ok(&mut self.out, &mut self.sequence, self.capabilities, &ok);
            self.write().await?;
            self.compress(engine, &plan, &response);
            return Ok(Session::Console {
                admission,
                operator: Operator { user, role },
                capabilities: self.capabilities,
            });
        }
        let (route, settings) =
            self.find_route(engine, &user, &database, u16::from(response.charset), accepted).await?;
        let (user_limit, database_limit) = limits(&plan, &user, &route)?;
        admission.name(&user, user_limit, &route.database, database_limit)?;
        let compression = compression::way(self.capabilities);
        let approach = Approach { compression, ..Approach::new(Protocol::Mysql, self.stream) };
        let presence = admission.enter(user, route.database.clone(), random::<KEY_LEN>(), approach);
        let words = Words::new(&route, &response.attributes);
        let state = State::new(settings, route.shared.reading());
        let ok = OkPacket { status: state.status, ..OkPacket::default() };
        write::ok(&mut self.out, &mut self.sequence, self.capabilities, &ok);
        self.write().await?;
        self.compress(engine, &plan, &response);
        let entry = presence.entry();
        tracing::debug!(client = entry.number(), user = %entry.user, database = %entry.database, peer = %entry.peer, "client logged in");
        Ok(Session::Client(Box::new(Newcomer {
            route,
            presence,
            capabilities: self.capabilities,
            state,
            greeted: nonce,
            words,
        })))
    }

    /// What follows the login is compressed, if the client wants that.
    fn compress(&mut self, engine: &Engine, plan: &Plan, response: &HandshakeResponse) {
        let packet_len_max = plan.mysql.packet_len_max;
        let (stream, codecs) = (&mut *self.stream, &engine.codecs);
        compression::begin_with_client(stream, self.capabilities, response.zstd_level, packet_len_max, codecs);
    }

    /// The client's answer to our greeting, behind a TLS handshake if it wants one.
    async fn response(&mut self, plan: &Plan) -> Result<HandshakeResponse, Refusal> {
        let payload = self.payload().await?;
        if let (Some(_), Some(acceptor)) = (SslRequest::parse(&payload), plan.client_tls.acceptor()) {
            // The request is not answered, so the handshake may be here already. It is all that what follows is read as:
            // no byte behind the request was taken, and what somebody else puts there makes the handshake fail.
            debug_assert!(self.read.is_empty(), "a packet is read to its end and no further");
            self.stream.start_tls_server(acceptor).await.map_err(|error| {
                tracing::info!(peer = %self.stream.peer(), %error, "TLS handshake with a client failed");
                Refusal::Gone
            })?;
            let payload = self.payload().await?;
            return Ok(HandshakeResponse::parse(&payload)?);
        }
        let response = HandshakeResponse::parse(&payload)?;
        if matches!(plan.client_tls, ClientTls::Required(_)) && !self.stream.is_secure_channel() {
            self.capabilities = response.capabilities;
            return Err(ErrorReply::encryption_required(
                "Connections using insecure transport are prohibited (tls.mode = \"require\")",
            )
            .into());
        }
        Ok(response)
    }

    async fn authenticate(
        &mut self,
        engine: &Arc<Engine>,
        plan: &Plan,
        opening: Opening<'_>,
        entry: Option<&UserEntry>,
        greeted: Nonce,
    ) -> Result<Accepted, Refusal> {
        let user = match opening {
            Opening::Response(response) => response.user.clone(),
            Opening::ChangeUser(command) => command.user.clone(),
        };
        let terms = Terms {
            demand: demand(engine, plan, &user, entry),
            capabilities: self.capabilities,
            channel: if self.stream.is_secure_channel() { Channel::Secure } else { Channel::Plain },
            greeted,
            random: random(),
            keys: engine.rsa_key(plan).await,
        };
        let mut step = Login::begin(opening, terms, &mut self.sequence, &mut self.out);
        loop {
            step = match step {
                Step::Accepted(accepted) => {
                    // Also where nothing is asked, a user must be known, unless a server is to say so.
                    if entry.is_none() && accepted.clear.is_none() {
                        return Err(Refusal::Secret { user, why: Refused::WrongPassword { given: Given::Yes } });
                    }
                    if let Some(secret) = entry.and_then(|entry| entry.secret.as_ref()) {
                        secret.learn_mysql(accepted.learned.clone());
                    }
                    return Ok(accepted);
                }
                Step::Refused(why) => return Err(Refusal::Secret { user, why }),
                Step::Check(check) => {
                    // Some milliseconds of hashing or of RSA, which anybody can ask for: no more at once than leave room for
                    // those who are logged in. The turn is over when the work is, though the client may be gone by then.
                    let turn = engine.login_checks.clone().acquire_owned().await;
                    let checked = tokio::task::spawn_blocking(move || {
                        let _turn = turn;
                        check.run()
                    })
                    .await;
                    match checked.map_err(|_| Refusal::Gone)? {
                        Ok(accepted) => Step::Accepted(accepted),
                        Err(why) => Step::Refused(why),
                    }
                }
                Step::Wait(login) => {
                    self.write().await?;
                    let payload = self.payload().await?;
                    login.handle(&payload, &mut self.sequence, &mut self.out)?
                }
            };
        }
    }

    /// The route of this user on this database, and the settings with which its session begins.
    async fn find_route(
        &self,
        engine: &Arc<Engine>,
        user: &Arc<str>,
        database: &[u8],
        charset: u16,
        accepted: Accepted,
    ) -> Result<(Arc<Link<Mysql>>, Settings), Refusal> {
        let database = text(database)?;
        let flavour = Flavour::of(self.capabilities);
        if let Some(password) = accepted.clear {
            super::guest::verify(engine, user, &database, flavour, password).await?;
        }
        let link = loop {
            let link = engine.link(user, &database, flavour).and_then(AnyLink::mysql);
            let link = link.map_err(|error| no_lane(error, &database))?;
            if link.shared.facts().is_some() {
                break link;
            }
            let checkout = link.terms().timeouts.checkout;
            match link.pool.checkout(link.id, Checkout::new().within(checkout)).await {
                Ok(_) => break link,
                // It has a successor already, unless the program ends; the time for the login bounds this.
                Err(pool::CheckoutError::RouteGone) => tokio::task::yield_now().await,
                Err(pool::CheckoutError::LoginRefused(error)) => return Err(login_refused(&error).into()),
                Err(error) => {
                    return Err(ErrorReply::read_error(format!("No database server can be reached: {error}")).into());
                }
            }
        };
        let facts = link.shared.facts().ok_or_else(|| ErrorReply::read_error("No database server can be reached"))?;
        if let Some(refused) = facts.refused_charset(charset) {
            return Err(ErrorReply::unusable_charset(&String::from_utf8_lossy(refused)).into());
        }
        let settings = startup(&facts, &link.server_database, charset, self.capabilities);
        Ok((link, settings))
    }

    /// The payload of the next packet.
    async fn payload(&mut self) -> Result<Vec<u8>, Refusal> {
        loop {
            if let Some(header) = Header::peek(&self.read) {
                if header.len > PAYLOAD_LEN_MAX {
                    return Err(ProtocolError::Limit { what: "a login", limit: PAYLOAD_LEN_MAX }.into());
                }
                // Inside compression numbers are those of compressed packets or their own, as clients please.
                if self.stream.is_compressed() {
                    self.sequence = header.sequence;
                } else if header.sequence != self.sequence {
                    return Err(ProtocolError::Sequence { expected: self.sequence, found: header.sequence }.into());
                }
                if let Some(payload) = self.read.get(HEADER_LEN..header.total()) {
                    let payload = payload.to_vec();
                    self.read.drain(..header.total());
                    self.sequence = self.sequence.wrapping_add(1);
                    return Ok(payload);
                }
            }
            let len = Header::peek(&self.read).map_or(HEADER_LEN, Header::total);
            let missing = len.saturating_sub(self.read.len()).max(1);
            // What a hasty client sent behind it stays in the socket: it is the session's.
            match self.stream.read_up_to(&mut self.read, missing).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Err(Refusal::Gone),
            }
        }
    }

    async fn write(&mut self) -> Result<(), Refusal> {
        let written = self.stream.write_all(&self.out).await;
        self.out.clear();
        written.map_err(|_| Refusal::Gone)
    }

    async fn refuse(&mut self, reply: &ErrorReply) {
        self.out.clear();
        reply.write(&mut self.out, &mut self.sequence, self.capabilities);
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

/// How many clients the user and the database may have, where their own entries say so.
fn limits(plan: &Plan, user: &str, route: &Link<Mysql>) -> Result<(Option<u32>, Option<u32>), Refusal> {
    let resolved = plan.table.resolve(user, &route.database).map_err(|error| no_lane(error.into(), &route.database))?;
    Ok((plan.table.user(resolved.user).max_clients, plan.table.database(resolved.database).max_clients))
}

/// The settings with which a session begins that asks for this collation.
fn startup(facts: &Facts, database: &str, charset: u16, capabilities: Capabilities) -> Settings {
    let mut settings = Settings::in_schema(database.as_bytes());
    facts.collation(charset).set(&mut settings);
    if capabilities.contains(Capabilities::IGNORE_SPACE) && !has_mode(&facts.sql_mode, b"IGNORE_SPACE") {
        // The capability is nothing but this mode.
        let mut mode = facts.sql_mode.clone();
        if !mode.is_empty() {
            mode.push(b',');
        }
        mode.extend_from_slice(b"IGNORE_SPACE");
        settings.set(b"sql_mode", &mode);
    }
    settings
}

fn has_mode(sql_mode: &[u8], name: &[u8]) -> bool {
    sql_mode.split(|&byte| byte == b',').any(|mode| mode.eq_ignore_ascii_case(name))
}

/// What a client must prove.
fn demand(engine: &Engine, plan: &Plan, user: &[u8], entry: Option<&UserEntry>) -> Demand {
    if plan.demand == AuthMethod::Trust {
        return Demand::Trust;
    }
    let of_secret = |secret: &UserSecret, exists| Demand::Password {
        credential: secret.credential().clone(),
        learned: secret.learned(),
        exists,
    };
    match entry.and_then(|entry| entry.secret.as_ref()) {
        Some(secret) => of_secret(secret, Exists::Yes),
        None if entry.is_none() && plan.mysql.asks_servers => Demand::PassThrough,
        None => of_secret(&engine.decoys.of(user), Exists::No),
    }
}

fn text(name: &[u8]) -> Result<Arc<str>, Refusal> {
    match std::str::from_utf8(name) {
        Ok(name) => Ok(name.into()),
        Err(_) => Err(ErrorReply::bad_handshake("User and database names must be UTF-8").into()),
    }
}
