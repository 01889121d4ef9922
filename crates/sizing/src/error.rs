//! What can be wrong with the numbers that came in.

use crate::{number, workload::LOAD_MAX};

/// The caller's numbers cannot be worked with.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number is outside of what makes sense.
    #[error("{what}: {given} is not between {least} and {most}")]
    OutOfRange {
        /// What the number says.
        what: &'static str,
        /// The least it may be.
        least: String,
        /// The most it may be.
        most: String,
        /// What it is.
        given: String,
    },
    /// So many connections would be busy that the search for the right number has no end worth waiting for.
    #[error("{} connections would be busy on average; more than {} cannot be worked out", number::real(*load), number::real(LOAD_MAX))]
    TooMuchLoad {
        /// Connections busy on average.
        load: f64,
    },
    /// A queue cannot keep up: more work comes than its connections do.
    #[error("{} connections are busy on average, and there are only {connections}: the queue grows without end", number::real(*load))]
    Overloaded {
        /// Connections busy on average.
        load: f64,
        /// Connections there are.
        connections: u32,
    },
    /// The limits leave less than one connection for each instance.
    #[error("a server allows {allowed} connections, and {instances} instances need one each at least")]
    NoRoom {
        /// Connections that one server allows.
        allowed: u32,
        /// Instances that share them.
        instances: u32,
    },
    /// Three numbers are to be found, and there are fewer points than that.
    #[error("a fit needs at least 3 different numbers of connections, not {given}")]
    TooFewPoints {
        /// Different numbers of connections given.
        given: usize,
    },
    /// More points than a fit is meant for.
    #[error("a fit takes at most {most} points, not {given}")]
    TooManyPoints {
        /// Points given.
        given: usize,
        /// The most it may be.
        most: usize,
    },
    /// No curve goes near the points.
    #[error("the points lie on no curve of this kind: throughput must grow with the first connections")]
    NoCurve,
}
