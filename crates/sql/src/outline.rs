//! A text without its values, to be shown to operators.

/// Bytes of an outline after which it is cut.
const LEN_MAX: usize = 200;

/// Stands for a value.
const VALUE: &str = "?";

/// Stands for the rest.
const REST: &str = "…";

/// What of a text goes into its outline, piece by piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// As it is written.
    Written(&'a [u8]),
    /// A value.
    Value,
    /// A value behind which the text may be read in more than one way, or a part that nobody can read.
    Doubt,
    /// The end of a statement.
    End,
}

/// Writes an outline.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    text: String,
    /// Where the last piece ended.
    end: usize,
    words: Words,
}

/// What the words of the statement so far say of those that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Words {
    /// There were none.
    #[default]
    None,
    /// It may have a `SET` whose value needs no quotes: `SET` itself, and `ALTER`.
    MaySet,
    /// What follows `=` or `TO` is a value, however it is written.
    Sets,
    /// Values are known by their quotes.
    Plain,
}

impl Outline {
    /// Adds a piece that stands at `start..end` of the text. False when the outline is complete.
    pub(crate) fn add(&mut self, piece: Piece<'_>, start: usize, end: usize) -> bool {
        if start > self.end && !self.text.is_empty() {
            self.text.push(' ');
        }
        self.end = end;
        let goes_on = match piece {
            Piece::Written(bytes) => self.write(bytes),
            Piece::Value => {
                self.text.push_str(VALUE);
                true
            }
            Piece::Doubt => {
                self.text.push_str(VALUE);
                false
            }
            Piece::End => {
                self.words = Words::None;
                self.text.push(';');
                true
            }
        };
        if goes_on && self.text.len() < LEN_MAX {
            return true;
        }
        self.text.push_str(REST);
        false
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        let is = |word: &[u8]| bytes.eq_ignore_ascii_case(word);
        self.words = match self.words {
            Words::None | Words::MaySet if is(b"set") => Words::Sets,
            Words::None if is(b"alter") => Words::MaySet,
            Words::None => Words::Plain,
            words => words,
        };
        let shown = String::from_utf8_lossy(bytes);
        // One word alone can be longer than an outline shall be.
        let room = LEN_MAX.saturating_sub(self.text.len());
        self.text.extend(shown.chars().map(|char| if char.is_control() { ' ' } else { char }).take(room));
        let value_follows = self.words == Words::Sets && (is(b"=") || is(b":=") || is(b"to"));
        if value_follows {
            self.text.push(' ');
            self.text.push_str(VALUE);
        }
        !value_follows
    }
}
