//! What a text that cannot be judged may do all the same: nothing whose words do not occur in it, in whatever reading.

use super::effects::Effects;

/// Effects, and the words without one of which no text has them. Where a word is part of a longer one, the part will do.
/// Servers read keywords only as a whole and in ASCII, which is the same bytes in every character set that clients may use.
const WORDS: [(Effects, &[&[u8]]); 10] = [
    (Effects::USER_VARIABLE_WRITE.union(Effects::USER_VARIABLE_READ), &[b"@"]),
    (Effects::TEMP, &[b"temporary"]),
    (Effects::LOCK_FUNCTION.union(Effects::LOCK_TABLES), &[b"lock"]),
    (Effects::FLUSH_LOCK, &[b"lock", b"export", b"backup"]),
    (Effects::SQL_PREPARE, &[b"prepare", b"execute", b"deallocate"]),
    (Effects::HANDLER, &[b"handler"]),
    (Effects::XA, &[b"xa"]),
    (Effects::KILL, &[b"kill"]),
    (Effects::LOCAL_INFILE, &[b"local"]),
    (Effects::LASTVAL, &[b"val"]),
];

/// What runs code that is not in the text as it is.
const HIDING: [&[u8]; 3] = [b"execute", b"call", b"binlog"];

/// The effects that are left of all.
#[cold]
pub(super) fn effects(text: &[u8]) -> Effects {
    if HIDING.iter().any(|word| mentions(text, word)) {
        return Effects::all();
    }
    let absent = WORDS.into_iter().filter(|(_, words)| !words.iter().any(|word| mentions(text, word)));
    absent.fold(Effects::all(), |left, (effects, _)| left.without(effects))
}

fn mentions(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|here| here.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_mentioned_is_not_done() {
        let left = effects(b"create procedure p() begin select 1; end");
        assert!(!left.intersects(Effects::KILL | Effects::LOCAL_INFILE | Effects::TEMP | Effects::USER_VARIABLE_WRITE));
        assert!(left.contains(Effects::SETS | Effects::CALLS | Effects::WRITES));
    }

    #[test]
    fn code_that_is_hidden_may_do_anything() {
        for text in ["binlog 'aGlkZGVu'", "begin not atomic EXECUTE IMMEDIATE concat('ki', 'll 1'); end", "x; call p()"]
        {
            assert_eq!(effects(text.as_bytes()), Effects::all(), "{text}");
        }
    }

    #[test]
    fn every_word_counts_in_any_case() {
        for (effect, words) in WORDS {
            for word in words {
                let text = [b"; ".as_slice(), &word.to_ascii_uppercase()].concat();
                assert!(effects(&text).contains(effect), "{effect:?}");
            }
        }
        assert_eq!(
            effects(b"").union(WORDS.into_iter().fold(Effects::NONE, |all, (some, _)| all | some)),
            Effects::all()
        );
    }
}
