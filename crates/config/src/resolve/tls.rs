//! TLS: which modes and files fit together, and what do the files hold?

use std::path::PathBuf;
use std::sync::Arc;

use route::Address;
use tls::{Acceptor, AcceptorSettings, ClientAuth, Connector, ConnectorSettings, Identity, LoadError, Mode, Roots};

use super::Check;
use crate::encryption::{ClientTls, ServerTls};
use crate::keys::{ClientCertificates, ClientTlsMode, File, ServerKeys, ServerTlsMode, TlsKeys};

/// The name by which clients ask for PostgreSQL when they begin with TLS at once (libpq's `sslnegotiation=direct`). MySQL
/// clients name nothing.
const POSTGRES_ALPN: &[u8] = b"postgresql";

/// A file that a key names: the key, and the path.
type Named = (&'static str, PathBuf);

impl Check<'_> {
    /// TLS towards clients, if it is on.
    pub(super) fn client_tls(&mut self, keys: &TlsKeys) -> Option<ClientTls> {
        let mode = match (keys.mode, &keys.certificate, &keys.key) {
            (Some(mode), ..) => mode,
            (None, None, None) => ClientTlsMode::Disable,
            (None, ..) => ClientTlsMode::Prefer,
        };
        if mode == ClientTlsMode::Disable {
            let wants_clients = keys.client_ca.is_some() || keys.client_certificates.is_some();
            if keys.mode.is_none() && wants_clients {
                self.wrong(&["tls"], "clients show certificates only where they are shown one: give a `certificate`");
            }
            return None;
        }
        if keys.certificate.is_none() && keys.key.is_none() {
            self.wrong(&["tls", "mode"], "encryption needs a `certificate` and its `key`");
            return None;
        }
        let mut files = Vec::new();
        let identity = self.identity(
            [("certificate", keys.certificate.as_deref()), ("key", keys.key.as_deref())],
            &["tls"],
            &mut files,
        );
        let clients = self.client_auth(keys, &mut files);
        let settings = AcceptorSettings { identity: identity?, clients: clients?, alpn: vec![POSTGRES_ALPN.to_vec()] };
        let acceptor = self.loaded(Acceptor::load(settings), &["tls"], "certificate", &files)?;
        Some(ClientTls { required: mode == ClientTlsMode::Require, acceptor: Arc::new(acceptor) })
    }

    fn client_auth(&mut self, keys: &TlsKeys, files: &mut Vec<Named>) -> Option<ClientAuth> {
        let ca = keys.client_ca.as_deref();
        let wanted = keys.client_certificates.unwrap_or(match ca {
            Some(_) => ClientCertificates::Optional,
            None => ClientCertificates::Ignore,
        });
        let signed_by: fn(PathBuf) -> ClientAuth = match wanted {
            ClientCertificates::Ignore => return Some(ClientAuth::None),
            ClientCertificates::Optional => ClientAuth::Optional,
            ClientCertificates::Required => ClientAuth::Required,
        };
        let Some(ca) = ca else {
            self.wrong(&["tls", "client_certificates"], "certificates of clients are checked by a `client_ca`");
            return None;
        };
        Some(signed_by(self.named("client_ca", ca, files)))
    }

    /// TLS towards each server, `None` where it is off.
    pub(super) fn servers_tls(&mut self, file: &File, addresses: &[Address]) -> Vec<Option<ServerTls>> {
        let servers = file.servers.iter().zip(addresses).zip(0_usize..);
        servers.map(|((server, address), index)| self.server_tls(server, address, &index.to_string())).collect()
    }

    fn server_tls(&mut self, server: &ServerKeys, address: &Address, index: &str) -> Option<ServerTls> {
        let mode = match (server.tls.unwrap_or(ServerTlsMode::Prefer), address) {
            (ServerTlsMode::Disable, _) | (ServerTlsMode::Prefer, Address::Unix { .. }) => return None,
            (_, Address::Unix { .. }) => {
                self.wrong(&["servers", index, "tls"], "connections over a unix socket are not encrypted");
                return None;
            }
            (ServerTlsMode::Prefer, _) => Mode::Prefer,
            (ServerTlsMode::Require, _) => Mode::Require,
            (ServerTlsMode::VerifyCa, _) => Mode::VerifyCa,
            (ServerTlsMode::VerifyFull, _) => Mode::VerifyFull,
        };
        if server.tls_ca.is_some() && matches!(mode, Mode::Prefer | Mode::Require) {
            let message = "no certificate is checked unless `tls` is \"verify_ca\" or \"verify_full\"";
            self.wrong(&["servers", index, "tls_ca"], message);
            return None;
        }
        if server.tls_server_name.as_ref().is_some_and(String::is_empty) {
            self.wrong(&["servers", index, "tls_server_name"], "a name is expected");
        }
        let path = ["servers", index];
        let mut files = Vec::new();
        let roots = match server.tls_ca.as_deref() {
            Some(ca) => Roots::File(self.named("tls_ca", ca, &mut files)),
            None => Roots::System,
        };
        let identity = match (server.tls_certificate.as_deref(), server.tls_key.as_deref()) {
            (None, None) => None,
            (certificate, key) => {
                Some(self.identity([("tls_certificate", certificate), ("tls_key", key)], &path, &mut files)?)
            }
        };
        let connector = Connector::load(ConnectorSettings { mode, roots, identity });
        let connector = self.loaded(connector, &path, "tls", &files)?;
        Some(ServerTls { connector: Arc::new(connector), name: server.tls_server_name.as_deref().map(Into::into) })
    }

    /// A certificate and its key, of which at least one is given.
    fn identity(
        &mut self,
        [certificate, key]: [(&'static str, Option<&str>); 2],
        path: &[&str],
        files: &mut Vec<Named>,
    ) -> Option<Identity> {
        let (given, missing) = match (certificate, key) {
            ((certificate_key, Some(certificate)), (key_key, Some(key))) => {
                let certificate = self.named(certificate_key, certificate, files);
                return Some(Identity { certificate, key: self.named(key_key, key, files) });
            }
            ((given, Some(_)), (missing, None)) | ((missing, None), (given, _)) => (given, missing),
        };
        let message = format!("`{missing}` is missing: a certificate and its key belong together");
        self.wrong(&[path, &[given]].concat(), message);
        None
    }

    /// The path of a file, noted with the key that names it.
    fn named(&self, key: &'static str, file: &str, files: &mut Vec<Named>) -> PathBuf {
        let path = self.directory.join(file);
        files.push((key, path.clone()));
        path
    }

    /// What was loaded; or a problem with the key that names the file at fault, `otherwise` where no file is.
    fn loaded<T>(
        &mut self,
        loaded: Result<T, LoadError>,
        path: &[&str],
        otherwise: &str,
        files: &[Named],
    ) -> Option<T> {
        let error = match loaded {
            Ok(loaded) => return Some(loaded),
            Err(error) => error,
        };
        let at_fault = match &error {
            LoadError::Read { path, .. } | LoadError::Content { path, .. } => {
                files.iter().find(|(_, file)| file == path).map(|(key, _)| *key)
            }
            _ => None,
        };
        self.wrong(&[path, &[at_fault.unwrap_or(otherwise)]].concat(), error.to_string());
        None
    }
}
