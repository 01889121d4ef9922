//! The runtime experiment: the same bare transaction-mode relay under several ways of using tokio.
//!
//! `relay SHAPE THREADS LISTEN SERVER` relays any number of PostgreSQL clients at LISTEN over 16 connections to SERVER,
//! logged in as `postgres` with trust. SHAPE is one of
//! - `multi`: one work-stealing runtime with THREADS workers;
//! - `reuseport`: THREADS single-threaded runtimes, each with its own listening socket (the kernel spreads by hash);
//! - `spread`: THREADS single-threaded runtimes, one acceptor gives each client to the runtime with the fewest.
//!
//! It knows nothing of TLS, passwords, cancellation, session state or errors; it exists to weigh runtimes and is driven by
//! `cargo xtask bench runtime`, whose figures stand in `docs/decisions/0001-runtime.md`.

mod pool;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};
use pool::{Pool, Seat, ServerConn};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

/// Server connections in all, spread evenly over the runtimes.
const SERVER_CONNS: usize = 16;
/// Bytes a client's buffer holds; a longer request or reply simply takes several reads.
const BUFFER_LEN: usize = 8192;

/// How threads, runtimes and listening sockets relate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Multi,
    Reuseport,
    Spread,
}

/// What every client task shares.
struct Relay {
    pool: Pool,
    greeting: Vec<u8>,
    /// Clients per runtime, by which `spread` chooses.
    clients: Vec<AtomicUsize>,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [shape, threads, listen, server] = args.as_slice() else {
        bail!("usage: relay multi|reuseport|spread THREADS LISTEN SERVER");
    };
    let shape = match shape.as_str() {
        "multi" => Shape::Multi,
        "reuseport" => Shape::Reuseport,
        "spread" => Shape::Spread,
        other => bail!("unknown shape {other:?}"),
    };
    let threads: usize = threads.parse().context("THREADS")?;
    let listen: SocketAddr = listen.parse().context("LISTEN")?;
    let server: SocketAddr = server.parse().context("SERVER")?;

    let runtimes = build(shape, threads)?;
    let relay = Arc::new(connect(&runtimes, server)?);
    match shape {
        Shape::Multi | Shape::Reuseport => {
            each_accepts(runtimes, |home| accept(Arc::clone(&relay), home, listen, shape == Shape::Reuseport))
        }
        Shape::Spread => spread(runtimes, &relay, listen),
    }
}

/// One work-stealing runtime, or one single-threaded runtime per thread.
fn build(shape: Shape, threads: usize) -> Result<Vec<Runtime>> {
    Ok(match shape {
        Shape::Multi => vec![Builder::new_multi_thread().worker_threads(threads).enable_io().build()?],
        Shape::Reuseport | Shape::Spread => {
            (0..threads).map(|_| Builder::new_current_thread().enable_io().build()).collect::<Result<_, _>>()?
        }
    })
}

/// Opens the server connections, each at its home.
fn connect(runtimes: &[Runtime], server: SocketAddr) -> Result<Relay> {
    let pool = Pool::new(runtimes.len());
    let mut greeting = Vec::new();
    for (home, runtime) in runtimes.iter().enumerate() {
        for _ in 0..SERVER_CONNS / runtimes.len() {
            let conn = runtime.block_on(async {
                let mut stream = TcpStream::connect(server).await?;
                stream.set_nodelay(true)?;
                greeting = wire::log_in(&mut stream, "postgres", "postgres").await?;
                anyhow::Ok(ServerConn { stream, home })
            })?;
            pool.detach(conn);
        }
    }
    let clients = runtimes.iter().map(|_| AtomicUsize::new(0)).collect();
    Ok(Relay { pool, greeting, clients })
}

/// Runs one future on each runtime, each on its own thread, until the first fails.
fn each_accepts<F>(runtimes: Vec<Runtime>, task: impl Fn(usize) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let threads: Vec<_> = runtimes
        .into_iter()
        .enumerate()
        .map(|(home, runtime)| {
            let task = task(home);
            // Spawned, so that a work-stealing runtime runs it on a worker; `block_on` would use this extra thread.
            std::thread::spawn(move || runtime.block_on(async { tokio::spawn(task).await? }))
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| anyhow::anyhow!("a runtime panicked"))??;
    }
    Ok(())
}

/// Accepts clients and serves them on the runtime that accepted them.
async fn accept(relay: Arc<Relay>, home: usize, listen: SocketAddr, share_port: bool) -> Result<()> {
    let listener = listen_on(listen, share_port)?;
    loop {
        let (stream, _) = listener.accept().await?;
        relay.clients[home].fetch_add(1, Ordering::Relaxed);
        tokio::spawn(serve(Arc::clone(&relay), home, stream));
    }
}

/// One acceptor on the first runtime; every client goes to the runtime that has the fewest.
fn spread(runtimes: Vec<Runtime>, relay: &Arc<Relay>, listen: SocketAddr) -> Result<()> {
    let (senders, mut inboxes): (Vec<_>, Vec<_>) =
        runtimes.iter().map(|_| mpsc::unbounded_channel::<std::net::TcpStream>()).unzip();
    runtimes[0].spawn({
        let relay = Arc::clone(relay);
        async move {
            let listener = listen_on(listen, false)?;
            loop {
                let (stream, _) = listener.accept().await?;
                let load = |home: &usize| relay.clients[*home].load(Ordering::Relaxed);
                let home = (0..senders.len()).min_by_key(load).unwrap_or(0);
                relay.clients[home].fetch_add(1, Ordering::Relaxed);
                senders[home].send(stream.into_std()?)?;
            }
            #[allow(unreachable_code)]
            anyhow::Ok(())
        }
    });
    inboxes.reverse();
    let inboxes = std::cell::RefCell::new(inboxes);
    each_accepts(runtimes, |home| {
        let mut inbox = inboxes.borrow_mut().pop().expect("one inbox per runtime");
        let relay = Arc::clone(relay);
        async move {
            while let Some(stream) = inbox.recv().await {
                let stream = TcpStream::from_std(stream)?;
                tokio::spawn(serve(Arc::clone(&relay), home, stream));
            }
            Ok(())
        }
    })
}

fn listen_on(address: SocketAddr, share_port: bool) -> Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share_port)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(TcpListener::from_std(socket.into())?)
}

/// Serves one client to its end. An error ends the client and, if one is lent, its server connection; nobody else.
async fn serve(relay: Arc<Relay>, home: usize, client: TcpStream) {
    if let Err(error) = converse(&relay, home, client).await {
        eprintln!("client: {error:#}");
    }
    relay.clients[home].fetch_sub(1, Ordering::Relaxed);
}

async fn converse(relay: &Relay, home: usize, mut client: TcpStream) -> Result<()> {
    client.set_nodelay(true)?;
    wire::welcome(&mut client, &relay.greeting).await?;
    let seat = Arc::new(Seat::default());
    let mut buffer = Vec::with_capacity(BUFFER_LEN);
    loop {
        buffer.clear();
        if client.read_buf(&mut buffer).await? == 0 || buffer[0] == b'X' {
            return Ok(());
        }
        let mut server = relay.pool.attach(home, &seat).await;
        server.stream.write_all(&buffer).await?;
        buffer.clear();
        while !wire::reply_is_complete(&buffer) {
            if server.stream.read_buf(&mut buffer).await? == 0 {
                bail!("the server closed the connection");
            }
        }
        // Before the reply is written: a slow client must not hold the connection.
        relay.pool.detach(server);
        client.write_all(&buffer).await?;
    }
}
