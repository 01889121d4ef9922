//! Which compression two sides agree on at a login.

use std::sync::Arc;

use mysql::{
    Capabilities,
    compress::{Algorithm, ZSTD_LEVEL_DEFAULT},
    packet::PAYLOAD_MAX,
};

use crate::{
    plan::Compression,
    stream::{Codecs, CompressionTerms, Side, Stream},
};

/// How hard deflate works for us. Servers take 6, which costs several times as much for a few per cent; and what passes
/// through a pooler is compressed once more there.
const ZLIB_LEVEL: u8 = 1;

/// The most that a client may ask of Zstandard: higher levels are a way to burn our time.
const ZSTD_LEVEL_MAX: u8 = 9;

/// What a compressed packet may hold beside the longest packet of a client, in bytes: headers, and small commands before it.
const BESIDE_LEN: usize = 64 * 1024;

/// What says in a login that a way to compress is wanted.
pub(super) fn capability(way: Compression) -> Capabilities {
    match way {
        Compression::Zlib => Capabilities::COMPRESS,
        Compression::Zstd => Capabilities::ZSTD_COMPRESSION_ALGORITHM,
    }
}

/// What both sides understand by these capabilities.
///
/// With both of them it is zlib ("If both CLIENT_COMPRESS and CLIENT_ZSTD_COMPRESSION_ALGORITHM are set then zlib is used",
/// MySQL's documentation of the protocol, "Compression").
fn agreed(capabilities: Capabilities, zstd_level: Option<u8>) -> Option<Algorithm> {
    if capabilities.contains(Capabilities::COMPRESS) {
        Some(Algorithm::Zlib { level: ZLIB_LEVEL })
    } else if capabilities.contains(Capabilities::ZSTD_COMPRESSION_ALGORITHM) {
        let level = zstd_level.unwrap_or(ZSTD_LEVEL_DEFAULT).min(ZSTD_LEVEL_MAX);
        Some(Algorithm::Zstd { level })
    } else {
        None
    }
}

/// Which way to compress a client's connection these capabilities come to, if any.
pub(super) fn way(capabilities: Capabilities) -> Option<Compression> {
    agreed(capabilities, None).map(|algorithm| match algorithm {
        Algorithm::Zlib { .. } => Compression::Zlib,
        Algorithm::Zstd { .. } => Compression::Zstd,
    })
}

/// Compresses the connection of a client that has just been told that it is logged in, if it wanted that. Its commands have
/// at most `packet_len_max` bytes.
pub(super) fn begin_with_client(
    stream: &mut Stream,
    capabilities: Capabilities,
    zstd_level: Option<u8>,
    packet_len_max: usize,
    codecs: &Arc<Codecs>,
) {
    if let Some(algorithm) = agreed(capabilities, zstd_level) {
        let content_len_max = PAYLOAD_MAX.min(packet_len_max.saturating_add(BESIDE_LEN));
        stream.compress(CompressionTerms { side: Side::Client, algorithm, content_len_max, codecs: codecs.clone() });
    }
}

/// Compresses a connection to a server on which we have just logged in, if both wanted that.
pub(super) fn begin_with_server(stream: &mut Stream, capabilities: Capabilities, codecs: &Arc<Codecs>) {
    if let Some(algorithm) = agreed(capabilities, None) {
        let codecs = codecs.clone();
        stream.compress(CompressionTerms { side: Side::Server, algorithm, content_len_max: PAYLOAD_MAX, codecs });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zlib_is_taken_where_both_are_wanted_and_no_level_is_a_burden() {
        let (zlib, zstd) = (capability(Compression::Zlib), capability(Compression::Zstd));
        assert_eq!(agreed(Capabilities::NONE, Some(3)), None);
        assert_eq!(agreed(zlib | zstd, Some(3)), Some(Algorithm::Zlib { level: ZLIB_LEVEL }));
        assert_eq!(
            [Capabilities::NONE, zlib | zstd, zstd].map(way),
            [None, Some(Compression::Zlib), Some(Compression::Zstd)]
        );
        for (asked, level) in [(None, 3), (Some(1), 1), (Some(22), ZSTD_LEVEL_MAX)] {
            assert_eq!(agreed(zstd, asked), Some(Algorithm::Zstd { level }));
        }
    }
}
