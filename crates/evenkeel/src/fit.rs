//! Whether what the configuration can open fits its servers, where that is to be refused if it does not (`pool.fit`).

use std::time::Duration;

use anyhow::{Result, bail};
use config::{Config, keys::Fit};
use control::sum::Most;
use route::{Server, ServerIndex};
use session::Engine;

/// How long one server may take to be asked, login included.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks the servers that must have room, and ends the start if one has not.
pub(crate) async fn refuse_at_start(config: &Config, engine: &Engine) -> Result<()> {
    for server in strict(config) {
        match engine.take_census(&server.name, ASK_TIMEOUT).await {
            Ok(census) => {
                let comparison = Most::of(server).compare(&census, config.table());
                if !comparison.fits() {
                    bail!("{comparison} (pool.fit = \"refuse\")");
                }
            }
            Err(error) => {
                tracing::warn!(server = %server.name, %error, "not asked whether there is room for all connections");
            }
        }
    }
    Ok(())
}

/// Compares a new configuration with what its servers said last.
///
/// # Errors
/// What does not fit, in a sentence.
pub(crate) fn refuse_at_reload(config: &Config, engine: &Engine) -> Result<(), String> {
    let known = engine.servers();
    for server in strict(config) {
        let same =
            known.iter().find(|known| known.server.name == server.name && known.server.address == server.address);
        let Some(census) = same.and_then(|known| known.meters.census()) else { continue };
        let comparison = Most::of(server).compare(&census, config.table());
        if !comparison.fits() {
            return Err(format!("{comparison} (pool.fit = \"refuse\")"));
        }
    }
    Ok(())
}

fn strict(config: &Config) -> impl Iterator<Item = &Server> {
    let servers = config.table().servers().iter().zip(0..);
    servers.filter(|(_, at)| config.pool(ServerIndex(*at)).fit == Fit::Refuse).map(|(server, _)| server)
}
