//! The processes of a PostgreSQL server, and what can be done to them.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::Postgres;
use crate::poll_until;
use crate::process::{freeze, has_pending, signal_to};

/// How long a cancel request may take to arrive.
const CANCEL_LIMIT: Duration = Duration::from_secs(20);

impl Postgres {
    /// Process ids of the server's living children: backends and background workers.
    ///
    /// # Errors
    /// When the server is stopped.
    pub fn children(&self) -> Result<Vec<u32>> {
        let parent = self.process()?.id();
        let list = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
        Ok(list.split_whitespace().filter_map(|id| id.parse().ok()).collect())
    }

    /// Freezes the whole server, as a host that hangs: sockets stay open, nothing answers.
    ///
    /// # Errors
    /// When the server is stopped.
    pub fn pause(&self) -> Result<()> {
        freeze(self.process()?.id())?;
        for child in self.children()? {
            // A backend may end between listing and signalling.
            freeze(child).ok();
        }
        Ok(())
    }

    /// Lets a frozen server go on.
    ///
    /// # Errors
    /// When the server is stopped.
    pub fn resume(&self) -> Result<()> {
        self.process()?.signal(Signal::CONT)?;
        for child in self.children()? {
            // A backend may end between listing and signalling.
            signal_to(child, Signal::CONT).ok();
        }
        Ok(())
    }

    /// Freezes one backend, by the number `pg_backend_pid()` reports.
    ///
    /// # Errors
    /// When there is no such process among the server's children.
    pub fn pause_backend(&self, backend: u32) -> Result<()> {
        self.must_own(backend)?;
        freeze(backend)
    }

    /// Lets a frozen backend go on.
    ///
    /// # Errors
    /// When there is no such process among the server's children.
    pub fn resume_backend(&self, backend: u32) -> Result<()> {
        self.must_own(backend)?;
        signal_to(backend, Signal::CONT)
    }

    /// Waits until a cancel request has come for a frozen backend. That will see it once it goes on, before anything else.
    ///
    /// # Errors
    /// When none comes.
    pub fn until_cancel_is_pending(&self, backend: u32) -> Result<()> {
        self.must_own(backend)?;
        poll_until(CANCEL_LIMIT, "a cancel request", || Ok(has_pending(backend, Signal::INT)?.then_some(())))
    }

    /// Kills one backend with SIGKILL, by the number `pg_backend_pid()` reports.
    ///
    /// PostgreSQL takes this for a crash: it ends all other backends and recovers.
    ///
    /// # Errors
    /// When there is no such process among the server's children.
    pub fn kill9_backend(&self, backend: u32) -> Result<()> {
        self.must_own(backend)?;
        signal_to(backend, Signal::KILL)
    }

    fn must_own(&self, backend: u32) -> Result<()> {
        ensure!(self.children()?.contains(&backend), "{backend} is not a backend of this server");
        Ok(())
    }
}
