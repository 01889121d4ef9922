//! TLS: which modes and files fit together, and are the files there?

use std::path::PathBuf;

use route::Address;

use super::Check;
use crate::keys::{ClientCertificates, ClientTlsMode, File, ServerKeys, ServerTlsMode, TlsKeys};
use crate::tls::{ClientAuth, ClientTls, Identity, ServerTls};

impl Check<'_> {
    /// TLS towards clients, if it is on.
    pub(super) fn client_tls(&mut self, keys: &TlsKeys) -> Option<ClientTls> {
        let mode = match (keys.mode, &keys.certificate) {
            (Some(mode), _) => mode,
            (None, Some(_)) => ClientTlsMode::Prefer,
            (None, None) => ClientTlsMode::Disable,
        };
        let without_certificate = mode == ClientTlsMode::Disable && keys.certificate.is_none();
        for (key, is_given) in [
            ("key", keys.key.is_some()),
            ("client_ca", keys.client_ca.is_some()),
            ("client_certificates", keys.client_certificates.is_some()),
        ] {
            if keys.mode.is_none() && without_certificate && is_given {
                self.wrong(&["tls", key], "without a `certificate` nothing is encrypted");
            }
        }
        if mode == ClientTlsMode::Disable {
            return None;
        }
        if keys.certificate.is_none() && keys.key.is_none() {
            self.wrong(&["tls", "mode"], "encryption needs a `certificate` and its `key`");
            return None;
        }
        let identity =
            self.identity(keys.certificate.as_deref(), keys.key.as_deref(), &["tls"], ["certificate", "key"]);
        let client_certificates = self.client_auth(keys);
        let required = mode == ClientTlsMode::Require;
        Some(ClientTls { required, identity: identity?, client_certificates: client_certificates? })
    }

    fn client_auth(&mut self, keys: &TlsKeys) -> Option<ClientAuth> {
        let ca = keys.client_ca.as_deref();
        let wanted = keys.client_certificates.unwrap_or(match ca {
            Some(_) => ClientCertificates::Optional,
            None => ClientCertificates::Ignore,
        });
        let signed_by: fn(PathBuf) -> ClientAuth = match wanted {
            ClientCertificates::Ignore => return Some(ClientAuth::Ignore),
            ClientCertificates::Optional => ClientAuth::Optional,
            ClientCertificates::Required => ClientAuth::Required,
        };
        let Some(ca) = ca else {
            self.wrong(&["tls", "client_certificates"], "certificates of clients are checked by a `client_ca`");
            return None;
        };
        self.readable(ca, &["tls", "client_ca"]).map(signed_by)
    }

    /// TLS towards each server, `None` where it is off.
    pub(super) fn servers_tls(&mut self, file: &File, addresses: &[Address]) -> Vec<Option<ServerTls>> {
        let servers = file.servers.iter().zip(addresses).zip(0_usize..);
        servers.map(|((server, address), index)| self.server_tls(server, address, &index.to_string())).collect()
    }

    fn server_tls(&mut self, server: &ServerKeys, address: &Address, index: &str) -> Option<ServerTls> {
        let entry = ["servers", index];
        let mode = server.tls.unwrap_or(ServerTlsMode::Prefer);
        let host = match address {
            Address::Tcp { host, .. } => host,
            Address::Unix { .. } if matches!(mode, ServerTlsMode::Disable | ServerTlsMode::Prefer) => return None,
            Address::Unix { .. } => {
                self.wrong(&["servers", index, "tls"], "connections over a unix socket are not encrypted");
                return None;
            }
        };
        if mode == ServerTlsMode::Disable {
            return None;
        }
        if server.tls_ca.is_some() && !mode.verifies() {
            let message = "no certificate is checked unless `tls` is \"verify_ca\" or \"verify_full\"";
            self.wrong(&["servers", index, "tls_ca"], message);
            return None;
        }
        if server.tls_server_name.as_ref().is_some_and(String::is_empty) {
            self.wrong(&["servers", index, "tls_server_name"], "a name is expected");
        }
        let ca = match server.tls_ca.as_deref() {
            Some(ca) => Some(self.readable(ca, &["servers", index, "tls_ca"])?),
            None => None,
        };
        let identity = match (server.tls_certificate.as_deref(), server.tls_key.as_deref()) {
            (None, None) => None,
            (certificate, key) => Some(self.identity(certificate, key, &entry, ["tls_certificate", "tls_key"])?),
        };
        let name = server.tls_server_name.as_ref().unwrap_or(host).clone();
        Some(ServerTls { mode, ca, identity, name })
    }

    /// A certificate and its key, of which at least one is given.
    fn identity(
        &mut self,
        certificate: Option<&str>,
        key: Option<&str>,
        path: &[&str],
        names: [&str; 2],
    ) -> Option<Identity> {
        let [certificate_name, key_name] = names;
        let (Some(certificate), Some(key)) = (certificate, key) else {
            let (given, missing) = if certificate.is_some() { (0, 1) } else { (1, 0) };
            let message = format!("`{}` is missing: a certificate and its key belong together", names[missing]);
            self.wrong(&[path, &[names[given]]].concat(), message);
            return None;
        };
        let certificate = self.readable(certificate, &[path, &[certificate_name]].concat());
        let key = self.readable(key, &[path, &[key_name]].concat());
        Some(Identity { certificate: certificate?, key: key? })
    }
}
