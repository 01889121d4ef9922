//! Finding a word in a table, and finding out fast that most are not in it.

/// A table of lower-case words, and where in it a word can stand.
pub(crate) struct Index<W: 'static> {
    table: &'static [(&'static [u8], W)],
    /// Per first byte, in either case, one bit for each length that a word beginning with it has.
    lengths: [u64; 256],
    /// Per letter, the first entry that begins with it or a later letter; one more to end the last.
    starts: [usize; 27],
}

impl<W: Copy + 'static> Index<W> {
    /// Of a table that is sorted by first letter, with no word longer than 63 bytes.
    pub(crate) const fn new(table: &'static [(&'static [u8], W)]) -> Self {
        let mut index = Self { table, lengths: [0; 256], starts: [table.len(); 27] };
        let mut entry = table.len();
        let mut letter = 26;
        while letter > 0 {
            letter -= 1;
            let first = b'a' + letter as u8;
            while entry > 0 && table[entry - 1].0[0] == first {
                entry -= 1;
                index.add(first, 1 << table[entry].0.len());
            }
            index.starts[letter] = entry;
        }
        assert!(entry == 0, "the table is sorted by first letter");
        index
    }

    /// With a family of words that begin with `prefix`, of any length, which are not in the table.
    pub(crate) const fn with_family(mut self, prefix: &[u8]) -> Self {
        self.add(prefix[0], u64::MAX << prefix.len());
        self
    }

    const fn add(&mut self, first: u8, lengths: u64) {
        self.lengths[first as usize] |= lengths;
        self.lengths[first.to_ascii_uppercase() as usize] |= lengths;
    }

    /// Whether any word, or family of words, has the first letter and the length of `text`.
    #[inline]
    pub(crate) fn may_hold(&self, text: &[u8]) -> bool {
        let Some(first) = text.first() else { return false };
        // No word is longer than 63 bytes; the longest bit stands for all beyond.
        self.lengths[usize::from(*first)] >> text.len().min(63) & 1 == 1
    }

    /// What the table has for a word, in any case.
    pub(crate) fn find(&self, text: &[u8]) -> Option<W> {
        self.bucket(text).iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, meaning)| *meaning)
    }

    /// The entries that begin with the first letter of `text`.
    fn bucket(&self, text: &[u8]) -> &'static [(&'static [u8], W)] {
        let letter = text.first().map_or(u8::MAX, |first| first.to_ascii_lowercase().wrapping_sub(b'a'));
        match (self.starts.get(usize::from(letter)), self.starts.get(usize::from(letter) + 1)) {
            (Some(start), Some(end)) => &self.table[*start..*end],
            _ => &[],
        }
    }
}
