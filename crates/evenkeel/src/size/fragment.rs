//! Lines for evenkeel.toml.

use std::{fmt::Write, time::Duration};

use super::pools::Protocol;

/// The default of `pool.checkout_timeout`, which says how many clients may wait.
pub(super) const CHECKOUT_TIMEOUT: Duration = Duration::from_secs(5);

/// The default of `pool.max_waiters`; not more are advised, as each holds memory.
const WAITERS_MAX: u32 = 10_000;

/// A server of a running node, with its new budget.
pub(super) struct Sized<'a> {
    pub(super) name: &'a str,
    pub(super) cluster: &'a str,
    pub(super) protocol: &'a str,
    pub(super) address: &'a str,
    pub(super) budget: u32,
    /// Clients that may wait; [`None`]: nothing is known of it.
    pub(super) waiters: Option<u32>,
    pub(super) guarantees: Vec<Guarantee<'a>>,
    /// Classes and their caps, 0 for none; empty: one class for everything.
    pub(super) classes: Vec<(&'a str, u32)>,
}

/// Connections that a route gets before anyone gets more than theirs.
pub(super) struct Guarantee<'a> {
    pub(super) user: &'a str,
    pub(super) database: &'a str,
    pub(super) connections: u32,
}

/// For servers of which nothing is known but how many there are.
pub(super) fn of_needs(protocol: Protocol, budget: u32, servers: u32, waiters: u32) -> String {
    let which = match servers {
        1 => String::new(),
        _ => format!("                   # one of {servers}; the same budget for each"),
    };
    // PostgreSQL is the default.
    let spoken = match protocol {
        Protocol::Postgres => "address = \"db-1.example:5432\"",
        Protocol::Mysql => "protocol = \"mysql\"\naddress = \"db-1.example:3306\"",
    };
    format!("{}\n[[servers]]{which}\nname = \"db-1\"\ncluster = \"db\"\n{spoken}\nbudget = {budget}\n", pool(waiters))
}

/// For a server of a running node: its entry with the new budget, and the entries of its routes.
pub(super) fn of_node(server: &Sized<'_>) -> String {
    let mut text = server.waiters.map_or_else(String::new, |waiters| pool(waiters) + "\n");
    let _ = write!(
        text,
        "[[servers]]                   # keep its other keys\nname = {}\ncluster = {}\nprotocol = {}\naddress = {}\nbudget = {}\n",
        quoted(server.name),
        quoted(server.cluster),
        quoted(server.protocol),
        quoted(server.address),
        server.budget
    );
    if !server.classes.is_empty() {
        let classes: Vec<String> =
            server.classes.iter().map(|(name, cap)| format!("{} = {cap}", quoted(name))).collect();
        let _ = writeln!(text, "classes = {{ {} }}", classes.join(", "));
    }
    for Guarantee { user, database, connections } in &server.guarantees {
        // In a rule of a route, a * stands for any text.
        if user.contains('*') || database.contains('*') {
            continue;
        }
        let _ = write!(
            text,
            "\n[[routes]]\nuser = {}\ndatabase = {}\nguarantee = {connections}\n",
            quoted(user),
            quoted(database)
        );
    }
    text
}

fn pool(waiters: u32) -> String {
    let why = if waiters < WAITERS_MAX { "what can be served within checkout_timeout" } else { "the default" };
    format!(
        "[pool]\ncheckout_timeout = \"{}s\"\nmax_waiters = {}           # {why}\n",
        CHECKOUT_TIMEOUT.as_secs(),
        waiters.min(WAITERS_MAX)
    )
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => _ = write!(quoted, "\\u{:04X}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use config::Config;

    use super::*;

    const REST: &str = "[[databases]]\nname = \"*\"\ncluster = \"db\"\n[[users]]\nname = \"app\"\npassword = \"x\"\n";

    #[test]
    fn what_is_to_be_pasted_is_a_configuration() {
        for (servers, waiters) in [(1, 200), (3, 34_000)] {
            for (protocol, called) in [(Protocol::Postgres, "PostgreSQL"), (Protocol::Mysql, "MySQL")] {
                let text = of_needs(protocol, 34, servers, waiters) + REST;
                let config = Config::from_toml(&text, "pasted").unwrap();
                let server = &config.table().servers()[0];
                assert_eq!((server.budget, &*server.protocol.to_string()), (34, called));
            }
        }
    }

    #[test]
    fn a_nodes_servers_and_routes_are_a_configuration_whatever_their_names() {
        let odd = "a\"b\\é]#";
        let guarantee = |user, connections| Guarantee { user, database: "shop", connections };
        let mut server = Sized {
            name: "main",
            cluster: "db",
            protocol: "mysql",
            address: "10.0.0.5:3306",
            budget: 21,
            waiters: Some(77),
            guarantees: vec![guarantee(odd, 3), guarantee("app", 2), guarantee("a*", 9)],
            classes: Vec::new(),
        };
        let users = format!("[[users]]\nname = {}\npassword = \"x\"\n", quoted(odd));
        let config = Config::from_toml(&(of_node(&server) + REST + &users), "pasted").unwrap();
        assert_eq!(config.table().servers()[0].budget, 21);
        let guaranteed = |user: &str| config.table().resolve(user, "shop").unwrap().terms.limits.guarantee;
        assert_eq!((guaranteed(odd), guaranteed("app")), (3, 2));
        server.waiters = None;
        server.guarantees.clear();
        server.classes = vec![("oltp", 12), ("stream", 0), ("transaction", 7)];
        let config = Config::from_toml(&(of_node(&server) + REST), "pasted").unwrap();
        let classes = &config.table().servers()[0].classes;
        let cap = |name: &str| classes.list().iter().find(|class| &*class.name == name).unwrap().cap;
        assert_eq!((cap("oltp"), cap("stream"), cap("transaction")), (Some(12), None, Some(7)));
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(quoted("a\u{7f}\t"), "\"a\\u007F\\u0009\"");
    }

    #[test]
    fn the_defaults_named_are_the_defaults() {
        let pool = config::keys::PoolKeys::default();
        assert_eq!(pool.checkout_timeout.get(), CHECKOUT_TIMEOUT);
        assert_eq!(pool.max_waiters, WAITERS_MAX);
    }
}
