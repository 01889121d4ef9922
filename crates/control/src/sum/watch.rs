//! Says in the log what can be opened to each server, and whether it fits: at the start, when the server has told what it lets
//! in, and after every change.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use config::keys::Fit;
use route::Scope;
use tokio::{task::JoinSet, time::MissedTickBehavior};

use super::{Comparison, Most};
use crate::view::View;

/// How often it is looked whether there is something new to say.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long a server may take to be asked on demand.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// What was said of a server last.
#[derive(Debug, PartialEq)]
struct Said {
    most: Most,
    /// Whether it fits, once that is known, and into what.
    fits: Option<(bool, u32)>,
    /// What users and databases have too much.
    excess: Vec<(Scope, u64)>,
}

/// Looks as long as there is somebody to look for.
pub(crate) async fn watch(view: Weak<View>) {
    let mut said = HashMap::new();
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let Some(view) = view.upgrade() else { return };
        say(&view, &mut said);
    }
}

/// Asks every server again, so that what is shown is of now. What does not answer stays as it was.
pub(crate) async fn ask_all(view: &Arc<View>) {
    let mut asked = JoinSet::new();
    for server in view.engine.servers() {
        let engine = view.engine.clone();
        asked.spawn(async move {
            let name = &server.server.name;
            if let Err(error) = engine.take_census(name, ASK_TIMEOUT).await {
                tracing::debug!(server = %name, %error, "the server was not asked how many connections it lets in");
            }
        });
    }
    while asked.join_next().await.is_some() {}
}

fn say(view: &View, said: &mut HashMap<Arc<str>, Said>) {
    let config = view.config();
    for pool in view.engine.servers() {
        let most = Most::of(&pool.server);
        let at = config.table().servers().iter().position(|server| server.name == pool.server.name);
        let fit = at.map_or(Fit::Off, |at| config.pool(route::ServerIndex(at)).fit);
        let comparison =
            pool.meters.census().filter(|_| fit != Fit::Off).map(|census| most.compare(&census, config.table()));
        let fits = comparison.as_ref().map(|comparison| (comparison.fits(), comparison.limit.max_connections));
        let excess = comparison.iter().flat_map(excess).collect();
        let now = Said { most, fits, excess };
        let before = said.get(&pool.server.name);
        if before == Some(&now) {
            continue;
        }
        if before.is_none_or(|before| before.most != now.most) {
            tracing::info!(server = %now.most.server, "{}", now.most.sentence());
        }
        if let Some(comparison) = comparison {
            tell(&comparison);
        }
        said.insert(pool.server.name.clone(), now);
    }
}

/// What the server's limits on users and databases are exceeded by, others aside: they come and go.
fn excess(comparison: &Comparison) -> impl Iterator<Item = (Scope, u64)> {
    let too_many = comparison.scopes.iter().filter(|scope| scope.room() < 0);
    too_many.map(|scope| (scope.limit.scope.clone(), u64::from(scope.reach.most).abs_diff(scope.limit.most.into())))
}

fn tell(comparison: &Comparison) {
    if comparison.fits() {
        tracing::info!("{comparison}");
    } else {
        tracing::warn!("{comparison}");
    }
}
