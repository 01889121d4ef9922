//! What a table says that is not wrong, and yet can hardly be meant.

use crate::{Class, ClassIndex, LimitMode, Server, ServerIndex, Table};

/// Something in a table that its author may want to look at again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Doubt {
    /// A cap that nothing can reach.
    #[error("server `{server}`: class `{class}` has a cap of {cap}, which its budget of {budget} never lets it reach")]
    CapAboveBudget {
        /// The server.
        server: String,
        /// The class.
        class: String,
        /// Its cap.
        cap: u32,
        /// The server's budget.
        budget: u32,
    },
    /// More promised in a class than it may hold.
    #[error(
        "server `{server}`: the guarantees of the routes in class `{class}` add up to {guarantees} connections, its cap is \
         {cap}"
    )]
    GuaranteesAboveCap {
        /// The server.
        server: String,
        /// The class.
        class: String,
        /// All guarantees in it together.
        guarantees: u64,
        /// Its cap.
        cap: u32,
    },
    /// A class that never gets anything, because another one takes it before.
    #[error(
        "server `{server}`: class `{class}` gets nothing, because class `{by}` is asked before it and takes all of it"
    )]
    Shadowed {
        /// The server.
        server: String,
        /// The class.
        class: String,
        /// The one that takes it.
        by: String,
    },
    /// A class for users that do not exist.
    #[error("server `{server}`: class `{class}` is for the users {users} only, and there is none of them")]
    NobodyFor {
        /// The server.
        server: String,
        /// The class.
        class: String,
        /// The users it is for.
        users: String,
    },
    /// A share of transactions that rounds down to nothing.
    #[error(
        "server `{server}`: transaction_limit.per_user is {fraction}, and that of {connections} connections is less than one"
    )]
    NoTransactions {
        /// The server.
        server: String,
        /// The fraction, as given.
        fraction: String,
        /// What it is a fraction of.
        connections: u32,
    },
}

impl Table {
    /// Everything that can hardly be meant, by server.
    #[must_use]
    pub fn doubts(&self) -> Vec<Doubt> {
        let mut doubts = Vec::new();
        for (server, index) in self.servers().iter().zip(0..) {
            self.doubts_of(server, ServerIndex(index), &mut doubts);
        }
        doubts
    }

    fn doubts_of(&self, server: &Server, index: ServerIndex, doubts: &mut Vec<Doubt>) {
        let name = || server.name.to_string();
        for (class_index, class) in server.classes.iter() {
            let class_name = || class.name.to_string();
            if let Some(cap) = class.cap {
                if cap > server.budget {
                    let budget = server.budget;
                    doubts.push(Doubt::CapAboveBudget { server: name(), class: class_name(), cap, budget });
                }
                let guarantees = self.guaranteed(index, class_index);
                if guarantees > u64::from(cap) {
                    doubts.push(Doubt::GuaranteesAboveCap { server: name(), class: class_name(), guarantees, cap });
                }
            }
            if let Some(users) = self.nobody_for(class) {
                doubts.push(Doubt::NobodyFor { server: name(), class: class_name(), users });
            }
        }
        let shadowed = server.classes.shadowed();
        doubts.extend(shadowed.map(|(class, by)| Doubt::Shadowed {
            server: name(),
            class: class.name.to_string(),
            by: by.name.to_string(),
        }));
        let limit = &server.transaction_limit;
        let connections = server.transaction_connections();
        if limit.mode != LimitMode::Off && f64::from(connections) * limit.fraction < 1.0 {
            doubts.push(Doubt::NoTransactions { server: name(), fraction: limit.fraction.to_string(), connections });
        }
    }

    /// The guarantees of all known routes in a class together.
    fn guaranteed(&self, server: ServerIndex, class: ClassIndex) -> u64 {
        let classes = &self.server(server).classes;
        let databases = self.known_databases().filter(|(_, database)| self.server_of(*database) == server);
        let routes = databases.flat_map(|(name, _)| self.users().iter().map(move |user| (&*user.name, name)));
        let concerned = routes.filter(|(user, database)| classes.may_concern(class, user, database));
        concerned.map(|(user, database)| u64::from(self.limits(server, class, user, database).guarantee)).sum()
    }

    /// The users of a class's rule, if nobody can log in as one of them.
    fn nobody_for(&self, class: &Class) -> Option<String> {
        let patterns = &class.takes.users;
        let is_somebody = |user: &str| patterns.iter().any(|pattern| pattern.matches(user));
        if patterns.is_empty() || self.guest().is_some() || self.users().iter().any(|user| is_somebody(&user.name)) {
            return None;
        }
        Some(patterns.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(", "))
    }
}

impl Server {
    /// The connections that the transaction limiter shares out: the caps of the classes for transactions alone, within the
    /// budget; or all of them.
    #[must_use]
    pub fn transaction_connections(&self) -> u32 {
        let caps = self.classes.transactional().into_iter().map(|class| self.classes.get(class).cap);
        let sum = caps.map(|cap| cap.unwrap_or(self.budget)).fold(0_u32, u32::saturating_add);
        sum.min(self.budget)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Classes, Database, Pattern, Rule, Takes, Target, TransactionLimit, User};

    fn texts(server: Server, rules: Vec<Rule>) -> Vec<String> {
        let database = Database::new("shop", Target::Server(server.name.clone()));
        let users = vec![User::new("app"), User::new("report")];
        let table = Table::new(vec![server], vec![database], users, rules).unwrap();
        table.doubts().iter().map(ToString::to_string).collect()
    }

    fn server(classes: Vec<Class>) -> Server {
        let classes = Classes::new(classes).unwrap();
        Server { classes, ..Server::new("a", "shop", "db".parse().unwrap(), 10) }
    }

    fn of_users(name: &str, users: &[&str]) -> Class {
        let users = users.iter().map(|user| Pattern::new(*user)).collect();
        Class { takes: Takes { users, ..Takes::default() }, ..Class::new(name) }
    }

    #[test]
    fn what_is_meant_leaves_no_doubt() {
        assert!(texts(Server::new("a", "shop", "db".parse().unwrap(), 10), vec![]).is_empty());
        let small = Class { cap: Some(10), ..of_users("web", &["nobody", "a*"]) };
        let rule = Rule { guarantee: Some(10), class: Some(Pattern::new("web")), ..Rule::new("app", "*") };
        assert!(texts(server(vec![small]), vec![rule]).is_empty());
    }

    #[test]
    fn every_doubt_is_told() {
        let found = texts(
            server(vec![
                Class { cap: Some(11), ..of_users("dba", &["root", "ad*"]) },
                Class { cap: Some(3), ..of_users("web", &["app", "report"]) },
                of_users("app", &["app"]),
            ]),
            vec![Rule { guarantee: Some(2), class: Some(Pattern::new("web")), ..Rule::new("*", "*") }],
        );
        assert_eq!(
            found,
            [
                "server `a`: class `dba` has a cap of 11, which its budget of 10 never lets it reach",
                "server `a`: class `dba` is for the users `root`, `ad*` only, and there is none of them",
                "server `a`: the guarantees of the routes in class `web` add up to 4 connections, its cap is 3",
                "server `a`: class `app` gets nothing, because class `web` is asked before it and takes all of it",
            ]
        );
    }

    #[test]
    fn a_share_of_less_than_one_transaction_is_doubtful() {
        let limited = |mode, fraction| Server {
            transaction_limit: TransactionLimit { mode, fraction, ..TransactionLimit::default() },
            ..server(vec![])
        };
        assert!(texts(limited(LimitMode::Off, 0.05), vec![]).is_empty());
        assert!(texts(limited(LimitMode::On, 0.1), vec![]).is_empty());
        assert_eq!(
            texts(limited(LimitMode::DryRun, 0.05), vec![]),
            ["server `a`: transaction_limit.per_user is 0.05, and that of 10 connections is less than one"]
        );
    }

    #[test]
    fn the_limiter_shares_out_the_classes_for_transactions() {
        let preset = |budget| Server { classes: Classes::vttablet(), budget, ..server(vec![]) };
        assert_eq!(preset(400).transaction_connections(), 40);
        assert_eq!(preset(30).transaction_connections(), 30);
        assert_eq!(server(vec![]).transaction_connections(), 10);
    }
}
