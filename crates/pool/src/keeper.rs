//! The pool's one background task: it sleeps until something is due, or until it is called.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use scheduler::{Home, Time};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::connector::Connector;
use crate::ledger::Ledger;
use crate::observer::Overdue;
use crate::shared::{Shared, Starter};
use crate::table::{Leak, Phase};

/// The keeper never sleeps less than this, so that a time that is due again and again cannot keep a ledger busy.
const NAP_MIN: Duration = Duration::from_millis(1);

/// The keeper looks at least this often, which keeps its timer in the range of any clock.
const SLEEP_MAX: Duration = Duration::from_secs(86_400);

/// Keeps a pool until its last handle is gone.
pub(crate) async fn keep<C: Connector>(pool: Weak<Shared<C>>, alarm: Arc<Notify>) {
    let mut last_round = Time::default();
    loop {
        let wake_at = {
            let Some(shared) = pool.upgrade() else { return };
            match catch_unwind(AssertUnwindSafe(|| shared.maintain(&mut last_round))) {
                Ok(wake_at) => wake_at,
                // An observer panicked. The pool goes on; others in its waiters' place would not know why it stopped.
                Err(_) => Instant::now() + NAP_MIN,
            }
        };
        tokio::select! {
            () = alarm.notified() => {}
            () = sleep_until(wake_at) => {}
        }
    }
}

impl<C: Connector> Shared<C> {
    /// Does what is due and returns when to look again.
    fn maintain(self: &Arc<Self>, last_round: &mut Time) -> Instant {
        let (overdue, wake_at) = self.act(Starter::Caller(Home::default()), |ledger, now| {
            ledger.scheduler.handle_time(now);
            // From the interval as it is now: it may have become shorter since the last round.
            let interval = ledger.settings.maintenance_interval.max(NAP_MIN);
            let overdue = if ledger.settings.wants_rounds() && now >= last_round.after(interval) {
                *last_round = now;
                ledger.round(now)
            } else {
                Vec::new()
            };
            ledger.set_alarm(now, last_round.after(interval));
            (overdue, ledger.alarm)
        });
        for leak in overdue {
            self.observer.on_leak(&leak);
        }
        self.instant_of(wake_at)
    }
}

impl<C: Connector> Ledger<C> {
    /// Looks for leases that are out too long, and for idle connections to test.
    fn round(&mut self, now: Time) -> Vec<Overdue> {
        if let Some(after) = self.settings.test_while_idle {
            self.test_idle(after, now);
        }
        self.settings.leak_timeout.map_or_else(Vec::new, |after| self.overdue(after, now))
    }

    fn overdue(&mut self, after: Duration, now: Time) -> Vec<Overdue> {
        let mut overdue = Vec::new();
        for entry in self.table.iter_mut() {
            if let Phase::Lent { since, site, leak: leak @ Leak::Unreported } = &mut entry.phase
                && now.since(*since) >= after
            {
                *leak = Leak::Reported;
                overdue.push(Overdue {
                    route: entry.route,
                    conn: entry.id,
                    place: site.place,
                    borrower: site.borrower,
                    held: now.since(*since),
                });
            }
        }
        overdue
    }

    /// Sets when the keeper looks again, the scheduler's decisions carried out.
    fn set_alarm(&mut self, now: Time, next_round: Time) {
        self.carry_out_decisions(now);
        let mut next = self.next_look(now);
        if self.settings.wants_rounds() && self.scheduler.held() > 0 {
            next = next.min(next_round);
        }
        self.alarm = next.clamp(now.after(NAP_MIN), now.after(SLEEP_MAX));
    }
}
