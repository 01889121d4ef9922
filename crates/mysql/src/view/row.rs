//! Rows in text form.

use crate::{cursor::Cursor, lenenc};

/// The values of a text row, in order; `None` is NULL.
///
/// A row says nothing of how many values it has. An iteration ends where the row does, or before a value that is cut short;
/// [`TextRow::is_complete`] tells the two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextRow<'a>(Cursor<'a>);

impl<'a> TextRow<'a> {
    /// Reads `payload` as a row.
    #[must_use]
    pub fn new(payload: &'a [u8]) -> Self {
        Self(Cursor::new(payload))
    }

    /// Whether every byte has been read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> Iterator for TextRow<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.rest().first() == Some(&lenenc::NULL) {
            self.0.u8()?;
            return Some(None);
        }
        let mut cursor = self.0;
        let value = cursor.lenenc_bytes()?;
        self.0 = cursor;
        Some(Some(value))
    }
}
