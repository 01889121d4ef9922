//! A connection that is encrypted.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustls::{CommonState, ProtocolVersion, pki_types::CertificateDer};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{TlsStream as Inner, client, server};

use crate::{Version, certificate, certificate::EndPoint};

/// The most bytes that are encrypted ahead of what the other side takes, for each connection: two records. What was written
/// beyond waits unencrypted where it is.
const AHEAD_MAX: usize = 32 * 1024;

/// Of what comes behind our end, so many bytes are dropped at once.
const SCRATCH_LEN: usize = 4 * 1024;

/// An encrypted connection over `S`.
///
/// A write is done when its bytes are with the socket, not when they are encrypted: who waits for the write need not flush.
/// A write that is not done must be tried again with the same bytes in front, as whoever repeats an unfinished write does.
#[derive(Debug)]
pub struct TlsStream<S> {
    inner: Inner<S>,
    /// Bytes that are encrypted, but not all with the socket yet.
    unfinished: usize,
    /// Whether we have said that nothing more comes from us.
    is_shut: bool,
    end_point: Option<EndPoint>,
}

impl<S> TlsStream<S> {
    pub(crate) fn server(mut stream: server::TlsStream<S>, end_point: Option<EndPoint>) -> Self {
        stream.get_mut().1.set_buffer_limit(Some(AHEAD_MAX));
        Self { inner: stream.into(), unfinished: 0, is_shut: false, end_point }
    }

    pub(crate) fn client(mut stream: client::TlsStream<S>) -> Self {
        stream.get_mut().1.set_buffer_limit(Some(AHEAD_MAX));
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let end_point = leaf.and_then(certificate::proven_end_point);
        Self { inner: stream.into(), unfinished: 0, is_shut: false, end_point }
    }

    /// What it runs over.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        self.inner.get_ref().0
    }

    /// Whether something has been received that is not read yet, or the other side has said that nothing more comes.
    #[must_use]
    pub fn has_received(&self) -> bool {
        !self.state().wants_read()
    }

    /// The hash of the server's certificate, ours or the other side's, for the channel binding `tls-server-end-point`;
    /// `None` when the certificate has none, or the other side's could not be proven.
    #[must_use]
    pub fn server_end_point(&self) -> Option<&EndPoint> {
        self.end_point.as_ref()
    }

    /// The protocol that both sides agreed on by name (ALPN).
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.state().alpn_protocol()
    }

    /// The version both sides speak.
    #[must_use]
    pub fn version(&self) -> Version {
        match self.state().protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => Version::Tls12,
            _ => Version::Tls13,
        }
    }

    /// Name of the cipher suite, as IANA writes it.
    #[must_use]
    pub fn cipher(&self) -> Option<&'static str> {
        self.state().negotiated_cipher_suite()?.suite().as_str()
    }

    /// The other side's certificate (DER), if it showed one. A client's was verified.
    #[must_use]
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        self.state().peer_certificates()?.first().map(CertificateDer::as_ref)
    }

    fn state(&self) -> &CommonState {
        self.inner.get_ref().1
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Waits until there is something to read, or nothing more will come; reads nothing. What concerns encryption alone, such
    /// as new keys, is dealt with on the way.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_fill_buf(cx).map_ok(drop)
    }

    /// Waits until what was encrypted is with the socket; returns how many bytes of the write under way that were, of
    /// `offered`.
    fn poll_finish(&mut self, cx: &mut Context<'_>, offered: usize) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        let done = self.unfinished.min(offered);
        self.unfinished -= done;
        Poll::Ready(Ok(done))
    }

    /// Waits for the end of what the other side still says, without a look at it.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let below = self.inner.get_mut().0;
        let mut scratch = [MaybeUninit::uninit(); SCRATCH_LEN];
        loop {
            let mut buffer = ReadBuf::uninit(&mut scratch);
            ready!(Pin::new(&mut *below).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    /// Behind our own end there is nothing to be read but the other side's: what it says until then is dropped. Nobody
    /// can be answered any more, not even with the alert that is due for what cannot be decrypted.
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_shut {
            return self.poll_end(cx);
        }
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.unfinished == 0 {
            self.unfinished = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        }
        self.poll_finish(cx, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.unfinished == 0 {
            self.unfinished = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, parts))?;
        }
        let offered = parts.iter().map(|part| part.len()).sum();
        self.poll_finish(cx, offered)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_shut = true;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
