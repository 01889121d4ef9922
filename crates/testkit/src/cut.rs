//! A byte proxy that breaks on command: what lies between two programs that talk over TCP.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// What happens to the bytes that pass, in both directions of every connection, present and future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Bytes pass.
    Clear,
    /// Bytes are held back, sockets stay open: a network that silently drops packets.
    Stalled,
    /// New connections are accepted and closed at once; present ones go on.
    Refusing,
}

/// One direction through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From whoever connected to us.
    ToServer,
    /// From the server we connect to.
    ToClient,
}

/// A TCP proxy on a free port of 127.0.0.1 in front of one server, to be told what to break.
///
/// Two threads per connection, which end with it; dropping the value cuts everything.
#[derive(Debug)]
pub struct Cut {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: String,
    state: Mutex<State>,
    changed: Condvar,
    /// Bytes still allowed to pass, per [`Direction`]; what comes after closes the connection.
    budgets: [AtomicU64; 2],
    passed: [AtomicU64; 2],
}

#[derive(Debug)]
struct State {
    weather: Weather,
    /// Both ends of every connection, for cutting; closed ones are swept when the next arrives.
    links: Vec<(TcpStream, TcpStream)>,
    /// How many connections there were so far.
    born: u64,
    /// Connections born before these are silent, per [`Direction`].
    silent: [u64; 2],
    open: bool,
}

impl Cut {
    /// Starts a proxy in front of `server` (`host:port`), letting everything pass.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn before(server: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            state: Mutex::new(State {
                weather: Weather::Clear,
                links: Vec::new(),
                born: 0,
                silent: [0; 2],
                open: true,
            }),
            changed: Condvar::new(),
            budgets: [AtomicU64::new(u64::MAX), AtomicU64::new(u64::MAX)],
            passed: [AtomicU64::new(0), AtomicU64::new(0)],
        });
        let acceptor = Arc::clone(&shared);
        thread::Builder::new().name("cut-accept".to_owned()).spawn(move || acceptor.accept(&listener))?;
        Ok(Self { address, shared })
    }

    /// Changes what happens to bytes and newcomers. What [`Cut::silence`] holds back stays where it is.
    pub fn set(&self, weather: Weather) {
        self.shared.lock().weather = weather;
        self.shared.changed.notify_all();
    }

    /// Holds back what present connections send in one direction, until [`Cut::end_silence`]. Their sockets stay open, and new
    /// connections are as good as ever: a firewall that has forgotten them.
    pub fn silence(&self, direction: Direction) {
        let mut state = self.shared.lock();
        state.silent[direction as usize] = state.born;
    }

    /// Lets through what [`Cut::silence`] has held back.
    pub fn end_silence(&self) {
        self.shared.lock().silent = [0; 2];
        self.shared.changed.notify_all();
    }

    /// Closes all present connections at once, both ways.
    pub fn cut(&self) {
        for (client, server) in self.shared.lock().links.drain(..) {
            client.shutdown(Shutdown::Both).ok();
            server.shutdown(Shutdown::Both).ok();
        }
        self.shared.changed.notify_all();
    }

    /// Ends one direction of all present connections in order (FIN) and leaves the other open.
    pub fn half_close(&self, direction: Direction) {
        for (client, server) in &self.shared.lock().links {
            let receiver = match direction {
                Direction::ToServer => server,
                Direction::ToClient => client,
            };
            receiver.shutdown(Shutdown::Write).ok();
        }
    }

    /// Lets `bytes` more pass in one direction, over all connections together, then closes the connection they stop in:
    /// a message truncated in its middle. It happens once; afterwards everything passes again.
    pub fn truncate_after(&self, direction: Direction, bytes: u64) {
        self.shared.budgets[direction as usize].store(bytes, Ordering::SeqCst);
    }

    /// Bytes that have passed in one direction, over all connections.
    #[must_use]
    pub fn passed(&self, direction: Direction) -> u64 {
        self.shared.passed[direction as usize].load(Ordering::SeqCst)
    }

    /// `host:port` to connect to instead of the server's.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The port to connect to instead of the server's.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.shared.lock().open = false;
        self.cut();
        // Wakes the acceptor, which then sees that it is over.
        TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).ok();
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            let (open, weather) = {
                let state = self.lock();
                (state.open, state.weather)
            };
            if !open {
                return;
            }
            let Ok(client) = client else { continue };
            if weather != Weather::Refusing {
                // A server that is away looks to the client like a connection that closes.
                self.link(client).ok();
            }
        }
    }

    fn link(self: &Arc<Self>, client: TcpStream) -> Result<()> {
        // Locked before the server can notice: who cuts after that must find the link.
        let mut state = self.lock();
        let server = TcpStream::connect(&self.server).context("the server behind the cut")?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let pairs = [
            (Direction::ToServer, client.try_clone()?, server.try_clone()?),
            (Direction::ToClient, server.try_clone()?, client.try_clone()?),
        ];
        state.links.retain(|(client, _)| client.peer_addr().is_ok());
        state.links.push((client, server));
        let number = state.born;
        state.born += 1;
        drop(state);
        for (direction, from, to) in pairs {
            let shared = Arc::clone(self);
            thread::Builder::new().name("cut".to_owned()).spawn(move || shared.pump(number, direction, from, to))?;
        }
        Ok(())
    }

    /// Moves bytes of connection `number` one way until an end, an error, or the byte budget's end.
    fn pump(&self, number: u64, direction: Direction, mut from: TcpStream, mut to: TcpStream) {
        let mut chunk = [0; 16 * 1024];
        loop {
            let count = match from.read(&mut chunk) {
                Ok(0) => {
                    to.shutdown(Shutdown::Write).ok();
                    return;
                }
                Ok(count) => count,
                Err(_) => break,
            };
            if !self.wait_clear(number, direction) {
                break;
            }
            let allowed = self.spend(direction, count);
            // Before the receiver can have them, so that it never has more than were counted.
            self.passed[direction as usize].fetch_add(allowed as u64, Ordering::SeqCst);
            if to.write_all(&chunk[..allowed]).is_err() || allowed < count {
                break;
            }
        }
        from.shutdown(Shutdown::Both).ok();
        to.shutdown(Shutdown::Both).ok();
    }

    /// Takes up to `count` bytes from the direction's budget; one that runs out is unlimited again.
    fn spend(&self, direction: Direction, count: usize) -> usize {
        let budget = &self.budgets[direction as usize];
        let left = budget.load(Ordering::SeqCst);
        if left == u64::MAX {
            return count;
        }
        let allowed = usize::try_from(left).unwrap_or(usize::MAX).min(count);
        let rest = if allowed < count { u64::MAX } else { left - allowed as u64 };
        // Races between connections only blur which of them is cut, which no caller can know anyway.
        budget.store(rest, Ordering::SeqCst);
        allowed
    }

    /// Waits while the weather is [`Weather::Stalled`], or connection `number` silent; false when the proxy is gone.
    fn wait_clear(&self, number: u64, direction: Direction) -> bool {
        let mut state = self.lock();
        let is_held = |state: &State| state.weather == Weather::Stalled || number < state.silent[direction as usize];
        while state.open && is_held(&state) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.open
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client and a server joined by a cut.
    fn joined() -> (Cut, TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let cut = Cut::before(&listener.local_addr().unwrap().to_string()).unwrap();
        let client = TcpStream::connect(cut.address()).unwrap();
        let (server, _) = listener.accept().unwrap();
        for stream in [&client, &server] {
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        }
        (cut, client, server)
    }

    #[test]
    fn clear_weather_passes_bytes_both_ways() {
        let (cut, mut client, mut server) = joined();
        client.write_all(b"ping").unwrap();
        let mut four = [0; 4];
        server.read_exact(&mut four).unwrap();
        server.write_all(b"pong").unwrap();
        client.read_exact(&mut four).unwrap();
        assert_eq!(&four, b"pong");
        assert_eq!(cut.passed(Direction::ToServer), 4);
    }

    #[test]
    fn a_cut_reaches_both_ends() {
        let (cut, mut client, mut server) = joined();
        cut.cut();
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn stalled_bytes_arrive_when_the_weather_clears() {
        let (cut, mut client, mut server) = joined();
        cut.set(Weather::Stalled);
        client.write_all(b"late").unwrap();
        server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(server.read(&mut [0; 4]).is_err(), "nothing passes while stalled");
        server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        cut.set(Weather::Clear);
        let mut four = [0; 4];
        server.read_exact(&mut four).unwrap();
        assert_eq!(&four, b"late");
    }

    #[test]
    fn silence_falls_on_present_connections_and_one_direction() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let cut = Cut::before(&listener.local_addr().unwrap().to_string()).unwrap();
        let join = || (TcpStream::connect(cut.address()).unwrap(), listener.accept().unwrap().0);
        let ((mut old, mut old_server), mut four) = (join(), [0; 4]);
        cut.silence(Direction::ToServer);
        let (mut new, mut new_server) = join();
        for wire in [&mut old, &mut new] {
            wire.write_all(b"ping").unwrap();
        }
        new_server.read_exact(&mut four).unwrap();
        old_server.write_all(b"pong").unwrap();
        old.read_exact(&mut four).unwrap();
        assert_eq!(&four, b"pong", "the other direction is open");
        old_server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(old_server.read(&mut [0; 4]).is_err(), "nothing passes while silent");
        old_server.set_read_timeout(None).unwrap();
        cut.end_silence();
        old_server.read_exact(&mut four).unwrap();
        assert_eq!(&four, b"ping");
    }

    #[test]
    fn truncation_stops_inside_a_message_and_happens_once() {
        let (cut, mut client, mut server) = joined();
        cut.truncate_after(Direction::ToServer, 3);
        client.write_all(b"abcdef").unwrap();
        let mut all = Vec::new();
        server.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"abc");
        assert_eq!(cut.shared.spend(Direction::ToServer, 100), 100);
    }

    #[test]
    fn half_closing_leaves_the_other_direction_open() {
        let (cut, mut client, mut server) = joined();
        cut.half_close(Direction::ToServer);
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
        server.write_all(b"x").unwrap();
        assert_eq!(client.read(&mut [0]).unwrap(), 1);
    }

    #[test]
    fn refusing_closes_newcomers_only() {
        let (cut, mut client, mut server) = joined();
        cut.set(Weather::Refusing);
        let mut newcomer = TcpStream::connect(cut.address()).unwrap();
        newcomer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert_eq!(newcomer.read(&mut [0]).unwrap(), 0);
        client.write_all(b"x").unwrap();
        assert_eq!(server.read(&mut [0]).unwrap(), 1);
    }
}
