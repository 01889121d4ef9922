//! A connection towards a client or a server: a socket, and what lies between it and the protocol.

use std::{
    fmt, io,
    mem::{self, MaybeUninit},
    net::{IpAddr, SocketAddr},
    task::{Context, Poll, ready},
    time::Duration,
};

use route::Address;
use tls::{Acceptor, Connector, HandshakeError, TlsStream};
use tokio::{
    io::ReadBuf,
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::proxy_header::{Header, HeaderError, Look};

mod codecs;
mod compressed;
mod socket;
mod transport;

use compressed::Compressed;
use transport::Transport;

pub(crate) use codecs::Codecs;
pub(crate) use compressed::{CompressionTerms, Side, broken};
pub(crate) use socket::Socket;

/// The most bytes of one small read.
const CHUNK_LEN: usize = 4096;

/// How long the other side may take to let us say that nothing more comes. Only one that reads nothing makes it last.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection.
#[derive(Debug)]
pub struct Stream {
    transport: Transport,
    peer: Peer,
}

/// The address at the other end, as far as it matters for limits and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A process on this machine.
    Unix,
}

impl Peer {
    /// The IP address; `None` for unix sockets.
    #[must_use]
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Unix => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// Why the PROXY protocol header of a balancer was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnnounceError {
    /// It is none, or a wrong one.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The connection broke or ended before.
    #[error("the connection ended within a PROXY protocol header: {0}")]
    Io(#[from] io::Error),
}

impl Stream {
    /// A connection that was accepted or made over TCP.
    ///
    /// # Errors
    /// When it is broken already.
    pub fn tcp(stream: TcpStream) -> io::Result<Self> {
        let peer = Peer::Tcp(stream.peer_addr()?);
        Self::new(Socket::Tcp(stream), peer)
    }

    /// A connection that was accepted or made over a unix socket.
    ///
    /// # Errors
    /// When it is broken already.
    pub fn unix(stream: UnixStream) -> io::Result<Self> {
        Self::new(Socket::Unix(stream), Peer::Unix)
    }

    fn new(socket: Socket, peer: Peer) -> io::Result<Self> {
        socket.prepare()?;
        Ok(Self { transport: Transport::Plain(socket), peer })
    }

    /// Connects to a server.
    ///
    /// # Errors
    /// Those of the look-up and of connect(2).
    pub async fn connect(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp { host, port } => Self::tcp(TcpStream::connect((host.as_str(), *port)).await?),
            Address::Unix { path } => Self::unix(UnixStream::connect(path).await?),
        }
    }

    /// Who is at the other end: whom a balancer connects for, if it said so.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Whether what is sent is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        matches!(self.transport.carrier(), Transport::Tls(_))
    }

    /// Whether what is sent is compressed.
    pub(crate) fn is_compressed(&self) -> bool {
        matches!(self.transport, Transport::Compressed(_))
    }

    /// Whether nobody on the way can read what is sent: by encryption, or because there is no way. A password may be sent
    /// through it as it is.
    #[must_use]
    pub fn is_secure_channel(&self) -> bool {
        matches!(self.transport.carrier(), Transport::Tls(_) | Transport::Plain(Socket::Unix(_)))
    }

    /// What is known of the encryption, if there is one.
    pub(crate) fn tls(&self) -> Option<&TlsStream<Socket>> {
        match self.transport.carrier() {
            Transport::Tls(stream) => Some(stream),
            _ => None,
        }
    }

    /// Encrypts the rest of a client's connection. The caller has made sure that nothing was received in the clear that
    /// belongs to it ([`is_quiet`](Self::is_quiet)), and gives the handshake a deadline.
    ///
    /// # Errors
    /// [`HandshakeError`]. The stream then is of no more use; so it is when the future is dropped.
    pub(crate) async fn start_tls_server(&mut self, acceptor: &Acceptor) -> Result<(), HandshakeError> {
        let socket = self.take_socket()?;
        self.transport = Transport::Tls(Box::new(acceptor.accept(socket).await?));
        Ok(())
    }

    /// Encrypts the rest of a connection to the server that should be called `name`. The caller gives it a deadline.
    ///
    /// # Errors
    /// [`HandshakeError`]. The stream then is of no more use; so it is when the future is dropped.
    pub(crate) async fn start_tls_client(&mut self, connector: &Connector, name: &str) -> Result<(), HandshakeError> {
        let socket = self.take_socket()?;
        self.transport = Transport::Tls(Box::new(connector.connect(name, socket).await?));
        Ok(())
    }

    /// Compresses everything from here on, both ways: what MySQL does after the OK of a login.
    pub(crate) fn compress(&mut self, terms: CompressionTerms) {
        let below = mem::replace(&mut self.transport, Transport::Handshake);
        self.transport = Transport::Compressed(Box::new(Compressed::new(below, terms)));
    }

    /// Says that what is written next answers the command that was read last: compressed packets are numbered by it.
    pub(crate) fn begin_reply(&mut self) {
        if let Transport::Compressed(compressed) = &mut self.transport {
            compressed.begin_reply();
        }
    }

    /// The number of the compressed packet that is written next; `None` where nothing is compressed.
    pub(crate) fn next_number(&mut self) -> Option<u8> {
        match &mut self.transport {
            Transport::Compressed(compressed) => Some(compressed.next_number()),
            _ => None,
        }
    }

    fn take_socket(&mut self) -> Result<Socket, HandshakeError> {
        match mem::replace(&mut self.transport, Transport::Handshake) {
            Transport::Plain(socket) => Ok(socket),
            other => {
                self.transport = other;
                Err(HandshakeError::Io(io::Error::new(io::ErrorKind::InvalidInput, "encrypted already")))
            }
        }
    }

    /// Reads the header that a balancer sends first, and takes its word for who the client is. Reads nothing beyond it.
    ///
    /// # Errors
    /// [`AnnounceError`]; whoever is there is not a balancer.
    pub(crate) async fn read_proxy_header(&mut self) -> Result<(), AnnounceError> {
        let mut bytes = Vec::new();
        loop {
            match Header::look(&bytes)? {
                Look::Found(Header::Tcp { source, .. }, _) => {
                    self.peer = Peer::Tcp(source);
                    return Ok(());
                }
                Look::Found(Header::Local, _) => return Ok(()),
                Look::Missing(len) => {
                    if self.read_up_to(&mut bytes, len).await? == 0 {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                    }
                }
            }
        }
    }

    /// Sends a PROXY protocol header, as servers want that are configured for balancers: MariaDB's
    /// `proxy_protocol_networks`, or a HAProxy with `accept-proxy` before PostgreSQL.
    ///
    /// It names the two ends of this connection: a pooled connection serves many clients, and no one of them could be named
    /// with truth. Servers check users' hosts against this machine's address, as they do without a header.
    ///
    /// # Errors
    /// When the connection breaks.
    pub(crate) async fn write_proxy_header(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        let header = match &self.transport {
            Transport::Plain(Socket::Tcp(stream)) => {
                Header::Tcp { source: stream.local_addr()?, destination: stream.peer_addr()? }
            }
            _ => Header::Local,
        };
        header.write(&mut bytes);
        self.write_all(&bytes).await
    }

    /// The first byte that comes, left where it is. `None` when none comes any more, and where it cannot be known: only TCP
    /// connections in the clear can be looked into.
    pub(crate) async fn peek(&self) -> Option<u8> {
        let Transport::Plain(Socket::Tcp(stream)) = &self.transport else { return None };
        let mut byte = [0];
        matches!(stream.peek(&mut byte).await, Ok(1)).then_some(byte[0])
    }

    /// Whether nothing has come and nothing is broken, as far as is known without waiting. For a connection that must be
    /// silent now: bytes or an end of stream make it unfit, and it must not be read after that. Costs no system call while
    /// the socket is quiet.
    pub(crate) fn is_quiet(&self) -> bool {
        self.transport.is_quiet()
    }

    /// Waits until there is something to read, without a buffer.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_readable(cx)
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_read(cx, buffer)
    }

    /// Writes; done when the bytes are with the socket, so that nothing is left to flush. What is `Pending` must be tried
    /// again with the same bytes in front.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.transport.poll_write(cx, bytes)
    }

    pub(crate) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.transport.poll_write_vectored(cx, parts)
    }

    /// Writes all of `bytes`.
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match std::future::poll_fn(|cx| self.poll_write(cx, rest)).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => rest = rest.get(written..).unwrap_or_default(),
            }
        }
        Ok(())
    }

    /// Reads once, appending to `bytes`; returns how many came.
    pub(crate) async fn read_some(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        self.read_up_to(bytes, CHUNK_LEN).await
    }

    /// Reads once, appending at most `len` to `bytes`; returns how many came.
    pub(crate) async fn read_up_to(&mut self, bytes: &mut Vec<u8>, len: usize) -> io::Result<usize> {
        std::future::poll_fn(|cx| {
            // It lives as long as one poll, so that no future carries it through its waits.
            let mut chunk = [MaybeUninit::uninit(); CHUNK_LEN];
            let mut buffer = ReadBuf::uninit(&mut chunk[..len.min(CHUNK_LEN)]);
            ready!(self.poll_read(cx, &mut buffer))?;
            bytes.extend_from_slice(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
        .await
    }

    /// Says that nothing more will be sent, so that the other side sees an orderly end.
    pub(crate) async fn shut_down(&mut self) {
        let done = std::future::poll_fn(|cx| self.transport.poll_shutdown(cx));
        drop(timeout(FAREWELL_TIMEOUT, done).await); // It is closed right after; whoever is gone already need not be told.
    }
}

#[cfg(test)]
mod tests;
