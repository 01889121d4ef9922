//! What an operator can do to a running engine.

use std::{sync::Arc, time::Duration};

use config::AmendError;
use pg::ErrorReply;
use session::{ClientEntry, ServerPool, console::Answer};
use tokio::time::{Instant, sleep};

use super::command::{Scope, Setting};
use crate::{Control, SetError};

/// How long PAUSE waits until the connections in use are back.
const PAUSE_WAIT: Duration = Duration::from_secs(60);
/// Time between two looks at them.
const PAUSE_LOOK: Duration = Duration::from_millis(20);

impl Control {
    /// Reads the configuration again; it reads files, so not on a thread that serves clients.
    pub(super) async fn reload(&self) -> Answer {
        let steering = self.steering.clone();
        let outcome = tokio::task::spawn_blocking(move || steering.reload()).await;
        match outcome {
            Ok(Ok(changes)) if changes.is_empty() => {
                Answer::Notice("RELOAD", ErrorReply::notice("configuration reloaded: nothing changed"))
            }
            Ok(Ok(changes)) => {
                let notice = ErrorReply::notice(format!("configuration reloaded: {} changes", changes.len()));
                Answer::Notice("RELOAD", notice.detail(changes.join("\n")))
            }
            // PgBouncer's code for it (config_file_error).
            Ok(Err(problems)) => Answer::Failed(
                ErrorReply::error("F0000", "the configuration was not reloaded; the old one stays in force")
                    .detail(problems),
            ),
            Err(error) => Answer::Failed(ErrorReply::error("XX000", "the reload failed").detail(error.to_string())),
        }
    }

    /// Changes a key of the configuration in force. It compares and rebuilds all of it, so not on a thread that serves clients.
    pub(super) async fn set(&self, setting: Setting) -> Answer {
        let steering = self.steering.clone();
        let outcome = tokio::task::spawn_blocking(move || steering.set(&setting.key, setting.value())).await;
        match outcome {
            Ok(Ok(changes)) if changes.is_empty() => {
                Answer::Notice("SET", ErrorReply::notice("nothing changed: the key has that value already"))
            }
            Ok(Ok(changes)) => {
                tracing::info!(?changes, "configuration changed by an operator, until it is reloaded");
                let notice = ErrorReply::notice("changed until the next RELOAD or restart: the file is as it was");
                Answer::Notice("SET", notice.detail(changes.join("\n")))
            }
            Ok(Err(error)) => Answer::Failed(not_set(&error)),
            Err(error) => Answer::Failed(ErrorReply::error("XX000", "the change failed").detail(error.to_string())),
        }
    }

    /// Stops lending, and waits until nothing is lent.
    pub(super) async fn pause(&self, scope: &Scope) -> Answer {
        let servers = match self.servers_of(scope) {
            Ok(servers) => servers,
            Err(reply) => return Answer::Failed(reply),
        };
        if servers.iter().all(|server| server.pool.totals().paused) {
            return Answer::Failed(
                ErrorReply::error("55000", "already suspended/paused").hint("RESUME ends the pause."),
            );
        }
        for server in &servers {
            server.pool.pause();
        }
        let deadline = Instant::now() + PAUSE_WAIT;
        loop {
            let totals: Vec<_> = servers.iter().map(|server| server.pool.totals()).collect();
            if totals.iter().any(|totals| !totals.paused) {
                return Answer::Failed(ErrorReply::error("57014", "the pause was ended by RESUME"));
            }
            let in_use: u32 = totals.iter().map(|totals| totals.in_use).sum();
            if in_use == 0 {
                return Answer::Done("PAUSE");
            }
            if Instant::now() >= deadline {
                return Answer::Failed(
                    ErrorReply::error("57014", "paused, but not all server connections are back")
                        .detail(format!("{in_use} are still in use after {} s.", PAUSE_WAIT.as_secs()))
                        .hint(
                            "The pause holds: SHOW CLIENTS tells who has them, KILL ends them, RESUME ends the pause.",
                        ),
                );
            }
            sleep(PAUSE_LOOK).await;
        }
    }

    /// Lends again.
    pub(super) fn resume(&self, scope: &Scope) -> Answer {
        let servers = match self.servers_of(scope) {
            Ok(servers) => servers,
            Err(reply) => return Answer::Failed(reply),
        };
        if servers.iter().all(|server| !server.pool.totals().paused) {
            return Answer::Failed(ErrorReply::error("55000", "pooler is not paused"));
        }
        for server in servers {
            server.pool.resume();
        }
        Answer::Done("RESUME")
    }

    /// Replaces all connections.
    pub(super) fn reconnect(&self, scope: &Scope) -> Answer {
        match self.servers_of(scope) {
            Ok(servers) => {
                servers.iter().for_each(|server| server.pool.reconnect());
                Answer::Done("RECONNECT")
            }
            Err(reply) => Answer::Failed(reply),
        }
    }

    /// Does something to the client with this number, whole or as MySQL clients know it.
    pub(super) fn on_client(&self, number: u64, deed: fn(&ClientEntry)) -> Answer {
        let registry = self.view.engine.registry();
        let whole = registry.entries().into_iter().find(|entry| entry.number() == number);
        match whole.or_else(|| registry.find_number(number)) {
            Some(client) => {
                deed(&client);
                Answer::Done("KILL")
            }
            None => {
                let reply = ErrorReply::error("42704", "client not found");
                Answer::Failed(reply.detail(format!("SHOW CLIENTS has no id {number}.")))
            }
        }
    }

    /// The servers that a command is about; never none.
    fn servers_of(&self, scope: &Scope) -> Result<Vec<ServerPool>, ErrorReply> {
        let mut servers = self.view.engine.servers();
        if let Scope::Database(name) = scope {
            let server = self.server_of(name)?;
            servers.retain(|known| known.server.name == server);
        }
        if servers.is_empty() {
            return Err(ErrorReply::error("55000", "there is no server"));
        }
        Ok(servers)
    }

    /// The name of the server that a database leads to.
    fn server_of(&self, database: &str) -> Result<Arc<str>, ErrorReply> {
        let plan = self.view.engine.plan();
        let Some(index) = plan.table.database_index(database) else {
            let names = plan.table.databases().iter().map(|database| &*database.name);
            let reply = ErrorReply::error("3D000", format!("no such database: {database}"));
            return Err(match route::nearest(database, names) {
                Some(nearest) => reply.hint(format!("Did you mean {nearest}?")),
                None => reply,
            });
        };
        Ok(plan.table.server(plan.table.server_of(index)).name.clone())
    }
}

/// Why a key was not changed: undefined_parameter, cant_change_runtime_param, invalid_parameter_value.
fn not_set(error: &SetError) -> ErrorReply {
    let code = match error {
        SetError::Amend(AmendError::Unknown { .. }) => "42P02",
        SetError::Amend(AmendError::Fixed { .. }) => "55P02",
        SetError::Amend(_) | SetError::Unfit(_) => "22023",
    };
    let reply = ErrorReply::error(code, error.to_string());
    match error {
        SetError::Amend(AmendError::Unknown { nearest: Some(nearest), .. }) => {
            reply.hint(format!("Did you mean {nearest}?"))
        }
        SetError::Amend(AmendError::Unknown { .. }) => reply.hint("SHOW CONFIG lists all keys."),
        SetError::Amend(AmendError::Fixed { restart: false, .. }) => {
            reply.hint("Change the configuration file and RELOAD.")
        }
        SetError::Amend(AmendError::Fixed { .. }) => reply.hint("Change the configuration file and restart."),
        SetError::Amend(AmendError::Value { hint: Some(hint), .. }) => reply.hint(hint.clone()),
        _ => reply,
    }
}
