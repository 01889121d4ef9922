//! What queries ask of connections: the formulas of PolarDB-X's page "How to choose a connection pool".

use std::time::Duration;

use crate::{
    Derived, Error,
    number::{ceil, count, real, time, within},
};

/// The most connections, busy on average, that are thought of; a search for the right number ends soon then.
pub const LOAD_MAX: f64 = 100_000.0;

/// How often statements come, and how long one keeps its connection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Workload {
    /// Per second, all clients together.
    queries_per_second: f64,
    /// From lending a connection to getting it back. For transactions: the whole transaction, with the client's own time.
    response_time: Duration,
    /// C_s² of the response time.
    variation: f64,
}

/// What one node can do, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nodes {
    /// Nodes that share the load evenly.
    pub nodes: u32,
    /// Statements that one node works on at once (threads); more wait inside it.
    pub slots: u32,
}

impl Workload {
    /// # Errors
    /// [`Error::OutOfRange`], when there is less than one query a day or more than 1,000,000,000 a second, or one takes less
    /// than a microsecond or more than a day; [`Error::TooMuchLoad`], when more than [`LOAD_MAX`] connections would be busy.
    pub fn new(queries_per_second: f64, response_time: Duration) -> Result<Self, Error> {
        within("queries per second", queries_per_second, 1e-5..=1e9)?;
        within("response time in seconds", response_time.as_secs_f64(), 1e-6..=86_400.0)?;
        let work = Self { queries_per_second, response_time, variation: 1.0 };
        if work.busy() > LOAD_MAX { Err(Error::TooMuchLoad { load: work.busy() }) } else { Ok(work) }
    }

    /// The same work, its response times varying so much: C_s², their variance over the square of their mean. 1, an
    /// exponential's, is what is taken until somebody has measured; 0 is that all are the same.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], when it is not between 0 and 10,000.
    pub fn varying(self, variation: f64) -> Result<Self, Error> {
        Ok(Self { variation: within("variation of the response time", variation, 0.0..=1e4)?, ..self })
    }

    /// C_s²: the variance of the response time over the square of its mean.
    pub fn variation(&self) -> f64 {
        self.variation
    }

    /// Statements per second, all clients together.
    pub fn queries_per_second(&self) -> f64 {
        self.queries_per_second
    }

    /// How long one statement keeps its connection.
    pub fn response_time(&self) -> Duration {
        self.response_time
    }

    /// Little's law: L = λW. What is busy on average, however the work comes and whatever it does.
    pub fn busy(&self) -> f64 {
        // Nanoseconds first: whole ones keep the product exact where a fraction of a second would not.
        self.queries_per_second * self.response_time.as_nanos() as f64 / 1e9
    }

    /// The share of one of `parts` equal parts of the work.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], when nothing is left for each.
    pub fn split(&self, parts: u32) -> Result<Self, Error> {
        Self::new(self.queries_per_second / f64::from(parts.max(1)), self.response_time)?.varying(self.variation)
    }

    /// [`busy`](Self::busy), derived.
    pub fn little(&self) -> Derived<f64> {
        Derived::of(
            self.busy(),
            "connections busy on average (Little's law)",
            "queries per second × response time",
            format!("{} × {}", real(self.queries_per_second), time(self.response_time.as_secs_f64())),
            real(self.busy()),
        )
    }

    /// The fewest connections that can do the work if every one of them is busy all the time.
    ///
    /// It is a lower bound and no setting: with so few, any irregularity makes a queue that never ends.
    pub fn ideal(&self) -> Derived<u32> {
        let each = per_connection(self.response_time);
        let connections = ceil(self.busy());
        let mut derivation = each.derivation;
        derivation.push(
            "ideal number of connections",
            "queries per second / queries per second of one connection, rounded up",
            format!("{} / {}", real(self.queries_per_second), real(each.value)),
            count(connections.into()),
        );
        Derived { value: connections, derivation }
    }

    /// The fewest nodes that work on all of it at once, with `slots` in each.
    pub fn nodes(&self, slots: u32) -> Derived<u32> {
        let ideal = self.ideal();
        let nodes = ideal.value.div_ceil(slots.max(1)).max(1);
        let mut derivation = ideal.derivation;
        derivation.push(
            "nodes",
            "connections / slots of one node, rounded up",
            format!("{} / {}", count(ideal.value.into()), count(slots.into())),
            count(nodes.into()),
        );
        Derived { value: nodes, derivation }
    }
}

/// The most statements per second that one connection can do, as it does one after the other: 1000 / RT in ms.
pub fn per_connection(response_time: Duration) -> Derived<f64> {
    let rate = 1e9 / response_time.as_nanos().max(1) as f64;
    Derived::of(
        rate,
        "queries per second of one connection, at most",
        "1 s / response time",
        format!("1 s / {}", time(response_time.as_secs_f64())),
        real(rate),
    )
}

/// The most statements per second that the nodes can do: the limit of one connection × MIN(connections of a node, its slots) × nodes.
///
/// `connections` are those of all nodes together, spread evenly.
pub fn ceiling(response_time: Duration, connections: u32, at: Nodes) -> Derived<f64> {
    let each = per_connection(response_time);
    let of_node = f64::from(connections) / f64::from(at.nodes.max(1));
    let rate = each.value * of_node.min(f64::from(at.slots)) * f64::from(at.nodes);
    let mut derivation = each.derivation;
    derivation.push(
        "queries per second of all nodes, at most",
        "of one connection × MIN(connections of a node, its slots) × nodes",
        format!(
            "{} × MIN({}, {}) × {}",
            real(each.value),
            real(of_node),
            count(at.slots.into()),
            count(at.nodes.into())
        ),
        real(rate),
    );
    Derived { value: rate, derivation }
}

/// The ideal number with room for bursts: that page advises 1.5 to 2 times.
///
/// # Errors
/// [`Error::OutOfRange`], when `factor` is not between 1 and 10.
pub fn headroom(connections: u32, factor: f64) -> Result<Derived<u32>, Error> {
    within("headroom", factor, 1.0..=10.0)?;
    let largest = ceil(f64::from(connections) * factor);
    Ok(Derived::of(
        largest,
        format!("{} times headroom", real(factor)),
        "ideal number × headroom, rounded up",
        format!("{} × {}", count(connections.into()), real(factor)),
        count(largest.into()),
    ))
}

/// Connections of one node that find no slot free in it when all of them are busy; what they carry waits inside the node.
pub fn queued_inside(connections: u32, at: Nodes) -> Derived<u32> {
    let of_node = connections.div_ceil(at.nodes.max(1));
    let queued = of_node.saturating_sub(at.slots);
    Derived::of(
        queued,
        "connections of one node without a slot",
        "connections / nodes - slots, at least 0",
        format!("{} / {} - {}", count(connections.into()), count(at.nodes.into()), count(at.slots.into())),
        count(queued.into()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn the_page_asks_for_25_connections() {
        let work = Workload::new(5_000.0, MS(5)).unwrap();
        let ideal = work.ideal();
        assert_eq!(ideal.value, 25);
        assert_eq!(
            ideal.derivation.to_string(),
            "queries per second of one connection, at most = 1 s / response time = 1 s / 5 ms = 200\n\
             ideal number of connections = queries per second / queries per second of one connection, rounded up \
             = 5,000 / 200 = 25\n"
        );
    }

    #[test]
    fn first_example_two_nodes_do_204_800() {
        for connections in [2_048, 4_096] {
            assert_eq!(ceiling(MS(10), connections, Nodes { nodes: 2, slots: 1_024 }).value, 204_800.0);
        }
    }

    #[test]
    fn second_example_2_000_connections_on_two_nodes() {
        let work = Workload::new(400_000.0, MS(5)).unwrap();
        assert_eq!(work.ideal().value, 2_000);
        assert_eq!(work.nodes(1_024).value, 2);
        assert_eq!(ceiling(MS(5), 2_000, Nodes { nodes: 2, slots: 1_024 }).value, 400_000.0);
        assert_eq!(ceiling(MS(5), 2_048, Nodes { nodes: 2, slots: 1_024 }).value, 409_600.0);
    }

    #[test]
    fn headroom_is_rounded_up() {
        for (ideal, factor, largest) in [(25, 1.5, 38), (25, 2.0, 50), (2_000, 1.5, 3_000), (2_000, 2.0, 4_000)] {
            assert_eq!(headroom(ideal, factor).unwrap().value, largest);
        }
        assert!(headroom(25, 0.9).is_err());
        assert!(headroom(25, f64::NAN).is_err());
    }

    #[test]
    fn headroom_of_the_second_example_queues_476_inside_each_node() {
        let at = Nodes { nodes: 2, slots: 1_024 };
        assert_eq!(queued_inside(3_000, at).value, 476);
        assert_eq!(queued_inside(2_000, at).value, 0);
    }

    #[test]
    fn littles_law() {
        assert_eq!(Workload::new(1_000.0, MS(50)).unwrap().busy(), 50.0);
    }

    #[test]
    fn nonsense_is_refused() {
        for (rate, time) in [(0.0, MS(5)), (-1.0, MS(5)), (f64::NAN, MS(5)), (1e12, MS(5)), (1.0, Duration::ZERO)] {
            assert!(matches!(Workload::new(rate, time), Err(Error::OutOfRange { .. })), "{rate} {time:?}");
        }
        assert!(Workload::new(LOAD_MAX, MS(1_000)).is_ok());
        assert_eq!(Workload::new(LOAD_MAX, MS(2_000)), Err(Error::TooMuchLoad { load: 2.0 * LOAD_MAX }));
    }
}
