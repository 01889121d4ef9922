//! The compressed protocol: after a login that asked for it, packets travel inside compressed packets.
//!
//! A compressed packet has 7 bytes of header (compressed length, sequence, original length) and holds any run of bytes of
//! the stream of packets: the two sorts do not begin or end together. An original length of 0 says that the content is not
//! compressed. Numbers begin at 0 with each command, apart from those of the packets inside.
//!
//! Each compressed packet stands alone, so [`Compressor`] and [`Decompressor`] hold nothing of a connection but memory that
//! is worth reusing (about 300 KiB for zlib, more for zstd): one of each serves all connections of a thread.

mod inflate;

pub use inflate::Decompressor;

use flate2::{Compress, Compression, FlushCompress};

use crate::packet::PAYLOAD_MAX;

/// Bytes of a compressed packet's header.
pub const HEADER_LEN: usize = 7;
/// Shorter contents are sent as they are (`MIN_COMPRESS_LENGTH`, MySQL `include/my_compress.h`).
pub const COMPRESS_LEN_MIN: usize = 50;
/// The level for zstd that MySQL's clients take when none is set (`default_zstd_compression_level`).
pub const ZSTD_LEVEL_DEFAULT: u8 = 3;

/// How contents are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// zlib, with [`crate::Capabilities::COMPRESS`].
    Zlib {
        /// 1 (fast) to 9 (small); both servers take 6.
        level: u8,
    },
    /// zstd, with [`crate::Capabilities::ZSTD_COMPRESSION_ALGORITHM`].
    Zstd {
        /// 1 (fast) to 22 (small); the client says which in its handshake response.
        level: u8,
    },
}

/// Most bytes of content that one of our compressed packets holds: bounds the memory that compressing takes.
const CONTENT_LEN_MAX: usize = 1 << 20;

/// Puts bytes into compressed packets.
pub struct Compressor {
    engine: Engine,
    scratch: Vec<u8>,
}

enum Engine {
    Zlib(Compress),
    Zstd(zstd::bulk::Compressor<'static>),
    /// There was no memory for compressing. What is not compressed is as valid.
    Stored,
}

impl Compressor {
    /// Compresses by `algorithm`; a level out of its range counts as the nearest.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        let engine = match algorithm {
            Algorithm::Zlib { level } => {
                Engine::Zlib(Compress::new(Compression::new(u32::from(level.clamp(1, 9))), true))
            }
            Algorithm::Zstd { level } => {
                zstd::bulk::Compressor::new(i32::from(level.clamp(1, 22))).map_or(Engine::Stored, Engine::Zstd)
            }
        };
        Self { engine, scratch: Vec::new() }
    }

    /// Appends `bytes` in as many compressed packets as needed, and counts `sequence` on.
    ///
    /// Call it once for everything that is to be written at once: one packet each would compress badly.
    pub fn wrap(&mut self, bytes: &[u8], sequence: &mut u8, out: &mut Vec<u8>) {
        for content in bytes.chunks(CONTENT_LEN_MAX) {
            if content.len() >= COMPRESS_LEN_MIN && self.compress(content) {
                write_packet(out, sequence, &self.scratch, content.len());
            } else {
                write_packet(out, sequence, content, 0);
            }
        }
    }

    /// Compresses into the scratch; whether that made it shorter.
    fn compress(&mut self, content: &[u8]) -> bool {
        self.scratch.clear();
        self.scratch.reserve(content.len());
        let whole = match &mut self.engine {
            Engine::Zlib(zlib) => {
                zlib.reset();
                let end = zlib.compress_vec(content, &mut self.scratch, FlushCompress::Finish);
                matches!(end, Ok(flate2::Status::StreamEnd))
            }
            Engine::Zstd(zstd) => zstd.compress_to_buffer(content, &mut self.scratch).is_ok(),
            Engine::Stored => false,
        };
        whole && self.scratch.len() < content.len()
    }
}

fn write_packet(out: &mut Vec<u8>, sequence: &mut u8, content: &[u8], original_len: usize) {
    debug_assert!(content.len() <= PAYLOAD_MAX && original_len <= PAYLOAD_MAX);
    let ([a, b, c, ..], [d, e, f, ..]) = (content.len().to_le_bytes(), original_len.to_le_bytes());
    out.extend_from_slice(&[a, b, c, *sequence, d, e, f]);
    out.extend_from_slice(content);
    *sequence = sequence.wrapping_add(1);
}

#[cfg(test)]
mod tests;
