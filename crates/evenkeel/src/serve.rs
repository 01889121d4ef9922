//! `evenkeel serve`: everything put together, and what signals do to it.

use std::{
    fs::Permissions,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use arc_swap::ArcSwap;
use config::{Config, Given};
use control::{Control, SetError, Shutdown, State, Steering};
use route::Address;
use session::{Engine, Listener};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, UnixListener},
    signal::unix::{SignalKind, signal},
    sync::Notify,
};

use crate::{
    cli::Source,
    descriptors, fit,
    log::{self, LogHandle},
    plan::plan,
    runtime,
};

/// Clients that may wait to be accepted, by listener. The kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

pub(crate) fn run(source: Source) -> Result<ExitCode> {
    let config = source.load()?;
    let log = log::start(&config.keys().log);
    let workers = runtime::workers(config.keys().runtime.workers);
    let runtime = runtime::build(workers).context("cannot start the runtime")?;
    runtime.block_on(serve(source, config, log, workers))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(source: Source, config: Config, log: LogHandle, workers: usize) -> Result<()> {
    let listeners = listen(&config)?;
    let http = match &config.keys().listen.http.0 {
        Some(address) => Some((TcpListener::from_std(tcp(address).await?.into())?, address.to_string())),
        None => None,
    };
    config.doubts().iter().for_each(|doubt| tracing::warn!("{doubt}"));
    let clients_max = clients_max(&config);
    let buffer_len = config.keys().runtime.relay_buffer.get();
    let engine = Engine::new(plan(&config, clients_max), buffer_len);
    fit::refuse_at_start(&config, &engine).await?;
    let helm = Arc::new(Helm {
        source,
        log,
        engine: engine.clone(),
        config: ArcSwap::from_pointee(config),
        changing: Mutex::default(),
        end: End::default(),
    });
    let control = Control::new(engine.clone(), helm.clone(), env!("CARGO_PKG_VERSION"));
    engine.set_console(control.clone());
    if let Some((listener, address)) = http {
        tracing::info!(address, "HTTP: /metrics, /healthz, /readyz, /api");
        let control = control.clone();
        tokio::spawn(async move {
            if let Err(error) = control.serve_http(listener).await {
                tracing::error!(%error, "HTTP ended");
            }
        });
    }
    let mut accepting = Vec::new();
    for (listener, protocol, address) in listeners.await? {
        tracing::info!(address, %protocol, "listening for clients");
        accepting.push(tokio::spawn(listener.accept_all(engine.clone(), protocol)));
    }
    control.set_state(State::Ready);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), workers, clients_max, "ready");
    let how = helm.steer().await?;
    control.set_state(State::Draining);
    for task in accepting {
        task.abort();
    }
    let deadline = match how {
        Shutdown::Now => Duration::ZERO,
        Shutdown::WhenIdle => helm.config().keys().timeouts.shutdown.get(),
    };
    tracing::info!(?how, ?deadline, clients = engine.registry().len(), "shutting down");
    tokio::select! {
        () = engine.drain(deadline) => {}
        _ = helm.steer() => {
            tracing::info!("told again to stop: at once");
            engine.drain(Duration::ZERO).await;
        }
    }
    tracing::info!("stopped");
    Ok(())
}

/// What operators hold: configuration, log and end of the program.
struct Helm {
    source: Source,
    log: LogHandle,
    engine: Arc<Engine>,
    config: ArcSwap<Config>,
    /// Held while the configuration changes: each change begins with what the one before has left.
    changing: Mutex<()>,
    end: End,
}

/// The order to stop, once given.
#[derive(Default)]
struct End {
    how: Mutex<Option<Shutdown>>,
    given: Notify,
}

impl Helm {
    /// Obeys signals until one of them, or the console, says to stop.
    async fn steer(&self) -> Result<Shutdown> {
        let handle = |kind, name: &str| signal(kind).with_context(|| format!("cannot handle {name}"));
        let mut hangup = handle(SignalKind::hangup(), "SIGHUP")?;
        let mut terminate = handle(SignalKind::terminate(), "SIGTERM")?;
        let mut interrupt = handle(SignalKind::interrupt(), "SIGINT")?;
        let mut quit = handle(SignalKind::quit(), "SIGQUIT")?;
        loop {
            tokio::select! {
                _ = hangup.recv() => match self.reload() {
                    Ok(changes) => tracing::info!(?changes, "configuration reloaded"),
                    Err(problems) => tracing::error!(problems, "configuration not reloaded; the old one stays in force"),
                },
                _ = terminate.recv() => return Ok(Shutdown::WhenIdle),
                _ = interrupt.recv() => return Ok(Shutdown::WhenIdle),
                _ = quit.recv() => return Ok(Shutdown::Now),
                () = self.end.given.notified() => {
                    let how = self.end.how.lock().unwrap_or_else(PoisonError::into_inner).take();
                    return Ok(how.unwrap_or(Shutdown::WhenIdle));
                }
            }
        }
    }
}

impl Helm {
    /// Makes this the configuration in force. Returns one line per change.
    ///
    /// # Errors
    /// What does not fit a server, where that is to be refused.
    fn put_in_force(&self, new: Config) -> Result<Vec<String>, String> {
        fit::refuse_at_reload(&new, &self.engine)?;
        new.doubts().iter().for_each(|doubt| tracing::warn!("{doubt}"));
        let changes = config::diff(&self.config.load(), &new);
        self.engine.apply(plan(&new, clients_max(&new)));
        self.log.set(&new.keys().log);
        self.config.store(Arc::new(new));
        Ok(changes.iter().map(ToString::to_string).collect())
    }
}

impl Steering for Helm {
    fn reload(&self) -> Result<Vec<String>, String> {
        // Before the file is read: two reloads at once must not end with the older file in force.
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let new = self.source.load().map_err(|error| format!("{error:#}"))?;
        self.put_in_force(new)
    }

    fn set(&self, key: &str, value: Given<'_>) -> Result<Vec<String>, SetError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let new = self.config.load().amended(key, value)?;
        self.put_in_force(new).map_err(SetError::Unfit)
    }

    fn shutdown(&self, how: Shutdown) {
        *self.end.how.lock().unwrap_or_else(PoisonError::into_inner) = Some(how);
        self.end.given.notify_one();
    }

    fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }
}

/// How many clients the configuration and the file descriptors allow.
fn clients_max(config: &Config) -> usize {
    let descriptors = descriptors::raise_limit();
    let budgets = config.table().servers().iter().map(|server| u64::from(server.budget)).sum();
    let wanted = config.keys().limits.max_clients as usize;
    let possible = descriptors::clients_max(descriptors, budgets);
    if possible < wanted {
        tracing::warn!(
            descriptors,
            server_connections = budgets,
            max_clients = wanted,
            possible,
            "fewer clients than limits.max_clients: there are not enough file descriptors (raise LimitNOFILE or ulimit -n)"
        );
    }
    possible.min(wanted)
}

/// Opens all listeners for clients; none is served before all are open.
fn listen(config: &Config) -> Result<impl Future<Output = Result<Vec<(Listener, route::Protocol, String)>>> + use<>> {
    let addresses: Vec<_> = config.listeners().map(|(protocol, address)| (protocol, address.clone())).collect();
    if addresses.is_empty() {
        bail!("listen.postgres and listen.mysql name no address");
    }
    Ok(async move {
        let mut listeners = Vec::new();
        for (protocol, address) in addresses {
            let listener = match &address {
                Address::Unix { path } => Listener::Unix(unix(path)?),
                Address::Tcp { .. } => Listener::Tcp(TcpListener::from_std(tcp(&address).await?.into())?),
            };
            listeners.push((listener, protocol, address.to_string()));
        }
        Ok(listeners)
    })
}

async fn tcp(address: &Address) -> Result<Socket> {
    let Address::Tcp { host, port } = address else { bail!("{address} is no TCP address") };
    let resolved: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), *port))
        .await
        .with_context(|| format!("cannot look up {host}, to listen on it"))?
        .collect();
    let first = *resolved.first().with_context(|| format!("{host} has no address to listen on"))?;
    let bound = || -> std::io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(first), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&first.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket)
    };
    bound().with_context(|| format!("cannot listen on {address}"))
}

/// A socket file that nobody listens on any more is what a crash leaves behind; it makes way.
fn unix(path: &Path) -> Result<UnixListener> {
    let is_socket = path.symlink_metadata().is_ok_and(|file| file.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path).with_context(|| format!("cannot remove the old socket {}", path.display()))?;
    }
    let listener = UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    // As PostgreSQL's own: who may connect is decided by the login, not by the file.
    std::fs::set_permissions(path, Permissions::from_mode(0o777))
        .with_context(|| format!("cannot set the mode of {}", path.display()))?;
    Ok(listener)
}
