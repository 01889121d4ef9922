//! The words that matter, and finding out fast that most do not.

use super::effects::Effects;
use crate::index::Index;

/// The first word of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the word it is named after")]
pub enum Keyword {
    /// There is no statement.
    Nothing,
    /// A word that is not in this list, or no word at all.
    Other,
    Alter,
    Analyze,
    Backup,
    Begin,
    Binlog,
    Cache,
    Call,
    Change,
    Check,
    Checksum,
    Clone,
    Commit,
    Create,
    Deallocate,
    Delete,
    /// `DESC` too.
    Describe,
    Do,
    Drop,
    Execute,
    Explain,
    Flush,
    Get,
    Grant,
    Handler,
    Help,
    Import,
    Insert,
    Install,
    Kill,
    Load,
    Lock,
    Optimize,
    Prepare,
    Purge,
    Release,
    Rename,
    Repair,
    Replace,
    Reset,
    Resignal,
    Restart,
    Revoke,
    Rollback,
    Savepoint,
    Select,
    Set,
    Show,
    Shutdown,
    Signal,
    Start,
    Stop,
    Table,
    Truncate,
    Uninstall,
    Unlock,
    Update,
    Use,
    Values,
    With,
    Xa,
}

/// What a word means to the walk over a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// Can begin a statement.
    Leading(Keyword),
    /// Gives words near it a meaning.
    Clause(Clause),
    /// A function that has these effects when it is called.
    Function(Effects),
    /// Anything else.
    Other,
}

/// Words inside a statement that decide something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clause {
    For,
    Into,
    Local,
    Next,
    Previous,
    Profiling,
    Share,
    SqlCalcFoundRows,
    Temporary,
    Value,
    /// `seq.nextval`, as Oracle writes it; called, it is the function.
    Nextval,
    /// `seq.currval`, the same.
    Currval,
}

impl Word {
    /// The meaning of an unquoted word, in any case.
    #[inline]
    pub(crate) fn of(text: &[u8]) -> Self {
        // Most words of most queries end here: no word in the table has their first letter and length.
        if INDEX.may_hold(text) { Self::find(text) } else { Self::Other }
    }

    /// Looks among the words with the same first letter.
    fn find(text: &[u8]) -> Self {
        INDEX.find(text).unwrap_or(Self::Other)
    }

    /// The meaning of a quoted name.
    pub(crate) fn of_name(name: &[u8]) -> Self {
        Self::of(name).as_name()
    }

    /// The meaning where the word can only be a name.
    pub(crate) fn as_name(self) -> Self {
        match self {
            Self::Function(_) | Self::Clause(Clause::Nextval | Clause::Currval | Clause::Profiling) => self,
            Self::Leading(_) | Self::Clause(_) | Self::Other => Self::Other,
        }
    }
}

/// What reading or setting a system variable does beyond that.
pub(crate) fn variable_effects(name: &[u8]) -> Effects {
    const VARIABLES: [(&[u8], Effects); 7] = [
        (b"error_count", Effects::READS_DIAGNOSTICS),
        (b"identity", Effects::LAST_INSERT_ID),
        (b"insert_id", Effects::LAST_INSERT_ID),
        (b"last_gtid", Effects::LAST_GTID),
        (b"last_insert_id", Effects::LAST_INSERT_ID),
        (b"pseudo_thread_id", Effects::CONNECTION_ID),
        (b"warning_count", Effects::READS_DIAGNOSTICS),
    ];
    let known = VARIABLES.iter().find(|(variable, _)| variable.eq_ignore_ascii_case(name));
    known.map_or(Effects::NONE, |(_, effects)| *effects)
}

/// Every word with a meaning, in lower case, sorted by first letter.
const TABLE: &[(&[u8], Word)] = &{
    use Clause as C;
    use Effects as E;
    use Keyword as K;
    use Word::{Clause as Cl, Function as F, Leading as L};
    [
        (b"alter".as_slice(), L(K::Alter)),
        (b"analyse", L(K::Analyze)),
        (b"analyze", L(K::Analyze)),
        (b"backup", L(K::Backup)),
        (b"begin", L(K::Begin)),
        (b"binlog", L(K::Binlog)),
        (b"cache", L(K::Cache)),
        (b"call", L(K::Call)),
        (b"change", L(K::Change)),
        (b"check", L(K::Check)),
        (b"checksum", L(K::Checksum)),
        (b"clone", L(K::Clone)),
        (b"commit", L(K::Commit)),
        (b"connection_id", F(E::CONNECTION_ID)),
        (b"create", L(K::Create)),
        (b"currval", Cl(C::Currval)),
        (b"deallocate", L(K::Deallocate)),
        (b"delete", L(K::Delete)),
        (b"desc", L(K::Describe)),
        (b"describe", L(K::Describe)),
        (b"do", L(K::Do)),
        (b"drop", L(K::Drop)),
        (b"execute", L(K::Execute)),
        (b"explain", L(K::Explain)),
        (b"flush", L(K::Flush)),
        (b"for", Cl(C::For)),
        (b"found_rows", F(E::FOUND_ROWS)),
        (b"get", L(K::Get)),
        (b"get_lock", F(E::LOCK_FUNCTION)),
        (b"grant", L(K::Grant)),
        (b"handler", L(K::Handler)),
        (b"help", L(K::Help)),
        (b"import", L(K::Import)),
        (b"insert", L(K::Insert)),
        (b"install", L(K::Install)),
        (b"into", Cl(C::Into)),
        (b"is_free_lock", F(E::LOCK_FUNCTION)),
        (b"is_used_lock", F(E::LOCK_FUNCTION)),
        (b"kill", L(K::Kill)),
        (b"last_insert_id", F(E::LAST_INSERT_ID)),
        (b"lastval", F(E::LASTVAL)),
        (b"load", L(K::Load)),
        (b"local", Cl(C::Local)),
        (b"lock", L(K::Lock)),
        (b"next", Cl(C::Next)),
        (b"nextval", Cl(C::Nextval)),
        (b"optimize", L(K::Optimize)),
        (b"prepare", L(K::Prepare)),
        (b"previous", Cl(C::Previous)),
        (b"profiling", Cl(C::Profiling)),
        (b"ps_current_thread_id", F(E::CONNECTION_ID)),
        (b"ps_thread_id", F(E::CONNECTION_ID)),
        (b"purge", L(K::Purge)),
        (b"release", L(K::Release)),
        (b"release_all_locks", F(E::LOCK_FUNCTION)),
        (b"release_lock", F(E::LOCK_FUNCTION)),
        (b"rename", L(K::Rename)),
        (b"repair", L(K::Repair)),
        (b"replace", L(K::Replace)),
        (b"reset", L(K::Reset)),
        (b"resignal", L(K::Resignal)),
        (b"restart", L(K::Restart)),
        (b"revoke", L(K::Revoke)),
        (b"rollback", L(K::Rollback)),
        (b"row_count", F(E::ROW_COUNT)),
        (b"savepoint", L(K::Savepoint)),
        (b"select", L(K::Select)),
        (b"service_get_read_locks", F(E::LOCK_FUNCTION)),
        (b"service_get_write_locks", F(E::LOCK_FUNCTION)),
        (b"service_release_locks", F(E::LOCK_FUNCTION)),
        (b"set", L(K::Set)),
        (b"setval", F(E::NEXTVAL.union(E::WRITES))),
        (b"share", Cl(C::Share)),
        (b"show", L(K::Show)),
        (b"shutdown", L(K::Shutdown)),
        (b"signal", L(K::Signal)),
        (b"sql_calc_found_rows", Cl(C::SqlCalcFoundRows)),
        (b"start", L(K::Start)),
        (b"stop", L(K::Stop)),
        (b"table", L(K::Table)),
        (b"temporary", Cl(C::Temporary)),
        (b"truncate", L(K::Truncate)),
        (b"uninstall", L(K::Uninstall)),
        (b"unlock", L(K::Unlock)),
        (b"update", L(K::Update)),
        (b"use", L(K::Use)),
        (b"value", Cl(C::Value)),
        (b"values", L(K::Values)),
        (b"version_tokens_lock_exclusive", F(E::LOCK_FUNCTION)),
        (b"version_tokens_lock_shared", F(E::LOCK_FUNCTION)),
        (b"version_tokens_unlock", F(E::LOCK_FUNCTION)),
        (b"with", L(K::With)),
        (b"wsrep_last_seen_gtid", F(E::LAST_GTID)),
        (b"wsrep_last_written_gtid", F(E::LAST_GTID)),
        (b"xa", L(K::Xa)),
    ]
};

static INDEX: Index<Word> = Index::new(TABLE);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_in_any_case() {
        for (text, word) in TABLE {
            assert_eq!(Word::of(text), *word, "{}", text.escape_ascii());
            assert_eq!(Word::of(&text.to_ascii_uppercase()), *word, "{}", text.escape_ascii());
            assert!(text.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'_')));
        }
    }

    #[test]
    fn other_words_are_not() {
        for text in ["", "s", "selects", "selec", "zebra", "aid", "\u{e4}", "_set", "1", "get_locks"] {
            assert_eq!(Word::of(text.as_bytes()), Word::Other, "{text}");
        }
        assert_eq!(Word::of(&[b'v'; 200]), Word::Other);
    }

    #[test]
    fn names_are_functions_or_nothing() {
        assert_eq!(Word::of_name(b"Get_Lock"), Word::Function(Effects::LOCK_FUNCTION));
        assert_eq!(Word::of_name(b"update"), Word::Other);
        assert_eq!(Word::of_name(b"into"), Word::Other);
    }
}
