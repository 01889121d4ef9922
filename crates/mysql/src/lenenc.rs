//! Length-encoded integers and strings: one byte up to 250, else a marker byte and 2, 3 or 8 bytes, little-endian.

/// The marker of SQL NULL in a text row, where a length would stand.
pub const NULL: u8 = 0xfb;

const TWO_BYTES: u8 = 0xfc;
const THREE_BYTES: u8 = 0xfd;
const EIGHT_BYTES: u8 = 0xfe;

/// Reads the integer at the start of `bytes` and how many bytes it takes; `None` when it is not complete, or when the
/// first byte begins no integer ([`NULL`], 0xFF).
///
/// An integer written longer than needed is accepted: the format does not forbid it.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<(u64, usize)> {
    let (&first, rest) = bytes.split_first()?;
    let width = match first {
        0..=250 => return Some((u64::from(first), 1)),
        TWO_BYTES => 2,
        THREE_BYTES => 3,
        EIGHT_BYTES => 8,
        _ => return None,
    };
    let value = rest.get(..width)?.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
    Some((value, 1 + width))
}

/// Appends an integer in its shortest form.
pub fn write(out: &mut Vec<u8>, value: u64) {
    let bytes = value.to_le_bytes();
    let (marker, width) = match value {
        0..=250 => (None, 1),
        251..=0xffff => (Some(TWO_BYTES), 2),
        0x1_0000..=0xff_ffff => (Some(THREE_BYTES), 3),
        _ => (Some(EIGHT_BYTES), 8),
    };
    out.extend(marker);
    out.extend(bytes.into_iter().take(width));
}

/// Appends a string behind its length.
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// How many bytes [`write()`] takes for `value`.
#[must_use]
pub fn len(value: u64) -> usize {
    match value {
        0..=250 => 1,
        251..=0xffff => 3,
        0x1_0000..=0xff_ffff => 4,
        _ => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_widths_change_where_the_protocol_says() {
        let cases: [(u64, &[u8]); 8] = [
            (0, b"\x00"),
            (250, b"\xfa"),
            (251, b"\xfc\xfb\x00"),
            (0xffff, b"\xfc\xff\xff"),
            (0x1_0000, b"\xfd\x00\x00\x01"),
            (0xff_ffff, b"\xfd\xff\xff\xff"),
            (0x100_0000, b"\xfe\x00\x00\x00\x01\x00\x00\x00\x00"),
            (u64::MAX, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff"),
        ];
        for (value, bytes) in cases {
            let mut out = Vec::new();
            write(&mut out, value);
            assert_eq!(out, bytes, "{value}");
            assert_eq!((read(bytes), len(value)), (Some((value, bytes.len())), bytes.len()));
            for short in 0..bytes.len() {
                assert_eq!(read(&bytes[..short]), None, "{value} cut to {short}");
            }
        }
        assert_eq!((read(b"\xfb\x01"), read(b"\xff\x01\x02")), (None, None));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value: u64, shift in 0_u32..64) {
            let value = value >> shift;
            let mut out = Vec::new();
            write(&mut out, value);
            prop_assert_eq!(read(&out), Some((value, out.len())));
        }
    }
}
