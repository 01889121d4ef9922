//! The one value that owns everything: pools, routes, clients, and what shall hold for them.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use auth::{rsa::KeyPair, scram::Key};
use pool::{ClassLimits, RouteId, RouteLimits, TransactionLimit};
use route::{ClassIndex, Identity, LimitMode, Limits, NoRoute, Resolved, ServerIndex};
use tokio::{
    runtime::Handle,
    sync::{OnceCell, Semaphore},
};

use crate::{
    console::Console,
    decoys::Decoys,
    driver::{AnyLink, Driver},
    flow::Buffers,
    lane::{Flavour, Ground, Handling, Lane, Names},
    mysql::{Facts, guest::CHECKS_MAX},
    observe::ServerMeters,
    plan::Plan,
    pools::AnyPool,
    registry::{Alarm, DUE_INTERVAL, Registry},
    seats::{ClassRules, Era, class_id},
    secrets::{UserSecret, random},
    stream::Codecs,
};

/// The most routes. Names of databases under `*` come from clients, who can invent them.
pub const ROUTES_MAX: usize = 100_000;

/// The most connections whose first packet is awaited, or whose cancel request is being delivered. More wait in the
/// listener's queue.
pub const LOBBY_MAX: usize = 64;

/// The most passwords of MySQL clients that are decrypted and hashed at once: as with SCRAM, whoever connects can ask for
/// it, and those who are logged in need the processors as well.
const LOGIN_CHECKS_MAX: usize = 2;

/// At the end, how long clients may take to read why they are disconnected.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// Everything that serves clients.
#[derive(Debug)]
pub struct Engine {
    plan: ArcSwap<Plan>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) buffers: Buffers,
    /// What compresses for MySQL clients.
    pub(crate) codecs: Arc<Codecs>,
    /// Places for connections that have not said what they want.
    pub(crate) lobby: Arc<Semaphore>,
    console: OnceLock<Arc<dyn Console>>,
    /// What mock verifiers are made of, so that a user who does not exist looks the same at every try.
    pub(crate) mock_seed: Key,
    pub(crate) decoys: Decoys,
    /// With what MySQL clients without TLS hide their password, if the plan names no key: made when the first one asks.
    rsa_key: OnceCell<Option<Arc<KeyPair>>>,
    /// Turns for what is costly in a MySQL client's login.
    pub(crate) login_checks: Arc<Semaphore>,
    /// Turns for checking passwords of guests at servers.
    pub(crate) guest_checks: Semaphore,
    world: Mutex<World>,
}

/// Pools and routes, which change together.
#[derive(Debug)]
struct World {
    clients: Arc<Registry>,
    servers: HashMap<Arc<str>, ServerPool>,
    /// How many drivers there were.
    drivers: u32,
    /// Under which configuration sessions choose their classes.
    era: Era,
    lanes: HashMap<LaneKey, AnyLink>,
    /// Users that the plan does not know, by server and name: each server has passwords of its own.
    guests: HashMap<(Arc<str>, Arc<str>), Guest>,
}

/// A user that the plan does not know.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    /// The password that a server has accepted.
    pub(crate) secret: Arc<UserSecret>,
    /// When that was, last.
    pub(crate) accepted: Instant,
}

/// What a route is found by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct LaneKey {
    user: Arc<str>,
    database: Arc<str>,
    flavour: Flavour,
}

/// The pool of one server.
#[derive(Debug, Clone)]
pub struct ServerPool {
    /// The server as configured.
    pub server: route::Server,
    /// Its pool.
    pub pool: AnyPool,
    /// What happens to its connections.
    pub meters: Arc<ServerMeters>,
    driver: Driver,
    rules: ClassRules,
}

/// Why there is no route for a client.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// The configuration has none.
    #[error(transparent)]
    NoRoute(#[from] NoRoute),
    /// There are too many already.
    #[error("too many routes ({ROUTES_MAX})")]
    TooMany,
    /// The database is on a server that speaks the other protocol.
    #[error("this database is on a {0} server: connect to the address for {0} clients")]
    OtherProtocol(&'static str),
}

impl Engine {
    /// An engine that does as `plan` says, with relay buffers of `buffer_len` bytes. Must be made inside a tokio runtime, which runs the pools' tasks.
    #[must_use]
    pub fn new(plan: Plan, buffer_len: usize) -> Arc<Self> {
        let registry = Arc::new(Registry::new(plan.limits));
        let mut world = World::of(registry.clone());
        world.update_servers(&plan);
        let decoys = Decoys::new(&plan);
        let engine = Arc::new(Self {
            plan: ArcSwap::from_pointee(plan),
            registry,
            buffers: Buffers::new(buffer_len),
            codecs: Arc::default(),
            lobby: Arc::new(Semaphore::new(LOBBY_MAX)),
            console: OnceLock::new(),
            mock_seed: Key::new(random()),
            decoys,
            rsa_key: OnceCell::new(),
            login_checks: Arc::new(Semaphore::new(LOGIN_CHECKS_MAX)),
            guest_checks: Semaphore::new(CHECKS_MAX),
            world: Mutex::new(world),
        });
        let weak = Arc::downgrade(&engine);
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(DUE_INTERVAL);
            loop {
                tick.tick().await;
                match weak.upgrade() {
                    Some(engine) => engine.registry.raise_due(),
                    None => return,
                }
            }
        });
        engine
    }

    /// Gives the engine its console, once.
    pub fn set_console(&self, console: Arc<dyn Console>) {
        if self.console.set(console).is_err() {
            tracing::warn!("the console was set twice; the first one stays");
        }
    }

    /// Makes everything as `plan` says. Clients stay; transactions under way end on the connection they began on.
    pub fn apply(&self, plan: Plan) {
        let mut world = self.lock();
        world.update_servers(&plan);
        self.registry.set_limits(plan.limits);
        self.decoys.update(&plan);
        if !plan.mysql.asks_servers {
            world.guests.clear();
        }
        let retired = world.retire_lanes(&plan, &self.plan.load());
        self.plan.store(Arc::new(plan));
        for lane in retired {
            world.retire(&lane);
        }
    }

    /// The route of this user on this database, made if it is not in use yet.
    ///
    /// # Errors
    /// [`LaneError`] when there can be none.
    pub fn lane(&self, user: &str, database: &str) -> Result<Arc<Lane>, LaneError> {
        Ok(self.link(user, database, Flavour::Plain)?.lane().clone())
    }

    /// The same for the sessions of its protocol.
    pub(crate) fn link(&self, user: &str, database: &str, flavour: Flavour) -> Result<AnyLink, LaneError> {
        let mut world = self.lock();
        // Under the lock: plan and world change together.
        let plan = self.plan.load();
        let resolved = plan.table.resolve(user, database)?;
        let key = LaneKey { user: user.into(), database: database.into(), flavour };
        if let Some(lane) = world.lanes.get(&key) {
            return Ok(lane.clone());
        }
        if world.lanes.len() >= ROUTES_MAX {
            return Err(LaneError::TooMany);
        }
        let link = world.open_lane(&plan, &key, &resolved)?;
        world.lanes.insert(key, link.clone());
        drop(world);
        let initial = resolved.terms.limits.initial;
        if initial > 0 {
            link.lane().pool().open_ahead(link.lane().id, initial);
        }
        Ok(link)
    }

    /// A lane's route in a class. If the class is no more, or the lane was retired, it is one that ends or goes on elsewhere.
    pub(crate) fn seat(&self, lane: &Lane, class: ClassIndex) -> RouteId {
        lane.seats.route(class).or_else(|| self.open_seat(lane, class)).unwrap_or(lane.id)
    }

    /// A lane's route in a class, opened if its clients have not used the class yet. `None`: the lane was retired, or the
    /// class is no more.
    fn open_seat(&self, lane: &Lane, class: ClassIndex) -> Option<RouteId> {
        let world = self.lock();
        let plan = self.plan.load();
        let seating = lane.seats.seating();
        if class.get() >= seating.classes.list().len() {
            return None;
        }
        if let route @ Some(_) = seating.route(class) {
            return route;
        }
        let server = plan.table.resolve(&lane.user, &lane.database).ok()?.server;
        let known = world.servers.get(&lane.server)?;
        if plan.table.server(server).name != lane.server {
            return None;
        }
        let limits = plan.table.limits(server, class, &lane.user, &lane.database);
        let route = lane.pool().add_sibling(lane.id, route_limits(class, &limits))?;
        known.meters.name_route(route, lane.user.clone(), lane.database.clone());
        lane.seats.add(class, route);
        Some(route)
    }

    /// Takes a connection of a route and gives it back. Returns the server's version.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn probe(
        &self,
        user: &str,
        database: &str,
        within: Duration,
    ) -> Result<String, Box<dyn Error + Send + Sync>> {
        self.link(user, database, Flavour::Plain)?.probe(within).await
    }

    /// What makes the connections for this user on this database.
    pub(crate) fn driver(&self, user: &str, database: &str) -> Result<(Arc<str>, Driver, Resolved), LaneError> {
        let world = self.lock();
        let plan = self.plan.load();
        let resolved = plan.table.resolve(user, database)?;
        let server = &plan.table.server(resolved.server).name;
        let known = world.servers.get(server).ok_or(LaneError::TooMany)?;
        Ok((server.clone(), known.driver.clone(), resolved))
    }

    /// What is known of the MySQL servers that have been reached.
    pub(crate) fn mysql_facts(&self) -> Vec<Arc<Facts>> {
        self.lock().servers.values().filter_map(|known| known.driver.mysql_facts()).collect()
    }

    /// With what MySQL clients without TLS hide their password.
    pub(crate) async fn rsa_key(&self, plan: &Plan) -> Option<Arc<KeyPair>> {
        if let key @ Some(_) = &plan.mysql.rsa_key {
            return key.clone();
        }
        // It takes a good part of a second, in which this thread has others to serve.
        let made = async || {
            let key = tokio::task::spawn_blocking(KeyPair::generate).await.ok()?;
            let key = key.inspect_err(|error| tracing::warn!(%error, "no RSA key for MySQL clients"));
            key.ok().map(Arc::new)
        };
        self.rsa_key.get_or_init(made).await.clone()
    }

    /// What is known of a guest whose password a server has accepted.
    pub(crate) fn guest(&self, server: &Arc<str>, user: &Arc<str>) -> Option<Guest> {
        self.lock().guests.get(&(server.clone(), user.clone())).cloned()
    }

    /// A server has accepted a guest's password. Routes that logged in there with another one make way.
    pub(crate) fn admit_guest(&self, server: &Arc<str>, user: &Arc<str>, secret: Arc<UserSecret>) {
        let mut world = self.lock();
        if world.guests.len() >= ROUTES_MAX {
            world.guests.clear();
        }
        // Several logins with one password may have been checked at once: the routes of the first serve them all.
        let place = (server.clone(), user.clone());
        let before = world.guests.get(&place).map(|guest| guest.secret.clone());
        let same = before.filter(|before| before.credential() == secret.credential());
        if same.is_none() {
            world.retire_lanes_of(server, user);
        }
        world.guests.insert(place, Guest { secret: same.unwrap_or(secret), accepted: Instant::now() });
    }

    /// A server does not accept a guest's password any more. Its routes make way.
    pub(crate) fn expel_guest(&self, server: &Arc<str>, user: &Arc<str>) {
        let mut world = self.lock();
        world.guests.remove(&(server.clone(), user.clone()));
        world.retire_lanes_of(server, user);
    }

    /// Every route in use.
    #[must_use]
    pub fn lanes(&self) -> Vec<Arc<Lane>> {
        self.lock().lanes.values().map(|link| link.lane().clone()).collect()
    }

    /// Every server's pool.
    #[must_use]
    pub fn servers(&self) -> Vec<ServerPool> {
        self.lock().servers.values().cloned().collect()
    }

    /// All client connections.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// What holds now.
    #[must_use]
    pub fn plan(&self) -> Arc<Plan> {
        self.plan.load_full()
    }

    /// Ends everything: no new work, idle clients are told at once, work under way may finish until the deadline. What
    /// is left then is told that it ends, and its queries are canceled.
    pub async fn drain(&self, deadline: Duration) {
        self.send_away(Alarm::Drain, deadline).await;
        self.send_away(Alarm::Kill, FAREWELL_TIMEOUT).await;
        let closing: Vec<_> = self
            .servers()
            .into_iter()
            .map(|server| Handle::current().spawn(async move { server.pool.close(Duration::from_secs(1)).await }))
            .collect();
        for close in closing {
            if let Ok(report) = close.await {
                tracing::info!(closed = report.closed, abandoned = report.abandoned, "server connections closed");
            }
        }
    }

    /// Tells all clients, until they have left or time is over. Operators stay: they see how it goes.
    async fn send_away(&self, alarm: Alarm, within: Duration) {
        let until = Instant::now() + within;
        loop {
            let clients = self.registry.entries();
            if clients.is_empty() || Instant::now() >= until {
                return;
            }
            clients.iter().for_each(|client| client.raise(alarm));
            tokio::time::sleep(DUE_INTERVAL).await;
        }
    }

    pub(crate) fn console(&self) -> Option<&Arc<dyn Console>> {
        self.console.get()
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServerPool {
    /// Takes over what the configuration says of the server. Its classes hold at once.
    fn take_over(&mut self, server: &route::Server) {
        let classes = &server.classes;
        for (index, class) in classes.iter() {
            let lends_to = classes.lends_to(index).iter().copied().map(class_id).collect();
            self.pool.set_class(class_id(index), ClassLimits { cap: class.cap, lends_to });
        }
        // Numbers that no class has any more.
        for (index, _) in self.rules.classes().iter().filter(|(index, _)| index.get() >= classes.list().len()) {
            self.pool.set_class(class_id(index), ClassLimits::default());
        }
        if !classes.is_single() {
            self.meters.classes.measure(classes.list().len());
        }
        let limit = &server.transaction_limit;
        self.pool.set_transaction_limit(TransactionLimit {
            mode: match limit.mode {
                LimitMode::Off => pool::LimitMode::Off,
                LimitMode::On => pool::LimitMode::On,
                LimitMode::DryRun => pool::LimitMode::DryRun,
            },
            fraction: limit.fraction,
            classes: classes.transactional().into_iter().map(class_id).collect(),
        });
        self.rules = ClassRules::new(classes, limit);
        self.server = server.clone();
    }
}

impl World {
    /// One without servers.
    fn of(clients: Arc<Registry>) -> Self {
        Self {
            clients,
            servers: HashMap::new(),
            drivers: 0,
            era: Era::default(),
            lanes: HashMap::new(),
            guests: HashMap::new(),
        }
    }

    fn update_servers(&mut self, plan: &Plan) {
        let wanted: Vec<_> = plan.table.servers().iter().zip(&plan.servers).collect();
        let moved = |name: &Arc<str>, known: &ServerPool| {
            !wanted.iter().any(|(server, _)| server.name == *name && server.address == known.server.address)
        };
        self.servers.retain(|name, known| {
            let gone = moved(name, known);
            if gone {
                let pool = known.pool.clone();
                tokio::spawn(async move { pool.close(Duration::from_secs(60)).await });
            }
            !gone
        });
        self.era = self.era.next();
        for (server, wanted) in wanted {
            match self.servers.get_mut(&server.name) {
                Some(known) => {
                    known.take_over(server);
                    known.pool.set_settings(wanted.pool.clone());
                    known.driver.update(plan, wanted);
                }
                None => {
                    let meters = Arc::new(ServerMeters::new(server.name.clone(), self.clients.clone()));
                    let driver = Driver::new(self.drivers, server, plan, wanted, &meters);
                    self.drivers += 1;
                    let rules = ClassRules::new(&server.classes, &server.transaction_limit);
                    let mut known = ServerPool { pool: driver.pool(), meters, driver, rules, server: server.clone() };
                    known.take_over(server);
                    self.servers.insert(server.name.clone(), known);
                }
            }
        }
    }

    /// Retires every route of a user.
    fn retire_lanes_of(&mut self, server: &Arc<str>, user: &Arc<str>) {
        let is_theirs = |key: &LaneKey, link: &mut AnyLink| key.user == *user && link.lane().server == *server;
        let gone: Vec<_> = self.lanes.extract_if(is_theirs).map(|(_, link)| link).collect();
        for link in gone {
            self.retire(link.lane());
        }
    }

    /// Closes a lane's routes.
    fn retire(&self, lane: &Lane) {
        for route in lane.ids() {
            lane.pool().remove_route(route);
            if let Some(known) = self.servers.get(&lane.server) {
                known.meters.forget_route(route);
            }
        }
    }

    /// Under which configuration the clients of a server choose their classes.
    fn era_of(&self, rules: &ClassRules) -> Era {
        if rules.is_plain() { Era::PLAIN } else { self.era }
    }

    /// Updates the routes that stay what they are, and takes out the others.
    fn retire_lanes(&mut self, plan: &Plan, old: &Plan) -> Vec<Arc<Lane>> {
        let mut retired = Vec::new();
        let mut lanes = std::mem::take(&mut self.lanes);
        lanes.retain(|LaneKey { user, database, .. }, link| {
            let lane = link.lane();
            let resolved = plan.table.resolve(user, database);
            let stays = match (&resolved, old.table.resolve(user, database)) {
                (Ok(new), Ok(old_resolved)) => {
                    let server = plan.table.server(new.server);
                    server.name == lane.server
                        && server.address == old.table.server(old_resolved.server).address
                        && new.server_user == lane.server_user
                        && new.server_database == lane.server_database
                        && same_credential(plan.secret(new, user, database), old.secret(&old_resolved, user, database))
                }
                _ => false,
            };
            match resolved {
                Ok(resolved) if stays => {
                    let server = plan.table.server(resolved.server);
                    let limits = |class| plan.table.limits(resolved.server, class, user, database);
                    let rules = self.servers.get(&server.name).map(|known| known.rules.clone());
                    let rules = rules.unwrap_or_else(|| ClassRules::new(&server.classes, &server.transaction_limit));
                    let era = self.era_of(&rules);
                    for (route, class) in lane.seats.change(rules, era) {
                        let limits = class.map(|class| route_limits(class, &limits(class)));
                        lane.pool().set_route_limits(route, limits.unwrap_or_else(|| parked(&resolved.terms.limits)));
                    }
                    lane.terms.store(Arc::new(resolved.terms));
                    lane.handling.store(Arc::new(handling(plan)));
                    true
                }
                _ => {
                    retired.push(lane.clone());
                    false
                }
            }
        });
        self.lanes = lanes;
        retired
    }

    fn open_lane(&self, plan: &Plan, key: &LaneKey, resolved: &Resolved) -> Result<AnyLink, LaneError> {
        let LaneKey { user, database, flavour } = key;
        let server = plan.table.server(resolved.server);
        // A reload may have replaced the plan between the look-up of the route and the lock on the world.
        let known = self.servers.get(&server.name).ok_or(LaneError::TooMany)?;
        let names = Names {
            user: user.clone(),
            database: database.clone(),
            server: server.name.clone(),
            server_user: resolved.server_user.clone(),
            server_database: resolved.server_database.clone(),
            flavour: *flavour,
        };
        let guest = || self.guests.get(&(server.name.clone(), user.clone())).map(|guest| guest.secret.clone());
        let secret = plan.secret(resolved, user, database).or_else(guest);
        let ground = Ground {
            terms: resolved.terms.clone(),
            handling: handling(plan),
            rules: known.rules.clone(),
            era: self.era_of(&known.rules),
        };
        let limits = route_limits(ClassIndex::DEFAULT, &resolved.terms.limits);
        let lane = |id: RouteId| Lane::new(names.clone(), known.pool.clone(), id, ground);
        let link = known.driver.open(&names, secret, limits, lane);
        known.meters.name_route(link.lane().id, user.clone(), database.clone());
        Ok(link)
    }
}

impl Plan {
    /// What proves the server user of a route.
    fn secret(&self, resolved: &Resolved, user: &str, database: &str) -> Option<Arc<UserSecret>> {
        match resolved.identity {
            Identity::Database => self
                .databases
                .get(database)
                .or_else(|| self.databases.get(&self.table.database(resolved.database).name))
                .cloned(),
            Identity::Client | Identity::User => {
                let entry = self.users.get(user)?;
                entry.server_secret.clone().or_else(|| entry.secret.clone())
            }
        }
    }

    /// The server that a database leads to, for messages.
    #[must_use]
    pub fn server_name(&self, index: ServerIndex) -> &Arc<str> {
        &self.table.server(index).name
    }
}

fn handling(plan: &Plan) -> Handling {
    Handling { prepared: plan.prepared, message_len_max: plan.message_len_max }
}

fn same_credential(one: Option<Arc<UserSecret>>, other: Option<Arc<UserSecret>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one.credential() == other.credential(),
        _ => false,
    }
}

/// What the scheduler is told of a lane's route in this class.
fn route_limits(class: ClassIndex, limits: &Limits) -> RouteLimits {
    RouteLimits {
        class: class_id(class),
        weight: limits.weight,
        guarantee: limits.guarantee,
        cap: limits.cap,
        min_idle: limits.min_idle,
        max_waiters: limits.max_waiters,
    }
}

/// The same of a route whose class is no more: its clients are served, and nothing is kept for others.
fn parked(limits: &Limits) -> RouteLimits {
    RouteLimits { guarantee: 0, min_idle: 0, ..route_limits(ClassIndex::DEFAULT, limits) }
}
