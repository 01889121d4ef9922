//! File descriptors: one for each client and each server connection. Running out of them must not be found out under
//! load, when it hurts most.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for listeners, logs, timers, look-ups, HTTP and what libraries open.
const OWN: u64 = 64;

/// Descriptors that are no client's: our own, operators', and those of connections that have not said what they want.
const RESERVE: u64 = OWN + (session::LOBBY_MAX + session::OPERATORS_MAX) as u64;

/// Raises the soft limit to the hard one. Returns what holds now.
pub(crate) fn raise_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
        return current.unwrap_or(u64::MAX);
    }
    maximum.unwrap_or(u64::MAX)
}

/// How many clients can be served with so many descriptors, `servers` connections to servers and a cancel request for
/// each of them included.
pub(crate) fn clients_max(descriptors: u64, servers: u64) -> usize {
    usize::try_from(descriptors.saturating_sub(RESERVE + 2 * servers)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_come_before_clients() {
        assert_eq!(clients_max(1024, 100), 688);
        assert_eq!(clients_max(100, 100), 0);
    }
}
