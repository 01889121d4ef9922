//! Connecting so that the bytes can be watched, with TLS or without.
//!
//! `Config::connect` does everything right about hosts, addresses, keep-alives and session attributes, but opens its own
//! socket. The one place where it hands the socket over is TLS: so the negotiation of TLS (`SSLRequest`) happens here, and what
//! goes back is a watched stream, encrypted or not.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::UnixStream;
use tokio_postgres::config::{Host, SslMode, SslNegotiation};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{CancelToken, Client, Config, NoTls, Socket};

use super::watch::{Driver, Watch, Watched};
use super::{Error, Tls};

/// A driver to be spawned. It ends with its connection.
pub(super) type BoxDriver = Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send>>;

type BoxError = Box<dyn StdError + Send + Sync>;

/// What opens connections and asks for the end of queries.
pub(super) struct Dial<'a, T> {
    config: &'a Config,
    tls: Option<&'a T>,
}

impl<'a, T: Tls> Dial<'a, T> {
    pub(super) fn new(config: &'a Config, tls: Option<&'a T>) -> Self {
        Self { config, tls }
    }

    /// Connects and logs in.
    pub(super) async fn connect(&self, watch: &Arc<Watch>) -> Result<(Client, BoxDriver), Error> {
        if let Some(path) = self.socket() {
            let stream = Watched::new(UnixStream::connect(path).await.map_err(Error::Socket)?, Arc::clone(watch));
            // PostgreSQL does not encrypt on unix sockets.
            let (client, connection) =
                self.config.clone().ssl_mode(SslMode::Disable).connect_raw(stream, NoTls).await?;
            return Ok((client, Box::pin(Driver::new(connection, Arc::clone(watch)))));
        }
        let (client, connection) = self.disguised().connect(self.negotiator(watch)).await?;
        Ok((client, Box::pin(Driver::new(connection, Arc::clone(watch)))))
    }

    /// Asks the server to end the query of a client. It needs no connection of the budget: the server counts none for it.
    pub(super) async fn cancel(&self, token: &CancelToken) -> Result<(), Error> {
        match self.socket() {
            Some(path) => {
                let stream = UnixStream::connect(path).await.map_err(Error::Socket)?;
                token.cancel_query_raw(stream, NoTls).await?;
            }
            None => token.cancel_query(self.negotiator(&Watch::new())).await?,
        }
        Ok(())
    }

    /// The unix socket, if that is where the server is.
    fn socket(&self) -> Option<std::path::PathBuf> {
        let Host::Unix(directory) = self.config.get_hosts().first()? else { return None };
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        Some(Path::new(directory).join(format!(".s.PGSQL.{port}")))
    }

    /// The same configuration, handing each socket over as if for TLS from its first byte.
    fn disguised(&self) -> Config {
        let mut config = self.config.clone();
        if config.get_hosts().is_empty() {
            // The driver hands nothing over without a name to verify.
            for address in self.config.get_hostaddrs() {
                config.host(address.to_string());
            }
        }
        config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
        config
    }

    fn negotiator(&self, watch: &Arc<Watch>) -> Negotiator<T> {
        Negotiator {
            tls: self.tls.cloned(),
            mode: self.config.get_ssl_mode(),
            negotiation: self.config.get_ssl_negotiation(),
            watch: Arc::clone(watch),
        }
    }
}

/// Makes a [`Handshake`] for each socket.
struct Negotiator<T> {
    tls: Option<T>,
    mode: SslMode,
    negotiation: SslNegotiation,
    watch: Arc<Watch>,
}

impl<T: Tls> MakeTlsConnect<Socket> for Negotiator<T> {
    type Stream = Watched<Link<T::Stream>>;
    type TlsConnect = Handshake<T::TlsConnect>;
    type Error = BoxError;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, BoxError> {
        let tls = match &mut self.tls {
            Some(tls) => Some(tls.make_tls_connect(domain).map_err(Into::into)?),
            None => None,
        };
        Ok(Handshake { tls, mode: self.mode, negotiation: self.negotiation, watch: Arc::clone(&self.watch) })
    }
}

/// Agrees on encryption on one socket.
struct Handshake<C> {
    tls: Option<C>,
    mode: SslMode,
    negotiation: SslNegotiation,
    watch: Arc<Watch>,
}

impl<C> TlsConnect<Socket> for Handshake<C>
where
    C: TlsConnect<Socket> + Send + 'static,
    C::Stream: Send,
    C::Future: Send,
{
    type Stream = Watched<Link<C::Stream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, BoxError>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let watch = Arc::clone(&self.watch);
            Ok(Watched::new(self.agree(socket).await?, watch))
        })
    }
}

/// What a client sends to ask for TLS: its length and the code 80877103 (PostgreSQL's manual, "SSLRequest").
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

impl<C: TlsConnect<Socket>> Handshake<C> {
    async fn agree(self, mut socket: Socket) -> Result<Link<C::Stream>, BoxError> {
        let tls = match (self.mode, self.tls) {
            (SslMode::Disable, _) | (SslMode::Prefer, None) => return Ok(Link::Plain(socket)),
            (_, Some(tls)) => tls,
            (_, None) => return Err("sslmode=require needs a connector made by `Postgres::with_tls`".into()),
        };
        if self.negotiation == SslNegotiation::Postgres {
            socket.write_all(&SSL_REQUEST).await?;
            match (socket.read_u8().await?, self.mode) {
                (b'S', _) => {}
                (b'N', SslMode::Prefer) => return Ok(Link::Plain(socket)),
                (b'N', _) => return Err("the server does not encrypt".into()),
                _ => return Err("the server does not speak the protocol of PostgreSQL".into()),
            }
        }
        tls.connect(socket).await.map(Link::Tls).map_err(Into::into)
    }
}

/// A socket, encrypted or not.
pub(super) enum Link<T> {
    Plain(Socket),
    Tls(T),
}

impl<T: AsyncRead + Unpin> AsyncRead for Link<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Link<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl<T: TlsStream + Unpin> TlsStream for Link<T> {
    fn channel_binding(&self) -> ChannelBinding {
        match self {
            Self::Plain(_) => ChannelBinding::none(),
            Self::Tls(stream) => stream.channel_binding(),
        }
    }
}
