//! How a server is reached, before anybody speaks its protocol.

use std::{io, sync::Arc};

use route::Address;
use tls::Connector;

use crate::stream::Stream;

/// What a server wants of those who connect to it.
#[derive(Debug, Clone, Default)]
pub struct Dialling {
    /// How connections are encrypted; `None`: not at all.
    pub tls: Option<Arc<Connector>>,
    /// The name that must be in the server's certificate; `None`: that of its address.
    pub tls_server_name: Option<Arc<str>>,
    /// Whether it is told where a connection comes from.
    pub announce: Announce,
}

/// Whether a server is told by a PROXY protocol header where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Announce {
    /// It is not, and would not understand.
    #[default]
    No,
    /// It is, and would not understand anything else.
    Header,
}

impl Dialling {
    /// Connects, and sends what must come before the protocol.
    ///
    /// # Errors
    /// Those of the look-up, of connect(2), and of a connection that breaks at once.
    pub(crate) async fn connect(&self, address: &Address) -> io::Result<Stream> {
        let mut stream = Stream::connect(address).await?;
        if self.announce == Announce::Header {
            stream.write_proxy_header().await?;
        }
        Ok(stream)
    }

    /// How to reach the server once more, as this connection did. Where encryption was preferred and not had, it is not asked
    /// for again: nothing is sent that was not sent in the clear before, and a cancel request arrives sooner.
    pub(crate) fn like(&self, stream: &Stream) -> Self {
        let tls = self.tls.clone().filter(|_| stream.is_encrypted());
        Self { tls, ..self.clone() }
    }

    /// How a connection to this address is encrypted, and the name that its certificate should have. Unix sockets are not
    /// encrypted: nobody is on the way, and PostgreSQL's servers would refuse it.
    pub(crate) fn tls_for<'a>(&'a self, address: &'a Address) -> Option<(&'a Connector, &'a str)> {
        match (address, &self.tls) {
            (Address::Tcp { host, .. }, Some(connector)) => {
                Some((connector, self.tls_server_name.as_deref().unwrap_or(host)))
            }
            (Address::Tcp { .. }, None) | (Address::Unix { .. }, _) => None,
        }
    }
}
