//! The statements that begin, end and divide transactions.

use super::lexer::TokenKind;
use super::mode::Mode;
use super::phrase::Phrase;

/// What a statement does with the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionVerb<'a> {
    /// `BEGIN [WORK]` and `START TRANSACTION …`.
    Begin {
        /// What it may do; the session's setting decides if nothing is said.
        access: Option<Access>,
        /// `WITH CONSISTENT SNAPSHOT`: it sees the data as they are now, not as at its first read.
        consistent_snapshot: bool,
    },
    /// `COMMIT`.
    Commit(Completion),
    /// `ROLLBACK`, of all of it.
    Rollback(Completion),
    /// `SAVEPOINT name`.
    Savepoint(&'a [u8]),
    /// `ROLLBACK TO [SAVEPOINT] name`.
    RollbackTo(&'a [u8]),
    /// `RELEASE SAVEPOINT name`.
    Release(&'a [u8]),
}

/// What a transaction may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// `READ ONLY`.
    ReadOnly,
    /// `READ WRITE`.
    ReadWrite,
}

/// What follows a transaction's end; the session's `completion_type` decides where nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// `AND [NO] CHAIN`: whether another transaction begins.
    pub chain: Option<bool>,
    /// `[NO] RELEASE`: whether the connection ends.
    pub release: Option<bool>,
}

/// What a text does that is exactly one statement about transactions; `None` for all others, for `XA`, and for names with a doubled
/// quote in them.
pub fn transaction_verb(text: &[u8], mode: Mode) -> Option<TransactionVerb<'_>> {
    let behind = |keyword: &[u8]| Phrase::behind(keyword, text, mode);
    if let Some(mut phrase) = behind(b"begin") {
        phrase.accept(b"work");
        return phrase.ending(TransactionVerb::Begin { access: None, consistent_snapshot: false });
    }
    if let Some(phrase) = behind(b"start") {
        return start(phrase);
    }
    if let Some(mut phrase) = behind(b"commit") {
        phrase.accept(b"work");
        return completion(phrase).map(TransactionVerb::Commit);
    }
    if let Some(phrase) = behind(b"rollback") {
        return rollback(phrase);
    }
    if let Some(mut phrase) = behind(b"savepoint") {
        let name = phrase.take_name()?;
        return phrase.ending(TransactionVerb::Savepoint(name));
    }
    let mut phrase = behind(b"release")?;
    let name = phrase.accept(b"savepoint").then(|| phrase.take_name())??;
    phrase.ending(TransactionVerb::Release(name))
}

/// Reads what is behind `START`.
fn start(mut phrase: Phrase<'_>) -> Option<TransactionVerb<'_>> {
    let (mut access, mut consistent_snapshot) = (None, false);
    if !phrase.accept(b"transaction") {
        return None;
    }
    let mut ends = phrase.is_at_end();
    while !ends {
        if phrase.accept(b"with") {
            consistent_snapshot = phrase.accept(b"consistent") && phrase.accept(b"snapshot");
            if !consistent_snapshot {
                return None;
            }
        } else {
            let said = access_mode(&mut phrase)?;
            // The server refuses a second one that differs.
            if access.replace(said).is_some_and(|before| before != said) {
                return None;
            }
        }
        ends = !phrase.accept_kind(TokenKind::Comma);
    }
    phrase.ending(TransactionVerb::Begin { access, consistent_snapshot })
}

fn access_mode(phrase: &mut Phrase<'_>) -> Option<Access> {
    if !phrase.accept(b"read") {
        return None;
    }
    if phrase.accept(b"only") { Some(Access::ReadOnly) } else { phrase.accept(b"write").then_some(Access::ReadWrite) }
}

/// Reads what is behind `ROLLBACK`.
fn rollback(mut phrase: Phrase<'_>) -> Option<TransactionVerb<'_>> {
    phrase.accept(b"work");
    if !phrase.accept(b"to") {
        return completion(phrase).map(TransactionVerb::Rollback);
    }
    // A savepoint may be called "savepoint".
    let name = match (phrase.take_name()?, phrase.is_at_end()) {
        (word, false) if word.eq_ignore_ascii_case(b"savepoint") => phrase.take_name()?,
        (name, _) => name,
    };
    phrase.ending(TransactionVerb::RollbackTo(name))
}

/// Reads what is behind `COMMIT` or `ROLLBACK`, to the end.
fn completion(mut phrase: Phrase<'_>) -> Option<Completion> {
    let mut chain = None;
    if phrase.accept(b"and") {
        chain = Some(!phrase.accept(b"no"));
        if !phrase.accept(b"chain") {
            return None;
        }
    }
    let mut release = None;
    if !phrase.is_at_end() {
        release = Some(!phrase.accept(b"no"));
        if !phrase.accept(b"release") {
            return None;
        }
    }
    // A connection that ends has no next transaction: the server refuses it.
    let agrees = !(chain == Some(true) && release == Some(true));
    phrase.ending(Completion { chain, release }).filter(|_| agrees)
}

#[cfg(test)]
mod tests {
    use super::TransactionVerb::*;
    use super::*;

    #[test]
    fn verbs() {
        let begin = |access, consistent_snapshot| Some(Begin { access, consistent_snapshot });
        let ends = |chain, release| Completion { chain, release };
        let plain = ends(None, None);
        for (text, verb) in [
            ("begin", begin(None, false)),
            ("BEGIN WORK;", begin(None, false)),
            ("begin not atomic", None),
            ("begin; select 1", None),
            ("start transaction", begin(None, false)),
            ("/* c */ START TRANSACTION READ ONLY", begin(Some(Access::ReadOnly), false)),
            ("start transaction with consistent snapshot, read write", begin(Some(Access::ReadWrite), true)),
            ("start transaction read only, read only;", begin(Some(Access::ReadOnly), false)),
            ("start transaction read only, read write", None),
            ("start transaction read only,", None),
            ("start transaction with snapshot", None),
            ("start transaction isolation level read committed", None),
            ("start slave", None),
            ("commit", Some(Commit(plain))),
            ("commit work and no chain no release", Some(Commit(ends(Some(false), Some(false))))),
            ("commit release", Some(Commit(ends(None, Some(true))))),
            ("commit and chain", Some(Commit(ends(Some(true), None)))),
            ("commit and chain release", None),
            ("commit and chain no release", Some(Commit(ends(Some(true), Some(false))))),
            ("commit no", None),
            ("commit and", None),
            ("commit x", None),
            ("rollback", Some(Rollback(plain))),
            ("rollback work and chain", Some(Rollback(ends(Some(true), None)))),
            ("rollback to a", Some(RollbackTo(b"a"))),
            ("rollback work to savepoint `a b`", Some(RollbackTo(b"a b"))),
            ("rollback to savepoint", Some(RollbackTo(b"savepoint"))),
            ("rollback to", None),
            ("savepoint a;", Some(Savepoint(b"a"))),
            ("savepoint 1a", Some(Savepoint(b"1a"))),
            ("savepoint `a``b`", None),
            ("release savepoint a", Some(Release(b"a"))),
            ("release a", None),
            ("xa commit 'a'", None),
            ("select 1", None),
            ("", None),
        ] {
            assert_eq!(transaction_verb(text.as_bytes(), Mode::STANDARD), verb, "{text}");
        }
    }
}
