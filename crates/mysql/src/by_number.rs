//! Maps by numbers that we give out ourselves, one after the other. Nobody can choose numbers that collide, so finding one
//! needs no keyed hash.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A map by such numbers.
pub(crate) type ByNumber<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

/// Multiplies by an odd number near 2⁶⁴/φ: numbers in a row get places in a row, and high bits that differ.
#[derive(Debug, Default)]
pub(crate) struct Spread(u64);

const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(FACTOR);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, hash::BuildHasher};

    use super::*;

    #[test]
    fn numbers_in_a_row_meet_neither_in_their_low_nor_in_their_high_bits() {
        let hasher = BuildHasherDefault::<Spread>::default();
        for start in [1, 7 << 32] {
            let hashes: Vec<_> = (start..start + 128_u64).map(|number| hasher.hash_one(number)).collect();
            assert_eq!(hashes.iter().map(|hash| hash % 128).collect::<HashSet<_>>().len(), 128);
            assert!(hashes.iter().map(|hash| hash >> 57).collect::<HashSet<_>>().len() > 64);
        }
    }
}
