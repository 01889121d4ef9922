use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

/// A TCP port of 127.0.0.1 that no other test gets while this value lives.
///
/// Binding port 0 and closing it again would hand the number to the next asker, often another test process before our
/// server has started. So ports come from below the range the kernel gives to outgoing connections, each guarded by a lock
/// file that the kernel frees even when the process is killed.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Reserves a port.
    ///
    /// # Errors
    /// When lock files cannot be written, or all ports are taken.
    pub fn reserve() -> Result<Self> {
        let dir = std::env::temp_dir().join("evenkeel-testkit-ports");
        create_for_all(&dir)?;
        // Processes start at different places, so that they rarely try each other's locks.
        let start = u16::try_from(std::process::id() % u32::from(SPAN)).unwrap_or(0);
        for step in 0..SPAN {
            let number = FIRST + (start + step) % SPAN;
            let lock = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(dir.join(number.to_string()))
                .with_context(|| format!("the lock file of port {number}"))?;
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() && is_free(number) {
                return Ok(Self { number, _lock: lock });
            }
        }
        bail!("no free port from {FIRST} to {}", FIRST + SPAN - 1)
    }

    /// The port number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }
}

fn is_free(number: u16) -> bool {
    TcpListener::bind(("127.0.0.1", number)).is_ok()
}

/// Makes a folder that every user of the machine may put lock files into, like /tmp itself.
fn create_for_all(dir: &PathBuf) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if !dir.exists() {
        fs::create_dir_all(dir)?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o1777)).ok();
    }
    Ok(())
}

/// Linux gives outgoing connections 32768 and above (`net.ipv4.ip_local_port_range`).
const FIRST: u16 = 20_000;
const SPAN: u16 = 12_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_reservations_differ_and_a_dropped_one_can_be_had_again() {
        let first = Port::reserve().unwrap();
        let second = Port::reserve().unwrap();
        assert_ne!(first.number(), second.number());
        let number = first.number();
        drop(first);
        let again = Port::reserve().unwrap();
        assert_eq!(again.number(), number);
    }
}
