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
#[path = "mysql_clients/sqlx_client.rs"]
mod sqlx_client;
#[path = "mysql_clients/table.rs"]
mod table;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use client::{CLIENTS, Client};
use logins::Doors;
use order::{FEATURES, Mode, Outcome, Report};
use scene::Identity;
use table::{Found, Table};
use testkit::Result;
use testkit::mysql::{Install, Kind, Options, Server, skipped};

const MODES: [Mode; 3] = [Mode::Transaction, Mode::Session, Mode::Statement];
/// How many clients are at work at once.
const WORKERS: usize = 4;

/// What came of a feature with a client on a server.
#[derive(Debug)]
struct Finding {
    client: &'static str,
    server: Kind,
    mode: Mode,
    word: String,
    outcome: Outcome,
}

/// All that clients were found to do.
#[derive(Default)]
struct Findings {
    features: Vec<Finding>,
    logins: Vec<(&'static str, Kind, Vec<Found>)>,
}

#[test]
fn every_client_does_and_logs_in_as_without_a_pooler() -> Result<()> {
    let servers = servers(&logins::options(scene::options()))?;
    let identity = Identity::new()?;
    let doors = servers.iter().map(|server| Doors::open(server, &identity)).collect::<Result<Vec<_>>>()?;
    let places: Vec<(&Server, &Doors)> = servers.iter().zip(&doors).collect();
    let Findings { features, logins } = with_each(|client| try_everything(client, &places, &identity))?;
    let failures: Vec<_> = features.iter().filter_map(Finding::failure).collect();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    if chosen("MYSQL_CLIENTS").or_else(|| chosen("MYSQL_FEATURES")).is_some() {
        return Ok(());
    }
    tabulate(&features).publish()?;
    let mut table = logins::table();
    for (client, server, of_ways) in logins {
        for (number, found) in of_ways.into_iter().enumerate() {
            table.note(&logins::row(number), client, server, found);
        }
    }
    table.publish()
}

/// Runs `job` with every client, several at once.
fn with_each(job: impl Fn(&Client) -> Result<Findings> + Sync) -> Result<Findings> {
    let clients = clients();
    let (next, all) = (AtomicUsize::new(0), Mutex::new(Ok(Findings::default())));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(client) = clients.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = job(client).with_context(|| client.name);
                    let mut all = all.lock().unwrap();
                    match (all.as_mut(), found) {
                        (Ok(all), Ok(found)) => {
                            all.features.extend(found.features);
                            all.logins.extend(found.logins);
                        }
                        (Ok(_), Err(error)) => *all = Err(error),
                        (Err(_), _) => {}
                    }
                }
            });
        }
    });
    all.into_inner().unwrap()
}

/// All that a client does, in one go: starting it takes longer than much of what it does.
fn try_everything(client: &Client, places: &[(&Server, &Doors)], identity: &Identity) -> Result<Findings> {
    let database = client.database();
    let (mut evenkeels, mut orders, mut tried) = (Vec::new(), Vec::new(), Vec::new());
    for (server, _) in places {
        if std::env::var_os("MYSQL_CLIENTS_DIRECT").is_some() {
            orders.push(scene::order_for(server, &database, words(Mode::Session))?);
            tried.push((server.kind(), Mode::Session));
            continue;
        }
        for mode in MODES.into_iter().filter(|mode| !words(*mode).is_empty()) {
            let evenkeel = scene::evenkeel(server, mode, identity, &database)?;
            orders.push(scene::order(evenkeel.mysql_port(), mode, identity, &database, words(mode)));
            tried.push((server.kind(), mode));
            evenkeels.push(evenkeel);
        }
    }
    let of_features = orders.len();
    orders.extend(places.iter().flat_map(|(_, doors)| doors.orders(client, identity)));
    let mut reports = client.carry_out(&orders)?;
    let of_logins = reports.split_off(of_features);
    let mut found = Findings::default();
    for ((server, mode), reports) in tried.into_iter().zip(reports) {
        let finding = |Report { word, outcome }| Finding { client: client.name, server, mode, word, outcome };
        found.features.extend(reports.into_iter().map(finding));
    }
    for ((server, _), reports) in places.iter().zip(of_logins.chunks(logins::WAYS.len())) {
        found.logins.push((client.name, server.kind(), logins::judge(client, reports)));
    }
    for evenkeel in &evenkeels {
        let log = evenkeel.log();
        let panicked: Vec<_> = log.lines().filter(|line| line.contains("panicked")).collect();
        assert!(panicked.is_empty(), "{}: {panicked:?}", client.name);
    }
    Ok(found)
}

impl Finding {
    fn failure(&self) -> Option<String> {
        let Self { client, server, mode, word, outcome } = self;
        match outcome {
            Outcome::Fails(why) => Some(format!("{client}, {}, {}: {word}: {why}", server.name(), mode.name())),
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
