//! `evenkeel check`: is the configuration right, and do its servers answer?

use std::{collections::HashSet, error::Error, iter, process::ExitCode, time::Duration};

use anyhow::Result;
use config::{Config, keys::Fit};
use control::sum::Most;
use route::{DatabaseIndex, ServerIndex, Table};
use session::{Engine, Stream};
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
        println!("\nNo mistakes found; servers were not asked.");
        return Ok(ExitCode::SUCCESS);
    }
    let (unreachable, logins, refused) = runtime::build(1)?.block_on(async {
        let unreachable = try_servers(config.table()).await;
        let engine = Engine::new(plan(&config, 1), config.keys().runtime.relay_buffer.get());
        let logins = try_logins(&engine, config.table(), &unreachable).await;
        let mut closed = unreachable.clone();
        closed.extend(&logins.closed);
        let refused = try_room(&engine, &config, &closed).await;
        (unreachable.len(), logins, refused)
    });
    println!();
    let Logins { failed, untried, .. } = logins;
    if refused > 0 {
        println!("{refused} servers have no room for all connections, and pool.fit is \"refuse\".");
    }
    if unreachable + failed + refused == 0 {
        match untried {
            0 => println!("Everything is as it should be."),
            _ => {
                println!("Everything that can be tried is as it should be. Logins that cannot be tried yet: {untried}.")
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    if unreachable + failed > 0 {
        println!("{unreachable} servers cannot be reached, {failed} logins failed.");
    }
    Ok(ExitCode::FAILURE)
}

fn summarise(config: &Config) {
    let table = config.table();
    for server in table.servers() {
        println!(
            "server {}: {} at {}, cluster {}, budget {} connections",
            server.name, server.protocol, server.address, server.cluster, server.budget
        );
        println!("  {}", Most::of(server).sentence());
    }
    let names = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    println!("databases: {}", names(table.databases().iter().map(|database| &*database.name).collect()));
    println!("users: {}", names(table.users().iter().map(|user| &*user.name).collect()));
    config.doubts().iter().for_each(|doubt| println!("warning: {doubt}"));
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

/// How many logins to servers did not succeed.
#[derive(Default)]
struct Logins<'t> {
    failed: usize,
    /// Those that cannot be tried before a client logs in: its password is needed, or the database that it names.
    untried: usize,
    /// The servers that let somebody in.
    opened: HashSet<&'t str>,
    /// Those that let nobody in.
    closed: HashSet<&'t str>,
}

/// What came of a login to a server.
enum Outcome {
    /// It succeeded; the server's version.
    Ok(String),
    /// It failed, for this reason.
    Failed(String),
    /// The configuration has a verifier or hash that only proves clients: what the server asks for comes with the login of
    /// one.
    NeedsClient,
}

/// Logs every user in to every database that is named, as the pool would, where its server can be reached.
async fn try_logins<'t>(engine: &Engine, table: &'t Table, unreachable: &HashSet<&str>) -> Logins<'t> {
    let mut logins = Logins::default();
    for (at, database) in table.databases().iter().enumerate().filter(|(_, database)| &*database.name != "*") {
        let server = table.server(table.server_of(DatabaseIndex(at)));
        if unreachable.contains(&*server.name) {
            continue;
        }
        logins.closed.insert(&*server.name);
        for user in table.users() {
            print!("{} on {}: ", user.name, database.name);
            match try_login(engine, &user.name, &database.name).await {
                Outcome::Ok(version) => {
                    logins.opened.insert(&*server.name);
                    println!("ok, {} {version}", server.protocol);
                }
                Outcome::Failed(why) => {
                    logins.failed += 1;
                    println!("failed: {why}");
                }
                Outcome::NeedsClient => {
                    logins.untried += 1;
                    println!(
                        "note: cannot be tried before a client has logged in, because the credential is a verifier or hash"
                    );
                }
            }
        }
    }
    logins.closed.retain(|server| !logins.opened.contains(server));
    logins.untried += note_unnamed(table, unreachable);
    logins
}

/// Says which servers only `"*"` leads to: without the name of a database nobody can log in there. Returns how many logins
/// were not tried.
fn note_unnamed(table: &Table, unreachable: &HashSet<&str>) -> usize {
    let to = |name: fn(&str) -> bool| {
        let databases = table.databases().iter().enumerate().filter(move |(_, database)| name(&database.name));
        databases.map(|(at, _)| &*table.server(table.server_of(DatabaseIndex(at))).name)
    };
    let named: HashSet<&str> = to(|name| name != "*").collect();
    let mut untried = 0;
    for server in to(|name| name == "*").filter(|server| !named.contains(server) && !unreachable.contains(server)) {
        println!("note: logins behind \"*\" on server {server} were not tried: no database is named");
        untried += table.users().len();
    }
    untried
}

/// Compares what the configuration can open with what each server lets in, but those that let nobody in. Returns how many
/// are refused by `pool.fit`.
async fn try_room(engine: &Engine, config: &Config, closed: &HashSet<&str>) -> usize {
    let mut refused = 0;
    let servers = config.table().servers().iter().zip(0..);
    for (server, at) in servers.filter(|(server, _)| !closed.contains(&*server.name)) {
        let fit = config.pool(ServerIndex(at)).fit;
        if fit == Fit::Off {
            continue;
        }
        match engine.take_census(&server.name, LOGIN_TIMEOUT).await {
            Ok(census) => {
                let comparison = Most::of(server).compare(&census, config.table());
                let warning = if comparison.fits() { "" } else { "warning: " };
                println!("{warning}{comparison}");
                refused += usize::from(fit == Fit::Refuse && !comparison.fits());
            }
            Err(error) => {
                println!("note: server {} was not asked how many connections it lets in: {error}", server.name)
            }
        }
    }
    refused
}

async fn try_login(engine: &Engine, user: &str, database: &str) -> Outcome {
    match engine.probe(user, database, LOGIN_TIMEOUT).await {
        Ok(version) => Outcome::Ok(version),
        Err(error) if needs_client(&*error) => Outcome::NeedsClient,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Whether the login failed only because no client has logged in yet.
fn needs_client(error: &(dyn Error + 'static)) -> bool {
    iter::successors(Some(error), |error| (*error).source()).any(|error| {
        use auth::Error::{NeedsClientKeys, NeedsLearned};
        matches!(error.downcast_ref(), Some(NeedsClientKeys | NeedsLearned { .. }))
    })
}
