//! Prepared statements that outlive a lease: one text prepared once per server connection, shared by all clients.
//!
//! A [`Statement`] is a text with its parameter types. The [`Interner`] gives equal ones one identity, so that server
//! connections know them by one name. [`ServerStatements`] is what a server connection has prepared (least recently
//! used out first); [`ClientStatements`] is what a client calls them.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use sql::Verdict;

/// How the names that we give to prepared statements on servers begin.
pub const NAME_PREFIX: &[u8] = b"__ek_";

/// Digits of the largest identity.
const DIGITS_MAX: usize = 20;

/// A statement's text and parameter types.
#[derive(Debug)]
pub struct Statement {
    id: u64,
    sharing: Sharing,
    text: Box<[u8]>,
    types: Box<[u8]>,
    verdict: Verdict,
    proven: AtomicBool,
}

/// Whether a statement may live on server connections under a name of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// It may: it has a name, or was seen more than once.
    Shared,
    /// It is the client's unnamed statement, seen for the first time: preparing it for keeps would only fill caches.
    Once,
}

impl Statement {
    /// Its identity, unique among the statements of one interner and of those with another [number](Interner::numbered).
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whether it may live on server connections under a name of ours.
    #[must_use]
    pub fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Its parameter types as on the wire, count word included.
    #[must_use]
    pub fn types(&self) -> &[u8] {
        &self.types
    }

    /// What it may do to a session.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether a server has accepted it before.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.proven.load(Relaxed)
    }

    /// Notes that a server has accepted it.
    pub(crate) fn prove(&self) {
        self.proven.store(true, Relaxed);
    }

    /// Appends the name it has on server connections.
    pub fn write_name(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(NAME_PREFIX);
        let mut digits = [0; DIGITS_MAX];
        let mut at = digits.len();
        let mut rest = self.id;
        while at == digits.len() || rest > 0 {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        out.extend_from_slice(&digits[at..]);
    }

    /// The name it has on server connections.
    #[must_use]
    pub fn name(&self) -> Vec<u8> {
        let mut name = Vec::with_capacity(NAME_PREFIX.len() + DIGITS_MAX);
        self.write_name(&mut name);
        name
    }
}

impl PartialEq for Statement {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// Gives equal statements one identity.
///
/// Identity is by text and types, never by their hash: a hash that two texts share must not run one for the other.
#[derive(Debug)]
pub struct Interner {
    hasher: RandomState,
    known: HashMap<u64, Vec<Arc<Statement>>>,
    len: usize,
    len_max: usize,
    /// Bytes of the texts of all that are known.
    bytes: usize,
    /// Hashes of unnamed statements seen once, each in the place its low bits say.
    seen: Box<[u64]>,
    last_id: u64,
}

/// Places for texts seen once. A collision only delays sharing.
const SEEN_LEN: usize = 4096;

/// The most bytes of texts that an interner keeps.
pub const TEXTS_LEN_MAX: usize = 64 * 1024 * 1024;

impl Interner {
    /// An interner that keeps at most `len_max` statements, and [`TEXTS_LEN_MAX`] bytes of texts.
    #[must_use]
    pub fn new(len_max: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            known: HashMap::new(),
            len: 0,
            len_max,
            bytes: 0,
            seen: vec![0; SEEN_LEN].into_boxed_slice(),
            last_id: 0,
        }
    }

    /// The same, for one of several interners among whose statements no two may have the same identity: a client can bring its
    /// statements along when it moves to another server. Interners of different numbers have none in common.
    #[must_use]
    pub fn numbered(self, number: u32) -> Self {
        Self { last_id: u64::from(number) << 32, ..self }
    }

    /// The statement with this text and these types, to live on server connections under a name.
    pub fn shared(&mut self, text: &[u8], types: &[u8]) -> Arc<Statement> {
        let hash = self.hasher.hash_one((text, types));
        self.find(hash, text, types).unwrap_or_else(|| self.insert(hash, text, types))
    }

    /// The shared statement with this text and these types, if there is one that a server has accepted.
    #[must_use]
    pub fn proven(&self, text: &[u8], types: &[u8]) -> Option<Arc<Statement>> {
        self.find(self.hasher.hash_one((text, types)), text, types).filter(|statement| statement.is_proven())
    }

    /// The unnamed statement with this text and these types: shared from its second sight on.
    pub fn unnamed(&mut self, text: &[u8], types: &[u8]) -> Arc<Statement> {
        let hash = self.hasher.hash_one((text, types));
        if let Some(known) = self.find(hash, text, types) {
            return known;
        }
        let place = &mut self.seen[hash as usize % SEEN_LEN];
        if *place == hash {
            return self.insert(hash, text, types);
        }
        *place = hash;
        self.create(Sharing::Once, text, types)
    }

    /// A statement that is never shared.
    pub fn private(&mut self, text: &[u8], types: &[u8]) -> Arc<Statement> {
        self.create(Sharing::Once, text, types)
    }

    fn find(&self, hash: u64, text: &[u8], types: &[u8]) -> Option<Arc<Statement>> {
        self.known.get(&hash)?.iter().find(|known| *known.text == *text && *known.types == *types).cloned()
    }

    fn insert(&mut self, hash: u64, text: &[u8], types: &[u8]) -> Arc<Statement> {
        if !self.has_room(text.len()) {
            self.forget_unused();
        }
        let statement = self.create(Sharing::Shared, text, types);
        // Full of statements in use: this one works, but the next client with the same text gets one of its own.
        if self.has_room(text.len()) {
            self.known.entry(hash).or_default().push(statement.clone());
            self.len += 1;
            self.bytes += text.len();
        }
        statement
    }

    fn create(&mut self, sharing: Sharing, text: &[u8], types: &[u8]) -> Arc<Statement> {
        self.last_id += 1;
        Arc::new(Statement {
            id: self.last_id,
            sharing,
            text: text.into(),
            types: types.into(),
            verdict: sql::inspect(text, true),
            proven: AtomicBool::new(false),
        })
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

/// The most bytes of texts that stay prepared on one server connection, unless it is one text alone.
pub const SERVER_TEXTS_LEN_MAX: usize = 16 * 1024 * 1024;

/// What one server connection has prepared, bounded; the least recently used goes first.
#[derive(Debug)]
pub struct ServerStatements {
    places: HashMap<u64, usize>,
    nodes: Vec<Node>,
    /// Most recently used; meaningful while `nodes` is not empty.
    newest: usize,
    len_max: usize,
    /// Bytes of the texts of all.
    bytes: usize,
}

/// A node of the circular list in order of use: `newer` of the newest is the oldest.
#[derive(Debug)]
struct Node {
    statement: Arc<Statement>,
    newer: usize,
    older: usize,
}

impl ServerStatements {
    /// Room for this many statements, at least one.
    #[must_use]
    pub fn new(len_max: usize) -> Self {
        Self { places: HashMap::new(), nodes: Vec::new(), newest: 0, len_max: len_max.max(1), bytes: 0 }
    }

    /// Whether the statement is prepared here; if so it is now the most recently used.
    pub fn touch(&mut self, id: u64) -> bool {
        let Some(&place) = self.places.get(&id) else { return false };
        if place != self.newest {
            self.unlink(place);
            self.link_newest(place);
        }
        true
    }

    /// Notes a statement as prepared here. Returns the one that must be closed to make room for one more; see
    /// [`ServerStatements::shed`] for others.
    pub fn insert(&mut self, statement: Arc<Statement>) -> Option<Arc<Statement>> {
        if self.touch(statement.id()) {
            return None;
        }
        let evicted = if self.nodes.len() >= self.len_max { self.remove_oldest() } else { None };
        let place = self.nodes.len();
        self.bytes += statement.text().len();
        self.places.insert(statement.id(), place);
        self.nodes.push(Node { statement, newer: place, older: place });
        if place == 0 {
            self.newest = 0;
        } else {
            self.link_newest(place);
        }
        evicted
    }

    /// Forgets the least recently used statement if all texts together are too long, and another one was used since. It must be
    /// closed.
    pub fn shed(&mut self) -> Option<Arc<Statement>> {
        if self.bytes > SERVER_TEXTS_LEN_MAX && self.nodes.len() > 1 { self.remove_oldest() } else { None }
    }

    /// Notes that a statement is prepared here after all: closing it was skipped, as was what it had to make room for.
    pub fn restore(&mut self, statement: Arc<Statement>) {
        let len_max = std::mem::replace(&mut self.len_max, usize::MAX);
        self.insert(statement);
        self.len_max = len_max;
    }

    /// Notes that a statement is not prepared here (any more).
    pub fn remove(&mut self, id: u64) -> Option<Arc<Statement>> {
        let place = self.places.remove(&id)?;
        self.unlink(place);
        let node = self.nodes.swap_remove(place);
        self.bytes -= node.statement.text().len();
        if let Some(moved) = self.nodes.get(place) {
            let (from, moved_id, newer, older) = (self.nodes.len(), moved.statement.id(), moved.newer, moved.older);
            self.places.insert(moved_id, place);
            if newer == from {
                // Alone in the ring: it pointed at itself.
                (self.nodes[place].newer, self.nodes[place].older) = (place, place);
            } else {
                self.nodes[newer].older = place;
                self.nodes[older].newer = place;
            }
            if self.newest == from {
                self.newest = place;
            }
        }
        Some(node.statement)
    }

    /// Notes that nothing is prepared here any more.
    pub fn clear(&mut self) {
        self.places.clear();
        self.nodes.clear();
        self.bytes = 0;
    }

    /// How many statements are prepared here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing is prepared here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// There must be one.
    fn remove_oldest(&mut self) -> Option<Arc<Statement>> {
        let oldest = self.nodes[self.newest].newer;
        self.remove(self.nodes[oldest].statement.id())
    }

    fn unlink(&mut self, place: usize) {
        let Node { newer, older, .. } = self.nodes[place];
        self.nodes[newer].older = older;
        self.nodes[older].newer = newer;
        if self.newest == place {
            self.newest = older;
        }
    }

    fn link_newest(&mut self, place: usize) {
        let oldest = self.nodes[self.newest].newer;
        let newest = self.newest;
        self.nodes[place].older = newest;
        self.nodes[place].newer = oldest;
        self.nodes[newest].newer = place;
        self.nodes[oldest].older = place;
        self.newest = place;
    }
}

/// The most bytes of texts that one client may keep prepared under names, unless it is one text alone. Ten thousand statements
/// of 6 KB are fewer.
pub const CLIENT_TEXTS_LEN_MAX: usize = 64 * 1024 * 1024;

/// What a client calls its prepared statements. Whoever inserts sees to the bounds: [`ClientStatements::len`], and
/// [`ClientStatements::has_room`] for the texts, which live as long as a client has a name for them.
#[derive(Debug, Default)]
pub struct ClientStatements {
    named: HashMap<Box<[u8]>, Arc<Statement>>,
    /// Bytes of the named statements' texts, counted once for each name.
    bytes: usize,
    unnamed: Option<Arc<Statement>>,
}

impl ClientStatements {
    /// The statement with this name; the empty name is the unnamed statement.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&Arc<Statement>> {
        if name.is_empty() { self.unnamed.as_ref() } else { self.named.get(name) }
    }

    /// A name of the statement that server connections know by this name; empty for the unnamed one.
    #[must_use]
    pub fn name_of(&self, server_name: &[u8]) -> Option<&[u8]> {
        let digits = server_name.strip_prefix(NAME_PREFIX)?;
        let id: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        if self.unnamed.as_ref().is_some_and(|statement| statement.id == id) {
            return Some(b"");
        }
        self.named.iter().find(|(_, statement)| statement.id == id).map(|(name, _)| &**name)
    }

    /// Whether texts of so many bytes in all can be named beside those that are there.
    #[must_use]
    pub fn has_room(&self, texts_len: usize) -> bool {
        self.named.is_empty() || self.bytes.saturating_add(texts_len) <= CLIENT_TEXTS_LEN_MAX
    }

    /// Names a statement.
    pub fn insert(&mut self, name: &[u8], statement: Arc<Statement>) {
        if name.is_empty() {
            self.unnamed = Some(statement);
            return;
        }
        self.bytes += statement.text().len();
        if let Some(former) = self.named.insert(name.into(), statement) {
            self.bytes -= former.text().len();
        }
    }

    /// Forgets a name.
    pub fn remove(&mut self, name: &[u8]) -> Option<Arc<Statement>> {
        if name.is_empty() {
            return self.unnamed.take();
        }
        let statement = self.named.remove(name)?;
        self.bytes -= statement.text().len();
        Some(statement)
    }

    /// Forgets the unnamed statement, if it is this one.
    pub fn remove_unnamed(&mut self, statement: &Statement) {
        self.unnamed.take_if(|unnamed| **unnamed == *statement);
    }

    /// Forgets all names.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many named statements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.named.len()
    }

    /// Whether nothing is prepared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.unnamed.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_statements_have_one_identity() {
        let mut interner = Interner::new(8);
        let one = interner.shared(b"select 1", b"\0\0");
        assert_eq!(one.id(), interner.shared(b"select 1", b"\0\0").id());
        assert_ne!(one.id(), interner.shared(b"select 1", b"\0\x01\0\0\0\x17").id());
        assert_eq!(one.name(), b"__ek_1");
    }

    #[test]
    fn an_unnamed_statement_is_shared_from_its_second_sight() {
        let mut interner = Interner::new(8);
        assert_eq!(interner.unnamed(b"select 1", b"\0\0").sharing(), Sharing::Once);
        let second = interner.unnamed(b"select 1", b"\0\0");
        assert_eq!(second.sharing(), Sharing::Shared);
        assert_eq!(second.id(), interner.unnamed(b"select 1", b"\0\0").id());
    }

    #[test]
    fn the_clients_name_is_found_by_the_servers() {
        let mut interner = Interner::new(8);
        let (one, two) = (interner.shared(b"select 1", b"\0\0"), interner.shared(b"select 2", b"\0\0"));
        let mut statements = ClientStatements::default();
        statements.insert(b"one", one.clone());
        statements.insert(b"", two.clone());
        assert_eq!(statements.name_of(&one.name()), Some(&b"one"[..]));
        assert_eq!(statements.name_of(&two.name()), Some(&b""[..]));
        for stranger in [&b"__ek_3"[..], b"__ek_", b"__ek_99999999999999999999", b"one"] {
            assert_eq!(statements.name_of(stranger), None);
        }
    }

    #[test]
    fn texts_that_stay_prepared_do_not_fill_the_memory() {
        let mut interner = Interner::new(8);
        let text = |first: u8| vec![first; SERVER_TEXTS_LEN_MAX / 2];
        let [one, two, three] = [b'1', b'2', b'3'].map(|first| interner.shared(&text(first), b""));
        let mut server = ServerStatements::new(10);
        for statement in [&one, &two] {
            assert!(server.insert(statement.clone()).is_none() && server.shed().is_none());
        }
        assert!(server.touch(one.id()) && server.insert(three.clone()).is_none());
        assert_eq!(
            (server.shed(), server.shed()),
            (Some(two), None),
            "the least recently used, and no more than must be"
        );
        server.remove(one.id());
        let whole = interner.shared(&vec![b'4'; SERVER_TEXTS_LEN_MAX + 1], b"");
        assert!(server.insert(whole.clone()).is_none());
        assert_eq!((server.shed(), server.shed(), server.len()), (Some(three), None, 1), "one alone may be longer");
        server.clear();
        assert!(server.insert(one).is_none() && server.shed().is_none());
    }

    #[test]
    fn no_client_fills_the_memory_with_texts_that_it_prepares() {
        let mut interner = Interner::new(8);
        let text = vec![b' '; CLIENT_TEXTS_LEN_MAX / 4 + 1];
        let statement = interner.shared(&text, b"");
        let mut client = ClientStatements::default();
        assert!(client.has_room(2 * CLIENT_TEXTS_LEN_MAX), "one alone may be as long as a message");
        for name in [b"a", b"b", b"c", b"c"] {
            assert!(client.has_room(text.len()) || client.get(name).is_some());
            client.insert(name, statement.clone());
        }
        assert!(!client.has_room(text.len()) && client.has_room(text.len() / 2));
        client.insert(b"", statement.clone());
        assert!(client.has_room(text.len() / 2), "the unnamed one makes way for the next");
        assert!(client.remove(b"a").is_some() && client.has_room(text.len()), "closing one gives its bytes back");
        assert!(client.remove(b"a").is_none() && !client.has_room(2 * text.len()), "once");
        client.insert(b"c", interner.shared(b"select 1", b""));
        assert!(client.has_room(2 * text.len()), "so does giving its name to a shorter one");
        client.clear();
        assert!(client.has_room(CLIENT_TEXTS_LEN_MAX));
    }

    #[test]
    fn a_full_interner_keeps_what_is_in_use() {
        let mut interner = Interner::new(2);
        let kept = interner.shared(b"a", b"");
        interner.shared(b"b", b"");
        interner.shared(b"c", b"");
        assert_eq!(kept.id(), interner.shared(b"a", b"").id());
        let c = interner.shared(b"c", b"");
        let d = interner.shared(b"d", b"");
        assert_eq!((kept.id(), c.id()), (interner.shared(b"a", b"").id(), interner.shared(b"c", b"").id()));
        assert_ne!(d.id(), interner.shared(b"d", b"").id(), "full of statements in use: no sharing, but it works");
    }

    #[test]
    fn so_many_bytes_of_texts_are_kept_and_no_more() {
        let mut interner = Interner::new(10);
        let (one, other) = (vec![b'1'; TEXTS_LEN_MAX / 2 + 1], vec![b'2'; TEXTS_LEN_MAX / 2 + 1]);
        let used = interner.shared(&one, b"");
        let beyond = interner.shared(&other, b"");
        assert_ne!(beyond.id(), interner.shared(&other, b"").id(), "there was no room to remember it");
        assert_eq!(used.id(), interner.shared(&one, b"").id());
        drop(used);
        let second = interner.shared(&other, b"");
        assert_eq!(second.id(), interner.shared(&other, b"").id(), "what nobody uses has made room");
    }

    proptest::proptest! {
        #[test]
        fn server_statements_are_a_bounded_lru(ops in proptest::collection::vec((0_u8..3, 0_usize..12), 0..200)) {
            let mut interner = Interner::new(64);
            let all: Vec<_> = (0..12).map(|n| interner.shared(format!("{n}").as_bytes(), b"")).collect();
            let mut statements = ServerStatements::new(5);
            let mut model: Vec<u64> = Vec::new(); // oldest first
            for (op, n) in ops {
                let id = all[n].id();
                let known = model.iter().position(|&other| other == id);
                match op {
                    0 => {
                        proptest::prop_assert_eq!(statements.touch(id), known.is_some());
                        if let Some(at) = known { model.remove(at); model.push(id); }
                    }
                    1 => {
                        let evicted = statements.insert(all[n].clone()).map(|s| s.id());
                        let expected = match known {
                            Some(at) => { model.remove(at); None }
                            None if model.len() == 5 => Some(model.remove(0)),
                            None => None,
                        };
                        model.push(id);
                        proptest::prop_assert_eq!(evicted, expected);
                    }
                    _ => {
                        proptest::prop_assert_eq!(statements.remove(id).is_some(), known.is_some());
                        if let Some(at) = known { model.remove(at); }
                    }
                }
                proptest::prop_assert_eq!(statements.len(), model.len());
            }
        }
    }
}
