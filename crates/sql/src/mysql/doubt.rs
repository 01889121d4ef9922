//! What a text that cannot be judged may do all the same: nothing whose words do not occur in it, in whatever reading.

use super::effects::Effects;

/// Words, and the effects that texts may have with them. Where a word is part of a longer one, the part will do.
/// Servers read keywords only as a whole and in ASCII, which is the same bytes in every character set that clients may use.
const WORDS: [(&[u8], Effects); 15] = [
    (b"@", Effects::USER_VARIABLE_WRITE.union(Effects::USER_VARIABLE_READ)),
    (b"temporary", Effects::TEMP),
    (b"lock", Effects::LOCK_FUNCTION.union(Effects::LOCK_TABLES).union(Effects::FLUSH_LOCK)),
    (b"export", Effects::FLUSH_LOCK),
    (b"backup", Effects::FLUSH_LOCK),
    (b"prepare", Effects::SQL_PREPARE),
    (b"deallocate", Effects::SQL_PREPARE),
    (b"handler", Effects::HANDLER),
    (b"xa", Effects::XA),
    (b"kill", Effects::KILL),
    (b"local", Effects::LOCAL_INFILE),
    (b"val", Effects::LASTVAL),
    // What runs code that is not in the text as it is.
    (b"execute", Effects::all()),
    (b"call", Effects::all()),
    (b"binlog", Effects::all()),
];

/// The effects that no word is needed for.
const WORDLESS: Effects = {
    let (mut left, mut at) = (Effects::all(), 0);
    while at < WORDS.len() {
        if !WORDS[at].1.contains(Effects::all()) {
            left = left.without(WORDS[at].1);
        }
        at += 1;
    }
    left
};

/// For each byte, in either case, the words that begin with it: a bit for each place in [`WORDS`].
static BEGINNINGS: [u16; 256] = {
    let (mut beginnings, mut at) = ([0; 256], 0);
    while at < WORDS.len() {
        let first = WORDS[at].0[0];
        beginnings[first as usize] |= 1 << at;
        beginnings[first.to_ascii_uppercase() as usize] = beginnings[first as usize];
        at += 1;
    }
    beginnings
};

/// The effects that are left of all. Reads the text once, for all words together.
#[cold]
pub(super) fn effects(text: &[u8]) -> Effects {
    let mut effects = WORDLESS;
    let mut found = 0;
    for (at, byte) in text.iter().enumerate() {
        let mut candidates = BEGINNINGS[usize::from(*byte)] & !found;
        while candidates != 0 {
            let place = candidates.trailing_zeros();
            let (word, its_effects) = WORDS[place as usize];
            if text[at..].get(..word.len()).is_some_and(|here| here.eq_ignore_ascii_case(word)) {
                effects |= its_effects;
                found |= 1 << place;
            }
            candidates &= candidates - 1;
        }
        if effects == Effects::all() {
            break;
        }
    }
    effects
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
        for (word, its_effects) in WORDS {
            for word in [word.to_ascii_uppercase(), word.to_ascii_lowercase()] {
                let text = [b"; ".as_slice(), &word].concat();
                assert_eq!(effects(&text), WORDLESS | its_effects, "{}", text.escape_ascii());
            }
        }
        assert_eq!(effects(b""), WORDLESS);
        assert_eq!(WORDS.into_iter().fold(WORDLESS, |all, (_, its_effects)| all | its_effects), Effects::all());
    }

    #[test]
    fn words_are_found_beside_and_inside_others() {
        assert!(effects(b"kkill").contains(Effects::KILL));
        assert!(effects(b"llockk").contains(Effects::LOCK_FUNCTION));
        assert_eq!(effects(b"kil"), WORDLESS);
    }
}
