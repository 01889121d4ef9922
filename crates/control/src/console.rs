//! The admin console: statements in, tables and deeds out.

mod command;
mod steer;
mod words;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use pg::ErrorReply;
use session::{
    ClientEntry, ConsoleRole, Engine,
    console::{Answer, Console, Kind, Operator, Rows},
};

use self::command::{Command, CommandError, SETTINGS};
use crate::{
    Shutdown, State, Steering,
    sum::watch,
    tables::{TOPICS, Topic, sum},
    view::View,
};

/// A command that is no table.
#[derive(Debug)]
pub(crate) struct CommandHelp {
    /// Its words.
    pub(crate) words: &'static str,
    /// What may follow.
    pub(crate) operand: &'static str,
    /// What it does, in a sentence or two.
    pub(crate) about: &'static str,
}

/// Every command that is no table, in the order in which the documentation has them.
pub(crate) const COMMANDS: &[CommandHelp] = &[
    CommandHelp { words: "SHOW HELP", operand: "", about: "Lists all commands, as a notice." },
    CommandHelp {
        words: "RELOAD",
        operand: "",
        about: "Reads the configuration again and applies it without losing a client. The notice lists every change, and \
                those that need a restart.",
    },
    CommandHelp {
        words: "SET",
        operand: "key = value",
        about: "Changes a key of the configuration in force at once, without losing a client, until the next RELOAD or restart: \
                the file is not written. Keys are named as in SHOW CONFIG, as in SET servers.pg-a.budget = 30, and values are \
                written as in the file, as in SET pool.max_lifetime = '30m'. A name without a dot is a key of pool, or one of \
                PgBouncer's.",
    },
    CommandHelp {
        words: "PAUSE",
        operand: "[database]",
        about: "Lends no more server connections, and waits up to 60 s until those in use are back. Clients that need \
                one wait, no longer than their checkout_timeout. With a database: its server, with all databases on it.",
    },
    CommandHelp { words: "RESUME", operand: "[database]", about: "Ends a pause." },
    CommandHelp {
        words: "RECONNECT",
        operand: "[database]",
        about: "Replaces server connections: idle ones now, those in use when they come back.",
    },
    CommandHelp {
        words: "KILL",
        operand: "client",
        about: "Disconnects a client, by its id in SHOW CLIENTS. Its transaction is rolled back. KILL CONNECTION does the \
                same.",
    },
    CommandHelp {
        words: "KILL QUERY",
        operand: "client",
        about: "Stops what a client runs or waits for. It stays connected.",
    },
    CommandHelp { words: "SHUTDOWN", operand: "", about: "Ends the program at once." },
    CommandHelp {
        words: "SHUTDOWN WAIT_FOR_CLIENTS",
        operand: "",
        about: "Ends the program when no transaction is open, or after timeouts.shutdown.",
    },
];

/// Sees and steers a running engine: its console, and its HTTP.
pub struct Control {
    pub(crate) view: Arc<View>,
    pub(crate) steering: Arc<dyn Steering>,
}

impl Control {
    /// Looks at `engine` and steers by `steering`. Must be made inside a tokio runtime. It is [`State::Starting`].
    #[must_use]
    pub fn new(engine: Arc<Engine>, steering: Arc<dyn Steering>, version: &'static str) -> Arc<Self> {
        Arc::new(Self { view: View::new(engine, steering.clone(), version), steering })
    }

    /// Notes how far the program is.
    pub fn set_state(&self, state: State) {
        self.view.set_state(state);
    }

    async fn answer(&self, statement: &str, operator: &Operator) -> Answer {
        let command = match Command::parse(statement) {
            Ok(command) => command,
            Err(error) => return Answer::Failed(explained(&error)),
        };
        if operator.role != ConsoleRole::Admin && !command.only_looks() {
            let refusal = ErrorReply::error("42501", "admin access needed");
            return Answer::Failed(
                refusal.hint("List the user under admin.users; those under admin.stats_users may SHOW."),
            );
        }
        if !command.only_looks() {
            tracing::info!(user = %operator.user, ?command, "operator's command");
        }
        match command {
            Command::Nothing => Answer::Done(""),
            Command::Help => Answer::Notice("SHOW", help()),
            Command::Show(topic) => self.show(topic).await,
            Command::ShowSetting(place) => setting(place),
            Command::SetNothing => Answer::Done("SET"),
            Command::Set(setting) => self.set(setting).await,
            Command::Reload => self.reload().await,
            Command::Pause(scope) => self.pause(&scope).await,
            Command::Resume(scope) => self.resume(&scope),
            Command::Reconnect(scope) => self.reconnect(&scope),
            Command::Kill(number) => self.on_client(number, ClientEntry::kill),
            Command::KillQuery(number) => self.on_client(number, ClientEntry::stop_query),
            Command::Shutdown(how) => self.shutdown(how),
        }
    }

    async fn show(&self, topic: usize) -> Answer {
        let Topic { name, build, .. } = TOPICS[topic];
        if name == sum::NAME {
            watch::ask_all(&self.view).await;
        }
        match self.view.look(move |view| build(view).into_rows()).await {
            Ok(rows) => Answer::Table(rows),
            Err(error) => {
                Answer::Failed(ErrorReply::error("XX000", "the table could not be built").detail(error.to_string()))
            }
        }
    }

    fn shutdown(&self, how: Shutdown) -> Answer {
        self.steering.shutdown(how);
        Answer::Done("SHUTDOWN")
    }
}

impl Console for Control {
    fn run<'a>(
        &'a self,
        statement: &'a str,
        operator: &'a Operator,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>> {
        Box::pin(self.answer(statement, operator))
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("state", &self.view.state()).finish_non_exhaustive()
    }
}

fn explained(error: &CommandError) -> ErrorReply {
    let reply = ErrorReply::error("42601", error.to_string());
    match error {
        CommandError::Unknown { nearest: Some(nearest), .. } => {
            reply.hint(format!("Did you mean {nearest}? SHOW HELP lists all commands."))
        }
        CommandError::Unknown { nearest: None, .. }
        | CommandError::Several
        | CommandError::NoAssignment
        | CommandError::NoNumber
        | CommandError::Words(_) => reply.hint("SHOW HELP lists all commands."),
    }
}

fn setting(place: usize) -> Answer {
    let (name, value) = SETTINGS[place];
    Answer::Table(Rows { columns: vec![(name, Kind::Text)], rows: vec![vec![Some(value.into())]] })
}

/// All commands, as PgBouncer lists its own: in the detail of a notice.
fn help() -> ErrorReply {
    let topics: Vec<_> = TOPICS.iter().map(|topic| topic.name).collect();
    let mut text = format!("\n\tSHOW {}", topics.join("|"));
    for CommandHelp { words, operand, .. } in COMMANDS {
        text.push_str(&format!("\n\t{words} {operand}"));
    }
    ErrorReply::notice("Console usage").detail(text)
}
