//! The server's side: our certificate, towards clients.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::Ticketer,
    server::{ClientCertVerifierBuilder, NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use crate::{
    certificate::{self, EndPoint},
    error::{HandshakeError, LoadError},
    files::{self, Identity},
    provider,
    stream::TlsStream,
};

/// Which certificates clients show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked for one.
    None,
    /// They may show one; it must then be signed by a certificate in this file.
    Optional(PathBuf),
    /// They must show one, signed by a certificate in this file.
    Required(PathBuf),
}

/// How clients are met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptorSettings {
    /// What we show them.
    pub identity: Identity,
    /// What they show us.
    pub clients: ClientAuth,
    /// The protocols that may be asked for by name (ALPN). A client that names only others is refused; one that names none
    /// is not.
    pub alpn: Vec<Vec<u8>>,
}

/// Makes connections of clients encrypted: TLS 1.2 or 1.3.
#[derive(Debug)]
pub struct Acceptor {
    settings: AcceptorSettings,
    loaded: ArcSwap<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    end_point: Option<EndPoint>,
    expires: Option<u64>,
}

impl Acceptor {
    /// Reads all files.
    ///
    /// # Errors
    /// [`LoadError`], naming the file and what is wrong with it.
    pub fn load(settings: AcceptorSettings) -> Result<Self, LoadError> {
        let loaded = ArcSwap::from_pointee(load(&settings)?);
        Ok(Self { settings, loaded })
    }

    /// Reads all files again. New connections use what they hold now; those there are stay as they are.
    ///
    /// # Errors
    /// [`LoadError`]; nothing has changed then.
    pub fn reload(&self) -> Result<(), LoadError> {
        self.loaded.store(Arc::new(load(&self.settings)?));
        Ok(())
    }

    /// What was loaded.
    #[must_use]
    pub fn settings(&self) -> &AcceptorSettings {
        &self.settings
    }

    /// When our certificate ends to be valid, in seconds since 1970; `None` when it does not say.
    #[must_use]
    pub fn expires(&self) -> Option<u64> {
        self.loaded.load().expires
    }

    /// Does the handshake with a client. Waits as long as the client makes it: the deadline is the caller's.
    ///
    /// # Errors
    /// [`HandshakeError`]; the client was told by an alert, if it listens.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> Result<TlsStream<S>, HandshakeError> {
        // One look: certificate and hash belong together, whatever is loaded meanwhile.
        let loaded = self.loaded.load_full();
        let stream = TlsAcceptor::from(loaded.config.clone()).accept(stream).await?;
        Ok(TlsStream::server(stream, loaded.end_point))
    }
}

fn load(settings: &AcceptorSettings) -> Result<Loaded, LoadError> {
    let (chain, key) = settings.identity.load()?;
    let leaf = chain.first().map(|leaf| leaf.to_vec()).unwrap_or_default();
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| LoadError::Library(error.to_string()))?;
    let builder = match &settings.clients {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Optional(ca) => builder.with_client_cert_verifier(verifier(ca, |it| it.allow_unauthenticated())?),
        ClientAuth::Required(ca) => builder.with_client_cert_verifier(verifier(ca, |it| it)?),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| settings.identity.blame(&error))?;
    config.alpn_protocols = settings.alpn.clone();
    // Sessions are resumed by tickets alone: nothing is kept here for clients that may never come back. A new key with
    // each load: whoever was let in under the old trusted certificates proves itself again.
    config.ticketer = Ticketer::new().map_err(|error| LoadError::Library(error.to_string()))?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // A connection of a pool opens one more at most for each it has; a second ticket would be for nobody.
    config.send_tls13_tickets = 1;
    Ok(Loaded {
        config: Arc::new(config),
        end_point: certificate::end_point(&leaf),
        expires: certificate::validity(&leaf).map(|validity| validity.not_after),
    })
}

fn verifier(
    ca: &Path,
    choose: impl FnOnce(ClientCertVerifierBuilder) -> ClientCertVerifierBuilder,
) -> Result<Arc<dyn ClientCertVerifier>, LoadError> {
    let (roots, _) = files::roots(ca)?;
    choose(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()))
        .build()
        .map_err(|error| files::content(ca, error.to_string()))
}
