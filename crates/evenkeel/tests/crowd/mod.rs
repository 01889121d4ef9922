//! Clients that never stop asking, whatever they speak: many at once, and those that come back after every loss.

#![allow(dead_code, reason = "every test file uses its own part of this")]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use testkit::{Evenkeel, MyWire, Result, Wire, mysql, poll_until, wire};

use crate::common::{DATABASE, PASSWORD, USER};
use crate::watch::{Over, SOON, at_rest};

/// A session of a client.
pub(crate) trait Session: Sized + Send {
    fn log_in(evenkeel: &Evenkeel, user: &str) -> Result<Self>;

    /// The one value of an answer.
    fn ask(&mut self, sql: &str) -> Result<String>;

    /// A question whose answer is `token`, after so many seconds.
    fn slow(token: &str, seconds: f64) -> String;

    /// What has become of a session after an error that blames the server; `None`: it blames somebody else.
    fn fate(error: &anyhow::Error) -> Option<Fate>;
}

/// What has become of a session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    GoesOn,
    Ended,
}

impl Session for Wire {
    fn log_in(evenkeel: &Evenkeel, user: &str) -> Result<Self> {
        evenkeel.client(user, PASSWORD, DATABASE)
    }

    fn ask(&mut self, sql: &str) -> Result<String> {
        self.value(sql)
    }

    fn slow(token: &str, seconds: f64) -> String {
        format!("select '{token}' from pg_sleep({seconds})")
    }

    /// Lost connections, or a server that starts or stops; a session that had to end just closes.
    fn fate(error: &anyhow::Error) -> Option<Fate> {
        match error.downcast_ref::<wire::ServerError>().map(|error| &*error.code) {
            None => Some(Fate::Ended),
            Some(code) if code.starts_with("57P") => Some(Fate::Ended),
            Some(code) if code.starts_with("08") || code == "53300" => Some(Fate::GoesOn),
            Some(_) => None,
        }
    }
}

impl Session for MyWire {
    fn log_in(evenkeel: &Evenkeel, user: &str) -> Result<Self> {
        evenkeel.mysql_client(user, PASSWORD, Some(DATABASE))
    }

    fn ask(&mut self, sql: &str) -> Result<String> {
        self.value(sql)
    }

    fn slow(token: &str, seconds: f64) -> String {
        format!("select '{token}' from (select sleep({seconds})) as slept")
    }

    fn fate(error: &anyhow::Error) -> Option<Fate> {
        match error.downcast_ref::<mysql::ServerError>().map(|error| error.code) {
            None => Some(Fate::Ended),
            Some(code) => BLAMES_SERVER.contains(&code).then_some(Fate::GoesOn),
        }
    }
}

/// What MySQL's clients are told when a server is at fault: lost connections (1158 of ours), no connection in time (1205), no
/// more connections (1040), a server that ends (1053) or that ends a statement or a connection (1317, 1927).
const BLAMES_SERVER: [u16; 6] = [1040, 1053, 1158, 1205, 1317, 1927];

/// Clients of `user` that ask for tokens of their own without a pause until `over`; each answer takes some milliseconds, and is
/// counted.
pub(crate) fn crowd<S: Session>(
    evenkeel: &Evenkeel,
    user: &str,
    clients: u32,
    over: &AtomicBool,
    served: &AtomicU32,
) -> Result<()> {
    each(clients, |number| {
        let mut session = S::log_in(evenkeel, user)?;
        while !over.load(Ordering::Relaxed) {
            let token = format!("{user} {number}");
            assert_eq!(session.ask(&S::slow(&token, 0.005))?, token);
            served.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    })?;
    Ok(())
}

/// How often a crowd of [`USER`] is served while one other client is: what that does must not fail.
pub(crate) fn beside_a_crowd<S: Session>(
    evenkeel: &Evenkeel,
    clients: u32,
    other: impl FnOnce() -> Result<()>,
) -> Result<u32> {
    let (over, served) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        let crowd = scope.spawn(|| crowd::<S>(evenkeel, USER, clients, &over, &served));
        let end = Over(&over);
        let done = other().map(|()| served.load(Ordering::Relaxed));
        drop(end);
        crowd.join().unwrap()?;
        done
    })
}

/// A client that logs in as often as it has to, and counts what it is told.
pub(crate) struct Persistent<'a, S> {
    evenkeel: &'a Evenkeel,
    name: String,
    session: Option<S>,
    pub(crate) served: u32,
    pub(crate) failed: u32,
}

impl<'a, S: Session> Persistent<'a, S> {
    pub(crate) fn new(evenkeel: &'a Evenkeel, name: &str) -> Self {
        Self { evenkeel, name: name.to_owned(), session: None, served: 0, failed: 0 }
    }

    /// Asks for its own token once; what comes back is that, or an error that says that the server is at fault.
    pub(crate) fn ask(&mut self) {
        let token = format!("{} {}", self.name, self.served);
        let session = self.session.take().map_or_else(|| S::log_in(self.evenkeel, USER), Ok);
        let answer = session.and_then(|mut session| {
            let answer = session.ask(&S::slow(&token, 0.002));
            if answer.as_ref().map_or_else(S::fate, |_| Some(Fate::GoesOn)) == Some(Fate::GoesOn) {
                self.session = Some(session);
            }
            answer
        });
        match answer {
            Ok(value) => {
                assert_eq!(value, token);
                self.served += 1;
            }
            Err(error) => {
                assert!(S::fate(&error).is_some(), "{error:#}");
                self.failed += 1;
            }
        }
    }

    /// Asks until it has been served so often.
    pub(crate) fn until_served(&mut self, times: u32) -> Result<()> {
        let wanted = self.served + times;
        poll_until(SOON, "service", || {
            self.ask();
            Ok((self.served >= wanted).then_some(()))
        })
    }
}

/// Runs clients, breaks something, and waits until each of them has been served again afterwards; how often one was not.
pub(crate) fn under_load<S: Session>(
    evenkeel: &Evenkeel,
    clients: u32,
    break_it: impl FnOnce() -> Result<()>,
) -> Result<u32> {
    let broken = AtomicBool::new(false);
    let failed = thread::scope(|scope| {
        let clients = scope.spawn(|| {
            each(clients, |number| {
                let mut client = Persistent::<S>::new(evenkeel, &format!("client {number}"));
                while !broken.load(Ordering::SeqCst) {
                    client.ask();
                }
                client.until_served(4)?;
                Ok(client.failed)
            })
        });
        let done = break_it();
        broken.store(true, Ordering::SeqCst);
        let failed = clients.join().unwrap();
        done.and(failed)
    })?;
    at_rest(evenkeel)?;
    Ok(failed.into_iter().sum())
}

/// Clients that ask so often each while there is no server to serve them.
pub(crate) fn in_vain<S: Session>(evenkeel: &Evenkeel, clients: u32, times: u32) -> Result<()> {
    each(clients, |number| {
        let mut client = Persistent::<S>::new(evenkeel, &format!("client {number}"));
        (0..times).for_each(|_| client.ask());
        assert_eq!(client.served, 0, "the server is away");
        Ok(())
    })?;
    Ok(())
}

/// What each of so many clients does on a thread of its own.
fn each<T: Send>(clients: u32, client: impl Fn(u32) -> Result<T> + Sync) -> Result<Vec<T>> {
    thread::scope(|scope| {
        let client = &client;
        let threads: Vec<_> = (0..clients).map(|number| scope.spawn(move || client(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
