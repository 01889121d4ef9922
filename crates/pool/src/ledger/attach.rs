//! Asking for a connection.

use std::task::Waker;

use scheduler::{Attach, ClassId, ConnId, Detach, NoTransfer, Request, RouteId, Time};

use super::{Answer, Granted, Ledger, Outcome, Pace, Stage, Then, Waiter};
use crate::connector::Connector;
use crate::handoff::{Left, Place};
use crate::table::{CallSite, Leak, Phase};

impl<C: Connector> Ledger<C> {
    /// Asks for a connection. A request that must wait gets a place.
    pub(crate) fn attach(&mut self, route: RouteId, request: Request, site: CallSite, now: Time) -> Answer<C> {
        let waiter = |position, stage| Waiter { route, since: now, request, site, position, stage };
        match self.scheduler.attach(route, request, now) {
            Attach::Refused(refusal) => Answer::Refused(refusal),
            Attach::Granted(conn) if self.must_test(conn, now) => {
                let place = self.places.take(waiter(1, Stage::Tested));
                self.start_test(conn, Then::Deliver(place), now);
                Answer::Waiting(place)
            }
            Attach::Granted(conn) => {
                self.pace = Pace::Routine;
                Answer::Granted(self.lend(conn, site, now))
            }
            Attach::Queued(ticket) => {
                let position = self.scheduler.waiting(route);
                let place = self.places.take(waiter(position, Stage::Queued(ticket)));
                self.bind(ticket, place);
                Answer::Waiting(place)
            }
        }
    }

    /// Asks again for a waiter whose connection failed its test. It starts at the end of its queue, with the deadline it
    /// had: others have waited since, and it has had its turn.
    pub(crate) fn attach_again(&mut self, place: Place, now: Time) {
        let Some(waiter) = self.places.waiting_mut(place) else { return };
        let (route, request, site) = (waiter.route, waiter.request, waiter.site);
        match self.scheduler.attach(route, request, now) {
            Attach::Granted(conn) => self.deliver(conn, place, site, now),
            Attach::Queued(ticket) => {
                waiter.stage = Stage::Queued(ticket);
                self.bind(ticket, place);
            }
            Attach::Refused(refusal) => self.settle(place, Outcome::Denied(refusal.into()), now),
        }
    }

    /// Asks for a connection that needs neither a wait nor a test.
    pub(crate) fn try_attach(
        &mut self,
        route: RouteId,
        request: Request,
        site: CallSite,
        now: Time,
    ) -> Option<Granted<C>> {
        // Asking without this would queue the request, and that may open a connection.
        if self.scheduler.route(route)?.idle == 0 {
            return None;
        }
        match self.scheduler.attach(route, request, now) {
            Attach::Granted(conn) if self.must_test(conn, now) => {
                let state = self.table.get(conn)?.state;
                self.scheduler.detach(conn, Detach::Keep(state), now);
                None
            }
            Attach::Granted(conn) => {
                self.pace = Pace::Routine;
                Some(self.lend(conn, site, now))
            }
            Attach::Queued(ticket) => {
                self.scheduler.cancel(ticket, now);
                None
            }
            Attach::Refused(_) => None,
        }
    }

    /// A waiter goes away. What it leaves behind is dropped outside the lock.
    pub(crate) fn leave(&mut self, place: Place, now: Time) -> (Option<Waker>, Option<Outcome<C>>) {
        match self.places.leave(place) {
            None => (None, None),
            Some(Left::Waiting(waiter, waker)) => {
                if let Stage::Queued(ticket) = waiter.stage {
                    self.tickets[ticket.index()] = None;
                    self.scheduler.cancel(ticket, now);
                }
                (waker, None)
            }
            Some(Left::Settled(Outcome::Granted(granted))) => {
                self.restore(granted, now);
                (None, None)
            }
            Some(Left::Settled(denied)) => (None, Some(denied)),
        }
    }

    /// Hands a connection to a waiter, after a test if it needs one.
    pub(super) fn deliver(&mut self, conn: ConnId, place: Place, site: CallSite, now: Time) {
        if self.must_test(conn, now) {
            self.start_test(conn, Then::Deliver(place), now);
        } else {
            let granted = self.lend(conn, site, now);
            self.settle(place, Outcome::Granted(granted), now);
        }
    }

    pub(super) fn lend(&mut self, conn: ConnId, site: CallSite, now: Time) -> Granted<C> {
        let entry = self.table.get_mut(conn).expect("what the scheduler grants holds a permit, so it is in the table");
        entry.uses += 1;
        let leak = Leak::Unreported;
        // A sibling may have given it.
        let (route, class) =
            self.scheduler.route_of(conn).expect("what the scheduler has just granted is a connection of a route");
        entry.route = route;
        let connection = entry
            .take_idle(Phase::Lent { since: now, site, leak })
            .expect("the scheduler grants only what was idle, and idle connections are kept in the table");
        Granted { conn, route, class, connection, since: now }
    }

    /// Makes a connection in use one of a sibling route. Returns its class from now on.
    pub(crate) fn transfer(&mut self, conn: ConnId, to: RouteId, now: Time) -> Result<ClassId, NoTransfer> {
        self.scheduler.transfer(conn, to, now)?;
        if let Some(entry) = self.table.get_mut(conn) {
            entry.route = to;
        }
        self.scheduler.route_of(conn).map(|(_, class)| class).ok_or(NoTransfer::NotInUse)
    }
}
