//! The table of servers, databases, users and rules.

use route::{
    Address, Classes, Database, Fault, Limits, Pattern, Rule, Server, Subject, Table, Target, Terms, Timeouts, User,
};

use super::{Check, has_guests};
use crate::keys::{DatabaseKeys, File, RouteKeys, ServerAddress, ServerKeys, UserKeys};
use crate::values::{Cap, Period};

impl Check<'_> {
    /// The address of each server, which is written out in full in the keys from here on.
    pub(super) fn addresses(&mut self, servers: &mut [ServerKeys]) -> Option<Vec<Address>> {
        let mut addresses = Vec::with_capacity(servers.len());
        for (server, index) in servers.iter_mut().zip(0_usize..) {
            match server.address.parse(server.protocol.into()) {
                Ok(address) => {
                    server.address = ServerAddress::from(&address);
                    addresses.push(address);
                }
                Err(error) => self.wrong(&["servers", &index.to_string(), "address"], error.to_string()),
            }
        }
        (addresses.len() == servers.len()).then_some(addresses)
    }

    pub(super) fn table(&mut self, file: &File, addresses: Vec<Address>) -> Option<Table> {
        let before = self.problems.len();
        let servers: Vec<_> = file
            .servers
            .iter()
            .zip(addresses)
            .zip(0_usize..)
            .map(|((server, address), index)| {
                let classes = self.classes(file, server, index);
                route_server(server, address, classes, file)
            })
            .collect();
        if self.problems.len() > before {
            // Rules may name classes of a server that got none.
            return None;
        }
        let mut databases = Vec::with_capacity(file.databases.len());
        for (database, index) in file.databases.iter().zip(0_usize..) {
            let target = match (&database.cluster, &database.server) {
                (Some(cluster), None) => Target::Cluster(cluster.as_str().into()),
                (None, Some(server)) => Target::Server(server.as_str().into()),
                _ => {
                    let message = format!("database `{}` needs either a `cluster` or a `server`", database.name);
                    self.wrong(&["databases", &index.to_string()], message);
                    continue;
                }
            };
            databases.push(route_database(database, target, file.limits.max_clients_per_database));
        }
        if databases.len() < file.databases.len() {
            // Without all databases the table would complain of rules whose database is only half written.
            return None;
        }
        let users = file.users.iter().map(|user| route_user(user, file.limits.max_clients_per_user)).collect();
        let rules = file.routes.iter().map(route_rule).collect();
        let table = if has_guests(file) {
            let guest = User { max_clients: file.limits.max_clients_per_user.get(), ..User::new("") };
            Table::with_guests(servers, databases, users, guest, rules)
        } else {
            Table::new(servers, databases, users, rules)
        };
        match table {
            Ok(table) => Some(table),
            Err(faults) => {
                faults.iter().for_each(|fault| self.fault(fault, file));
                None
            }
        }
    }

    fn fault(&mut self, fault: &Fault, file: &File) {
        let (section, index) = match fault.subject {
            Subject::Server(index) => ("servers", index),
            Subject::Database(index) => ("databases", index),
            Subject::User(index) => ("users", index),
            Subject::Rule(index) => ("routes", index),
        };
        let place = index.to_string();
        let has_pool = file.servers.get(index).is_some_and(|server| server.pool.is_some());
        let path = match (section, fault.key, has_pool) {
            ("servers", "min_idle", true) => vec![section, &place, "pool", "min_idle"],
            ("servers", "min_idle", false) => vec!["pool", "min_idle"],
            (_, key, _) => vec![section, &place, key],
        };
        let hint = fault.nearest.as_ref().map(|name| format!("did you mean `{name}`?"));
        self.problems.push(self.places.problem(&path, fault.what.to_string(), hint));
    }
}

fn route_server(server: &ServerKeys, address: Address, classes: Classes, file: &File) -> Server {
    let pool = server.pool.as_ref().unwrap_or(&file.pool);
    Server {
        name: server.name.as_str().into(),
        cluster: server.cluster.as_ref().unwrap_or(&server.name).as_str().into(),
        protocol: server.protocol.into(),
        address,
        role: server.role.into(),
        zone: server.zone.as_deref().map(Into::into),
        budget: server.budget,
        classes,
        transaction_limit: (&file.transaction_limit).into(),
        terms: Terms {
            pool_mode: pool.mode.into(),
            session_state: pool.session_state.into(),
            timeouts: Timeouts {
                checkout: Period::get(pool.checkout_timeout),
                query: file.timeouts.query.into(),
                transaction: file.timeouts.transaction.into(),
                idle_in_transaction: file.timeouts.idle_in_transaction.into(),
                client_idle: file.timeouts.client_idle.into(),
            },
            limits: Limits {
                cap: pool.max.get(),
                min_idle: pool.min_idle,
                initial: pool.initial,
                max_waiters: pool.max_waiters_per_route.get(),
                ..Limits::default()
            },
        },
    }
}

fn route_database(database: &DatabaseKeys, target: Target, max_clients: Cap) -> Database {
    Database {
        server_database: database.server_database.as_deref().map(Into::into),
        server_user: database.server_user.as_deref().map(Into::into),
        max_clients: database.max_clients.unwrap_or(max_clients).get(),
        overrides: database.overrides(),
        ..Database::new(&database.name, target)
    }
}

fn route_user(user: &UserKeys, max_clients: Cap) -> User {
    User {
        server_user: user.server_user.as_deref().map(Into::into),
        max_clients: user.max_clients.unwrap_or(max_clients).get(),
        overrides: user.overrides(),
        ..User::new(&user.name)
    }
}

fn route_rule(keys: &RouteKeys) -> Rule {
    Rule {
        user: Pattern::new(&*keys.user),
        database: Pattern::new(&*keys.database),
        class: keys.class.as_deref().map(Pattern::new),
        weight: keys.weight,
        guarantee: keys.guarantee,
        cap: keys.cap,
        min_idle: keys.min_idle,
        initial: keys.initial,
        max_waiters: keys.max_waiters.map(Cap::get),
        overrides: keys.overrides(),
    }
}
