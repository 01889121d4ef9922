//! What servers limit beside the number of all connections: those of one user, and those to one database.
//!
//! PostgreSQL tells all of these limits to everybody. MySQL and MariaDB tell each account its own, so every user's connections
//! ask for theirs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use mysql::view::TextRow;
use route::Scope;

use super::number;
use crate::{mysql as my, postgres as pg_side};

/// A limit of a server's own on a part of its connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeLimit {
    /// Which connections it is for.
    pub scope: Scope,
    /// What the server calls it.
    pub setting: &'static str,
    /// The most of them that the server lets in.
    pub most: u32,
    /// Those of them that are there and not ours. A MySQL server does not tell: 0.
    pub others: u32,
}

/// The most limits that are kept of one server, the tightest ones.
const LIMITS_MAX: usize = 1_000;

/// How long an account's limit is taken for known.
const KNOWN_FOR: Duration = Duration::from_secs(60);

/// Roles and databases with a `CONNECTION LIMIT`, each with its connections for clients. It is none for superusers.
const ASK_POSTGRES: &str = "WITH present AS (SELECT usesysid, datid FROM pg_catalog.pg_stat_activity \
    WHERE coalesce(backend_type, 'client backend') = 'client backend') \
    SELECT 'user', rolname, rolconnlimit, (SELECT pg_catalog.count(*) FROM present WHERE usesysid = pg_roles.oid) \
    FROM pg_catalog.pg_roles WHERE rolconnlimit >= 0 AND NOT rolsuper \
    UNION ALL \
    SELECT 'database', datname, datconnlimit, (SELECT pg_catalog.count(*) FROM present WHERE datid = pg_database.oid) \
    FROM pg_catalog.pg_database WHERE datconnlimit >= 0 \
    ORDER BY 3, 1, 2";

/// What the session's account may have, or everybody where it has no limit of its own; 0: as many as it wants.
const ASK_MYSQL: &[u8] = b"SELECT @@SESSION.max_user_connections";

/// The limits that a PostgreSQL server has, ours still among the `others`.
pub(super) async fn ask_postgres(
    server: &mut pg_side::ServerConnection,
) -> Result<Vec<ScopeLimit>, pg_side::ServerError> {
    let text = format!("{ASK_POSTGRES} LIMIT {LIMITS_MAX}");
    let rows = pg_side::rows(server, text.as_bytes()).await?;
    let mut limits = Vec::new();
    for row in rows {
        limits.extend(limit(&pg::view::data_row(&row)?));
    }
    Ok(limits)
}

fn limit(row: &[Option<&[u8]>]) -> Option<ScopeLimit> {
    let &[Some(kind), Some(name), most, present] = row else { return None };
    let name: Arc<str> = std::str::from_utf8(name).ok()?.into();
    let (scope, setting) = match kind {
        b"user" => (Scope::User(name), "rolconnlimit"),
        _ => (Scope::Database(name), "datconnlimit"),
    };
    Some(ScopeLimit { scope, setting, most: number(most)?, others: number(present)? })
}

/// What MySQL servers said of the accounts that we log in as.
#[derive(Debug, Default)]
pub(super) struct Accounts(Mutex<BTreeMap<Arc<str>, Account>>);

#[derive(Debug)]
struct Account {
    /// `None`: it did not say, or there is no limit.
    most: Option<u32>,
    asked: Instant,
}

impl Accounts {
    /// Asks on a connection of this user, unless that is known.
    pub(super) async fn ask(&self, user: &Arc<str>, server: &mut my::ServerConnection) -> Result<(), my::ServerError> {
        if !self.is_due(user, Instant::now()) {
            return Ok(());
        }
        let rows = match my::rows(server, ASK_MYSQL).await {
            Ok(rows) => rows,
            // A server that keeps it to itself.
            Err(my::ServerError::Statement { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let most = number(rows.first().and_then(|row| TextRow::new(row).nth(0).flatten()));
        if let Some(account) = self.lock().get_mut(user) {
            account.most = most.filter(|most| *most > 0);
        }
        Ok(())
    }

    /// The limits that are known.
    pub(super) fn limits(&self) -> Vec<ScopeLimit> {
        let limit = |(user, account): (&Arc<str>, &Account)| {
            let scope = Scope::User(user.clone());
            Some(ScopeLimit { scope, setting: "max_user_connections", most: account.most?, others: 0 })
        };
        self.lock().iter().filter_map(limit).collect()
    }

    /// Whether it is time to ask for this user; then it is no more, for others.
    fn is_due(&self, user: &Arc<str>, now: Instant) -> bool {
        let mut accounts = self.lock();
        let Some(known) = accounts.get_mut(user) else {
            let has_room = accounts.len() < LIMITS_MAX;
            if has_room {
                accounts.insert(user.clone(), Account { most: None, asked: now });
            }
            return has_room;
        };
        let is_old = now.duration_since(known.asked) >= KNOWN_FOR;
        if is_old {
            known.asked = now;
        }
        is_old
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Account>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_account_is_asked_once_in_a_while() {
        let (accounts, app) = (Accounts::default(), Arc::from("app"));
        let now = Instant::now();
        assert!(accounts.is_due(&app, now));
        assert!(!accounts.is_due(&app, now + KNOWN_FOR / 2));
        assert!(accounts.is_due(&"other".into(), now));
        assert!(accounts.is_due(&app, now + KNOWN_FOR));
        for number in 0..2 * LIMITS_MAX {
            accounts.is_due(&number.to_string().into(), now);
        }
        assert_eq!(accounts.lock().len(), LIMITS_MAX);
        assert!(accounts.limits().is_empty(), "nobody has answered");
    }

    #[test]
    fn a_row_is_a_limit_or_nothing() {
        let row = |kind: &'static str, most: &'static str| {
            limit(&[kind, "shop", most, "7"].map(|value| Some(value.as_bytes())))
        };
        let known = row("database", "5").unwrap();
        assert_eq!((known.scope.to_string(), known.most, known.others), ("database shop".into(), 5, 7));
        assert_eq!(row("user", "5").unwrap().setting, "rolconnlimit");
        assert_eq!(row("user", "-1"), None);
        assert_eq!(limit(&[Some(b"user"), None]), None);
    }
}
