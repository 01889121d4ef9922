//! What bytes go through on their way to the other side.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tls::TlsStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{compressed::Compressed, socket::Socket};

/// The layers between us and the other side, from the outermost.
#[derive(Debug)]
pub(super) enum Transport {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
    /// What MySQL negotiates at the login, over one of those above.
    Compressed(Box<Compressed>),
    /// A handshake is under way, or has failed: nothing may be said in the clear any more, not even why.
    Handshake,
}

impl Transport {
    /// What carries the bytes, whatever they look like.
    pub(super) fn carrier(&self) -> &Self {
        match self {
            Self::Compressed(compressed) => compressed.below(),
            other => other,
        }
    }

    /// [`Stream::is_quiet`](super::Stream::is_quiet).
    pub(super) fn is_quiet(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_quiet(),
            // Any record counts, whatever is in it: nobody has anything to say now.
            Self::Tls(stream) => !stream.has_received() && stream.get_ref().is_quiet(),
            Self::Compressed(compressed) => compressed.is_quiet(),
            Self::Handshake => false,
        }
    }

    pub(super) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => socket.poll_readable(cx),
            Self::Tls(stream) => stream.poll_readable(cx),
            Self::Compressed(compressed) => compressed.poll_readable(cx),
            Self::Handshake => Poll::Ready(Err(useless())),
        }
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Compressed(compressed) => compressed.poll_read(cx, buffer),
            Self::Handshake => Poll::Ready(Err(useless())),
        }
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Compressed(compressed) => compressed.poll_write(cx, &[io::IoSlice::new(bytes)]),
            Self::Handshake => Poll::Ready(Err(useless())),
        }
    }

    pub(super) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, parts),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::Compressed(compressed) => compressed.poll_write(cx, parts),
            Self::Handshake => Poll::Ready(Err(useless())),
        }
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Compressed(compressed) => compressed.poll_shutdown(cx),
            Self::Handshake => Poll::Ready(Ok(())),
        }
    }
}

fn useless() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the connection did not become encrypted")
}
