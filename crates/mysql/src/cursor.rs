//! Reading a payload from front to back; every step is checked against what is left.

use crate::lenenc;

/// What is left to read of a payload. Every method that returns `None` has read nothing that may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Begins at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is left, without taking it.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes the next `len` bytes.
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(head)
    }

    /// Takes the next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    /// `int<1>`.
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// `int<2>`.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// `int<4>`.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// `int<lenenc>`.
    pub fn lenenc(&mut self) -> Option<u64> {
        let (value, len) = lenenc::read(self.rest)?;
        self.rest = self.rest.get(len..)?;
        Some(value)
    }

    /// `string<lenenc>`.
    pub fn lenenc_bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.lenenc()?;
        self.take(usize::try_from(len).ok()?)
    }

    /// `string<NUL>`, without its terminator.
    pub fn cstr(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(0, self.rest)?;
        let text = self.take(end)?;
        self.take(1)?;
        Some(text)
    }

    /// `string<NUL>` whose terminator may be missing at the very end, as some clients and old servers leave it out.
    pub fn cstr_or_rest(&mut self) -> &'a [u8] {
        self.cstr().unwrap_or_else(|| std::mem::take(&mut self.rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_stop_at_the_end_and_take_nothing() {
        let mut cursor = Cursor::new(b"\x01\x02\x03ab\0c");
        assert_eq!((cursor.u8(), cursor.u16()), (Some(1), Some(0x0302)));
        assert_eq!(cursor.u32(), Some(u32::from_le_bytes(*b"ab\0c")));
        assert_eq!((cursor.u8(), cursor.take(1), cursor.take(0)), (None, None, Some(&b""[..])));
        let mut cursor = Cursor::new(b"abc");
        assert_eq!((cursor.u32(), cursor.cstr(), cursor.rest()), (None, None, &b"abc"[..]));
        assert_eq!((cursor.cstr_or_rest(), cursor.is_empty()), (&b"abc"[..], true));
    }

    #[test]
    fn strings_are_bounded_by_what_is_there() {
        assert_eq!(Cursor::new(b"\x03abcd").lenenc_bytes(), Some(&b"abc"[..]));
        assert_eq!(Cursor::new(b"\x04abc").lenenc_bytes(), None);
        assert_eq!(Cursor::new(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xffabc").lenenc_bytes(), None);
        assert_eq!(Cursor::new(b"\xfb").lenenc_bytes(), None, "NULL is no string");
        let mut cursor = Cursor::new(b"ab\0cd");
        assert_eq!((cursor.cstr(), cursor.rest()), (Some(&b"ab"[..]), &b"cd"[..]));
    }
}
