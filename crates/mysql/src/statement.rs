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

use crate::{by_number::ByNumber, settings::Settings};

mod client;

pub use client::{CLIENT_TEXTS_LEN_MAX, ClientStatement, ClientStatements, LAST_PREPARED};

/// The most bytes of descriptions that are kept of one statement. Longer ones are asked of a server each time.
pub const DESCRIPTION_LEN_MAX: usize = 64 * 1024;

/// The most accounts for which a statement's description is kept; of more, the latest.
const ACCOUNTS_MAX: usize = 16;

/// A statement's text, and the settings under which it was prepared.
#[derive(Debug)]
pub struct Statement {
    id: u64,
    text: Box<[u8]>,
    context: Settings,
    verdict: Verdict,
    kept: Kept,
    /// The latest last.
    told: Mutex<Vec<Told>>,
}

/// Who has a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// The interner too: it is everybody's.
    ForAll,
    /// The client it was made for.
    ForOne,
}

/// What a server has told of a statement.
#[derive(Debug)]
struct Told {
    /// To which of its accounts: it tells others nothing of tables that they may not read.
    account: Arc<str>,
    age: Age,
    description: Arc<Description>,
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

    /// What a server said of it to this account, if one was asked when the schema was of this age.
    #[must_use]
    pub fn description(&self, account: &str, age: Age) -> Option<Arc<Description>> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let known = told.iter().find(|told| *told.account == *account && told.age == age)?;
        Some(known.description.clone())
    }

    /// Notes what a server said of it to this account.
    pub fn describe(&self, description: &Arc<Description>, account: &Arc<str>, age: Age) {
        let mut room = DESCRIPTION_LEN_MAX;
        let mut fits = |description: &Description| match room.checked_sub(description.len()) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        };
        if !fits(description) {
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|told| told.account != *account && told.age == age);
        let kept = told.iter().rev().take(ACCOUNTS_MAX - 1).take_while(|told| fits(&told.description)).count();
        let outdated = told.len() - kept;
        told.drain(..outdated);
        told.push(Told { account: account.clone(), age, description: description.clone() });
    }
}

impl Description {
    /// Bytes of its definitions.
    fn len(&self) -> usize {
        self.definitions.iter().map(|definition| definition.len()).sum()
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
        // Full of statements in use: this one works, but the next client with the same text gets one of its own.
        let kept = if self.has_room(text.len()) { Kept::ForAll } else { Kept::ForOne };
        let statement = Arc::new(Statement {
            id: self.last_id,
            text: text.into(),
            context: context.clone(),
            verdict,
            kept,
            told: Mutex::default(),
        });
        if kept == Kept::ForAll {
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
    /// Keeps the interner from forgetting it: who prepares the text again shall find it here. One that the interner does not
    /// know is found by nobody, and its text would only take room.
    _statement: Option<Arc<Statement>>,
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
        let statement = (statement.kept == Kept::ForAll).then_some(statement);
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

    fn described(definition: usize) -> Arc<Description> {
        let definitions = vec![vec![0; definition].into_boxed_slice()];
        Arc::new(Description { parameters: 0, columns: 1, warnings: 0, definitions })
    }

    #[test]
    fn descriptions_hold_for_the_schema_that_they_were_made_from() {
        let statement = interner(1)("select * from t", &Settings::default());
        let account = "app".into();
        assert_eq!(statement.description("app", Age(1)), None);
        statement.describe(&described(10), &account, Age(1));
        assert_eq!(statement.description("app", Age(1)), Some(described(10)));
        assert_eq!(statement.description("app", Age(2)), None);
        statement.describe(&described(DESCRIPTION_LEN_MAX + 1), &account, Age(2));
        assert_eq!(statement.description("app", Age(2)), None, "too long to be kept");
    }

    #[test]
    fn descriptions_are_for_the_account_that_was_told() {
        let statement = interner(1)("select * from hr.salaries", &Settings::default());
        statement.describe(&described(10), &"hr".into(), Age(1));
        assert_eq!(statement.description("web", Age(1)), None);
        statement.describe(&described(20), &"web".into(), Age(1));
        assert_eq!(statement.description("hr", Age(1)), Some(described(10)));
        assert_eq!(statement.description("web", Age(1)), Some(described(20)));
    }

    #[test]
    fn so_many_descriptions_of_a_statement_are_kept_and_no_more() {
        let statement = interner(1)("select * from t", &Settings::default());
        let account = |number: usize| Arc::<str>::from(number.to_string());
        let known = |statement: &Statement| {
            (0..40).filter(|number| statement.description(&account(*number), Age(1)).is_some()).collect::<Vec<_>>()
        };
        for number in 0..20 {
            statement.describe(&described(10), &account(number), Age(1));
        }
        assert_eq!(known(&statement), (20 - ACCOUNTS_MAX..20).collect::<Vec<_>>(), "of the latest accounts");
        statement.describe(&described(DESCRIPTION_LEN_MAX - 20), &account(30), Age(1));
        assert_eq!(known(&statement), [18, 19, 30], "as far as there is room");
        statement.describe(&described(10), &account(31), Age(2));
        assert_eq!(known(&statement), [0; 0], "of this age");
    }

    #[test]
    fn a_connection_keeps_no_text_that_nobody_could_find_there() {
        let mut intern = interner(1);
        let settings = Settings::default();
        let [everybodys, ones] = ["select 1", "select 2"].map(|text| intern(text, &settings));
        let mut server = ServerStatements::new(2);
        server.insert(everybodys.clone(), 11);
        server.insert(ones.clone(), 12);
        assert_eq!((Arc::strong_count(&everybodys), Arc::strong_count(&ones)), (3, 1));
        assert_eq!((server.touch(everybodys.id()), server.touch(ones.id())), (Some(11), Some(12)));
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
}
