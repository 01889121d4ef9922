//! The client's side: towards servers.

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{ClientConfig, RootCertStore, client::danger::ServerCertVerifier, pki_types::ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::{
    error::{HandshakeError, LoadError},
    files::{self, Identity},
    provider,
    stream::TlsStream,
    verifier::{Anyone, NameCheck, Trusted},
};

/// How much is asked of a server: the words that PostgreSQL's and MySQL's users know. Their `disable` is to have no
/// [`Connector`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Encryption if the server can; no certificate is checked. Protects from nobody who can change what is sent.
    Prefer,
    /// Encryption, or no connection; no certificate is checked. Protects from those who only listen.
    Require,
    /// And the server's certificate is signed by one that is trusted, whatever name is in it.
    VerifyCa,
    /// And the server's name is in the certificate.
    VerifyFull,
}

impl Mode {
    /// Whether an unencrypted connection is better than none.
    #[must_use]
    pub fn is_optional(self) -> bool {
        self == Self::Prefer
    }
}

/// Which certificates are trusted to sign those of servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// Those of the operating system, as libpq's `sslrootcert=system`: what the administrator of the machine adds there or
    /// takes away counts here, without a new release of this program.
    System,
    /// Those in this PEM file. A server's certificate that stands there itself is trusted too.
    File(PathBuf),
}

/// How servers are met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorSettings {
    /// How much is asked of them.
    pub mode: Mode,
    /// Who is trusted to sign for them; read only in modes that verify.
    pub roots: Roots,
    /// What we show those that ask.
    pub identity: Option<Identity>,
}

/// Makes connections to servers encrypted: TLS 1.2 or 1.3.
#[derive(Debug)]
pub struct Connector {
    settings: ConnectorSettings,
    config: ArcSwap<ClientConfig>,
}

impl Connector {
    /// Reads all files.
    ///
    /// # Errors
    /// [`LoadError`], naming the file and what is wrong with it.
    pub fn load(settings: ConnectorSettings) -> Result<Self, LoadError> {
        let config = ArcSwap::from_pointee(load(&settings)?);
        Ok(Self { settings, config })
    }

    /// Reads all files again. New connections use what they hold now; sessions under the old are not resumed.
    ///
    /// # Errors
    /// [`LoadError`]; nothing has changed then.
    pub fn reload(&self) -> Result<(), LoadError> {
        self.config.store(Arc::new(load(&self.settings)?));
        Ok(())
    }

    /// What was loaded.
    #[must_use]
    pub fn settings(&self) -> &ConnectorSettings {
        &self.settings
    }

    /// How much is asked of servers.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.settings.mode
    }

    /// Does the handshake with the server that should be called `name`: a host name or an IP address. Waits as long as the
    /// server makes it: the deadline is the caller's.
    ///
    /// # Errors
    /// [`HandshakeError`]; [`HandshakeError::Name`] only under [`Mode::VerifyFull`].
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        name: &str,
        stream: S,
    ) -> Result<TlsStream<S>, HandshakeError> {
        let name = self.server_name(name)?;
        let stream = TlsConnector::from(self.config.load_full()).connect(name, stream).await?;
        Ok(TlsStream::client(stream))
    }

    fn server_name(&self, name: &str) -> Result<ServerName<'static>, HandshakeError> {
        match ServerName::try_from(name.to_owned()) {
            Ok(name) => Ok(name),
            Err(_) if self.settings.mode == Mode::VerifyFull => Err(HandshakeError::Name(name.to_owned())),
            // Nobody compares it; an address is not sent along either (RFC 6066, section 3).
            Err(_) => Ok(ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into())),
        }
    }
}

fn load(settings: &ConnectorSettings) -> Result<ClientConfig, LoadError> {
    let verifier: Arc<dyn ServerCertVerifier> = match settings.mode {
        Mode::Prefer | Mode::Require => Arc::new(Anyone::new(&provider())),
        Mode::VerifyCa => Arc::new(trusted(&settings.roots, NameCheck::Skip)?),
        Mode::VerifyFull => Arc::new(trusted(&settings.roots, NameCheck::Full)?),
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| LoadError::Library(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match &settings.identity {
        None => Ok(builder.with_no_client_auth()),
        Some(identity) => {
            let (chain, key) = identity.load()?;
            builder.with_client_auth_cert(chain, key).map_err(|error| identity.blame(&error))
        }
    }
}

fn trusted(roots: &Roots, names: NameCheck) -> Result<Trusted, LoadError> {
    let (store, pinned) = match roots {
        Roots::System => (system_roots()?, Vec::new()),
        Roots::File(path) => files::roots(path)?,
    };
    Trusted::new(store, pinned, names, provider()).map_err(|error| match roots {
        Roots::System => LoadError::SystemRoots(error),
        Roots::File(path) => files::content(path, error),
    })
}

/// What the operating system trusts. One odd certificate among hundreds is no reason to trust none.
fn system_roots() -> Result<RootCertStore, LoadError> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map_or_else(|| "none are installed".to_owned(), ToString::to_string);
        return Err(LoadError::SystemRoots(why));
    }
    Ok(store)
}
