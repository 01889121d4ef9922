//! `evenkeel check`: is the configuration right, and do its servers answer?

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use config::Config;
use session::{Engine, LaneError};

use crate::{cli::Source, plan::plan, runtime};

/// How long one server may take to let one user in.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) fn run(source: &Source, offline: bool) -> Result<ExitCode> {
    let config = source.load()?;
    summarise(&config);
    if offline {
        return Ok(ExitCode::SUCCESS);
    }
    let failures = runtime::build(1)?.block_on(try_logins(&config));
    println!();
    if failures == 0 {
        println!("Everything is as it should be.");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{failures} logins failed.");
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

/// Logs every user in to every database that is named, as the pool would. Returns how many failed.
async fn try_logins(config: &Config) -> usize {
    let engine = Engine::new(plan(config, 1), config.keys().runtime.relay_buffer.get());
    let table = config.table();
    let mut failures = 0;
    for database in table.databases().iter().filter(|database| &*database.name != "*") {
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
