//! A TCP or unix socket, towards a client or a server.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use route::Address;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};

/// The most bytes of one small read.
const CHUNK_LEN: usize = 4096;

/// Silence after which the kernel asks whether the other side is still there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// Time between such questions; after [`KEEPALIVE_RETRIES`] unanswered ones the connection counts as broken.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Unanswered questions that a connection survives.
const KEEPALIVE_RETRIES: u32 = 6;

/// A connected socket.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix socket.
    Unix(UnixStream),
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

impl Stream {
    /// Connects to a server.
    ///
    /// # Errors
    /// Those of the look-up and of connect(2).
    pub async fn connect(address: &Address) -> io::Result<Self> {
        let stream = match address {
            Address::Tcp { host, port } => Self::Tcp(TcpStream::connect((host.as_str(), *port)).await?),
            Address::Unix { path } => Self::Unix(UnixStream::connect(path).await?),
        };
        stream.prepare()?;
        Ok(stream)
    }

    /// Sets what every connection wants: no delay of small writes, and questions after long silence.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn prepare(&self) -> io::Result<()> {
        if let Self::Tcp(stream) = self {
            stream.set_nodelay(true)?;
            let keepalive = TcpKeepalive::new()
                .with_time(KEEPALIVE_AFTER)
                .with_interval(KEEPALIVE_INTERVAL)
                .with_retries(KEEPALIVE_RETRIES);
            SockRef::from(stream).set_tcp_keepalive(&keepalive)?;
        }
        Ok(())
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> Peer {
        match self {
            Self::Tcp(stream) => stream.peer_addr().map_or(Peer::Unix, Peer::Tcp),
            Self::Unix(_) => Peer::Unix,
        }
    }

    /// Whether nothing has come and nothing is broken, as far as is known without waiting. For a connection that must be
    /// silent now: bytes or an end of stream make it unfit. Costs no system call while the socket is quiet.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut byte = [0];
        let result = match self {
            Self::Tcp(stream) => stream.try_read(&mut byte),
            Self::Unix(stream) => stream.try_read(&mut byte),
        };
        matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Waits until there is something to read, without a buffer.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    pub(crate) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
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
        let mut chunk = [0; CHUNK_LEN];
        let read = std::future::poll_fn(|cx| {
            let mut buffer = ReadBuf::new(&mut chunk[..len.min(CHUNK_LEN)]);
            self.poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().len())
        })
        .await?;
        bytes.extend_from_slice(chunk.get(..read).unwrap_or_default());
        Ok(read)
    }

    /// Says that nothing more will be sent, so that the other side sees an orderly end.
    pub(crate) async fn shut_down(&mut self) {
        let done = std::future::poll_fn(|cx| match self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        })
        .await;
        drop(done); // It is closed right after; whoever is gone already need not be told.
    }
}
