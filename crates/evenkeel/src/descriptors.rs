//! File descriptors: one for each client and each server connection. Running out of them must not be found out under
//! load, when it hurts most.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for listeners, logs, timers, look-ups and what libraries open.
const RESERVE: u64 = 64;

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
        assert_eq!(clients_max(1024, 100), 760);
        assert_eq!(clients_max(100, 100), 0);
    }
}
