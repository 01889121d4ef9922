//! What a unit of work asks of a server connection, as far as its class depends on it.

use route::{StatementKind, Traffic};

/// What a unit of work is, known before it has a server connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) traffic: Traffic,
    /// What all of its statements do; [`StatementKind::Other`] where they differ.
    pub(crate) kind: StatementKind,
    pub(crate) settings: SetsSettings,
}

/// Whether a unit of work changes settings of its session that a session may have to keep its connection for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetsSettings {
    No,
    Yes,
}

impl Demand {
    /// A statement of which nothing else is known.
    pub(crate) const ANY: Self =
        Self { traffic: Traffic::Statement, kind: StatementKind::Other, settings: SetsSettings::No };

    /// A statement of this kind.
    pub(crate) const fn statement(kind: StatementKind) -> Self {
        Self { kind, ..Self::ANY }
    }

    /// The same as this traffic.
    pub(crate) const fn as_traffic(self, traffic: Traffic) -> Self {
        Self { traffic, ..self }
    }

    /// What a unit asks for that holds both: a transaction if either opens one, else a stream if either is one.
    pub(crate) fn and(self, other: Self) -> Self {
        let either = |traffic| [self.traffic, other.traffic].contains(&traffic);
        let traffic = [Traffic::Transaction, Traffic::Stream].into_iter().find(|&traffic| either(traffic));
        let settings = match (self.settings, other.settings) {
            (SetsSettings::No, SetsSettings::No) => SetsSettings::No,
            _ => SetsSettings::Yes,
        };
        Self {
            traffic: traffic.unwrap_or(Traffic::Statement),
            kind: if self.kind == other.kind { self.kind } else { StatementKind::Other },
            settings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_asks_for_the_most_that_any_part_of_it_does() {
        let select = Demand::statement(StatementKind::Select);
        let stream = Demand::statement(StatementKind::Copy).as_traffic(Traffic::Stream);
        let begin = Demand::ANY.as_traffic(Traffic::Transaction);
        assert_eq!(select.and(select), select);
        assert_eq!(select.and(stream), Demand::ANY.as_traffic(Traffic::Stream));
        assert_eq!(stream.and(begin), begin);
        assert_eq!(begin.and(select), begin);
        let sets = Demand { settings: SetsSettings::Yes, ..select };
        assert_eq!((select.and(sets), sets.and(select)), (sets, sets));
    }
}
