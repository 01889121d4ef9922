//! What one client has prepared, by its own numbers.

use std::sync::Arc;

use super::Statement;
use crate::{
    by_number::ByNumber,
    command::{ParameterType, ParameterTypes},
};

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

/// What a client calls its statements. Whoever inserts sees to the bounds: [`ClientStatements::len`], and
/// [`ClientStatements::has_room`] for the texts, which live as long as a client has a number for them.
#[derive(Debug, Default)]
pub struct ClientStatements {
    known: ByNumber<u32, ClientStatement>,
    /// Bytes of the texts, counted once for each number.
    bytes: usize,
    last_id: u32,
}

/// The number that stands for the statement prepared last (MariaDB: direct execution).
pub const LAST_PREPARED: u32 = u32::MAX;

/// The most bytes of texts that one client may keep prepared. Ten thousand statements of 6 KB are fewer.
pub const CLIENT_TEXTS_LEN_MAX: usize = 64 * 1024 * 1024;

impl ClientStatements {
    /// Whether a text of this length can be kept beside those that are there.
    #[must_use]
    pub fn has_room(&self, text_len: usize) -> bool {
        self.bytes.saturating_add(text_len) <= CLIENT_TEXTS_LEN_MAX
    }

    /// Gives a statement a number of the client's.
    pub fn insert(&mut self, statement: Arc<Statement>, parameters: u16) -> u32 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if !matches!(self.last_id, 0 | LAST_PREPARED) && !self.known.contains_key(&self.last_id) {
                break;
            }
        }
        self.bytes += statement.text().len();
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
        let own = self.known.remove(&id)?;
        self.bytes -= own.statement.text().len();
        Some(own)
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.known = ByNumber::default();
        self.bytes = 0;
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

    use super::{super::Interner, *};
    use crate::settings::Settings;

    fn statement(text: &str) -> Arc<Statement> {
        Interner::new(1).intern(text.as_bytes(), &Settings::default(), inspect(text.as_bytes(), Mode::STANDARD))
    }

    #[test]
    fn numbers_of_a_client_are_its_own_and_never_those_with_a_meaning() {
        let statement = statement("select ?");
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

    #[test]
    fn no_client_fills_the_memory_with_texts_that_it_prepares() {
        let text = format!("select 1 -- {}", "x".repeat(CLIENT_TEXTS_LEN_MAX / 4));
        let mut client = ClientStatements::default();
        let mut ids = Vec::new();
        while client.has_room(text.len()) {
            ids.push(client.insert(statement(&text), 0));
        }
        assert_eq!(ids.len(), 3);
        assert!(client.has_room(text.len() / 2), "a shorter one");
        assert!(!client.has_room(usize::MAX));
        assert!(client.remove(ids[0]).is_some() && client.has_room(text.len()), "closing one gives its bytes back");
        assert!(client.remove(ids[0]).is_none() && !client.has_room(2 * text.len()), "once");
        client.clear();
        assert!(client.has_room(CLIENT_TEXTS_LEN_MAX) && !client.has_room(CLIENT_TEXTS_LEN_MAX + 1));
    }
}
