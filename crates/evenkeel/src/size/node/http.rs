//! One page of a running node, over HTTP.

use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

/// How long connecting may take, and how long a page.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const PAGE_TIMEOUT: Duration = Duration::from_secs(20);

/// The largest page that is read, in bytes. Thousands of routes fit.
const PAGE_MAX: usize = 64 << 20;

/// The port of `listen.http` unless the configuration says otherwise.
const PORT: &str = "9632";

/// Where a node answers HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// Host and port.
    authority: String,
}

impl Node {
    /// # Errors
    /// It is no URL of a node.
    pub(super) fn parse(url: &str) -> Result<Self> {
        if url.starts_with("https://") {
            bail!("a node answers http:// only; put --from on a machine that reaches it, or use a tunnel");
        }
        let rest = url.strip_prefix("http://").unwrap_or(url);
        if rest.contains("://") {
            bail!("the URL of a node looks like http://127.0.0.1:{PORT}");
        }
        let authority = rest.trim_end_matches('/');
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']' | '%');
        if authority.is_empty() || !authority.chars().all(is_name) {
            bail!("the URL of a node looks like http://127.0.0.1:{PORT}, without a path");
        }
        // Behind the brackets of an IPv6 address, if it has any, a colon begins the port.
        let has_port = authority.rsplit(']').next().is_some_and(|end| end.contains(':'));
        Ok(Self { authority: if has_port { authority.to_owned() } else { format!("{authority}:{PORT}") } })
    }

    /// Fetches a page.
    ///
    /// # Errors
    /// The node cannot be reached, takes too long, or has no such page.
    pub(super) fn get(&self, path: &str) -> Result<String> {
        let Self { authority } = self;
        self.fetch(path).with_context(|| format!("http://{authority}{path}"))
    }

    fn fetch(&self, path: &str) -> Result<String> {
        let deadline = Instant::now() + PAGE_TIMEOUT;
        let mut stream = self.connect()?;
        // HTTP/1.0: the answer has no chunks, and ends with the connection.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.authority)?;
        let mut answer = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "no whole answer within {PAGE_TIMEOUT:?}");
            stream.set_read_timeout(Some(left))?;
            match stream.read(&mut buffer)? {
                0 => break,
                read => answer.extend_from_slice(&buffer[..read]),
            }
            ensure!(answer.len() <= PAGE_MAX, "the page has more than {PAGE_MAX} bytes");
        }
        body(&answer)
    }

    fn connect(&self) -> Result<TcpStream> {
        let mut failure = None;
        for address in self.authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => {
                    stream.set_write_timeout(Some(CONNECT_TIMEOUT))?;
                    return Ok(stream);
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.context("the name has no address")?.into())
    }
}

impl std::fmt::Display for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

/// The body of an answer that is all well.
fn body(answer: &[u8]) -> Result<String> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("this is no answer in HTTP")?;
    let (head, body) = answer.split_at(end);
    let head = String::from_utf8_lossy(head);
    let status = head.split(' ').nth(1).filter(|_| head.starts_with("HTTP/1.")).context("this is no answer in HTTP")?;
    if status != "200" {
        let said = String::from_utf8_lossy(body.trim_ascii()).chars().take(200).collect::<String>();
        bail!("it answers {status}: {}", super::super::text::shown(said.lines().next().unwrap_or_default()));
    }
    String::from_utf8(body.trim_ascii_start().to_vec()).context("the page is no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_nodes() {
        for (url, authority) in [
            ("http://127.0.0.1:9632", "127.0.0.1:9632"),
            ("http://db-1.internal/", "db-1.internal:9632"),
            ("db-1:80", "db-1:80"),
            ("http://[::1]", "[::1]:9632"),
            ("http://[::1]:7", "[::1]:7"),
        ] {
            assert_eq!(Node::parse(url).unwrap().authority, authority, "{url}");
        }
        for url in ["https://db-1", "postgres://db-1", "http://db-1/metrics", "", "http://a b", "http://a\r\nX: y"] {
            assert!(Node::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn answers_that_are_none() {
        assert_eq!(body(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\nx 1\n").unwrap(), "x 1\n");
        for (answer, told) in [
            (&b"HTTP/1.0 404 Not Found\r\n\r\nNo such page.\nmore"[..], "it answers 404: No such page."),
            (b"SSH-2.0-x\r\n\r\n", "this is no answer in HTTP"),
            (b"HTTP/1.1 200", "this is no answer in HTTP"),
            (b"", "this is no answer in HTTP"),
            (b"HTTP/1.0 200 OK\r\n\r\n\xff\xff", "the page is no text"),
        ] {
            assert_eq!(body(answer).unwrap_err().to_string(), told);
        }
    }
}
