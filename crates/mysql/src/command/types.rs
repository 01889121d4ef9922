//! Types of parameters, and how long a value of each is (binary protocol).

use crate::cursor::Cursor;

/// A parameter's type as on the wire: the type's number, and a flag that says whether an integer has no sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterType(pub [u8; 2]);

impl ParameterType {
    /// A text.
    pub const VAR_STRING: Self = Self([0xfd, 0]);
    /// An integer of 8 bytes with a sign.
    pub const LONGLONG: Self = Self([0x08, 0]);

    /// Takes a value of this type; `None` when it is cut short, or when there is no such type.
    ///
    /// Numbers of types: MySQL's `enum_field_types` (`include/field_types.h`). What a server does not take as a parameter
    /// (`NEWDATE`, the internal `TIMESTAMP2` and the like) is no type here either.
    pub(super) fn value<'a>(self, cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
        const NULL: u8 = 6;
        let fixed = match self.0[0] {
            NULL => 0,
            1 | 244 => 1,                                            // TINY, BOOL
            2 | 13 => 2,                                             // SHORT, YEAR
            3 | 4 | 9 => 4,                                          // LONG, FLOAT, INT24
            5 | 8 => 8,                                              // DOUBLE, LONGLONG
            7 | 10 | 11 | 12 => usize::from(cursor.u8()?), // TIMESTAMP, DATE, TIME, DATETIME: a length, then fields
            0 | 15 | 16 | 245..=255 => return cursor.lenenc_bytes(), // DECIMAL, VARCHAR, BIT, JSON to GEOMETRY
            _ => return None,
        };
        cursor.take(fixed)
    }
}

/// The types of a command's parameters. They were checked when the command was read, so iterating cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterTypes<'a> {
    cursor: Cursor<'a>,
    left: usize,
    named: bool,
}

impl<'a> ParameterTypes<'a> {
    /// Takes `count` types, each with a name behind it where `named`.
    pub(super) fn read(cursor: &mut Cursor<'a>, count: usize, named: bool) -> Option<Self> {
        let mut types = Self { cursor: *cursor, left: count, named };
        let all = types;
        for _ in 0..count {
            types.next()?;
        }
        let len = cursor.rest().len() - types.cursor.rest().len();
        Some(Self { cursor: Cursor::new(cursor.take(len)?), ..all })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.left
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }
}

impl<'a> Iterator for ParameterTypes<'a> {
    /// A type, and the parameter's name; empty for one that is bound by its place.
    type Item = (ParameterType, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let kind = ParameterType(self.cursor.array()?);
        let name = if self.named { self.cursor.lenenc_bytes()? } else { &[] };
        Some((kind, name))
    }
}
