//! The two connections of a session, and what is compared of the replies.
//!
//! Allowed to differ:
//! - the databases' names and the numbers of prepared statements, which are put in place of each other;
//! - `COM_STATISTICS`, which tells of the whole server;
//! - flags and warnings in the EOF packet between a result's columns and its rows, but for an open cursor: servers do not
//!   tell them to Evenkeel, and tell them in what ends the rows;
//! - the number of warnings that a command tells which is no statement: MySQL repeats there what its last statements have left,
//!   which nobody reads; MariaDB does so at the end of an execution that uses no table;
//! - the flag in an EOF packet that says that something in the session changed: there is no place there to say what;
//! - how many packets a login takes: Evenkeel knows the passwords, and asks for others than the server does;
//! - what `FOUND_ROWS()` says in a session that has never asked for it: sessions ask once before they begin;
//! - the order in which an OK packet tells of several variables, which is no other on each connection;
//! - the flags that say that no index, or no good one, was used: servers choose by statistics that they gather now and then;
//! - that a transaction has begun or ended, where MySQL tells so although nobody has asked for it: it does so by chance;
//! - the collation in a column's definition, if it is of the same character set.

use anyhow::{Result, bail, ensure};
use testkit::mysql::{Kind, MyWire, Packet, ServerError, capability};

use super::scene::{QUERY_ATTRIBUTES, Scene, Side};
use super::script::{Command, SLOTS, Types, Value};

/// A session, on both sides.
pub struct Pair {
    session: usize,
    sides: [Connection; 2],
}

struct Connection {
    side: Side,
    wire: MyWire,
    capabilities: u32,
    /// MariaDB.
    repeats_warnings: bool,
    statements: [Option<Statement>; SLOTS],
}

/// A prepared statement.
#[derive(Clone, Copy)]
struct Statement {
    id: u32,
    parameters: u16,
    /// The types of the last execution.
    types: Option<[(u8, u8); 3]>,
    /// The last execution asked for a cursor.
    cursor: bool,
}

/// What comes back of a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reply {
    Nothing,
    One,
    Results,
    Rows,
    Prepared,
}

impl Pair {
    /// Logs in on both sides; `None`: both servers refuse it in the same words.
    pub fn log_in(scene: &Scene, session: usize, capabilities: u32, collation: u8) -> Result<Option<Self>> {
        let connect = |side| {
            let wire = scene.client(side, capabilities, collation)?;
            let offered = wire.greeting().map_or(0, |greeting| greeting.capabilities);
            let (capabilities, statements) = (capabilities & offered, [None; SLOTS]);
            let repeats_warnings = scene.server.kind() == Kind::MariaDb;
            let mut connection = Connection { side, wire, capabilities, repeats_warnings, statements };
            connection.begin()?;
            Ok::<_, anyhow::Error>(connection)
        };
        match Side::BOTH.map(connect) {
            [Ok(direct), Ok(through)] => Ok(Some(Self { session, sides: [direct, through] })),
            [direct, through] => {
                let [direct, through] = [direct, through].map(|side| side.err().map(|error| error.to_string()));
                ensure!(direct == through, "logins: direct: {direct:?}, through: {through:?}");
                Ok(None)
            }
        }
    }

    /// Runs a command on both sides; tells how many packets came back, if they were the same.
    pub fn run(&mut self, scene: &Scene, command: &Command) -> Result<usize> {
        let mut replies = Vec::new();
        for connection in &mut self.sides {
            let reply = connection.send(scene, self.session, command)?;
            replies.push(match reply {
                Ok(reply) => connection.read(scene, reply, command),
                Err(told) => told,
            });
        }
        let [direct, through] = <[_; 2]>::try_from(replies).unwrap_or_default();
        ensure!(direct == through, "direct:  {}\nthrough: {}", show(&direct), show(&through));
        Ok(direct.map_or(0, |packets| packets.len()))
    }
}

/// The packets of a reply; `None`: the connection is closed.
type Packets = Option<Vec<Packet>>;

fn show(packets: &Packets) -> String {
    let Some(packets) = packets else { return "closed".into() };
    packets
        .iter()
        .map(|packet| {
            let bytes =
                packet.body.iter().take(300).flat_map(|byte| byte.escape_ascii()).map(char::from).collect::<String>();
            format!("\n  {} {bytes}", packet.sequence)
        })
        .collect()
}

impl Connection {
    /// Asks for the first time what few sessions ask for.
    fn begin(&mut self) -> Result<()> {
        for text in ["select 1", "select found_rows()"] {
            self.wire.send_command(3, &[self.no_attributes(), text.as_bytes()].concat())?;
            self.read_reply(Reply::Results)?;
        }
        Ok(())
    }

    /// Sends a command: what will come back, or what has come back already.
    fn send(
        &mut self,
        scene: &Scene,
        session: usize,
        command: &Command,
    ) -> Result<std::result::Result<Reply, Packets>> {
        let text = |text: &str| {
            let table = format!("t{session}");
            text.replace("{t}", &table).replace("{n}", &session.to_string()).replace("{db}", self.side.database())
        };
        let (code, body, reply) = match command {
            Command::Query(sql) => (3, [self.no_attributes(), text(sql).as_bytes()].concat(), Reply::Results),
            Command::InitDb(name) => (2, text(name).into_bytes(), Reply::One),
            Command::Ping => (14, Vec::new(), Reply::One),
            Command::ResetConnection => {
                self.statements = [None; SLOTS];
                (31, Vec::new(), Reply::One)
            }
            Command::ChangeUser(user) => {
                self.statements = [None; SLOTS];
                let told = match scene.change_user(&mut self.wire, self.side, *user) {
                    Ok(()) => {
                        self.begin()?;
                        Some(Vec::new())
                    }
                    Err(error) => error
                        .downcast_ref::<ServerError>()
                        .map(|error| vec![Packet { sequence: 0, body: self.same(error.to_string().into_bytes()) }]),
                };
                return Ok(Err(told));
            }
            Command::FieldList(name) => (4, text(name).into_bytes(), Reply::Rows),
            Command::Statistics => (9, Vec::new(), Reply::One),
            Command::SetOption(option) => (27, option.to_le_bytes().to_vec(), Reply::One),
            Command::Prepare { slot, text: sql } => {
                let body = text(sql).into_bytes();
                // As drivers do, which reuse a handle.
                if let Some(statement) = self.statements[*slot].take() {
                    let _ = self.wire.send_command(25, &statement.id.to_le_bytes());
                }
                (22, body, Reply::Prepared)
            }
            Command::Execute { slot, values, types, cursor } => {
                let attributes = self.capabilities & QUERY_ATTRIBUTES != 0;
                let Some(statement) = &mut self.statements[*slot] else { return Ok(Err(Some(Vec::new()))) };
                statement.cursor = *cursor;
                (23, execution(statement, values, *types, *cursor, attributes), Reply::Results)
            }
            // Their errors are Evenkeel's own, which a connection that is held does not count among its conditions.
            Command::Fetch { slot, .. } | Command::StmtReset { slot } if !self.is_open(*slot, command) => {
                return Ok(Err(Some(Vec::new())));
            }
            Command::Fetch { slot, rows } => (28, [self.id(*slot), *rows].map(u32::to_le_bytes).concat(), Reply::Rows),
            Command::StmtReset { slot } => (26, self.id(*slot).to_le_bytes().to_vec(), Reply::One),
            Command::Close { slot } => {
                let id = self.id(*slot);
                self.statements[*slot] = None;
                (25, id.to_le_bytes().to_vec(), Reply::Nothing)
            }
            Command::LongData { slot, parameter, data } => {
                let id = self.id(*slot);
                // Beyond the last parameter it is an error without an answer, or with one, by version.
                let known = self.statements[*slot].is_some_and(|statement| *parameter < statement.parameters);
                if !known {
                    return Ok(Err(Some(Vec::new())));
                }
                (24, [&id.to_le_bytes()[..], &parameter.to_le_bytes(), data.as_bytes()].concat(), Reply::Nothing)
            }
        };
        Ok(match self.wire.send_command(code, &body) {
            Ok(()) => Ok(reply),
            Err(_) => Err(None),
        })
    }

    /// The reply, without what may differ.
    fn read(&mut self, scene: &Scene, reply: Reply, command: &Command) -> Packets {
        let mut packets = self.read_reply(reply).ok()?;
        if reply == Reply::Prepared
            && let Command::Prepare { slot, .. } = command
            && let Some(Packet { body, .. }) = packets.first_mut()
            && let [0, a, b, c, d, _, _, e, f, ..] = body[..]
        {
            let (id, parameters) = (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([e, f]));
            self.statements[*slot] = Some(Statement { id, parameters, types: None, cursor: false });
            body[1..5].fill(0);
        }
        for packet in &mut packets {
            packet.body = self.same(std::mem::take(&mut packet.body));
            if packet.body.starts_with(b"\x03def") {
                unify_collation(&mut packet.body, scene);
            }
            // Of both kinds of packets that end rows.
            if let [0xfe, _, _, flags, _, ..] = &mut packet.body[..] {
                *flags &= !INDEX_USE;
            }
            if let [0xfe, _, _, _, flags] = &mut packet.body[..] {
                *flags &= !(STATE_CHANGED >> 8) as u8;
            }
            if self.capabilities & capability::SESSION_TRACK != 0 {
                unify_changes(&mut packet.body);
            }
            if is_no_statement(command) || (self.repeats_warnings && matches!(command, Command::Execute { .. })) {
                forget_warnings(&mut packet.body);
            }
            if matches!(command, Command::Statistics) && packet.body.starts_with(b"Uptime") {
                packet.body.clear();
            }
        }
        Some(packets)
    }

    fn read_reply(&mut self, reply: Reply) -> Result<Vec<Packet>> {
        let mut packets = Vec::new();
        match reply {
            Reply::Nothing => {}
            Reply::One => packets.push(self.wire.read()?),
            Reply::Results => while self.read_result(&mut packets)? {},
            Reply::Rows => drop(self.read_rows(&mut packets)?),
            Reply::Prepared => {
                let first = self.wire.read()?;
                packets.push(first);
                if let [0, _, _, _, _, a, b, c, d, ..] = packets[0].body[..] {
                    for count in [u16::from_le_bytes([c, d]), u16::from_le_bytes([a, b])] {
                        let end = u16::from(count > 0 && !self.deprecates_eof());
                        for _ in 0..count + end {
                            packets.push(self.wire.read()?);
                        }
                    }
                }
            }
        }
        Ok(packets)
    }

    /// Reads one result; tells whether another follows.
    fn read_result(&mut self, packets: &mut Vec<Packet>) -> Result<bool> {
        let first = self.wire.read()?;
        packets.push(first);
        let body = &packets[packets.len() - 1].body;
        let columns = match body[..] {
            [0xff, ..] => return Ok(false),
            [0, ..] => return Ok(ok_status(body) & MORE_RESULTS != 0),
            [count] if count < 0xfb => count,
            _ => bail!("a reply that begins with {:?}", packets[packets.len() - 1]),
        };
        for _ in 0..columns {
            packets.push(self.wire.read()?);
        }
        if !self.deprecates_eof() {
            let mut end = self.wire.read()?;
            let status = end.body.get(3..5).map_or(0, |flags| u16::from_le_bytes([flags[0], flags[1]]));
            if end.body.first() == Some(&0xfe) && status & CURSOR_EXISTS == 0 {
                end.body[1..].fill(0);
            }
            let ends = end.body.first() != Some(&0xfe) || status & CURSOR_EXISTS != 0;
            packets.push(end);
            if ends {
                return Ok(false);
            }
        }
        Ok(self.read_rows(packets)? & MORE_RESULTS != 0)
    }

    /// Reads rows and their end; tells the status.
    fn read_rows(&mut self, packets: &mut Vec<Packet>) -> Result<u16> {
        loop {
            let packet = self.wire.read()?;
            let len = packet.body.len();
            packets.push(packet);
            let body = &packets[packets.len() - 1].body;
            match body[..] {
                [0xff, ..] => return Ok(0),
                [0xfe, _, _, a, b] if len == 5 => return Ok(u16::from_le_bytes([a, b])),
                [0xfe, ..] if self.deprecates_eof() && len < 0xff_ffff => return Ok(ok_status(body)),
                _ => {}
            }
        }
    }

    /// Whether a statement is there, and for a fetch, whether its last execution had a cursor.
    fn is_open(&self, slot: usize, command: &Command) -> bool {
        let fetches = matches!(command, Command::Fetch { .. });
        self.statements[slot].is_some_and(|statement| statement.cursor || !fetches)
    }

    fn id(&self, slot: usize) -> u32 {
        self.statements[slot].map_or(UNKNOWN, |statement| statement.id)
    }

    fn deprecates_eof(&self) -> bool {
        self.capabilities & capability::DEPRECATE_EOF != 0
    }

    fn no_attributes(&self) -> &'static [u8] {
        if self.capabilities & QUERY_ATTRIBUTES != 0 { b"\0\x01" } else { b"" }
    }

    /// The bytes as the direct side would have them.
    fn same(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let (own, other) = (self.side.database().as_bytes(), Side::Direct.database().as_bytes());
        for at in 0..bytes.len().saturating_sub(own.len() - 1) {
            if bytes[at..].starts_with(own) {
                bytes[at..at + own.len()].copy_from_slice(other);
            }
        }
        // So they are in the conditions that errors leave.
        if bytes.first() != Some(&0xff) && String::from_utf8_lossy(&bytes).contains(") has no open cursor") {
            bytes.clear();
        }
        // In errors statements are named by their numbers.
        if bytes.first() == Some(&0xff) {
            for (slot, statement) in self.statements.iter().enumerate() {
                if let Some(Statement { id, .. }) = statement {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    if text.contains("tatement") {
                        bytes = replace(&bytes, format!("({id})").as_bytes(), format!("(slot {slot})").as_bytes());
                    }
                }
            }
        }
        bytes
    }
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    match bytes.windows(from.len()).position(|window| window == from) {
        Some(at) => [&bytes[..at], to, &bytes[at + from.len()..]].concat(),
        None => bytes.to_vec(),
    }
}

/// The body of an execution.
fn execution(statement: &mut Statement, values: &[Value; 3], types: Types, cursor: bool, attributes: bool) -> Vec<u8> {
    let count = usize::from(statement.parameters).min(values.len());
    let given = values.map(|value| match value {
        Value::Null => (6, 0),
        Value::Integer(_) => (8, 0),
        Value::Double(_) => (5, 0),
        Value::Text(_) => (253, 0),
    });
    // Without types, those given last are meant, and the values have to fit.
    let former = statement.types.filter(|former| types == Types::LeftOut && former[..count] == given[..count]);
    statement.types = Some(given);
    let mut body = statement.id.to_le_bytes().to_vec();
    body.push(u8::from(cursor) | if attributes { 8 } else { 0 });
    body.extend(1_u32.to_le_bytes());
    if attributes {
        body.push(count as u8);
    }
    if count == 0 {
        return body;
    }
    body.push(
        values[..count]
            .iter()
            .enumerate()
            .filter(|(_, value)| matches!(value, Value::Null))
            .map(|(at, _)| 1 << at)
            .sum(),
    );
    body.push(u8::from(former.is_none()));
    if former.is_none() {
        for (kind, flags) in &given[..count] {
            body.extend([*kind, *flags]);
            if attributes {
                body.push(0);
            }
        }
    }
    for value in &values[..count] {
        match value {
            Value::Null => {}
            Value::Integer(number) => body.extend(number.to_le_bytes()),
            Value::Double(number) => body.extend(number.to_le_bytes()),
            Value::Text(text) => {
                body.push(text.len() as u8);
                body.extend(text.as_bytes());
            }
        }
    }
    body
}

/// Puts the first collation of the same character set into the definition of a column.
fn unify_collation(definition: &mut [u8], scene: &Scene) {
    let mut at = 0;
    for _ in 0..6 {
        at += match definition.get(at..) {
            Some([0xfc, low, high, ..]) => 3 + usize::from(u16::from_le_bytes([*low, *high])),
            Some([len, ..]) => 1 + usize::from(*len),
            _ => return,
        };
    }
    // Behind the length of all that follows.
    if let Some([12, low, high, ..]) = definition.get_mut(at..) {
        let collation = u16::from_le_bytes([*low, *high]);
        [*low, *high] = scene.collations.get(&collation).unwrap_or(&collation).to_le_bytes();
    }
}

/// Sorts the changes that an OK packet tells at its end, all of them with short names and values, and leaves out those of the
/// transaction's state.
fn unify_changes(ok: &mut Vec<u8>) {
    if ok.len() < 7 || !matches!(ok[0], 0 | 0xfe) || ok_status(ok) & STATE_CHANGED == 0 {
        return;
    }
    let Some(begins) = (7..ok.len()).find(|&at| at + 1 + usize::from(ok[at]) == ok.len()) else {
        return;
    };
    let (mut changes, mut at) = (Vec::new(), begins + 1);
    while let Some(&[kind, len, ..]) = ok.get(at..).filter(|rest| rest.len() >= 2) {
        let end = (at + 2 + usize::from(len)).min(ok.len());
        if kind != TRANSACTION_STATE {
            changes.push(ok[at..end].to_vec());
        }
        at = end;
    }
    changes.sort();
    ok.truncate(begins);
    let flags = status_at(ok) + 1;
    match changes.concat() {
        none if none.is_empty() => {
            ok[flags] &= !(STATE_CHANGED >> 8) as u8;
            // Nor is an empty text told then.
            if ok.last() == Some(&0) && ok.len() == flags + 4 {
                ok.pop();
            }
        }
        changes => ok.extend([&[changes.len() as u8], &changes[..]].concat()),
    }
}

/// Whether a command leaves alone what the statement before it has left.
fn is_no_statement(command: &Command) -> bool {
    matches!(
        command,
        Command::Ping
            | Command::SetOption(_)
            | Command::Fetch { .. }
            | Command::StmtReset { .. }
            | Command::InitDb(_)
            | Command::ResetConnection
    )
}

/// Makes the number of warnings in an OK or EOF packet none.
fn forget_warnings(end: &mut [u8]) {
    let at = match end {
        [0xfe, _, _, _, _] => 1,
        [0 | 0xfe, ..] => status_at(end) + 2,
        _ => return,
    };
    if let Some(warnings) = end.get_mut(at..at + 2) {
        warnings.fill(0);
    }
}

/// The status in an OK packet.
fn ok_status(body: &[u8]) -> u16 {
    let at = status_at(body);
    body.get(at..at + 2).map_or(0, |flags| u16::from_le_bytes([flags[0], flags[1]]))
}

/// Where it stands: behind two numbers of different lengths.
fn status_at(ok: &[u8]) -> usize {
    let mut at = 1;
    for _ in 0..2 {
        at += match ok.get(at) {
            Some(0xfc) => 3,
            Some(0xfd) => 4,
            Some(0xfe) => 9,
            _ => 1,
        };
    }
    at
}

/// `SERVER_QUERY_NO_GOOD_INDEX_USED`, `SERVER_QUERY_NO_INDEX_USED`.
const INDEX_USE: u8 = 1 << 4 | 1 << 5;
/// `SERVER_SESSION_STATE_CHANGED`.
const STATE_CHANGED: u16 = 1 << 14;
/// `SESSION_TRACK_TRANSACTION_STATE`.
const TRANSACTION_STATE: u8 = 5;
/// `SERVER_MORE_RESULTS_EXISTS`.
const MORE_RESULTS: u16 = 8;
/// `SERVER_STATUS_CURSOR_EXISTS`.
const CURSOR_EXISTS: u16 = 64;
/// The number of no statement.
const UNKNOWN: u32 = 99_999_999;
