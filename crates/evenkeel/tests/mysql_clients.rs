//! The clients that people use, through Evenkeel: what each can do there, and how each can log in.
//!
//! Every client carries out the same list of [features](order::FEATURES), written as its users would, in each pool mode and
//! on each kind of server. What comes of it is the table in `docs/mysql-clients.md`; it is written with `EVENKEEL_BLESS=1`,
//! and compared without. `MYSQL_CLIENTS` and `MYSQL_FEATURES` name the ones to try, apart by commas, with no comparison.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

#[path = "mysql_clients/asynchronous.rs"]
mod asynchronous;
#[path = "mysql_clients/cli.rs"]
mod cli;
#[path = "mysql_clients/client.rs"]
mod client;
#[path = "mysql_clients/logins.rs"]
mod logins;
#[path = "mysql_clients/order.rs"]
mod order;
#[path = "mysql_clients/scene.rs"]
mod scene;
#[path = "mysql_clients/table.rs"]
mod table;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use client::{CLIENTS, Client};
use logins::Doors;
use order::{FEATURES, Mode, Outcome};
use scene::Identity;
use table::{Found, Table};
use testkit::Result;
use testkit::mysql::{Install, Kind, Options, Server, skipped};

const MODES: [Mode; 3] = [Mode::Transaction, Mode::Session, Mode::Statement];
/// How many clients are at work at once.
const WORKERS: usize = 3;

/// What does not work through Evenkeel although it does without. It must go on failing, or leave this list.
const OPEN: [(&str, Kind, &str); 1] = [
    // An execution with values sent ahead is malformed to MySQL; why is not found yet.
    ("MariaDB Connector/J", Kind::MySql, "types"),
];

/// What came of a feature with a client on a server.
#[derive(Debug)]
struct Finding {
    client: &'static str,
    server: Kind,
    mode: Mode,
    word: String,
    outcome: Outcome,
}

#[test]
fn every_client_can_do_what_it_does_without_a_pooler() -> Result<()> {
    let servers = servers(&scene::options())?;
    let identity = Identity::new()?;
    let found = with_each(&servers, |client, server| try_features(client, server, &identity))?;
    let found: Vec<Finding> = found.into_iter().flatten().collect();
    let failures: Vec<_> = found.iter().filter_map(Finding::failure).collect();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    let mended: Vec<_> =
        found.iter().filter(|finding| finding.is_open() && finding.outcome == Outcome::Works).collect();
    assert!(mended.is_empty(), "works, and may be taken off the list of what does not: {mended:?}");
    if chosen("MYSQL_CLIENTS").or_else(|| chosen("MYSQL_FEATURES")).is_some() {
        return Ok(());
    }
    tabulate(&found).publish()
}

#[test]
fn every_client_can_log_in_as_it_does_on_a_server() -> Result<()> {
    let servers = servers(&logins::options())?;
    let identity = Identity::new()?;
    let doors = servers.iter().map(|server| Doors::open(server, &identity)).collect::<Result<Vec<_>>>()?;
    let pairs: Vec<(&Server, &Doors)> = servers.iter().zip(&doors).collect();
    let found = with_each(&pairs, |client, (server, doors)| {
        Ok((client.name, server.kind(), doors.try_ways(client, &identity)?))
    })?;
    if chosen("MYSQL_CLIENTS").is_some() {
        return Ok(());
    }
    let mut table = logins::table();
    for (client, server, of_ways) in found {
        for (number, found) in of_ways.into_iter().enumerate() {
            table.note(&logins::row(number), client, server, found);
        }
    }
    table.publish()
}

/// Runs `job` with every client at every place, several at once.
fn with_each<P: Sync, T: Send>(places: &[P], job: impl Fn(&Client, &P) -> Result<T> + Sync) -> Result<Vec<T>> {
    let clients = clients();
    let jobs: Vec<_> = clients.iter().flat_map(|client| places.iter().map(move |place| (client, place))).collect();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some((client, place)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = job(client, place).with_context(|| client.name);
                    results.lock().unwrap().push(result);
                }
            });
        }
    });
    results.into_inner().unwrap().into_iter().collect()
}

/// All that a client does on a server, in every mode.
fn try_features(client: &Client, server: &Server, identity: &Identity) -> Result<Vec<Finding>> {
    let database = client.database();
    let (mut evenkeels, mut orders, mut modes) = (Vec::new(), Vec::new(), Vec::new());
    if std::env::var_os("MYSQL_CLIENTS_DIRECT").is_some() {
        orders.push(scene::order_for(server, &database, words(Mode::Session))?);
        modes.push(Mode::Session);
    }
    for mode in if modes.is_empty() { &MODES[..] } else { &[] } {
        let (mode, words) = (*mode, words(*mode));
        if words.is_empty() {
            continue;
        }
        let evenkeel = scene::evenkeel(server, mode, identity, &database)?;
        orders.push(scene::order(evenkeel.mysql_port(), mode, identity, &database, words));
        evenkeels.push(evenkeel);
        modes.push(mode);
    }
    let reports = client.carry_out(&orders)?;
    let mut findings = Vec::new();
    for ((mode, reports), evenkeel) in modes.into_iter().zip(reports).zip(&evenkeels) {
        for report in reports {
            findings.push(Finding {
                client: client.name,
                server: server.kind(),
                mode,
                word: report.word,
                outcome: report.outcome,
            });
        }
        let log = evenkeel.log();
        let panicked: Vec<_> = log.lines().filter(|line| line.contains("panicked")).collect();
        assert!(panicked.is_empty(), "{}: {panicked:?}", client.name);
    }
    Ok(findings)
}

impl Finding {
    /// Whether it is known not to work.
    fn is_open(&self) -> bool {
        OPEN.contains(&(self.client, self.server, &*self.word))
    }

    fn failure(&self) -> Option<String> {
        let Self { client, server, mode, word, outcome } = self;
        match outcome {
            Outcome::Fails(why) if !self.is_open() => {
                Some(format!("{client}, {}, {}: {word}: {why}", server.name(), mode.name()))
            }
            _ => None,
        }
    }
}

/// A feature works where it does in every mode in which it was tried.
fn tabulate(found: &[Finding]) -> Table {
    let rows = FEATURES.iter().map(|feature| feature.title.to_owned()).collect();
    let mut table = Table::new("feature", rows, CLIENTS.map(|client| client.name.to_owned()).into());
    let places: BTreeSet<_> = found.iter().map(|finding| (finding.client, finding.server.name())).collect();
    for (client, server) in places {
        for feature in FEATURES {
            let of_it: Vec<_> = found
                .iter()
                .filter(|finding| {
                    (finding.client, finding.server.name(), &*finding.word) == (client, server, feature.word)
                })
                .collect();
            let works = of_it.iter().all(|finding| finding.outcome == Outcome::Works);
            if let Some(finding) = of_it.first() {
                table.note(feature.title, client, finding.server, if works { Found::Works } else { Found::Missing });
            }
        }
    }
    table
}

/// A server of each kind that is installed.
fn servers(options: &Options) -> Result<Vec<Server>> {
    let mut servers = Vec::new();
    for kind in Kind::ALL {
        match Install::find(kind) {
            Err(why) if kind == Kind::MySql => skipped(kind.name(), &format!("{why:#}")),
            _ => servers.push(Server::start(kind, options.clone())?),
        }
    }
    Ok(servers)
}

/// The clients that are installed, or those among them that were asked for.
fn clients() -> Vec<Client> {
    let mut here = Vec::new();
    for client in CLIENTS {
        if chosen("MYSQL_CLIENTS").is_some_and(|names| !names.contains(&client.database())) {
            continue;
        }
        match client.missing() {
            Some(why) => skipped(client.name, &format!("{why:#}")),
            None => here.push(client),
        }
    }
    here
}

/// The features to try in a mode.
fn words(mode: Mode) -> Vec<&'static str> {
    let wanted = chosen("MYSQL_FEATURES");
    let tried = FEATURES.iter().filter(|feature| feature.modes.contains(&mode));
    let words = tried.map(|feature| feature.word);
    words.filter(|word| wanted.as_ref().is_none_or(|wanted| wanted.iter().any(|name| name == word))).collect()
}

fn chosen(variable: &str) -> Option<Vec<String>> {
    Some(std::env::var(variable).ok()?.split(',').map(str::to_owned).collect())
}
