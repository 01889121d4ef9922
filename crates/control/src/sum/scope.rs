//! What can be opened as one user of a server, or to one database of it, beside what the server lets these have.

use std::fmt;

use route::{Reach, Scope, ServerIndex, Table};
use session::{Census, ScopeLimit};
use sizing::count;

/// A limit of the server's own on a part of its connections, beside what can be opened of that part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeComparison {
    /// The server's limit.
    pub limit: ScopeLimit,
    /// What can be opened.
    pub reach: Reach,
}

/// Those of a server that concern what its table leads to.
pub(super) fn compare(table: &Table, server: &str, census: &Census) -> Vec<ScopeComparison> {
    let Some(place) = table.servers().iter().position(|known| *known.name == *server) else { return Vec::new() };
    let compared = census.scopes.iter().map(|limit| {
        let reach = table.reach(ServerIndex(place), &limit.scope);
        ScopeComparison { limit: limit.clone(), reach }
    });
    compared.filter(|compared| compared.reach.most > 0).collect()
}

impl ScopeComparison {
    /// What the server lets in of it, without those of others.
    #[must_use]
    pub fn usable(&self) -> u32 {
        self.limit.most.saturating_sub(self.limit.others)
    }

    /// What is left of that; below 0, so many are too many.
    #[must_use]
    pub fn room(&self) -> i64 {
        i64::from(self.usable()) - i64::from(self.reach.most)
    }

    /// How many can be opened, term by term: `4 + 8`, or where nothing but the budget limits them, so.
    #[must_use]
    pub fn formula(&self) -> String {
        match &self.reach.caps {
            None => "the budget: not all of its routes have a cap".into(),
            Some(caps) => caps.iter().map(|cap| count(*cap)).collect::<Vec<_>>().join(" + "),
        }
    }
}

impl fmt::Display for ScopeComparison {
    /// `as user app at most 12 are opened, and there is room for 10: rolconnlimit 10 - 0 of others. That is 2 too many: …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self { limit, reach }, usable) = (self, self.usable());
        let ScopeLimit { scope, setting, most, others } = limit;
        let to = match scope {
            Scope::User(_) => "as",
            Scope::Database(_) => "to",
        };
        write!(f, "{to} {scope} at most {} are opened, and there is room for {usable}: {setting} {most}", reach.most)?;
        if *others > 0 {
            write!(f, " - {others} of others")?;
        }
        match self.room() {
            spare @ 0.. => write!(f, ". They fit, and {spare} are left"),
            room => write!(
                f,
                ". That is {} too many: give its routes caps ([[routes]] cap) that add up to {usable}, or raise {setting} to {}",
                room.unsigned_abs(),
                others.saturating_add(reach.most)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use route::{Database, Rule, Server, Target, User};

    use super::*;

    fn table() -> Table {
        let server = Server::new("a", "shop", "db".parse().unwrap(), 12);
        let database = Database::new("shop", Target::Server("a".into()));
        let rules = vec![Rule { cap: Some(4), ..Rule::new("small", "*") }];
        Table::new(vec![server], vec![database], vec![User::new("app"), User::new("small")], rules).unwrap()
    }

    fn limit(scope: Scope, most: u32, others: u32) -> ScopeLimit {
        ScopeLimit { scope, setting: "rolconnlimit", most, others }
    }

    #[test]
    fn what_does_not_fit_says_what_to_change() {
        let scopes = ["app", "small", "stranger"].map(|name| limit(Scope::User(name.into()), 10, 3)).to_vec();
        let census =
            Census { max_connections: 100, reserved: 0, beyond: 0, others: 0, scopes, at: SystemTime::UNIX_EPOCH };
        let compared = compare(&table(), "a", &census);
        let told: Vec<String> = compared.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "as user app at most 12 are opened, and there is room for 7: rolconnlimit 10 - 3 of others. That is 5 too many: \
                 give its routes caps ([[routes]] cap) that add up to 7, or raise rolconnlimit to 15",
                "as user small at most 4 are opened, and there is room for 7: rolconnlimit 10 - 3 of others. They fit, and 3 are \
                 left",
            ]
        );
        assert!(compare(&table(), "b", &census).is_empty());
    }

    #[test]
    fn a_limit_that_others_exceed_leaves_nothing() {
        let limit = limit(Scope::Database("shop".into()), 2, 3);
        let reach = table().reach(ServerIndex(0), &limit.scope);
        let compared = ScopeComparison { limit, reach };
        assert_eq!((compared.usable(), compared.room()), (0, -12));
        assert!(compared.to_string().starts_with("to database shop at most 12 are opened, and there is room for 0"));
    }
}
