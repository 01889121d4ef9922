//! Just enough of the PostgreSQL protocol: log in at the server with trust, welcome a client without asking, see the end of a reply.

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The tail of every reply that ends outside a transaction: `ReadyForQuery`, length 5, status `I`.
const READY_IDLE: &[u8] = b"Z\0\0\0\x05I";
const PROTOCOL_3_0: u32 = 196_608;
const SSL_REQUEST: u32 = 80_877_103;
const STARTUP_LEN_MAX: usize = 10_000;

/// Whether the bytes read so far are a complete reply, judged by the last six of them.
///
/// A data row could end so as well; the workload (`pgbench -S`) has none that does, and the relay is an experiment.
pub(crate) fn reply_is_complete(reply: &[u8]) -> bool {
    reply.ends_with(READY_IDLE)
}

/// Logs in and returns what the server said after `AuthenticationOk`, which greets clients later.
pub async fn log_in(stream: &mut TcpStream, user: &str, database: &str) -> Result<Vec<u8>> {
    let mut body = PROTOCOL_3_0.to_be_bytes().to_vec();
    for text in ["user", user, "database", database, ""] {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    let length = u32::try_from(body.len() + 4)?;
    stream.write_all(&[&length.to_be_bytes()[..], &body].concat()).await?;
    let mut answer = Vec::with_capacity(1024);
    while !reply_is_complete(&answer) {
        ensure!(stream.read_buf(&mut answer).await? > 0, "the server closed during login: {}", text_of(&answer));
        ensure!(answer.first() == Some(&b'R'), "the server refused: {}", text_of(&answer));
    }
    Ok(answer)
}

/// Reads a client's startup message, declining encryption, and sends it the `greeting`.
pub async fn welcome(stream: &mut TcpStream, greeting: &[u8]) -> Result<()> {
    loop {
        let length = stream.read_u32().await.context("startup length")? as usize;
        ensure!((8..=STARTUP_LEN_MAX).contains(&length), "startup of {length} bytes");
        let mut body = vec![0; length - 4];
        stream.read_exact(&mut body).await?;
        match u32::from_be_bytes([body[0], body[1], body[2], body[3]]) {
            SSL_REQUEST => stream.write_all(b"N").await?,
            PROTOCOL_3_0 => break,
            other => bail!("protocol {other}"),
        }
    }
    stream.write_all(greeting).await?;
    Ok(())
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', " ")
}
