//! Pools and routes, which change together, as a plan says.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use pool::{ClassId, ClassLimits, RouteId, RouteLimits, TransactionLimit};
use route::{Class, ClassIndex, LimitMode, Limits, Resolved};

use super::LaneError;
use crate::{
    class_numbers::ClassNumbers,
    driver::{AnyLink, Driver},
    lane::{Flavour, Ground, Handling, Lane, Names},
    observe::ServerMeters,
    plan::Plan,
    pools::AnyPool,
    registry::Registry,
    seats::{ClassRules, Era},
    secrets::UserSecret,
};

/// Pools and routes, which change together.
#[derive(Debug)]
pub(super) struct World {
    clients: Arc<Registry>,
    pub(super) servers: HashMap<Arc<str>, ServerPool>,
    /// How many drivers there were.
    drivers: u32,
    /// Under which configuration sessions choose their classes.
    era: Era,
    pub(super) lanes: HashMap<LaneKey, AnyLink>,
    /// Users that the plan does not know.
    pub(super) guests: HashMap<GuestKey, Guest>,
}

/// What a guest is found by: each account of each server has a password of its own, and databases may lead to different ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct GuestKey {
    /// The server.
    pub(crate) server: Arc<str>,
    /// The account there that the guest's password was tried for.
    pub(crate) server_user: Arc<str>,
    /// The guest's own name.
    pub(crate) user: Arc<str>,
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
pub(super) struct LaneKey {
    pub(super) user: Arc<str>,
    pub(super) database: Arc<str>,
    pub(super) flavour: Flavour,
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
    pub(super) driver: Driver,
    rules: ClassRules,
    numbers: ClassNumbers,
}

impl ServerPool {
    /// The class that the pool knows by this number; `None`: it is no more.
    #[must_use]
    pub fn class(&self, id: ClassId) -> Option<ClassIndex> {
        self.rules.ids().index(id)
    }

    /// The number by which the pool knows a class.
    pub(super) fn class_id(&self, class: ClassIndex) -> ClassId {
        self.rules.ids().of(class)
    }

    /// Takes over what the configuration says of the server. Its classes hold at once.
    fn take_over(&mut self, server: &route::Server) {
        let classes = &server.classes;
        for gone in self.numbers.change(self.rules.classes(), classes) {
            self.pool.remove_class(gone);
            self.meters.classes.clear(gone);
        }
        let ids = self.numbers.ids().clone();
        for (index, Class { cap, .. }) in classes.iter() {
            let lends_to = classes.lends_to(index).iter().map(|to| ids.of(*to)).collect();
            self.pool.set_class(ids.of(index), ClassLimits { cap: *cap, lends_to });
            if !classes.is_single() {
                self.meters.classes.measure(ids.of(index));
            }
        }
        let limit = &server.transaction_limit;
        self.pool.set_transaction_limit(TransactionLimit {
            mode: match limit.mode {
                LimitMode::Off => pool::LimitMode::Off,
                LimitMode::On => pool::LimitMode::On,
                LimitMode::DryRun => pool::LimitMode::DryRun,
            },
            fraction: limit.fraction,
            classes: classes.transactional().into_iter().map(|class| ids.of(class)).collect(),
        });
        self.rules = ClassRules::new(classes, ids, limit);
        self.server = server.clone();
    }
}

impl World {
    /// One without servers.
    pub(super) fn of(clients: Arc<Registry>) -> Self {
        Self {
            clients,
            servers: HashMap::new(),
            drivers: 0,
            era: Era::default(),
            lanes: HashMap::new(),
            guests: HashMap::new(),
        }
    }

    pub(super) fn update_servers(&mut self, plan: &Plan) {
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
        // Whoever one server has let in is a stranger to that at another address.
        let servers = &self.servers;
        self.guests.retain(|guest, _| servers.contains_key(&guest.server));
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
                    let mut known = ServerPool {
                        pool: driver.pool(),
                        meters,
                        driver,
                        rules: ClassRules::none(),
                        numbers: ClassNumbers::new(),
                        server: server.clone(),
                    };
                    known.take_over(server);
                    self.servers.insert(server.name.clone(), known);
                }
            }
        }
    }

    /// Retires every route that leads a guest to this account.
    pub(super) fn retire_lanes_of(&mut self, guest: &GuestKey) {
        let is_theirs = |key: &LaneKey, link: &mut AnyLink| {
            let lane = link.lane();
            key.user == guest.user && lane.server == guest.server && lane.server_user == guest.server_user
        };
        let gone: Vec<_> = self.lanes.extract_if(is_theirs).map(|(_, link)| link).collect();
        for link in gone {
            self.retire(link.lane());
        }
    }

    /// Closes a lane's routes.
    pub(super) fn retire(&self, lane: &Lane) {
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
    pub(super) fn retire_lanes(&mut self, plan: &Plan, old: &Plan) -> Vec<Arc<Lane>> {
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
            match (resolved, self.servers.get(&lane.server)) {
                (Ok(resolved), Some(ServerPool { rules, .. })) if stays => {
                    let limits = |class| plan.table.limits(resolved.server, class, user, database);
                    for (route, class) in lane.seats.change(rules.clone(), self.era_of(rules)) {
                        let limits = class.map(|class| route_limits(rules.ids().of(class), &limits(class)));
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

    pub(super) fn open_lane(&self, plan: &Plan, key: &LaneKey, resolved: &Resolved) -> Result<AnyLink, LaneError> {
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
        let guest = || {
            let server_user = resolved.server_user.clone();
            let key = GuestKey { server: server.name.clone(), server_user, user: user.clone() };
            self.guests.get(&key).map(|guest| guest.secret.clone())
        };
        let secret = plan.secret(resolved, user, database).or_else(guest);
        let ground = Ground {
            terms: resolved.terms.clone(),
            handling: handling(plan),
            rules: known.rules.clone(),
            era: self.era_of(&known.rules),
        };
        let limits = route_limits(ClassId::DEFAULT, &resolved.terms.limits);
        let lane = |id: RouteId| Lane::new(names.clone(), known.pool.clone(), id, ground);
        let link = known.driver.open(&names, secret, limits, lane);
        known.meters.name_route(link.lane().id, user.clone(), database.clone());
        Ok(link)
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
pub(super) fn route_limits(class: ClassId, limits: &Limits) -> RouteLimits {
    RouteLimits {
        class,
        weight: limits.weight,
        guarantee: limits.guarantee,
        cap: limits.cap,
        min_idle: limits.min_idle,
        max_waiters: limits.max_waiters,
    }
}

/// The same of a route whose class is no more: its clients are served, and nothing is kept for others.
fn parked(limits: &Limits) -> RouteLimits {
    RouteLimits { guarantee: 0, min_idle: 0, ..route_limits(ClassId::DEFAULT, limits) }
}
