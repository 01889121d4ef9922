//! What only MySQL has.

use std::sync::Arc;

use auth::rsa::KeyPair;

use super::Check;
use crate::keys::{ClientCompression, File, MysqlKeys, Protocol, ServerCompression};
use crate::secrets;

/// Longest version that clients are told, in bytes: as long as any server's, which add the name of a distribution.
const VERSION_LEN_MAX: usize = 64;

/// Smallest and largest `max_packet`, in bytes: those of the server's `max_allowed_packet`.
const PACKET_MIN: usize = 1 << 10;
const PACKET_MAX: usize = 1 << 30;

impl Check<'_> {
    pub(super) fn mysql(&mut self, file: &File) {
        let keys = &file.mysql;
        if let Some(version) = &keys.server_version {
            // Drivers take it apart at its points, and it goes over the wire as a zero-terminated string.
            let is_version = version.starts_with(|c: char| c.is_ascii_digit())
                && version.len() <= VERSION_LEN_MAX
                && version.chars().all(|c| c.is_ascii_graphic());
            if !is_version {
                let message =
                    format!("a version as in \"8.0.36\" is expected, of at most {VERSION_LEN_MAX} characters");
                self.wrong(&["mysql", "server_version"], message);
            }
        }
        for way in [ClientCompression::Zstd, ClientCompression::Zlib] {
            if keys.compression.iter().filter(|given| **given == way).count() > 1 {
                self.wrong(&["mysql", "compression"], "each way to compress is named once");
            }
        }
        if !(PACKET_MIN..=PACKET_MAX).contains(&keys.max_packet.get()) {
            self.wrong(&["mysql", "max_packet"], "a size from 1KiB to 1GiB is expected");
        }
        for (server, index) in file.servers.iter().zip(0_usize..) {
            if server.protocol != Protocol::Mysql && server.compression != ServerCompression::Off {
                let message = format!("server `{}` speaks PostgreSQL, which has no compression", server.name);
                self.wrong(&["servers", &index.to_string(), "compression"], message);
            }
        }
    }

    /// The RSA key, if one is given.
    pub(super) fn rsa_key(&mut self, keys: &MysqlKeys) -> Option<Arc<KeyPair>> {
        let path = self.directory.join(keys.rsa_key.as_deref()?);
        let key = secrets::from_file(&path)
            .and_then(|pem| KeyPair::from_pem(&pem).map_err(|error| format!("{}: {error}", path.display())));
        key.map(Arc::new).map_err(|message| self.wrong(&["mysql", "rsa_key"], message)).ok()
    }
}
