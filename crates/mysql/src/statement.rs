//! Prepared statements that outlive a lease: one text prepared once per server connection, shared by all clients.
//!
//! A [`Statement`] is a text in the settings under which it was prepared: its meaning depends on them. The [`Interner`]
//! gives equal ones one identity; [`ServerStatements`] is what a server connection has prepared (the least recently used
//! goes first); [`ClientStatements`] is what a client calls them.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

use sql::mysql::Verdict;

use crate::{
    by_number::ByNumber,
    command::{ParameterType, ParameterTypes},
    settings::Settings,
};

/// Longest description of a statement that is kept, in bytes. Longer ones are asked of a server each time.
pub const DESCRIPTION_LEN_MAX: usize = 64 * 1024;

/// A statement's text, and the settings under which it was prepared.
#[derive(Debug)]
pub struct Statement {
    id: u64,
    text: Box<[u8]>,
    context: Settings,
    verdict: Verdict,
    description: Mutex<Option<(Age, Arc<Description>)>>,
}

/// Of which time the schema is that a description was made from: of the same age, of the same schema. Who counts it
/// decides what makes a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age(pub u64);

/// What a server says of a statement when it is prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// How many parameters it takes.
    pub parameters: u16,
    /// How many columns its result has.
    pub columns: u16,
    /// How many warnings there were.
    pub warnings: u16,
    /// The payloads of the definitions: of the parameters, then of the columns.
    pub definitions: Vec<Box<[u8]>>,
}

impl Statement {
    /// Its identity, unique among the statements of one interner and of those with another [number](Interner::numbered).
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The settings under which it was prepared.
    #[must_use]
    pub fn context(&self) -> &Settings {
        &self.context
    }

    /// What it may do to a session.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// What a server said of it, if one was asked when the schema was of this age.
    #[must_use]
    pub fn description(&self, age: Age) -> Option<Arc<Description>> {
        let known = self.description.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(then, _)| *then == age).map(|(_, description)| description.clone())
    }

    /// Notes what a server said of it.
    pub fn describe(&self, description: &Arc<Description>, age: Age) {
        let len: usize = description.definitions.iter().map(|definition| definition.len()).sum();
        if len <= DESCRIPTION_LEN_MAX {
            *self.description.lock().unwrap_or_else(PoisonError::into_inner) = Some((age, description.clone()));
        }
    }
}

/// Gives equal statements one identity. Identity is by text and settings, never by their hash.
#[derive(Debug)]
pub struct Interner {
    hasher: RandomState,
    known: HashMap<u64, Vec<Arc<Statement>>>,
    len: usize,
    len_max: usize,
    /// Bytes of the texts of all that are known.
    bytes: usize,
    last_id: u64,
}

/// The most bytes of texts that an interner keeps.
pub const TEXTS_LEN_MAX: usize = 64 * 1024 * 1024;

impl Interner {
    /// An interner that keeps at most `len_max` statements, and [`TEXTS_LEN_MAX`] bytes of texts.
    #[must_use]
    pub fn new(len_max: usize) -> Self {
        Self { hasher: RandomState::new(), known: HashMap::new(), len: 0, len_max, bytes: 0, last_id: 0 }
    }

    /// The same, for one of several interners among whose statements no two may have the same identity: a client can bring its
    /// statements along when it moves to another server. Interners of different numbers have none in common.
    #[must_use]
    pub fn numbered(self, number: u32) -> Self {
        Self { last_id: u64::from(number) << 32, ..self }
    }

    /// The statement with this text under these settings.
    pub fn intern(&mut self, text: &[u8], context: &Settings, verdict: Verdict) -> Arc<Statement> {
        let hash = self.hasher.hash_one((text, context.key()));
        let known = self.known.get(&hash).into_iter().flatten();
        if let Some(known) = known.into_iter().find(|known| *known.text == *text && known.context == *context) {
            return known.clone();
        }
        if !self.has_room(text.len()) {
            self.forget_unused();
        }
        self.last_id += 1;
        let statement = Arc::new(Statement {
            id: self.last_id,
            text: text.into(),
            context: context.clone(),
            verdict,
            description: Mutex::new(None),
        });
        // Full of statements in use: this one works, but the next client with the same text gets one of its own.
        if self.has_room(text.len()) {
            self.known.entry(hash).or_default().push(statement.clone());
            self.len += 1;
            self.bytes += text.len();
        }
        statement
    }

    fn has_room(&self, text_len: usize) -> bool {
        self.len < self.len_max && self.bytes + text_len <= TEXTS_LEN_MAX
    }

    fn forget_unused(&mut self) {
        self.known.retain(|_, bucket| {
            bucket.retain(|statement| Arc::strong_count(statement) > 1);
            !bucket.is_empty()
        });
        self.len = self.known.values().map(Vec::len).sum();
        self.bytes = self.known.values().flatten().map(|statement| statement.text.len()).sum();
    }
}

/// What one server connection has prepared, bounded.
#[derive(Debug)]
pub struct ServerStatements {
    known: ByNumber<u64, Known>,
    len_max: usize,
    /// Counts uses, so that the least recent one can be told.
    clock: u64,
}

#[derive(Debug)]
struct Known {
    /// Keeps the identity taken.
    _statement: Arc<Statement>,
    server_id: u32,
    used: u64,
}

impl ServerStatements {
    /// Room for this many statements, at least one.
    #[must_use]
    pub fn new(len_max: usize) -> Self {
        Self { known: ByNumber::default(), len_max: len_max.max(1), clock: 0 }
    }

    /// The server's number for a statement, if it is prepared here; it is then the most recently used.
    pub fn touch(&mut self, id: u64) -> Option<u32> {
        self.clock += 1;
        let known = self.known.get_mut(&id)?;
        known.used = self.clock;
        Some(known.server_id)
    }

    /// Notes a statement as prepared here under this number. Returns the number of one that must be closed: the least
    /// recently used, if there are more than there is room for, or the same statement's former one.
    pub fn insert(&mut self, statement: Arc<Statement>, server_id: u32) -> Option<u32> {
        self.clock += 1;
        let id = statement.id();
        let known = Known { _statement: statement, server_id, used: self.clock };
        if let Some(former) = self.known.insert(id, known) {
            return Some(former.server_id);
        }
        if self.known.len() <= self.len_max {
            return None;
        }
        // Rare: only a full connection that meets a new text looks through all of its statements.
        let oldest = self.known.iter().min_by_key(|(_, known)| known.used).map(|(&id, _)| id)?;
        self.remove(oldest)
    }

    /// Notes that a statement is not to be used here any more. Returns its number.
    pub fn remove(&mut self, id: u64) -> Option<u32> {
        self.known.remove(&id).map(|known| known.server_id)
    }

    /// Notes that nothing is prepared here any more.
    pub fn clear(&mut self) {
        self.known.clear();
    }

    /// How many statements are prepared here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nothing is prepared here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

/// A statement as one client has it.
#[derive(Debug)]
pub struct ClientStatement {
    /// The statement.
    pub statement: Arc<Statement>,
    /// How many parameters it takes.
    pub parameters: u16,
    /// The parameters' types as last bound; empty: never.
    types: Box<[ParameterType]>,
}

impl ClientStatement {
    /// Notes the types that an execution brings along. Those behind the parameters' are of attributes, and hold for it only.
    fn bind(&mut self, types: ParameterTypes<'_>) {
        let bound = types.take(usize::from(self.parameters)).map(|(kind, _)| kind);
        // Many clients send them with every execution.
        if !bound.clone().eq(self.types.iter().copied()) {
            self.types = bound.collect();
        }
    }
}

/// What a client calls its statements, bounded.
#[derive(Debug, Default)]
pub struct ClientStatements {
    known: ByNumber<u32, ClientStatement>,
    last_id: u32,
}

/// The number that stands for the statement prepared last (MariaDB: direct execution).
pub const LAST_PREPARED: u32 = u32::MAX;

impl ClientStatements {
    /// Gives a statement a number of the client's.
    pub fn insert(&mut self, statement: Arc<Statement>, parameters: u16) -> u32 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if !matches!(self.last_id, 0 | LAST_PREPARED) && !self.known.contains_key(&self.last_id) {
                break;
            }
        }
        self.known.insert(self.last_id, ClientStatement { statement, parameters, types: Box::default() });
        self.last_id
    }

    /// The statement with this number.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<&ClientStatement> {
        self.known.get(&self.meant(id))
    }

    /// Notes the types that an execution of the statement with this number brings along for its parameters, if it does.
    /// Returns those that hold.
    pub fn bind(&mut self, id: u32, types: Option<ParameterTypes<'_>>) -> &[ParameterType] {
        let id = self.meant(id);
        let Some(own) = self.known.get_mut(&id) else { return &[] };
        if let Some(types) = types {
            own.bind(types);
        }
        &own.types
    }

    /// The types of the statement's parameters as last bound; empty: never.
    #[must_use]
    pub fn types(&self, id: u32) -> &[ParameterType] {
        self.get(id).map_or(&[], |own| &own.types)
    }

    /// The statements.
    pub fn iter(&self) -> impl Iterator<Item = &Statement> {
        self.known.values().map(|own| &*own.statement)
    }

    /// Forgets a number. Returns what it stood for.
    pub fn remove(&mut self, id: u32) -> Option<ClientStatement> {
        let id = self.meant(id);
        self.known.remove(&id)
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.known = ByNumber::default();
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn meant(&self, id: u32) -> u32 {
        if id == LAST_PREPARED { self.last_id } else { id }
    }
}

#[cfg(test)]
mod tests {
    use sql::mysql::{Mode, inspect};

    use super::*;

    fn interner(len_max: usize) -> impl FnMut(&str, &Settings) -> Arc<Statement> {
        let mut interner = Interner::new(len_max);
        move |text, context| interner.intern(text.as_bytes(), context, inspect(text.as_bytes(), Mode::STANDARD))
    }

    #[test]
    fn equal_texts_under_equal_settings_are_one_statement() {
        let mut intern = interner(10);
        let (here, there) = (Settings::in_schema(b"here"), Settings::in_schema(b"there"));
        let one = intern("select 1", &here);
        assert!(Arc::ptr_eq(&one, &intern("select 1", &here.clone())));
        assert!(!Arc::ptr_eq(&one, &intern("select 1", &there)));
        assert!(!Arc::ptr_eq(&one, &intern("select 2", &here)));
    }

    #[test]
    fn what_nobody_uses_makes_room_and_what_is_in_use_stays() {
        let mut intern = interner(2);
        let settings = Settings::default();
        let used = intern("select 1", &settings);
        drop(intern("select 2", &settings));
        let third = intern("select 3", &settings);
        assert!(Arc::ptr_eq(&used, &intern("select 1", &settings)));
        let beyond = intern("select 4", &settings);
        assert!(!Arc::ptr_eq(&beyond, &intern("select 4", &settings)), "there was no room to remember it");
        assert!(Arc::ptr_eq(&third, &intern("select 3", &settings)));
    }

    #[test]
    fn so_many_bytes_of_texts_are_kept_and_no_more() {
        let mut intern = interner(10);
        let settings = Settings::default();
        let text = |first: &str| format!("{first}{}", "x".repeat(TEXTS_LEN_MAX / 2));
        let (one, other) = (text("select 1"), text("select 2"));
        let used = intern(&one, &settings);
        let beyond = intern(&other, &settings);
        assert!(!Arc::ptr_eq(&beyond, &intern(&other, &settings)), "there was no room to remember it");
        assert!(Arc::ptr_eq(&used, &intern(&one, &settings)));
        drop(used);
        let second = intern(&other, &settings);
        assert!(Arc::ptr_eq(&second, &intern(&other, &settings)), "what nobody uses has made room");
    }

    #[test]
    fn descriptions_hold_for_the_schema_that_they_were_made_from() {
        let statement = interner(1)("select * from t", &Settings::default());
        let of = |definition: usize| {
            let definitions = vec![vec![0; definition].into_boxed_slice()];
            Arc::new(Description { parameters: 0, columns: 1, warnings: 0, definitions })
        };
        assert_eq!(statement.description(Age(1)), None);
        statement.describe(&of(10), Age(1));
        assert_eq!(statement.description(Age(1)), Some(of(10)));
        assert_eq!(statement.description(Age(2)), None);
        statement.describe(&of(DESCRIPTION_LEN_MAX + 1), Age(2));
        assert_eq!(statement.description(Age(2)), None, "too long to be kept");
    }

    #[test]
    fn the_least_recently_used_statement_of_a_connection_goes_first() {
        let mut intern = interner(10);
        let [one, two, three] = ["select 1", "select 2", "select 3"].map(|text| intern(text, &Settings::default()));
        let mut server = ServerStatements::new(2);
        assert_eq!(server.insert(one.clone(), 11), None);
        assert_eq!(server.insert(two.clone(), 12), None);
        assert_eq!(server.touch(one.id()), Some(11));
        assert_eq!(server.insert(three.clone(), 13), Some(12));
        assert_eq!((server.touch(two.id()), server.len()), (None, 2));
        assert_eq!(server.insert(three.clone(), 14), Some(13), "prepared anew: the former one is closed");
        assert_eq!((server.remove(three.id()), server.remove(three.id())), (Some(14), None));
        server.clear();
        assert!(server.is_empty());
    }

    #[test]
    fn numbers_of_a_client_are_its_own_and_never_those_with_a_meaning() {
        let statement = interner(1)("select ?", &Settings::default());
        let mut client = ClientStatements { last_id: LAST_PREPARED - 2, ..ClientStatements::default() };
        let ids = [0; 3].map(|_| client.insert(statement.clone(), 1));
        assert_eq!(ids, [LAST_PREPARED - 1, 1, 2]);
        assert!(client.get(LAST_PREPARED).is_some(), "the one prepared last");
        assert!(client.remove(LAST_PREPARED).is_some());
        assert!(client.get(2).is_none() && client.remove(2).is_none());
        assert_eq!(client.iter().count(), 2);
        client.clear();
        assert!(client.is_empty());
    }
}
