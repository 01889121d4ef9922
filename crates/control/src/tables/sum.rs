//! `SHOW SUM`: the most connections to each server, term by term, and what the server lets in.

use std::sync::Arc;

use route::Table;
use session::{Census, ServerPool};
use sizing::{Amount, Term, count};

use crate::{sum::Most, table::Column, view::View};

/// The name of the table, whose servers are asked anew each time.
pub(crate) const NAME: &str = "SUM";

/// One line of the sum of a server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    server: Arc<str>,
    term: String,
    setting: Option<&'static str>,
    /// `None`: there is no number, because nothing limits it or nobody knows.
    connections: Option<i64>,
    how: String,
}

/// Columns of `SHOW SUM` and `/api/sum`.
pub(crate) const SUM: &[Column<Line>] = &[
    Column::text("server", "Its name.", |line| (&line.server).into()),
    Column::text(
        "term",
        "A class, or several that are counted together; then what they may hold together (caps), the budget, what of it can \
         be opened (most), what the server lets in (max_connections) without its reserve for administrators and without \
         the connections of others (usable), and what is left (room): below 0, so many are too many. Where the server limits \
         one user or one database as well, the same of these: as this user or to this database, usable, and room.",
        |line| line.term.as_str().into(),
    ),
    Column::text("setting", "The setting that says how many.", |line| line.setting.into()),
    Column::int8(
        "connections",
        "How many. NULL: nothing but the budget limits it, or the server was not asked yet.",
        |line| line.connections.into(),
    ),
    Column::text("how", "How the number comes about.", |line| line.how.as_str().into()),
];

/// Every server's lines.
pub(crate) fn lines(view: &View) -> Vec<Line> {
    let mut servers = view.engine.servers();
    servers.sort_by(|a, b| a.server.name.cmp(&b.server.name));
    let config = view.config();
    let lines = |server: &ServerPool| of(&Most::of(&server.server), server.meters.census().as_ref(), config.table());
    servers.iter().flat_map(lines).collect()
}

fn of(most: &Most, census: Option<&Census>, table: &Table) -> Vec<Line> {
    let line = |term: &str, setting, connections: Option<u64>, how: String| Line {
        server: most.server.clone(),
        term: term.into(),
        setting,
        connections: connections.map(|n| i64::try_from(n).unwrap_or(i64::MAX)),
        how,
    };
    let mut lines: Vec<Line> = most.classes.terms.iter().map(|term| term_line(most, term)).collect();
    let caps = most.caps();
    let formula = caps.derivation.steps().first().map(|step| step.filled.clone()).unwrap_or_default();
    lines.push(line("caps", None, Some(caps.value), formula));
    lines.push(line("budget", Some("servers.budget"), Some(most.budget.into()), String::new()));
    let how = "the caps and what has none, within the budget";
    lines.push(line("most", None, Some(most.connections()), how.into()));
    lines.extend(most.on_demand.as_ref().map(|term| term_line(most, term)));
    let Some(census) = census else {
        lines.push(line("usable", None, None, "the server was not asked yet".into()));
        return lines;
    };
    let comparison = most.compare(census, table);
    let limit = comparison.limit;
    let beyond = match census.beyond {
        0 => String::new(),
        n => format!("and {n} more for administrators"),
    };
    lines.push(line("max_connections", None, Some(limit.max_connections.into()), beyond));
    lines.push(line("reserve", None, Some(limit.reserve.into()), "for administrators".into()));
    lines.push(line(
        "others",
        None,
        Some(limit.others.into()),
        "connections that are not ours, when it was asked".into(),
    ));
    let usable = limit.usable();
    let how = usable.derivation.steps().first().map(|step| step.filled.clone()).unwrap_or_default();
    lines.push(line("usable", None, Some(usable.value.into()), how));
    lines.push(Line { connections: Some(most.room(census)), ..line("room", None, None, comparison.sentence()) });
    for scope in &comparison.scopes {
        let name = &scope.limit.scope;
        let how = scope.formula();
        lines.push(line(&name.to_string(), Some("routes.cap"), Some(scope.reach.most.into()), how));
        let how = match scope.limit.others {
            0 => scope.limit.setting.to_owned(),
            others => format!("{} {} - {others} of others", scope.limit.setting, scope.limit.most),
        };
        lines.push(line(&format!("{name}: usable"), None, Some(scope.usable().into()), how));
        let room = line(&format!("{name}: room"), None, None, scope.to_string());
        lines.push(Line { connections: Some(scope.room()), ..room });
    }
    lines
}

fn term_line(most: &Most, term: &Term) -> Line {
    let (connections, how) = match term.amount {
        Amount::Pools { pools: 1, cap } => (Some(i64::from(cap)), String::new()),
        Amount::Pools { pools, cap } => {
            (Some(i64::from(cap) * i64::from(pools)), format!("{} × {pools}", count(cap.into())))
        }
        Amount::UpTo(cap) => (Some(i64::from(cap)), "as many as are needed, no more than this".into()),
        Amount::Open => (None, "as many as are needed".into()),
    };
    Line { server: most.server.clone(), term: term.name.clone(), setting: term.setting, connections, how }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use route::{Classes, Database, Protocol, Scope, Server, Target, User};
    use session::ScopeLimit;

    use super::*;

    #[test]
    fn the_preset_is_shown_to_the_last_term() {
        let server = Server {
            classes: Classes::vttablet(),
            protocol: Protocol::Mysql,
            ..Server::new("my", "c", "db".parse().unwrap(), 400)
        };
        let limit = |name: &str, most| {
            let scope = Scope::User(name.into());
            ScopeLimit { scope, setting: "max_user_connections", most, others: 0 }
        };
        let census = Census {
            max_connections: 500,
            reserved: 0,
            beyond: 1,
            others: 150,
            scopes: vec![limit("app", 399), limit("nobody", 1)],
            at: SystemTime::UNIX_EPOCH,
        };
        let most = Most::of(&server);
        let database = Database::new("shop", Target::Server("my".into()));
        let table = Table::new(vec![server], vec![database], vec![User::new("app")], vec![]).unwrap();
        let lines = of(&most, Some(&census), &table);
        let shown: Vec<_> = lines.iter().map(|line| (&*line.term, line.connections, &*line.how)).collect();
        assert_eq!(
            shown[..9],
            [
                ("found_rows, transaction", Some(40), "20 × 2"),
                ("oltp", Some(16), ""),
                ("stream", Some(200), ""),
                ("dba", Some(20), ""),
                ("app", Some(40), ""),
                ("tx_read", Some(3), ""),
                ("online_ddl_executor, table_gc, throttler", Some(7), ""),
                ("reserved", None, "as many as are needed"),
                ("caps", Some(326), "20 × 2 + 16 + 200 + 20 + 40 + 3 + 7"),
            ]
        );
        let rest: Vec<_> = shown[9..].iter().map(|(term, connections, _)| (*term, *connections)).collect();
        assert_eq!(rest[..2], [("budget", Some(400)), ("most", Some(400))]);
        assert!(rest[2].0.starts_with("on demand") && rest[2].1.is_none());
        assert_eq!(
            rest[3..],
            [
                ("max_connections", Some(500)),
                ("reserve", Some(0)),
                ("others", Some(150)),
                ("usable", Some(350)),
                ("room", Some(-50)),
                ("user app", Some(400)),
                ("user app: usable", Some(399)),
                ("user app: room", Some(-1))
            ]
        );
    }

    #[test]
    fn a_server_that_was_not_asked_has_no_numbers() {
        let nothing = Table::new(vec![], vec![], vec![], vec![]).unwrap();
        let lines = of(&Most::of(&Server::new("pg", "c", "db".parse().unwrap(), 7)), None, &nothing);
        let shown: Vec<_> = lines.iter().map(|line| (&*line.term, line.connections)).collect();
        assert_eq!(
            shown,
            [("default", Some(7)), ("caps", Some(7)), ("budget", Some(7)), ("most", Some(7)), ("usable", None)]
        );
    }
}
