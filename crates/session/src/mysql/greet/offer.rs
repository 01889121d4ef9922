//! What our greeting says: capabilities and version.

use std::sync::Arc;

use mysql::Capabilities;

use crate::{
    engine::Engine,
    mysql::{compression, facts::Facts},
    plan::Plan,
};

/// What every client is offered, apart from what depends on the servers behind and on the configuration.
const OFFERED: Capabilities = Capabilities::LONG_PASSWORD
    .with(Capabilities::FOUND_ROWS)
    .with(Capabilities::LONG_FLAG)
    .with(Capabilities::CONNECT_WITH_DB)
    .with(Capabilities::IGNORE_SPACE)
    .with(Capabilities::PROTOCOL_41)
    .with(Capabilities::INTERACTIVE)
    .with(Capabilities::TRANSACTIONS)
    .with(Capabilities::SECURE_CONNECTION)
    .with(Capabilities::MULTI_STATEMENTS)
    .with(Capabilities::MULTI_RESULTS)
    .with(Capabilities::PS_MULTI_RESULTS)
    .with(Capabilities::PLUGIN_AUTH)
    .with(Capabilities::CONNECT_ATTRS)
    .with(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .with(Capabilities::CAN_HANDLE_EXPIRED_PASSWORDS)
    .with(Capabilities::DEPRECATE_EOF);

/// What is offered if the servers behind can do it.
///
/// Results without column definitions are not, by neither server's flag for them. MySQL's
/// ([`OPTIONAL_RESULTSET_METADATA`](Capabilities::OPTIONAL_RESULTSET_METADATA)) belongs to a login, so that it would take server
/// connections of their own kind for hardly any client. By MariaDB's ([`CACHE_METADATA`](Capabilities::CACHE_METADATA)) a server
/// leaves out what it last told on that connection, which may have been another client, of the same statement.
const PASSED_ON: Capabilities = Capabilities::SESSION_TRACK.with(Capabilities::QUERY_ATTRIBUTES);

/// The version shown while no server has told its own and none is configured: drivers read numbers out of it.
const VERSION_UNKNOWN: &[u8] = b"8.0.36-evenkeel";

/// `utf8mb4_general_ci`, as the collation that our greeting names.
pub(super) const CHARSET: u8 = 45;

/// What clients are offered: nothing that a server behind cannot do.
pub(super) fn offered(engine: &Engine, plan: &Plan) -> Capabilities {
    let mut offered = OFFERED;
    let facts = engine.mysql_facts();
    if !facts.is_empty() {
        offered |= facts.iter().fold(PASSED_ON, |both, facts| both & facts.capabilities);
    }
    if plan.client_tls.acceptor().is_some() {
        offered |= Capabilities::SSL;
    }
    if plan.mysql.local_infile {
        offered |= Capabilities::LOCAL_FILES;
    }
    for way in &plan.mysql.compression {
        offered |= compression::capability(*way);
    }
    offered
}

/// The version that clients see: as configured, else the lowest of the servers behind.
pub(super) fn version(engine: &Engine, plan: &Plan) -> Vec<u8> {
    if let Some(version) = &plan.mysql.server_version {
        return version.as_bytes().to_vec();
    }
    let number = |facts: &Arc<Facts>| mysql::handshake::version_number(&facts.version);
    let lowest = engine.mysql_facts().into_iter().min_by_key(number);
    lowest.map_or_else(|| VERSION_UNKNOWN.to_vec(), |facts| facts.version.clone())
}
