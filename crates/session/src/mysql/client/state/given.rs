//! Whether the number that answers an insert was given by the server, and so is its `LAST_INSERT_ID()`, or by the client itself: the
//! answer does not say. It is the server's for certain where the client has not named it.

use memchr::memmem;
use sql::mysql::{Effects, Keyword, Verdict};

use super::State;

/// Longest text, and most bytes of values, that are kept to be searched. Behind longer ones the server is asked.
const LEN_MAX: usize = 1024;

/// What the insert under way says.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// `None`: it is no plain insert, or a long one.
    text: Option<Box<[u8]>>,
    /// Of its parameters, as on the wire.
    values: Box<[u8]>,
}

impl Given {
    pub(super) fn by_text(text: &[u8], verdict: Verdict) -> Self {
        let is_insert = matches!(verdict.first, Keyword::Insert | Keyword::Replace);
        Self { text: (is_insert && text.len() <= LEN_MAX).then(|| text.into()), values: Box::default() }
    }

    /// Whether the client may have given this number. What it makes others compute, a query or a trigger, is not found here, but for
    /// a query in the text.
    fn may_hold(&self, id: u64) -> bool {
        let Some(text) = &self.text else { return true };
        let digits = id.to_string();
        let (bytes, double) = (id.to_le_bytes(), (id as f64).to_le_bytes());
        // The first bytes of a wider integer are those of a narrower one.
        let width = match id {
            0..=0xff => 1,
            0x100..=0xffff => 2,
            0x1_0000..=0xffff_ffff => 4,
            _ => 8,
        };
        let queries = text.windows(b"select".len()).any(|word| word.eq_ignore_ascii_case(b"select"));
        queries
            || memmem::find(text, digits.as_bytes()).is_some()
            || [digits.as_bytes(), bytes.get(..width).unwrap_or_default(), &double]
                .iter()
                .any(|form| memmem::find(&self.values, form).is_some())
    }
}

impl State {
    /// The values of the parameters of the statement that is about to be executed, as on the wire; `None`: not all of them are here.
    pub(crate) fn note_values(&mut self, values: Option<&[u8]>) {
        let given = &mut self.underway.given;
        match values.filter(|values| values.len() <= LEN_MAX) {
            Some(values) if given.text.is_some() => given.values = values.into(),
            Some(_) => {}
            None => given.text = None,
        }
    }

    /// Whether this number, which answers the text under way, may be another than what `LAST_INSERT_ID()` says now.
    pub(crate) fn may_have_given(&self, id: u64) -> bool {
        self.habits.insert_id || self.underway.given.may_hold(id)
    }

    /// Whether the text under way may have given numbers before it failed.
    pub(crate) fn may_have_inserted(&self) -> bool {
        self.underway.effects.intersects(Effects::WRITES)
    }
}

#[cfg(test)]
mod tests {
    use sql::mysql::{Mode, inspect};

    use super::*;

    fn given(text: &str, values: &[u8]) -> Given {
        let verdict = inspect(text.as_bytes(), Mode::STANDARD);
        Given { values: values.into(), ..Given::by_text(text.as_bytes(), verdict) }
    }

    #[test]
    fn a_number_that_the_client_names_may_be_its_own() {
        for (text, values) in [
            ("insert into t values (4711, 'x')", &b""[..]),
            ("replace into t values ('4711')", b""),
            ("insert into t select n + 1 from t", b""),
            ("insert into t values (?)", &[1, 0x67, 0x12]),
            ("insert into t values (?)", &[1, 0x67, 0x12, 0, 0, 0, 0, 0, 0]),
            ("insert into t values (?)", b"\x044711"),
            ("insert into t values (?)", &4711_f64.to_le_bytes()),
            ("load data infile 'x' into table t", b""),
        ] {
            assert!(given(text, values).may_hold(4711), "{text}");
        }
        let long = format!("insert into t (s) values ('{}')", "x".repeat(LEN_MAX));
        assert!(given(&long, b"").may_hold(4711));
    }

    #[test]
    fn one_that_it_does_not_name_is_the_servers() {
        for (text, values) in
            [("insert into t (n) values (471), (12)", &b""[..]), ("insert into t (n) values (?)", &[1, 0x12, 0x67, 8])]
        {
            assert!(!given(text, values).may_hold(4711), "{text}");
        }
    }
}
