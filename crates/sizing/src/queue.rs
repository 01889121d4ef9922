//! Waiting for a connection: Erlang C (M/M/c), and how many connections a target asks for.
//!
//! Statements come at random (Poisson) and take times spread like an exponential; both hold well for many independent
//! clients. Times that vary more or less make longer or shorter waits ([`variability`]); nobody's wait becomes none by it.
//!
//! Source: A. K. Erlang 1917; any text on queues. Erlang B by its recursion, which has neither factorials nor powers and
//! loses no precision with thousands of connections: B(0) = 1, B(k) = a·B(k−1) / (k + a·B(k−1)).

use std::time::Duration;

use crate::{
    Derivation, Derived, Error, Workload,
    number::{count, real, time, within},
};

/// The most connections that a search tries: far beyond the largest load, where every target has long been met.
const CONNECTIONS_MAX: u32 = 250_000;

/// One queue in front of a number of connections.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Queue {
    /// Connections busy on average: a.
    load: f64,
    /// Seconds that one is kept: S.
    hold: f64,
    /// How much longer waits are than with times spread like an exponential.
    stretch: f64,
    /// c.
    connections: u32,
    /// Erlang C: the part of all statements that has to wait at all.
    wait_probability: f64,
}

/// How much waiting is acceptable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// This many percent of all statements wait no longer than this. `wait` may be zero.
    Percentile {
        /// Above 0, below 100.
        percent: f64,
        /// The longest wait of these.
        wait: Duration,
    },
    /// The mean over all statements, those that do not wait included, is at most this. Above zero.
    Mean(Duration),
}

impl Target {
    /// # Errors
    /// [`Error::OutOfRange`], when the percentile is not above 0 and below 100, or a mean is asked to be nothing.
    pub fn check(self) -> Result<Self, Error> {
        match self {
            Self::Percentile { percent, .. } => within("percentile", percent, 0.1..=99.9999)?,
            Self::Mean(wait) => within("mean wait in seconds", wait.as_secs_f64(), 1e-9..=86_400.0)?,
        };
        Ok(self)
    }

    fn met_by(self, queue: &Queue) -> bool {
        match self {
            Self::Percentile { percent, wait } => queue.percentile(percent) <= wait.as_secs_f64(),
            Self::Mean(wait) => queue.mean() <= wait.as_secs_f64(),
        }
    }

    fn shown(self) -> String {
        match self {
            Self::Percentile { percent, wait } if wait.is_zero() => format!("{} % do not wait", real(percent)),
            Self::Percentile { percent, wait } => {
                format!("{} % wait at most {}", real(percent), time(wait.as_secs_f64()))
            }
            Self::Mean(wait) => format!("the mean wait is at most {}", time(wait.as_secs_f64())),
        }
    }
}

impl Queue {
    /// The queue of this work in front of this many connections.
    ///
    /// # Errors
    /// [`Error::Overloaded`], when there are not more connections than are busy on average.
    pub fn new(work: &Workload, connections: u32) -> Result<Self, Error> {
        let load = work.busy();
        if f64::from(connections) <= load {
            return Err(Error::Overloaded { load, connections });
        }
        let mut blocked = 1.0;
        for k in 1..=connections {
            blocked = next_blocked(load, blocked, k);
            // From here on it only falls, and is nothing already.
            if blocked < f64::MIN_POSITIVE {
                break;
            }
        }
        Ok(Self::at(work, load, connections, blocked))
    }

    /// The fewest connections with which `target` is met.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], when the target makes no sense; [`Error::TooMuchLoad`], when the search ends without an answer.
    pub fn least(work: &Workload, target: Target) -> Result<Derived<Self>, Error> {
        let load = work.busy();
        let target = target.check()?;
        let mut blocked = 1.0;
        for connections in 1..=CONNECTIONS_MAX {
            blocked = next_blocked(load, blocked, connections);
            if f64::from(connections) <= load {
                continue;
            }
            let queue = Self::at(work, load, connections, blocked);
            if target.met_by(&queue) {
                return Ok(Derived { value: queue, derivation: queue.searched(target) });
            }
        }
        Err(Error::TooMuchLoad { load })
    }

    /// `blocked` is Erlang B: the part that would find all connections busy, if nobody waited.
    fn at(work: &Workload, load: f64, connections: u32, blocked: f64) -> Self {
        let utilisation = load / f64::from(connections);
        let wait_probability = blocked / (1.0 - utilisation * (1.0 - blocked));
        let stretch = variability(1.0, work.variation());
        Self { load, hold: work.response_time().as_secs_f64(), stretch, connections, wait_probability }
    }

    /// How many connections there are.
    pub fn connections(&self) -> u32 {
        self.connections
    }

    /// The part of the time that a connection is busy, below 1.
    pub fn utilisation(&self) -> f64 {
        self.load / f64::from(self.connections)
    }

    /// The part of all statements that has to wait at all: Erlang's C.
    pub fn wait_probability(&self) -> f64 {
        self.wait_probability
    }

    /// Seconds that a statement waits in the mean, those that do not wait included: C·v·S / (c − a), where v is
    /// [`variability`].
    pub fn mean(&self) -> f64 {
        self.wait_probability * self.of_those_who_wait()
    }

    /// Seconds that `percent` of all statements wait at most: ln(C / (1 − p))·v·S / (c − a), and 0 when fewer than 1 − p
    /// wait.
    pub fn percentile(&self, percent: f64) -> f64 {
        let tail = 1.0 - percent / 100.0;
        if self.wait_probability <= tail {
            return 0.0;
        }
        (self.wait_probability / tail).ln() * self.of_those_who_wait()
    }

    /// The part of all statements that waits longer than this: C·e^(−(c − a)·t / (v·S)).
    pub fn longer_than(&self, wait: Duration) -> f64 {
        match self.of_those_who_wait() {
            0.0 => 0.0,
            mean => self.wait_probability * (-wait.as_secs_f64() / mean).exp(),
        }
    }

    /// The wait at `percent`, derived.
    pub fn expected(&self, percent: f64) -> Derived<f64> {
        let mut derivation = Derivation::default();
        self.explain(&mut derivation);
        let wait = self.percentile(percent);
        if wait > 0.0 {
            derivation.push(
                format!("longest wait of {} %", real(percent)),
                if self.is_stretched() {
                    "ln(C / (1 - p)) × v × response time / (c - a)"
                } else {
                    "ln(C / (1 - p)) × response time / (c - a)"
                },
                format!(
                    "ln({} / {}) × {}",
                    real(self.wait_probability),
                    real(1.0 - percent / 100.0),
                    self.filled_wait()
                ),
                time(wait),
            );
        }
        Derived { value: wait, derivation }
    }

    fn explain(&self, derivation: &mut Derivation) {
        derivation.push(
            "part of the time that a connection is busy (utilisation)",
            "a / c",
            format!("{} / {}", real(self.load), count(self.connections.into())),
            real(self.utilisation()),
        );
        derivation.push(
            "part of the statements that waits at all (Erlang C)",
            "C(c, a)",
            format!("C({}, {})", count(self.connections.into()), real(self.load)),
            real(self.wait_probability),
        );
        if self.is_stretched() {
            derivation.push(
                "how much longer waits are, as response times vary (v)",
                "(1 + C_s²) / 2, Allen and Cunneen",
                format!("(1 + {}) / 2", real(2.0 * self.stretch - 1.0)),
                real(self.stretch),
            );
        }
        derivation.push(
            "mean wait",
            if self.is_stretched() { "C × v × response time / (c - a)" } else { "C × response time / (c - a)" },
            format!("{} × {}", real(self.wait_probability), self.filled_wait()),
            time(self.mean()),
        );
    }

    fn is_stretched(&self) -> bool {
        self.stretch != 1.0
    }

    /// The mean wait of those who wait, with its numbers.
    fn filled_wait(&self) -> String {
        let stretch = if self.is_stretched() { format!("{} × ", real(self.stretch)) } else { String::new() };
        format!("{stretch}{} / ({} - {})", time(self.hold), count(self.connections.into()), real(self.load))
    }

    fn searched(&self, target: Target) -> Derivation {
        let mut derivation = Derivation::default();
        derivation.push(
            "fewest connections for the wait",
            "least c for which Erlang C meets the target",
            format!("least c with a = {}, so that {}", real(self.load), target.shown()),
            count(self.connections.into()),
        );
        derivation
    }

    /// Seconds that those wait in the mean who wait at all.
    fn of_those_who_wait(&self) -> f64 {
        self.stretch * self.hold / self.spare()
    }

    /// Connections beyond those busy on average; above 0.
    fn spare(&self) -> f64 {
        f64::from(self.connections) - self.load
    }
}

/// How much longer waits become when times vary otherwise than assumed: (C_a² + C_s²) / 2, where each is the variance over
/// the square of the mean, of the time between statements and of the response time. 1 for what [`Queue`] assumes.
///
/// Source: Allen and Cunneen's approximation of G/G/c.
pub fn variability(between_statements: f64, response_time: f64) -> f64 {
    (between_statements + response_time) / 2.0
}

/// Erlang B of `k` connections from that of one fewer.
fn next_blocked(load: f64, blocked: f64, k: u32) -> f64 {
    load * blocked / (f64::from(k) + load * blocked)
}

#[cfg(test)]
mod tests;
