//! Taking bytes out of compressed packets. What the header says is checked before memory is taken for it, and again
//! against what comes out.

use std::io::Cursor;

use flate2::{Decompress, FlushDecompress};

use super::{Algorithm, HEADER_LEN};
use crate::{ProtocolError, error::malformed};

/// Takes bytes out of compressed packets.
pub struct Decompressor {
    engine: Engine,
    content_len_max: usize,
}

enum Engine {
    Zlib(Decompress),
    Zstd(zstd::bulk::Decompressor<'static>),
}

impl Decompressor {
    /// Takes packets compressed by `algorithm` (the level does not matter), with contents of at most `content_len_max` bytes.
    ///
    /// A content may hold a whole payload or several, so a bound below the longest payload taken refuses honest peers.
    ///
    /// # Errors
    /// [`ProtocolError::Limit`] when there is no memory for zstd.
    pub fn new(algorithm: Algorithm, content_len_max: usize) -> Result<Self, ProtocolError> {
        let engine = match algorithm {
            Algorithm::Zlib { .. } => Engine::Zlib(Decompress::new(true)),
            Algorithm::Zstd { .. } => match zstd::bulk::Decompressor::new() {
                Ok(zstd) => Engine::Zstd(zstd),
                Err(_) => return Err(ProtocolError::Limit { what: "the memory for zstd", limit: 0 }),
            },
        };
        Ok(Self { engine, content_len_max })
    }

    /// Appends the content of the compressed packet at the start of `input`, and returns how many bytes that took; `None`
    /// when the packet is not complete yet. `sequence` is the number the packet must have, and is counted on.
    ///
    /// # Errors
    /// [`ProtocolError::Sequence`] for a packet out of order; [`ProtocolError::Limit`] for a content that is announced too
    /// long; [`ProtocolError::Malformed`] for one that is not what was announced. `out` is then as it was.
    pub fn unwrap(
        &mut self,
        input: &[u8],
        sequence: &mut u8,
        out: &mut Vec<u8>,
    ) -> Result<Option<usize>, ProtocolError> {
        let Some((&[a, b, c, found, d, e, f], rest)) = input.split_first_chunk::<HEADER_LEN>() else { return Ok(None) };
        let [len, original_len] = [[a, b, c], [d, e, f]].map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]) as usize);
        if found != *sequence {
            return Err(ProtocolError::Sequence { expected: *sequence, found });
        }
        if len.max(original_len) > self.content_len_max {
            return Err(ProtocolError::Limit { what: "a compressed packet", limit: self.content_len_max });
        }
        let Some(content) = rest.get(..len) else { return Ok(None) };
        match original_len {
            0 => out.extend_from_slice(content),
            _ => self.inflate(content, original_len, out)?,
        }
        *sequence = sequence.wrapping_add(1);
        Ok(Some(HEADER_LEN + len))
    }

    fn inflate(&mut self, content: &[u8], original_len: usize, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        let start = out.len();
        // Memory for a lie is taken but not touched: the connection ends before it is.
        out.reserve(original_len);
        let whole = match &mut self.engine {
            Engine::Zlib(zlib) => {
                zlib.reset(true);
                let end = zlib.decompress_vec(content, out, FlushDecompress::Finish);
                matches!(end, Ok(flate2::Status::StreamEnd)) && zlib.total_in() == content.len() as u64
            }
            Engine::Zstd(zstd) => {
                let mut behind = Cursor::new(std::mem::take(out));
                behind.set_position(start as u64);
                let end = zstd.decompress_to_buffer(content, &mut behind);
                *out = behind.into_inner();
                end.is_ok()
            }
        };
        if whole && out.len() - start == original_len {
            return Ok(());
        }
        out.truncate(start);
        Err(malformed("a compressed packet", "its content is not what its header says"))
    }
}
