//! Do the entries of a table fit together?

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::fault::What;
use crate::{Database, Fault, Role, Rule, Server, ServerIndex, Subject, Table, Target, User, nearest};

/// Every contradiction that shows without resolving a route.
///
/// With `guests`, rules may name users that are not in the list.
pub(crate) fn entries(
    servers: &[Server],
    databases: &[Database],
    users: &[User],
    guests: bool,
    rules: &[Rule],
) -> Vec<Fault> {
    let mut faults = Vec::new();
    duplicates("server", servers.iter().map(|s| &s.name), Subject::Server, &mut faults);
    duplicates("database", databases.iter().map(|d| &d.name), Subject::Database, &mut faults);
    duplicates("user", users.iter().map(|u| &u.name), Subject::User, &mut faults);
    for (server, index) in servers.iter().zip(0..) {
        if server.budget == 0 {
            let what = What::NoBudget { server: server.name.to_string() };
            faults.push(fault(Subject::Server(index), "budget", what));
        }
        let limits = &server.terms.limits;
        above_cap(limits.guarantee, limits.min_idle, limits.cap, Subject::Server(index), &mut faults);
    }
    protocols(servers, &mut faults);
    primaries(servers, &mut faults);
    for (database, index) in databases.iter().zip(0..) {
        targets(servers, database, Subject::Database(index), &mut faults);
    }
    for (rule, index) in rules.iter().zip(0..) {
        let subject = Subject::Rule(index);
        if !guests {
            rule_user(rule, users, subject, &mut faults);
        }
        rule_database(rule, databases, subject, &mut faults);
        rule_class(rule, servers, subject, &mut faults);
        if rule.weight == Some(0) {
            faults.push(fault(subject, "weight", What::ZeroWeight));
        }
        above_cap(rule.guarantee.unwrap_or(0), rule.min_idle.unwrap_or(0), rule.cap, subject, &mut faults);
    }
    faults
}

/// The guarantees of all known routes must fit their server's budget together, or they would be empty promises.
///
/// Each class that may get a user's work on a database counts. A `*` database counts once for every user, beside the names that rules give it; what its clients ask for at run time is
/// not known here, and the scheduler never grants beyond the budget anyway.
pub(crate) fn guarantees(table: &Table) -> Vec<Fault> {
    if table.rules.iter().all(|rule| rule.guarantee.unwrap_or(0) == 0) {
        return Vec::new();
    }
    let mut sums = vec![0_u64; table.servers.len()];
    for (name, database) in table.known_databases() {
        let server = table.server_of(database);
        for user in &table.users {
            sums[server.0] += promised(table, server, &user.name, name);
        }
    }
    let over = table.servers.iter().zip(sums).zip(0..).filter(|((server, sum), _)| *sum > u64::from(server.budget));
    over.map(|((server, guarantees), index)| {
        let (server, budget) = (server.name.to_string(), server.budget);
        fault(Subject::Server(index), "budget", What::GuaranteesAboveBudget { server, guarantees, budget })
    })
    .collect()
}

/// The guarantees of one user on one database, in all classes that may get their work.
fn promised(table: &Table, server: ServerIndex, user: &str, database: &str) -> u64 {
    let classes = &table.server(server).classes;
    let concerned = classes.iter().filter(|(class, _)| classes.may_concern(*class, user, database));
    concerned.map(|(class, _)| u64::from(table.limits(server, class, user, database).guarantee)).sum()
}

/// No rule that leaves the cap to the server may promise more than that: nobody could ever keep it.
pub(crate) fn inherited_caps(table: &Table) -> Vec<Fault> {
    let lowest = table.servers.iter().filter_map(|server| server.terms.limits.cap).min();
    let promises = |rule: &Rule| rule.guarantee.max(rule.min_idle).filter(|_| rule.cap.is_none());
    if !table.rules.iter().any(|rule| lowest.is_some() && promises(rule) > lowest) {
        return Vec::new();
    }
    let deciding =
        deciding_rules(table).into_iter().map(|(rule, server)| (rule, &table.rules[rule], &table.servers[server]));
    let mut faults = Vec::new();
    for (index, rule, server) in deciding.filter(|(_, rule, _)| rule.cap.is_none()) {
        let Some(cap) = server.terms.limits.cap else { continue };
        for (key, value) in [("guarantee", rule.guarantee), ("min_idle", rule.min_idle)] {
            if let Some(value) = value.filter(|value| *value > cap) {
                let server = server.name.to_string();
                faults.push(fault(Subject::Rule(index), key, What::AboveServerCap { key, value, server, cap }));
            }
        }
    }
    faults
}

/// Each rule, by its place, that says what some known user has on a server: a rule behind another for all of them says nothing.
fn deciding_rules(table: &Table) -> BTreeSet<(usize, usize)> {
    // Guests are known by the names that rules give them.
    let guests = table.rules.iter().filter(|_| table.guest().is_some()).filter_map(|rule| rule.user.exact());
    let users: BTreeSet<&str> = table.users.iter().map(|user| &*user.name).chain(guests).collect();
    let mut deciding = BTreeSet::new();
    for (database, index) in table.known_databases() {
        let server = table.server_of(index);
        let classes = &table.server(server).classes;
        for user in &users {
            let concerned = classes.iter().filter(|(class, _)| classes.may_concern(*class, user, database));
            let rules = concerned.filter_map(|(_, class)| table.rule_index(user, database, &class.name));
            deciding.extend(rules.map(|rule| (rule, server.0)));
        }
    }
    deciding
}

/// The server that a target means.
pub(crate) fn leads_to(servers: &[Server], target: &Target) -> Option<ServerIndex> {
    let position = match target {
        Target::Server(name) => servers.iter().position(|server| server.name == *name),
        Target::Cluster(name) => {
            let with_role = |role| servers.iter().position(|server| server.cluster == *name && server.role == role);
            with_role(Role::Primary).or_else(|| with_role(Role::Auto))
        }
    };
    position.map(ServerIndex)
}

fn fault(subject: Subject, key: &'static str, what: What) -> Fault {
    Fault { subject, key, what, nearest: None }
}

fn duplicates<'a>(
    kind: &'static str,
    names: impl Iterator<Item = &'a Arc<str>>,
    subject: fn(usize) -> Subject,
    faults: &mut Vec<Fault>,
) {
    let mut seen = HashSet::new();
    for (name, index) in names.zip(0..) {
        if !seen.insert(name) {
            faults.push(fault(subject(index), "name", What::Duplicate { kind, name: name.to_string() }));
        }
    }
}

/// One protocol per cluster: its first server's.
fn protocols(servers: &[Server], faults: &mut Vec<Fault>) {
    let mut firsts: HashMap<&str, &Server> = HashMap::new();
    for (server, index) in servers.iter().zip(0..) {
        let first = *firsts.entry(&server.cluster).or_insert(server);
        if first.protocol != server.protocol {
            let what = What::MixedProtocols {
                cluster: server.cluster.to_string(),
                first: first.name.to_string(),
                first_speaks: first.protocol,
                second: server.name.to_string(),
                second_speaks: server.protocol,
            };
            faults.push(fault(Subject::Server(index), "protocol", what));
        }
    }
}

/// One primary per cluster: declared, or the only `auto`.
fn primaries(servers: &[Server], faults: &mut Vec<Fault>) {
    #[derive(Default)]
    struct Found<'a> {
        primary: Option<&'a Server>,
        auto: Option<(&'a Server, Option<usize>)>,
    }
    let mut clusters: HashMap<&str, Found<'_>> = HashMap::new();
    for (server, index) in servers.iter().zip(0..) {
        let found = clusters.entry(&server.cluster).or_default();
        match (server.role, found.primary, found.auto) {
            (Role::Replica, ..) => {}
            (Role::Primary, None, _) => found.primary = Some(server),
            (Role::Primary, Some(first), _) => {
                let (first, second) = (first.name.to_string(), server.name.to_string());
                let cluster = server.cluster.to_string();
                faults.push(fault(Subject::Server(index), "role", What::TwoPrimaries { cluster, first, second }));
            }
            (Role::Auto, _, None) => found.auto = Some((server, None)),
            (Role::Auto, _, Some((first, _))) => found.auto = Some((first, Some(index))),
        }
    }
    for (server, index) in servers.iter().zip(0..) {
        // Reported once, at the cluster's first server: later ones find the entry gone.
        let Some(found) = clusters.remove(&*server.cluster) else { continue };
        let cluster = server.cluster.to_string();
        match (found.primary, found.auto) {
            (None, None) => faults.push(fault(Subject::Server(index), "role", What::NoPrimary { cluster })),
            (None, Some((first, Some(second)))) => {
                let what = What::WhichPrimary {
                    cluster,
                    first: first.name.to_string(),
                    second: servers[second].name.to_string(),
                };
                faults.push(fault(Subject::Server(second), "role", what));
            }
            _ => {}
        }
    }
}

fn targets(servers: &[Server], database: &Database, subject: Subject, faults: &mut Vec<Fault>) {
    let (key, wanted, names): (_, _, Vec<&str>) = match &database.target {
        Target::Cluster(name) => ("cluster", name, servers.iter().map(|server| &*server.cluster).collect()),
        Target::Server(name) => ("server", name, servers.iter().map(|server| &*server.name).collect()),
    };
    if !names.contains(&&**wanted) {
        let what = What::UnknownTarget { database: database.name.to_string(), target: database.target.clone() };
        let nearest = nearest(wanted, names).map(Into::into);
        faults.push(Fault { subject, key, what, nearest });
    }
}

/// A rule for an exact name that nobody can have is a slip of the pen.
fn rule_user(rule: &Rule, users: &[User], subject: Subject, faults: &mut Vec<Fault>) {
    let names = || users.iter().map(|user| &*user.name);
    if let Some(name) = rule.user.exact().filter(|name| !names().any(|user| user == *name)) {
        let nearest = nearest(name, names()).map(Into::into);
        faults.push(Fault { subject, key: "user", what: What::UnknownUser(rule.user.clone()), nearest });
    }
}

/// The same for databases.
fn rule_database(rule: &Rule, databases: &[Database], subject: Subject, faults: &mut Vec<Fault>) {
    let names = || databases.iter().map(|database| &*database.name);
    let known = |name: &str| names().any(|database| database == name || database == "*");
    if let Some(name) = rule.database.exact().filter(|name| !known(name)) {
        let nearest = nearest(name, names()).map(Into::into);
        faults.push(Fault { subject, key: "database", what: What::UnknownDatabase(rule.database.clone()), nearest });
    }
}

/// The same for classes, which are those of any server; and what a rule for a class cannot say.
fn rule_class(rule: &Rule, servers: &[Server], subject: Subject, faults: &mut Vec<Fault>) {
    let Some(class) = &rule.class else { return };
    let names = || servers.iter().flat_map(|server| server.classes.list()).map(|class| &*class.name);
    if let Some(name) = class.exact().filter(|name| !names().any(|class| class == *name)) {
        let nearest = nearest(name, names()).map(Into::into);
        faults.push(Fault { subject, key: "class", what: What::UnknownClass(class.clone()), nearest });
    }
    if let Some(key) = rule.overrides.first_key() {
        faults.push(fault(subject, key, What::NotOfClass(key)));
    }
}

fn above_cap(guarantee: u32, min_idle: u32, cap: Option<u32>, subject: Subject, faults: &mut Vec<Fault>) {
    let Some(cap) = cap else { return };
    if cap == 0 {
        faults.push(fault(subject, "cap", What::ZeroCap));
        return;
    }
    for (key, value) in [("guarantee", guarantee), ("min_idle", min_idle)] {
        if value > cap {
            faults.push(fault(subject, key, What::AboveCap { key, value, cap }));
        }
    }
}
