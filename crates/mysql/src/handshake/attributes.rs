//! What a client says of itself: names and values.

use crate::{ProtocolError, cursor::Cursor, error::malformed, lenenc};

/// Most bytes that all attributes together may take.
///
/// Both servers refuse or drop more (MySQL reference manual, "Performance Schema Connection Attribute Tables": "the
/// aggregate size … is 64KB").
pub const ATTRIBUTES_LEN_MAX: usize = 64 << 10;

/// Connection attributes such as `program_name`, in the order in which the client sent them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes(Vec<(Vec<u8>, Vec<u8>)>);

impl Attributes {
    /// The value of the first attribute of this name.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, ProtocolError> {
        let cut = || malformed("a login", "the attributes are cut short");
        let len = usize::try_from(cursor.lenenc().ok_or_else(cut)?).unwrap_or(usize::MAX);
        if len > ATTRIBUTES_LEN_MAX {
            return Err(ProtocolError::Limit { what: "the size of connection attributes", limit: ATTRIBUTES_LEN_MAX });
        }
        let mut list = Cursor::new(cursor.take(len).ok_or_else(cut)?);
        let mut attributes = Vec::new();
        while !list.is_empty() {
            let (name, value) = list.lenenc_bytes().zip(list.lenenc_bytes()).ok_or_else(cut)?;
            attributes.push((name.to_vec(), value.to_vec()));
        }
        Ok(Self(attributes))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let encoded = |text: &[u8]| lenenc::len(text.len() as u64) + text.len();
        lenenc::write(out, self.iter().map(|(name, value)| (encoded(name) + encoded(value)) as u64).sum());
        for (name, value) in self.iter() {
            lenenc::write_bytes(out, name);
            lenenc::write_bytes(out, value);
        }
    }
}

impl<'a> FromIterator<(&'a [u8], &'a [u8])> for Attributes {
    fn from_iter<I: IntoIterator<Item = (&'a [u8], &'a [u8])>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect())
    }
}
