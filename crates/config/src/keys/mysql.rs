//! `[mysql]`: what only MySQL clients and servers have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::values::Size;

/// `[mysql]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MysqlKeys {
    /// The version that clients are told, such as `"8.0.36"`. By default the lowest of the servers that have been reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// The way to log in that clients are offered first. Who has another, or whose configured secret needs another, is
    /// asked to switch.
    pub auth_plugin: AuthPlugin,
    /// What becomes of users that are not in this file.
    pub unknown_users: UnknownUsers,
    /// Whether `LOAD DATA LOCAL INFILE` is allowed, by which a server reads files of the client.
    pub local_infile: bool,
    /// What becomes of clients that want the binary log: they keep their server connection until they leave.
    pub binlog_dump: BinlogDump,
    /// The ways to compress that clients are offered; `[]`: none. It is their choice, and costs those nothing that do not
    /// ask for it. A client that asks for both gets zlib, as the protocol has it: to prefer zstd, offer it alone.
    pub compression: Vec<ClientCompression>,
    /// The PEM file of the RSA key by which clients without TLS hide their password from `caching_sha2_password`. By
    /// default a key is made when the first client asks for it, and kept to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rsa_key: Option<String>,
    /// The most bytes of one command of a client, in place of `limits.max_message_size`. (max_allowed_packet)
    pub max_packet: Size,
}

impl Default for MysqlKeys {
    fn default() -> Self {
        Self {
            server_version: None,
            auth_plugin: AuthPlugin::default(),
            unknown_users: UnknownUsers::default(),
            local_infile: false,
            binlog_dump: BinlogDump::default(),
            compression: vec![ClientCompression::Zstd, ClientCompression::Zlib],
            rsa_key: None,
            max_packet: Size::kib(64 << 10),
        }
    }
}

/// A way to log in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum AuthPlugin {
    /// That of MySQL since 8.0.
    #[default]
    CachingSha2Password,
    /// That of older ones and of MariaDB, for drivers that cannot switch.
    MysqlNativePassword,
}

/// What becomes of users that are not in the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum UnknownUsers {
    /// They cannot log in.
    #[default]
    Refuse,
    /// The server itself decides: Evenkeel gets their password over TLS or RSA and logs in with it.
    AskServer,
}

/// What becomes of clients that want the binary log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum BinlogDump {
    /// They get an error.
    #[default]
    Refuse,
    /// They get it.
    Pass,
}

/// A way to compress that clients are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ClientCompression {
    /// Zstandard, in MySQL since 8.0.18.
    Zstd,
    /// Deflate, which every client and server knows.
    Zlib,
}

/// How the connections to a MySQL server are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ServerCompression {
    /// Not at all.
    #[default]
    Off,
    /// By deflate, if the server can.
    Zlib,
    /// By Zstandard, if the server can.
    Zstd,
}
