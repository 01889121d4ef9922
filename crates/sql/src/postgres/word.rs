//! The words that matter, and finding out fast that most do not.

use super::Effects;
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
    Abort,
    Alter,
    Analyze,
    Begin,
    Call,
    Checkpoint,
    Close,
    Cluster,
    Comment,
    Commit,
    Copy,
    Create,
    Deallocate,
    Declare,
    Delete,
    Discard,
    Do,
    Drop,
    End,
    Execute,
    Explain,
    Fetch,
    Grant,
    Import,
    Insert,
    Listen,
    Load,
    Lock,
    Merge,
    Move,
    Notify,
    Prepare,
    Reassign,
    Refresh,
    Reindex,
    Release,
    Reset,
    Revoke,
    Rollback,
    Savepoint,
    Security,
    Select,
    Set,
    Show,
    Start,
    Table,
    Truncate,
    Unlisten,
    Update,
    Vacuum,
    Values,
    With,
}

/// What a word, or the token in its place, means to the walk over a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// Can begin a statement.
    Leading(Keyword),
    /// Gives words near it a meaning.
    Clause(Clause),
    /// The name of a function or relation with these effects, wherever it stands.
    Name(Effects),
    /// `set_config`: its arguments decide what it does.
    SetConfig,
    /// The view whose `UPDATE` calls `set_config`.
    PgSettings,
    /// The schema of PostgreSQL's own functions.
    PgCatalog,
    /// Not a word but the dot inside a qualified name: what follows is a name too.
    Dot,
    /// Such a dot behind [`Word::PgCatalog`].
    CatalogDot,
    /// Anything else.
    Other,
}

/// Words inside a statement that decide something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clause {
    As,
    Chain,
    For,
    From,
    Global,
    Hold,
    Into,
    Key,
    Local,
    No,
    Replace,
    Share,
    Temp,
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
        if let Some(name) = pg_name(text) {
            return name;
        }
        INDEX.find(text).unwrap_or(Self::Other)
    }

    /// The meaning of a quoted name, given without its quotes: it can only be a name.
    ///
    /// Upper-case letters would make it another name; taking it for the same one errs on the safe side. Only where a name
    /// may mean less does its case matter.
    pub(crate) fn of_quoted(name: &[u8]) -> Self {
        match Self::of(name) {
            Self::SetConfig if name != b"set_config" => Self::Name(Effects::SET_CONFIG),
            Self::PgCatalog if name != b"pg_catalog" => Self::Other,
            word @ (Self::Name(_) | Self::SetConfig | Self::PgSettings | Self::PgCatalog) => word,
            Self::Leading(_) | Self::Clause(_) | Self::Dot | Self::CatalogDot | Self::Other => Self::Other,
        }
    }
}

/// The meaning of a name by its beginning, for the families of names that share one.
fn pg_name(text: &[u8]) -> Option<Word> {
    let strip = |text: &'_ [u8], prefix: &[u8]| {
        text.get(..prefix.len()).filter(|head| head.eq_ignore_ascii_case(prefix)).map(|head| head.len())
    };
    if strip(text, b"pg_temp").is_some() {
        return Some(Word::Name(Effects::TEMP));
    }
    let family = strip(text, b"pg_advisory_").or_else(|| strip(text, b"pg_try_advisory_"))?;
    let rest = text.get(family..)?;
    // Those of the transaction end with it, and what is returned is no longer there.
    let leaves_none = [&b"xact_"[..], b"unlock"].iter().any(|prefix| strip(rest, prefix).is_some());
    Some(if leaves_none { Word::Other } else { Word::Name(Effects::ADVISORY) })
}

/// Every word with a meaning, in lower case, sorted by first letter.
const TABLE: &[(&[u8], Word)] = &{
    use Clause as C;
    use Effects as E;
    use Keyword as K;
    use Word::{Clause as Cl, Leading as L, Name as N};
    [
        (b"abort".as_slice(), L(K::Abort)),
        (b"alter", L(K::Alter)),
        (b"analyse", L(K::Analyze)),
        (b"analyze", L(K::Analyze)),
        (b"as", Cl(C::As)),
        (b"begin", L(K::Begin)),
        (b"call", L(K::Call)),
        (b"chain", Cl(C::Chain)),
        (b"checkpoint", L(K::Checkpoint)),
        (b"close", L(K::Close)),
        (b"cluster", L(K::Cluster)),
        (b"comment", L(K::Comment)),
        (b"commit", L(K::Commit)),
        (b"connectby", N(E::CALLS)),
        (b"copy", L(K::Copy)),
        (b"create", L(K::Create)),
        (b"crosstab", N(E::CALLS)),
        (b"crosstab2", N(E::CALLS)),
        (b"crosstab3", N(E::CALLS)),
        (b"crosstab4", N(E::CALLS)),
        (b"currval", N(E::CURRVAL)),
        (b"cursor_to_xml", N(E::CALLS)),
        (b"dblink_close", N(E::SESSION_FUNCTION)),
        (b"dblink_connect", N(E::SESSION_FUNCTION)),
        (b"dblink_connect_u", N(E::SESSION_FUNCTION)),
        (b"dblink_disconnect", N(E::SESSION_FUNCTION)),
        (b"dblink_open", N(E::SESSION_FUNCTION)),
        (b"dblink_send_query", N(E::SESSION_FUNCTION)),
        (b"deallocate", L(K::Deallocate)),
        (b"declare", L(K::Declare)),
        (b"delete", L(K::Delete)),
        (b"discard", L(K::Discard)),
        (b"do", L(K::Do)),
        (b"drop", L(K::Drop)),
        (b"end", L(K::End)),
        (b"execute", L(K::Execute)),
        (b"explain", L(K::Explain)),
        (b"fetch", L(K::Fetch)),
        (b"for", Cl(C::For)),
        (b"from", Cl(C::From)),
        (b"global", Cl(C::Global)),
        (b"grant", L(K::Grant)),
        (b"hold", Cl(C::Hold)),
        (b"import", L(K::Import)),
        (b"insert", L(K::Insert)),
        (b"into", Cl(C::Into)),
        (b"key", Cl(C::Key)),
        (b"lastval", N(E::CURRVAL)),
        (b"listen", L(K::Listen)),
        (b"load", L(K::Load)),
        (b"local", Cl(C::Local)),
        (b"lock", L(K::Lock)),
        (b"merge", L(K::Merge)),
        (b"move", L(K::Move)),
        (b"nextval", N(E::NEXTVAL)),
        (b"no", Cl(C::No)),
        (b"notify", L(K::Notify)),
        (b"pg_backup_start", N(E::SESSION_FUNCTION)),
        (b"pg_backup_stop", N(E::SESSION_FUNCTION)),
        (b"pg_catalog", Word::PgCatalog),
        (b"pg_copy_logical_replication_slot", N(E::SESSION_FUNCTION)),
        (b"pg_copy_physical_replication_slot", N(E::SESSION_FUNCTION)),
        (b"pg_create_logical_replication_slot", N(E::SESSION_FUNCTION)),
        (b"pg_create_physical_replication_slot", N(E::SESSION_FUNCTION)),
        (b"pg_notify", N(E::NOTIFIES)),
        (b"pg_replication_origin_session_reset", N(E::SESSION_FUNCTION)),
        (b"pg_replication_origin_session_setup", N(E::SESSION_FUNCTION)),
        (b"pg_settings", Word::PgSettings),
        (b"pg_start_backup", N(E::SESSION_FUNCTION)),
        (b"pg_stop_backup", N(E::SESSION_FUNCTION)),
        (b"prepare", L(K::Prepare)),
        (b"query_to_xml", N(E::CALLS)),
        (b"query_to_xml_and_xmlschema", N(E::CALLS)),
        (b"query_to_xmlschema", N(E::CALLS)),
        (b"reassign", L(K::Reassign)),
        (b"refresh", L(K::Refresh)),
        (b"reindex", L(K::Reindex)),
        (b"release", L(K::Release)),
        (b"replace", Cl(C::Replace)),
        (b"reset", L(K::Reset)),
        (b"revoke", L(K::Revoke)),
        (b"rollback", L(K::Rollback)),
        (b"savepoint", L(K::Savepoint)),
        (b"security", L(K::Security)),
        (b"select", L(K::Select)),
        (b"set", L(K::Set)),
        (b"set_config", Word::SetConfig),
        (b"set_limit", N(E::SET_CONFIG)),
        (b"setseed", N(E::SESSION_FUNCTION)),
        (b"setval", N(E::NEXTVAL)),
        (b"share", Cl(C::Share)),
        (b"show", L(K::Show)),
        (b"start", L(K::Start)),
        (b"table", L(K::Table)),
        (b"temp", Cl(C::Temp)),
        (b"temporary", Cl(C::Temp)),
        (b"truncate", L(K::Truncate)),
        (b"ts_rewrite", N(E::CALLS)),
        (b"ts_stat", N(E::CALLS)),
        (b"unlisten", L(K::Unlisten)),
        (b"update", L(K::Update)),
        (b"vacuum", L(K::Vacuum)),
        (b"values", L(K::Values)),
        (b"with", L(K::With)),
        (b"xpath_table", N(E::CALLS)),
    ]
};

/// The families are those of [`pg_name`].
static INDEX: Index<Word> = Index::new(TABLE).with_family(b"pg_temp");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_in_any_case() {
        for (text, word) in TABLE {
            assert_eq!(Word::of(text), *word, "{}", text.escape_ascii());
            assert_eq!(Word::of(&text.to_ascii_uppercase()), *word, "{}", text.escape_ascii());
            assert!(text.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'_' | b'0'..=b'9')));
        }
    }

    #[test]
    fn other_words_are_not() {
        for text in ["", "s", "selects", "selec", "zebra", "aid", "\u{e4}", "_set", "1", "seleCT ", "pg_stat_activity"]
        {
            assert_eq!(Word::of(text.as_bytes()), Word::Other, "{text}");
        }
        assert_eq!(Word::of(&[b'p'; 200]), Word::Other);
    }

    #[test]
    fn families_of_names() {
        let advisory = Word::Name(Effects::ADVISORY);
        for (name, word) in [
            ("pg_advisory_lock", advisory),
            ("PG_TRY_ADVISORY_LOCK_SHARED", advisory),
            ("pg_advisory_unlock_all", Word::Other),
            ("pg_advisory_xact_lock", Word::Other),
            ("pg_try_advisory_xact_lock_shared", Word::Other),
            ("pg_temp", Word::Name(Effects::TEMP)),
            ("pg_temp_12", Word::Name(Effects::TEMP)),
            ("pg_tem", Word::Other),
        ] {
            assert_eq!(Word::of(name.as_bytes()), word, "{name}");
        }
    }

    #[test]
    fn quoted_words_are_names_only() {
        assert_eq!(Word::of_quoted(b"select"), Word::Other);
        assert_eq!(Word::of_quoted(b"temp"), Word::Other);
        assert_eq!(Word::of_quoted(b"set_config"), Word::SetConfig);
        assert_eq!(Word::of_quoted(b"Set_Config"), Word::Name(Effects::SET_CONFIG));
        assert_eq!(Word::of_quoted(b"pg_catalog"), Word::PgCatalog);
        assert_eq!(Word::of_quoted(b"PG_catalog"), Word::Other);
        assert_eq!(Word::of_quoted(b"pg_settings"), Word::PgSettings);
    }
}
