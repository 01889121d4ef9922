//! The sum: the most connections that the configuration can open to a server, term by term, and whether they fit it.

use std::{fmt, sync::Arc};

use route::{Class, ClassIndex, Protocol, RESERVED_CLASS, Server, Table};
use session::Census;
use sizing::{Amount, Derived, Room, ServerLimit, Sum, Term, count};

pub use self::scope::ScopeComparison;

mod scope;
pub(crate) mod watch;

/// The most connections to one server.
#[derive(Debug, Clone, PartialEq)]
pub struct Most {
    /// The server.
    pub server: Arc<str>,
    /// What all of it stays within.
    pub budget: u32,
    /// The classes, term by term. What has no cap is limited by the budget alone.
    pub classes: Sum,
    /// What is opened beyond the budget, if there is such a thing.
    pub on_demand: Option<Term>,
}

/// VTTablet's pools in the order of Vitess's formula, those together that it counts together.
const FORMULA: [&[&str]; 7] = [
    &["transaction", "found_rows"],
    &["oltp"],
    &["stream"],
    &["dba"],
    &["app"],
    &["tx_read"],
    &["online_ddl_executor", "table_gc", "throttler"],
];

impl Most {
    /// Of this server, as it is configured.
    #[must_use]
    pub fn of(server: &Server) -> Self {
        let on_demand = (server.protocol == Protocol::Mysql).then(|| Term {
            name: "on demand: logins that stop a query, or check the password of an unknown user".into(),
            setting: None,
            amount: Amount::Open,
        });
        let classes = Sum { terms: terms(server) };
        Self { server: server.name.clone(), budget: server.budget, classes, on_demand }
    }

    /// What the classes with caps may hold together, with its derivation: `20 × 2 + 16 + … = 326`.
    #[must_use]
    pub fn caps(&self) -> Derived<u64> {
        self.classes.fixed()
    }

    /// All of it in a line: `at most 400 connections: caps 20 × 2 + 16 + … = 326, reserved without a cap, budget 400`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let caps = self.caps();
        let formula = caps.derivation.steps().first().map_or("0", |step| &*step.filled);
        let caps = match formula {
            "" => String::new(),
            one if !one.contains([' ', '+']) => format!("caps {one}, "),
            several => format!("caps {several} = {}, ", count(caps.value)),
        };
        let open: String = self.classes.open().map(|term| format!("{} without a cap, ", term.name)).collect();
        format!("at most {} connections: {caps}{open}budget {}", count(self.connections()), count(self.budget.into()))
    }

    /// The most connections at once, those on demand aside.
    #[must_use]
    pub fn connections(&self) -> u64 {
        let budget = u64::from(self.budget);
        let is_open = self.classes.open().next().is_some();
        if is_open { budget } else { budget.min(self.classes.with_variable()) }
    }

    /// What the server lets in beyond them; below 0, so many are too many.
    #[must_use]
    pub fn room(&self, census: &Census) -> i64 {
        let usable = let_in(census).usable().value;
        i64::from(usable) - i64::try_from(self.connections()).unwrap_or(i64::MAX)
    }

    /// Whether they fit into what the server lets in: in all, of each user and to each database. `table` is the configuration
    /// that the server is from.
    #[must_use]
    pub fn compare(&self, census: &Census, table: &Table) -> Comparison {
        let (most, limit) = (self.connections(), let_in(census));
        let scopes = scope::compare(table, &self.server, census);
        let room = limit.room(most).value;
        Comparison { server: self.server.clone(), budget: self.budget, most, limit, room, scopes }
    }
}

fn let_in(census: &Census) -> ServerLimit {
    ServerLimit { max_connections: census.max_connections, reserve: census.reserved, others: census.others }
}

/// What can be opened beside what the server lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    server: Arc<str>,
    budget: u32,
    most: u64,
    /// What the server lets in.
    pub limit: ServerLimit,
    /// What is left, or too many.
    pub room: Room,
    /// The same for each user and each database to which the server has a limit of its own.
    pub scopes: Vec<ScopeComparison>,
}

impl Comparison {
    /// Whether it fits.
    #[must_use]
    pub fn fits(&self) -> bool {
        matches!(self.room, Room::Fits { .. }) && self.scopes.iter().all(|scope| scope.room() >= 0)
    }

    /// The whole of it in a sentence, without users and databases.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { server, most, limit, .. } = self;
        let ServerLimit { max_connections, reserve, others } = limit;
        let usable = limit.usable().value;
        let missing = (u64::from(*reserve) + u64::from(*others) + most).saturating_sub((*max_connections).into());
        let verdict = match self.room {
            Room::Fits { spare } => format!("It fits, and {spare} are left"),
            Room::TooMany { .. } if usable == 0 => {
                format!("Raise max_connections by {missing}, or find out who the others are")
            }
            Room::TooMany { excess } => format!(
                "That is {excess} too many: lower servers.budget from {} to {usable}, or raise max_connections by {missing}",
                self.budget
            ),
        };
        format!(
            "server {server}: at most {most} connections are opened, and there is room for {usable}: max_connections \
             {max_connections} - {reserve} for administrators - {others} of others. {verdict}"
        )
    }
}

impl fmt::Display for Comparison {
    /// The sentence, and one more for each user and database that does not fit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())?;
        self.scopes.iter().filter(|scope| scope.room() < 0).try_for_each(|scope| write!(f, "; {scope}"))
    }
}

fn terms(server: &Server) -> Vec<Term> {
    let classes = &server.classes;
    if classes.is_single() && classes.reserved().is_none() {
        let amount = Amount::Pools { pools: 1, cap: server.budget };
        return vec![Term { name: "default".into(), setting: Some("servers.budget"), amount }];
    }
    let place = |class: &Class| FORMULA.iter().position(|group| group.contains(&&*class.name));
    let special = |index| index == ClassIndex::DEFAULT || Some(index) == classes.reserved();
    // Own classes first, those of the preset in the order of the formula.
    let mut taking: Vec<&Class> =
        classes.iter().filter(|(index, _)| !special(*index)).map(|(_, class)| class).collect();
    taking.sort_by_key(|class| place(class).map_or(0, |place| place + 1));
    let together = |a: &&Class, b: &&Class| place(a).is_some() && place(a) == place(b);
    let mut terms: Vec<Term> = taking.chunk_by(together).flat_map(terms_of).collect();
    if classes.leaves_something() {
        terms.push(Term { name: "default".into(), setting: Some("servers.budget"), amount: Amount::Open });
    }
    if let Some(reserved) = classes.reserved() {
        let amount = classes.get(reserved).cap.map_or(Amount::Open, Amount::UpTo);
        terms.push(Term { name: RESERVED_CLASS.into(), setting: Some("pool.max_reserved"), amount });
    }
    terms
}

/// Classes that belong together in one term, if they have caps: as a product if these are equal, else added up.
fn terms_of(together: &[&Class]) -> Vec<Term> {
    let caps: Option<Vec<u32>> = together.iter().map(|class| class.cap).collect();
    let amount = match caps.as_deref() {
        Some([first, second]) if first == second => Amount::Pools { pools: 2, cap: *first },
        Some(caps) => Amount::Pools { pools: 1, cap: caps.iter().fold(0, |sum: u32, cap| sum.saturating_add(*cap)) },
        // One without a cap: each has a term of its own.
        None => return together.iter().map(|class| term(&class.name, class.cap)).collect(),
    };
    let names: Vec<&str> = together.iter().map(|class| &*class.name).collect();
    vec![Term { name: names.join(", "), setting: Some("classes.cap"), amount }]
}

fn term(name: &str, cap: Option<u32>) -> Term {
    let amount = cap.map_or(Amount::Open, |cap| Amount::Pools { pools: 1, cap });
    Term { name: name.into(), setting: Some(if cap.is_some() { "classes.cap" } else { "servers.budget" }), amount }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use route::{Classes, Pattern, Takes, User};

    use super::*;

    fn server(classes: Vec<Class>, budget: u32) -> Server {
        let classes = Classes::new(classes).unwrap();
        Server { classes, ..Server::new("a", "shop", "db".parse().unwrap(), budget) }
    }

    fn formula(server: &Server) -> String {
        Most::of(server).caps().derivation.steps()[0].filled.clone()
    }

    fn census(max_connections: u32, reserved: u32, others: u32) -> Census {
        Census { max_connections, reserved, beyond: 0, others, scopes: Vec::new(), at: SystemTime::UNIX_EPOCH }
    }

    #[test]
    fn one_class_may_use_the_budget() {
        let most = Most::of(&server(vec![], 40));
        assert_eq!((most.connections(), most.caps().value), (40, 40));
        assert_eq!(most.sentence(), "at most 40 connections: caps 40, budget 40");
        assert!(most.on_demand.is_none());
        let mysql = Server { protocol: Protocol::Mysql, ..server(vec![], 40) };
        assert!(Most::of(&mysql).on_demand.is_some());
    }

    #[test]
    fn the_preset_is_vitess_formula_to_the_digit() {
        let preset = |cap, budget| {
            let mut list = Classes::preset();
            list.iter_mut().filter(|class| &*class.name == "reserved").for_each(|class| class.cap = cap);
            server(list, budget)
        };
        assert_eq!(formula(&preset(None, 400)), "20 × 2 + 16 + 200 + 20 + 40 + 3 + 7");
        assert_eq!(formula(&preset(None, 400)), sizing::VtTablet::default().sum().fixed().derivation.steps()[0].filled);
        let most = |cap, budget| Most::of(&preset(cap, budget));
        assert_eq!(most(None, 400).caps().value, 326);
        assert_eq!(
            most(None, 400).sentence(),
            "at most 400 connections: caps 20 × 2 + 16 + 200 + 20 + 40 + 3 + 7 = 326, reserved without a cap, budget 400"
        );
        // What is reserved comes on top, as far as the budget goes.
        assert_eq!(most(None, 400).connections(), 400);
        assert_eq!(most(Some(10), 400).connections(), 336);
        assert_eq!(most(Some(10), 300).connections(), 300);
        let variable: Vec<_> = most(None, 400).classes.open().map(|term| term.name.clone()).collect();
        assert_eq!(variable, ["reserved"]);
    }

    #[test]
    fn own_classes_stand_before_the_presets_and_the_rest_may_use_the_budget() {
        let takes = Takes { users: vec![Pattern::new("r")], ..Takes::default() };
        let mut list = vec![Class { cap: Some(8), takes, ..Class::new("reports") }, Class::new("free")];
        list.extend(
            Classes::preset().into_iter().filter(|class| matches!(&*class.name, "oltp" | "transaction" | "throttler")),
        );
        let server = server(list, 100);
        assert_eq!(formula(&server), "8 + 20 + 16 + 2");
        let names: Vec<_> = Most::of(&server).classes.terms.iter().map(|term| term.name.clone()).collect();
        // `free` takes what the others leave, so nothing is left for `default`.
        assert_eq!(names, ["reports", "free", "transaction", "oltp", "throttler"]);
        assert_eq!(Most::of(&server).connections(), 100);
    }

    #[test]
    fn what_does_not_fit_says_what_to_change() {
        let (server, user) = (server(vec![], 40), User::new("app"));
        let most = Most::of(&server);
        let table = Table::new(vec![server], vec![], vec![user], vec![]).unwrap();
        let fits = most.compare(&census(100, 3, 57), &table);
        assert!(fits.fits());
        assert_eq!(
            fits.to_string(),
            "server a: at most 40 connections are opened, and there is room for 40: max_connections 100 - 3 for \
             administrators - 57 of others. It fits, and 0 are left"
        );
        let tight = most.compare(&census(100, 3, 60), &table);
        assert!(!tight.fits());
        assert!(tight.to_string().ends_with(
            "room for 37: max_connections 100 - 3 for administrators - 60 of others. That is 3 too many: lower \
             servers.budget from 40 to 37, or raise max_connections by 3"
        ));
        let full = most.compare(&census(100, 3, 200), &table);
        assert!(full.to_string().contains("Raise max_connections by 143,"), "{full}");
    }
}
