//! How many connections to a server can be opened as one of its users, or to one of its databases.

use std::{fmt, sync::Arc};

use crate::{ClassIndex, Database, DatabaseIndex, Protocol, ServerIndex, Table, User};

/// Connections to a server that it may limit by itself, beside all of them together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Those that log in as this user of the server.
    User(Arc<str>),
    /// Those to this database of the server.
    Database(Arc<str>),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user {name}"),
            Self::Database(name) => write!(f, "database {name}"),
        }
    }
}

/// The most connections of a [`Scope`] that a table can have opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// How many.
    pub most: u32,
    /// What the caps of routes and classes allow of them, a summand for each class; `None`: nothing but the budget limits them.
    pub caps: Option<Vec<u64>>,
}

/// Names of users or databases that lead somewhere.
enum Names<'t> {
    These(Vec<&'t str>),
    /// Whatever clients come up with.
    Any,
}

impl Table {
    /// The most connections of this scope to a server. Clients of MySQL that change what a connection is (`found_rows`,
    /// query attributes) have routes of their own, which are not told apart here: each pair of user and database counts once.
    ///
    /// Panics on an index of another table.
    #[must_use]
    pub fn reach(&self, server: ServerIndex, scope: &Scope) -> Reach {
        let budget = self.server(server).budget;
        let caps = self.routes_of(server, scope).and_then(|routes| self.caps(server, &routes));
        let most = caps.as_ref().map_or(budget, |caps| u32::try_from(caps.iter().sum::<u64>()).unwrap_or(u32::MAX));
        Reach { most: most.min(budget), caps }
    }

    /// What routes may hold together, class by class; `None` when one of the classes sets them no limit.
    fn caps(&self, server: ServerIndex, routes: &[(&str, &str)]) -> Option<Vec<u64>> {
        let classes = &self.server(server).classes;
        let borrows = |class| classes.iter().any(|(lender, _)| classes.lends_to(lender).contains(&class));
        let mut caps = Vec::new();
        for (index, class) in classes.iter() {
            if index == ClassIndex::DEFAULT && !classes.leaves_something() {
                continue;
            }
            let concerned = routes.iter().filter(|(user, database)| classes.may_concern(index, user, database));
            let of_routes: Option<u64> =
                concerned.map(|(user, database)| self.limits(server, index, user, database).cap.map(u64::from)).sum();
            let of_class = class.cap.map(u64::from).filter(|_| !borrows(index));
            caps.push(of_routes.into_iter().chain(of_class).min()?);
        }
        caps.retain(|cap| *cap > 0);
        Some(caps)
    }

    /// User and database, as clients name them, of every route of this scope; `None` when there is no end of them.
    fn routes_of<'t>(&'t self, server: ServerIndex, scope: &'t Scope) -> Option<Vec<(&'t str, &'t str)>> {
        let mut routes = Vec::new();
        let databases = self.databases().iter().zip(0..).map(|(database, at)| (database, DatabaseIndex(at)));
        for (database, index) in databases.filter(|(_, index)| self.server_of(*index) == server) {
            let is_home = self.database_index("") == Some(index);
            match (self.users_of(server, database, scope), self.databases_of(database, is_home, scope)) {
                (Names::These(users), Names::These(databases)) => {
                    routes
                        .extend(users.iter().flat_map(|user| databases.iter().map(move |database| (*user, *database))));
                }
                (Names::These(none), _) | (_, Names::These(none)) if none.is_empty() => {}
                _ => return None,
            }
        }
        Some(routes)
    }

    /// Those whose connections to a database are of this scope.
    fn users_of<'t>(&'t self, server: ServerIndex, database: &Database, scope: &'t Scope) -> Names<'t> {
        let is_meant = |user: &&User| match scope {
            Scope::User(name) => database.other_user(user).unwrap_or(&user.name) == name,
            Scope::Database(_) => true,
        };
        let mut names: Vec<&str> = self.users().iter().filter(is_meant).map(|user| &*user.name).collect();
        let guest = self.guest().filter(|_| self.server(server).protocol == Protocol::Mysql);
        if let Some(guest) = guest {
            match (scope, database.other_user(guest)) {
                (Scope::Database(_), _) => return Names::Any,
                (Scope::User(name), Some(other)) if other == name => return Names::Any,
                // A guest has the name that he gives.
                (Scope::User(name), None) if self.user_index(name).is_none() => names.push(name),
                (Scope::User(_), _) => {}
            }
        }
        Names::These(names)
    }

    /// The names under which clients come to a database, as far as their connections are of this scope.
    fn databases_of<'t>(&'t self, database: &'t Database, is_home: bool, scope: &'t Scope) -> Names<'t> {
        let any = database.takes_any_name();
        match (scope, &database.server_database) {
            (Scope::User(_), _) if any => Names::Any,
            // Clients that name none have a route of their own.
            (Scope::User(_), _) if is_home => Names::These(vec![&*database.name, ""]),
            (Scope::User(_), _) => Names::These(vec![&*database.name]),
            (Scope::Database(name), Some(there)) if name == there && any => Names::Any,
            (Scope::Database(name), Some(there)) if name == there => Names::These(vec![&*database.name]),
            (Scope::Database(name), None) if any && self.databases().iter().all(|other| other.name != *name) => {
                Names::These(vec![&**name])
            }
            (Scope::Database(name), None) if !any && *name == database.name => Names::These(vec![&*database.name]),
            (Scope::Database(_), _) => Names::These(Vec::new()),
        }
    }
}

impl Database {
    /// As whom a user's connections log in, if not by the client's own name.
    fn other_user<'t>(&'t self, user: &'t User) -> Option<&'t Arc<str>> {
        self.server_user.as_ref().or(user.server_user.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Class, Classes, Pattern, Rule, Server, Takes, Target};

    fn user(name: &str) -> Scope {
        Scope::User(name.into())
    }

    fn database(name: &str) -> Scope {
        Scope::Database(name.into())
    }

    fn server(budget: u32) -> Server {
        Server::new("a", "shop", "db".parse().unwrap(), budget)
    }

    fn to(server: &Server, name: &str) -> Database {
        Database::new(name, Target::Server(server.name.clone()))
    }

    fn capped(user: &str, database: &str, cap: u32) -> Rule {
        Rule { cap: Some(cap), ..Rule::new(user, database) }
    }

    fn reach(table: &Table, scope: &Scope) -> (u32, Option<Vec<u64>>) {
        let Reach { most, caps } = table.reach(ServerIndex(0), scope);
        (most, caps)
    }

    #[test]
    fn without_caps_everybody_may_use_the_budget() {
        let server = server(40);
        let databases = vec![to(&server, "shop"), to(&server, "crm")];
        let table = Table::new(vec![server], databases, vec![User::new("app")], vec![]).unwrap();
        assert_eq!(reach(&table, &user("app")), (40, None));
        assert_eq!(reach(&table, &database("shop")), (40, None));
        assert_eq!(reach(&table, &user("stranger")), (0, Some(vec![])));
        assert_eq!(reach(&table, &database("elsewhere")), (0, Some(vec![])));
    }

    #[test]
    fn the_caps_of_all_routes_of_a_user_or_a_database_add_up() {
        let server = server(40);
        let renamed = Database { server_database: Some("shop".into()), ..to(&server, "store") };
        let databases = vec![to(&server, "shop"), renamed, to(&server, "crm")];
        let alias = User { server_user: Some("app".into()), ..User::new("web") };
        let rules = vec![capped("app", "crm", 7), capped("*", "shop", 4), capped("*", "*", 2)];
        let table = Table::new(vec![server], databases, vec![User::new("app"), alias], rules).unwrap();
        // app: 4 + 2 + 7; web, who is app there: 4 + 2 + 2.
        assert_eq!(reach(&table, &user("app")), (21, Some(vec![21])));
        // Two users, under two names of the same database.
        assert_eq!(reach(&table, &database("shop")), (12, Some(vec![12])));
        assert_eq!(reach(&table, &database("crm")), (9, Some(vec![9])));
        assert_eq!(reach(&table, &user("web")), (0, Some(vec![])));
    }

    #[test]
    fn any_database_is_any_number_of_routes() {
        let server = server(10);
        let databases = vec![to(&server, "*"), to(&server, "crm")];
        let rules = vec![capped("*", "*", 2)];
        let table = Table::new(vec![server], databases, vec![User::new("app")], rules).unwrap();
        assert_eq!(reach(&table, &user("app")), (10, None));
        assert_eq!(reach(&table, &database("whatever")), (2, Some(vec![2])));
        assert_eq!(reach(&table, &database("crm")), (2, Some(vec![2])));
    }

    #[test]
    fn guests_log_in_by_their_own_names() {
        let server = Server { protocol: Protocol::Mysql, ..server(10) };
        let databases = vec![to(&server, "shop")];
        let rules = vec![capped("*", "*", 2)];
        let guest = User::new("");
        let table = Table::with_guests(vec![server], databases, vec![User::new("app")], guest, rules).unwrap();
        // With a database, and without.
        assert_eq!(reach(&table, &user("app")), (4, Some(vec![4])));
        assert_eq!(reach(&table, &user("guest")), (4, Some(vec![4])));
        assert_eq!(reach(&table, &database("shop")), (10, None));
    }

    #[test]
    fn a_class_limits_what_its_routes_do_not() {
        let takes = Takes { users: vec![Pattern::new("app")], ..Takes::default() };
        let list = vec![Class { cap: Some(3), takes: takes.clone(), ..Class::new("web") }];
        let of = |list: Vec<Class>| {
            let server = Server { classes: Classes::new(list).unwrap(), ..server(10) };
            let databases = vec![to(&server, "shop")];
            let rules = vec![Rule { class: Some(Pattern::new("default")), ..capped("app", "*", 2) }];
            Table::new(vec![server], databases, vec![User::new("app"), User::new("other")], rules).unwrap()
        };
        assert_eq!(reach(&of(list.clone()), &user("app")), (5, Some(vec![2, 3])));
        assert_eq!(reach(&of(list.clone()), &user("other")), (10, None));
        // What it may borrow as well is limited by the budget alone.
        let lender = Class { cap: Some(5), lends_to: vec!["web".into()], takes, ..Class::new("rich") };
        assert_eq!(reach(&of([list, vec![lender]].concat()), &user("app")), (10, None));
    }
}
