//! Compressors and decompressors that no connection uses at the moment.

use std::{
    fmt,
    mem::discriminant,
    sync::{Mutex, PoisonError},
};

use mysql::{
    ProtocolError,
    compress::{Algorithm, Compressor, Decompressor},
    packet::PAYLOAD_MAX,
};

/// The most of each sort that are kept. As many are in use at once as there are threads, and each way to compress that
/// clients ask for needs its own.
const FREE_MAX: usize = 32;

/// Compressors and decompressors for any number of connections: they are worth hundreds of kilobytes each, remember nothing
/// of whom they served, and are needed for microseconds.
#[derive(Default)]
pub(crate) struct Codecs {
    compressors: Mutex<Vec<(Algorithm, Compressor)>>,
    decompressors: Mutex<Vec<(Algorithm, Decompressor)>>,
}

impl Codecs {
    /// Has one that compresses by `algorithm` do `work`.
    pub(super) fn compress<T>(&self, algorithm: Algorithm, work: impl FnOnce(&mut Compressor) -> T) -> T {
        let free = take(&self.compressors, |found| found == algorithm);
        let mut compressor = free.unwrap_or_else(|| Compressor::new(algorithm));
        let done = work(&mut compressor);
        give(&self.compressors, algorithm, compressor);
        done
    }

    /// Has one that takes what was compressed by `algorithm`, at whichever level, do `work`.
    pub(super) fn decompress<T>(
        &self,
        algorithm: Algorithm,
        work: impl FnOnce(&mut Decompressor) -> Result<T, ProtocolError>,
    ) -> Result<T, ProtocolError> {
        let free = take(&self.decompressors, |found| discriminant(&found) == discriminant(&algorithm));
        let mut decompressor = match free {
            Some(decompressor) => decompressor,
            None => Decompressor::new(algorithm, PAYLOAD_MAX)?,
        };
        let done = work(&mut decompressor);
        give(&self.decompressors, algorithm, decompressor);
        done
    }
}

fn take<T>(free: &Mutex<Vec<(Algorithm, T)>>, fits: impl Fn(Algorithm) -> bool) -> Option<T> {
    let mut free = free.lock().unwrap_or_else(PoisonError::into_inner);
    let at = free.iter().rposition(|(found, _)| fits(*found))?;
    Some(free.swap_remove(at).1)
}

fn give<T>(free: &Mutex<Vec<(Algorithm, T)>>, algorithm: Algorithm, codec: T) {
    let mut free = free.lock().unwrap_or_else(PoisonError::into_inner);
    if free.len() >= FREE_MAX {
        // The one at the front has been of no use for the longest.
        free.remove(0);
    }
    free.push((algorithm, codec));
}

impl fmt::Debug for Codecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codecs").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_serves_again_and_is_bounded() {
        let codecs = Codecs::default();
        let levels = (1..=22).map(|level| Algorithm::Zstd { level });
        for algorithm in levels.chain((1..=9).map(|level| Algorithm::Zlib { level })).cycle().take(100) {
            codecs.compress(algorithm, |_| ());
            assert!(codecs.decompress(algorithm, |_| Ok(())).is_ok());
        }
        assert_eq!(codecs.compressors.lock().unwrap().len(), 31, "one for each way");
        assert_eq!(codecs.decompressors.lock().unwrap().len(), 2, "levels do not matter");
        // Many at once, as on as many threads.
        fn nest(codecs: &Codecs, depth: usize) {
            if depth > 0 {
                codecs.compress(Algorithm::Zlib { level: 1 }, |_| nest(codecs, depth - 1));
            }
        }
        nest(&codecs, 2 * FREE_MAX);
        assert_eq!(codecs.compressors.lock().unwrap().len(), FREE_MAX);
    }
}
