//! Which class of connections a unit of work is for, and where a lease moves when the session turns out to need it otherwise.

use std::borrow::Cow;

use pg::{
    ErrorReply, Severity,
    exchange::Transaction,
    settings::{Settings, Value},
};
use pool::{Lease, NoTransfer};
use route::{ClassIndex, PoolMode, Traffic, Who, Workload};

use super::{Client, demand, state::WORKLOAD};
use crate::{
    pin::Pin,
    placing::{Holds, Keeps, Placing, Queue},
    postgres::{connector::PgConnector, fault::Fault},
    seats::Era,
};

impl Client {
    /// Where the unit of work at hand waits. Where there is nothing to choose, nobody looks at it.
    ///
    /// # Errors
    /// The answer to a transaction too many.
    pub(super) fn choose_queue(&mut self) -> Result<Queue, ErrorReply> {
        let era = self.route.seats.era();
        if era == Era::PLAIN {
            self.placing = None;
            return Ok(Queue { route: self.route.id, keeps: Keeps::No });
        }
        let words = self.state.settings.key();
        let mut placing = match self.placing.take() {
            Some(placing) if placing.is_for(era, words) => placing,
            _ => Box::new(self.choice(era, words)),
        };
        let demand = demand::of_unit(self.work.up.unscanned(), &self.state.statements);
        let (lane, pool) = (self.route.lane(), &self.route.pool);
        let queue = placing.enter(demand, self.state.session_state, &self.engine, lane, pool);
        self.placing = Some(placing);
        queue.map_err(|over| {
            ErrorReply::error("53400", "too many transactions of one user (transaction_limit)")
                .detail(format!("{over}."))
                .hint("End transactions sooner, or raise transaction_limit.per_user or the caps of the classes for transactions.")
        })
    }

    fn choice(&self, era: Era, words: u64) -> Placing<PgConnector> {
        let settings = &self.state.settings;
        let application = plain(settings, b"application_name").unwrap_or_default();
        let workload = plain(settings, WORKLOAD).and_then(|name| Workload::parse(&name));
        let who = Who {
            application: &application,
            workload: workload.unwrap_or_default(),
            ..Who::new(&self.route.user, &self.route.database)
        };
        Placing::new(era, words, &who, &self.shared, &self.route.seats.seating())
    }

    /// Makes the connection at hand the session's own, as far as classes go.
    ///
    /// # Errors
    /// There is no room for one more.
    pub(super) fn reserve(&mut self, lease: &mut Lease<PgConnector>) -> Result<(), ErrorReply> {
        let Some(reserved) = self.route.seats.seating().classes.reserved() else { return Ok(()) };
        self.move_to(lease, (reserved, Traffic::Statement)).map_err(|why| {
            ErrorReply::error("53300", "no room for another session that keeps its server connection (max_reserved)")
                .detail(format!(
                    "A changed setting makes the server connection the session's own (session_state = \"reserve\"): {why}."
                ))
                .hint("Close sessions that changed settings, raise max_reserved, or let settings be replayed.")
        })
    }

    /// Behind a unit of work: moves the lease to the class where what the session holds now belongs.
    ///
    /// # Errors
    /// The session has to end: it may not keep the connection.
    pub(super) fn keep_place(&mut self, lease: &mut Lease<PgConnector>) -> Result<(), Fault> {
        let Some(placing) = &self.placing else { return Ok(()) };
        if !lease.exchange.is_settled() {
            return Ok(());
        }
        let pinned = self.mode == PoolMode::Session || self.state.pin().is_some();
        let holds = match (lease.exchange.transaction(), pinned) {
            (Transaction::Idle, true) => Holds::Session,
            (Transaction::Idle, false) | (_, true) => Holds::Nothing,
            (_, false) => Holds::Transaction,
        };
        let reserved = self.route.seats.seating().classes.reserved();
        let Some(destination) = placing.destination(holds, reserved) else { return Ok(()) };
        if self.state.pin() == Some(Pin::Reserved) {
            return self.reserve(lease).map_err(|mut reply| {
                reply.severity = Severity::Fatal;
                Fault::Refused(Box::new(reply))
            });
        }
        if let Err(why) = self.move_to(lease, destination) {
            tracing::debug!(client = self.shared.number(), %why, "the lease stays in its class");
        }
        Ok(())
    }

    fn move_to(
        &mut self,
        lease: &mut Lease<PgConnector>,
        destination: (ClassIndex, Traffic),
    ) -> Result<(), NoTransfer> {
        let Some(placing) = &mut self.placing else { return Ok(()) };
        placing.move_lease(lease, destination, &self.engine, self.route.lane(), &self.route.pool, &self.shared)
    }
}

/// The value of a setting, if it is a word or a string without anything to be unquoted inside.
fn plain<'a>(settings: &'a Settings, name: &[u8]) -> Option<Cow<'a, str>> {
    let text: &[u8] = match settings.get(name)? {
        Value::Plain(text) => text,
        Value::Sql(text) => {
            let quoted = |quote: &[u8]| text.strip_prefix(quote)?.strip_suffix(quote);
            let inside = quoted(b"'").or_else(|| quoted(b"\"")).unwrap_or(text);
            (!inside.contains(&b'\'')).then_some(inside)?
        }
    };
    Some(String::from_utf8_lossy(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_in_every_form() {
        let mut settings = Settings::default();
        let sql = |text: &[u8]| Value::Sql(text.into());
        for (value, read) in [
            (Value::Plain(b"o'lap".as_slice().into()), Some("o'lap")),
            (sql(b"'olap'"), Some("olap")),
            (sql(b"olap"), Some("olap")),
            (sql(b"\"olap\""), Some("olap")),
            (sql(b"'it''s'"), None),
            (sql(b"'"), None),
            (sql(b"''"), Some("")),
        ] {
            settings.set(b"x", value.clone());
            assert_eq!(plain(&settings, b"x").as_deref(), read, "{value:?}");
        }
        assert_eq!(plain(&settings, b"y"), None);
    }
}
