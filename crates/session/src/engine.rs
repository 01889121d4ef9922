//! The one value that owns everything: pools, routes, clients, and what shall hold for them.

use std::{
    error::Error,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use auth::{rsa::KeyPair, scram::Key};
use pool::RouteId;
use route::{ClassIndex, NoRoute, Resolved};
use tokio::{
    runtime::Handle,
    sync::{OnceCell, Semaphore},
};

use crate::{
    console::Console,
    decoys::Decoys,
    driver::{AnyLink, Driver},
    flow::Buffers,
    lane::{Flavour, Lane},
    mysql::{Facts, guest::CHECKS_MAX},
    plan::Plan,
    registry::{Alarm, DUE_INTERVAL, Registry},
    secrets::{UserSecret, random},
    stream::Codecs,
};

mod world;

pub use world::ServerPool;
pub(crate) use world::{Guest, GuestKey};
use world::{LaneKey, World, route_limits};

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
        let route = lane.pool().add_sibling(lane.id, route_limits(known.class_id(class), &limits))?;
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
    pub(crate) fn guest(&self, key: &GuestKey) -> Option<Guest> {
        self.lock().guests.get(key).cloned()
    }

    /// A server has accepted a guest's password. Routes that logged in there with another one make way.
    pub(crate) fn admit_guest(&self, key: GuestKey, secret: Arc<UserSecret>) {
        let mut world = self.lock();
        if world.guests.len() >= ROUTES_MAX {
            world.guests.clear();
        }
        // Several logins with one password may have been checked at once: the routes of the first serve them all.
        let before = world.guests.get(&key).map(|guest| guest.secret.clone());
        let same = before.filter(|before| before.credential() == secret.credential());
        if same.is_none() {
            world.retire_lanes_of(&key);
        }
        world.guests.insert(key, Guest { secret: same.unwrap_or(secret), accepted: Instant::now() });
    }

    /// A server does not accept a guest's password any more. Its routes make way.
    pub(crate) fn expel_guest(&self, key: &GuestKey) {
        let mut world = self.lock();
        world.guests.remove(key);
        world.retire_lanes_of(key);
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
