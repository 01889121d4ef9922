//! `evenkeel check`: is the configuration right, and do its servers answer?

use std::{collections::HashSet, process::ExitCode, time::Duration};

use anyhow::Result;
use config::Config;
use route::{DatabaseIndex, Table};
use session::{Engine, LaneError, Stream};
use tokio::time::timeout;

use crate::{cli::Source, plan::plan, runtime};

/// How long one server may take to be reached.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one server may take to let one user in.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) fn run(source: &Source, offline: bool) -> Result<ExitCode> {
    let config = source.load()?;
    summarise(&config);
    if offline {
        return Ok(ExitCode::SUCCESS);
    }
    let (unreachable, failures) = runtime::build(1)?.block_on(async {
        let unreachable = try_servers(config.table()).await;
        let failures = try_logins(&config, &unreachable).await;
        (unreachable.len(), failures)
    });
    println!();
    if unreachable + failures == 0 {
        println!("Everything is as it should be.");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{unreachable} servers cannot be reached, {failures} logins failed.");
    Ok(ExitCode::FAILURE)
}

fn summarise(config: &Config) {
    let table = config.table();
    for server in table.servers() {
        println!(
            "server {}: {} at {}, budget {} connections",
            server.name, server.cluster, server.address, server.budget
        );
    }
    let names = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    println!("databases: {}", names(table.databases().iter().map(|database| &*database.name).collect()));
    println!("users: {}", names(table.users().iter().map(|user| &*user.name).collect()));
}

/// Connects to every server, without logging in. Returns the names of those that cannot be reached.
async fn try_servers(table: &Table) -> HashSet<&str> {
    let mut unreachable = HashSet::new();
    for server in table.servers() {
        let why = match timeout(CONNECT_TIMEOUT, Stream::connect(&server.address)).await {
            Ok(Ok(_)) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {CONNECT_TIMEOUT:?}"),
        };
        println!("server {} cannot be reached at {}: {why}", server.name, server.address);
        unreachable.insert(&*server.name);
    }
    unreachable
}

/// Logs every user in to every database that is named, as the pool would, where its server can be reached. Returns how
/// many failed.
async fn try_logins(config: &Config, unreachable: &HashSet<&str>) -> usize {
    let engine = Engine::new(plan(config, 1), config.keys().runtime.relay_buffer.get());
    let table = config.table();
    let mut failures = 0;
    for (at, database) in table.databases().iter().enumerate().filter(|(_, database)| &*database.name != "*") {
        let server = table.server(table.server_of(DatabaseIndex(at)));
        if unreachable.contains(&*server.name) {
            continue;
        }
        for user in table.users() {
            print!("{} on {}: ", user.name, database.name);
            match try_login(&engine, &user.name, &database.name).await {
                Ok(version) => println!("ok, PostgreSQL {version}"),
                Err(why) => {
                    failures += 1;
                    println!("failed: {why}");
                }
            }
        }
    }
    failures
}

async fn try_login(engine: &Engine, user: &str, database: &str) -> Result<String, String> {
    let lane = engine.lane(user, database).map_err(|error: LaneError| error.to_string())?;
    lane.probe(LOGIN_TIMEOUT).await
}
