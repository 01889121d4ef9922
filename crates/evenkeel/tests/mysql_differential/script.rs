//! Scripts: what several sessions do, one command after the other.

use std::fmt;

use testkit::Result;
use testkit::mysql::{Kind, capability};

use super::common::script::Dice;
use super::scene::{IGNORE_SPACE, OPTIONAL, QUERY_ATTRIBUTES, SESSIONS, STICKY, Scene, USERS};
use super::talk::Pair;
use super::texts;

const STEPS_MAX: usize = 80;
/// Prepared statements that a session has at once.
pub const SLOTS: usize = 3;
/// What all drivers have, without which servers keep the parameters that a procedure sets to themselves.
const PLAIN: u32 = capability::PLAIN | 1 << 18;
/// More values than any text of ours has parameters.
const VALUES: usize = 3;
/// Collations that clients name at login, none of them of a character set in which texts are doubtful; the last one no client can use.
const COLLATIONS: [u8; 6] = [45, 45, 45, 8, 33, 35];
/// One that only MySQL knows, and one that nobody knows. A reset behind such a login leads MariaDB 10.11 to what another session had
/// that was served by the same thread.
const MYSQL_COLLATIONS: [u8; 8] = [45, 45, 45, 8, 33, 35, 255, 251];

/// A command.
#[derive(Clone, Debug)]
pub enum Command {
    Query(&'static str),
    InitDb(&'static str),
    Ping,
    ResetConnection,
    ChangeUser(usize),
    FieldList(&'static str),
    Statistics,
    SetOption(u16),
    Prepare { slot: usize, text: &'static str },
    Execute { slot: usize, values: [Value; VALUES], types: Types, cursor: bool },
    Fetch { slot: usize, rows: u32 },
    StmtReset { slot: usize },
    Close { slot: usize },
    LongData { slot: usize, parameter: u16, data: &'static str },
}

/// The value of a parameter.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    Null,
    Integer(i64),
    Double(f64),
    Text(&'static str),
}

/// Whether an execution brings the types of its parameters along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Types {
    Given,
    /// If they were given before.
    LeftOut,
}

/// Who does what.
#[derive(Clone)]
struct Step {
    session: usize,
    command: Command,
}

/// How a session logs in.
#[derive(Clone, Copy)]
struct Start {
    capabilities: u32,
    collation: u8,
}

#[derive(Clone)]
pub struct Script {
    starts: [Start; SESSIONS],
    steps: Vec<Step>,
}

/// The first difference of the replies to a script.
pub struct Difference {
    /// The command.
    pub at: usize,
    pub what: String,
}

impl Script {
    pub fn random(dice: &mut Dice, kind: Kind) -> Self {
        let collations: &[u8] = if kind == Kind::MySql { &MYSQL_COLLATIONS } else { &COLLATIONS };
        let starts = [(); SESSIONS].map(|()| Start {
            capabilities: OPTIONAL.iter().filter(|_| dice.roll(2) == 0).fold(PLAIN, |all, one| all | one),
            collation: collations[dice.roll(collations.len())],
        });
        let mut steps = Vec::new();
        for _ in 0..dice.roll(STEPS_MAX) + SESSIONS {
            let session = dice.roll(SESSIONS);
            // Some things only happen in a row.
            for _ in 0..=dice.roll(3) {
                steps.push(Step { session, command: command(dice, session < STICKY, kind) });
            }
        }
        Self { starts, steps }
    }

    /// How many commands.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// All but `count` commands from `at` on.
    pub fn without(&self, at: usize, count: usize) -> Self {
        let mut shorter = self.clone();
        shorter.steps.drain(at..(at + count).min(self.steps.len()));
        shorter
    }

    /// Its first `count` commands.
    pub fn first(&self, count: usize) -> Self {
        let mut shorter = self.clone();
        shorter.steps.truncate(count);
        shorter
    }

    /// Runs it on both sides: how many packets were alike, or what was not.
    pub fn run(&self, scene: &Scene) -> Result<std::result::Result<usize, Difference>> {
        scene.renew()?;
        let mut pairs: [Option<Option<Pair>>; SESSIONS] = [const { None }; SESSIONS];
        let mut packets = 0;
        for (at, Step { session, command }) in self.steps.iter().enumerate() {
            let Start { capabilities, collation } = self.starts[*session];
            let pair = match &mut pairs[*session] {
                Some(pair) => pair,
                none => match Pair::log_in(scene, *session, capabilities, collation) {
                    Ok(pair) => none.insert(pair),
                    Err(what) => {
                        return Ok(Err(Difference { at, what: format!("login of session {session}: {what:#}") }));
                    }
                },
            };
            // Refused, on both sides.
            let Some(pair) = pair else { continue };
            match pair.run(scene, command) {
                Ok(count) => packets += count,
                Err(what) => {
                    let what = format!("command {at} of session {session}: {command:?}\n{what:#}");
                    return Ok(Err(Difference { at, what }));
                }
            }
        }
        Ok(Ok(packets))
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (session, Start { capabilities, collation }) in self.starts.iter().enumerate() {
            if self.steps.iter().any(|step| step.session == session) {
                let named = [
                    (capability::DEPRECATE_EOF, "DEPRECATE_EOF"),
                    (capability::SESSION_TRACK, "SESSION_TRACK"),
                    (capability::MULTI_STATEMENTS, "MULTI_STATEMENTS"),
                    (capability::FOUND_ROWS, "FOUND_ROWS"),
                    (QUERY_ATTRIBUTES, "QUERY_ATTRIBUTES"),
                    (IGNORE_SPACE, "IGNORE_SPACE"),
                ];
                let names = named.iter().filter(|(flag, _)| capabilities & flag != 0).map(|(_, name)| *name);
                let names: Vec<_> = names.collect();
                writeln!(f, "session {session}: collation {collation}, {names:?}")?;
            }
        }
        for (at, Step { session, command }) in self.steps.iter().enumerate() {
            writeln!(f, "{at}: [{session}] {command:?}")?;
        }
        Ok(())
    }
}

/// Something to do for a session that may keep a server connection between its commands, or may not.
fn command(dice: &mut Dice, sticky: bool, kind: Kind) -> Command {
    let slot = dice.roll(SLOTS);
    match dice.roll(40) {
        0 => Command::InitDb(["{db}", "{db}2", "nowhere"][dice.roll(3)]),
        1 => Command::Ping,
        2 if sticky => Command::ResetConnection,
        3 if dice.roll(4) == 0 => Command::ChangeUser(dice.roll(USERS.len())),
        // On MySQL deprecated, and a warning each time.
        4 if kind == Kind::MariaDb => Command::FieldList(["{t}\0", "{t}\0v%", "nowhere\0"][dice.roll(3)]),
        5 => Command::Statistics,
        6 => Command::SetOption([0, 1, 1, 2][dice.roll(4)] % 2),
        7..11 => {
            let all = if sticky && dice.roll(3) == 0 { texts::PREPARED_STICKY } else { texts::PREPARED };
            let text = match (kind, all[dice.roll(all.len())]) {
                // To clients that know EOF packets, MySQL's packets of out parameters do not fit together; Evenkeel's do.
                (Kind::MySql, "call gives(?)") => "call two_results()",
                (_, text) => text,
            };
            Command::Prepare { slot, text }
        }
        11..19 => execute(dice, slot, sticky, kind),
        19 if sticky => Command::Fetch { slot, rows: [0, 1, 2, 100][dice.roll(4)] },
        20 => Command::StmtReset { slot },
        21 => Command::Close { slot },
        22 if sticky => {
            Command::LongData { slot, parameter: dice.roll(3) as u16, data: ["", "12", "long"][dice.roll(3)] }
        }
        _ => {
            let all = if sticky && dice.roll(2) == 0 { texts::STICKY } else { texts::LOOSE };
            Command::Query(all[dice.roll(all.len())])
        }
    }
}

fn execute(dice: &mut Dice, slot: usize, sticky: bool, kind: Kind) -> Command {
    let values = [(); VALUES].map(|()| match dice.roll(8) {
        0 => Value::Null,
        1 => Value::Double(1.5),
        2..5 => Value::Integer([0, 1, 2, 7, -3, 1 << 40][dice.roll(6)]),
        _ => Value::Text(["", "7", "seven", "é", "a'b\\"][dice.roll(5)]),
    });
    let types = if dice.roll(3) == 0 { Types::LeftOut } else { Types::Given };
    let cursor = match kind {
        Kind::MariaDb => dice.roll(5) == 0,
        // What executes a statement without a cursor that had one before, MySQL 9 answers with packets that do not fit together.
        Kind::MySql => slot == 0,
    };
    Command::Execute { slot, values, types, cursor: sticky && cursor }
}
