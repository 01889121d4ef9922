//! How far a fit can be trusted, and what speaks against it.

use std::fmt;

use crate::number::real;

/// How far a fit can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confidence {
    /// Nothing speaks against it.
    Good,
    /// One thing does.
    Fair,
    /// More than one does.
    Poor,
}

/// What speaks against a fit.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Doubt {
    /// Measured at fewer than 6 numbers of connections.
    FewPoints {
        /// How many there are.
        given: usize,
    },
    /// Throughput still grew at the largest number measured: the knee is a guess beyond it.
    PeakNotSeen {
        /// The largest number measured.
        largest: f64,
    },
    /// Points lie this far off the curve, as a part of it (root mean square).
    Scattered {
        /// 0.1 is a tenth.
        off: f64,
    },
    /// These numbers of connections have points so far off that they hardly counted.
    Outliers(Vec<f64>),
    /// Leaving out one point moves the upper end of the knee this far.
    Unsteady {
        /// Least upper end found.
        from: u32,
        /// Largest.
        to: u32,
    },
    /// Latency × throughput is not the number of connections (Little's law): they were not all busy.
    NotBusy {
        /// Where it is furthest off.
        connections: f64,
        /// Busy there, by Little's law.
        busy: f64,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FewPoints { given } => {
                write!(f, "only {given} different numbers of connections were measured; 6 or more are better")
            }
            Self::PeakNotSeen { largest } => {
                write!(
                    f,
                    "throughput still grows at {} connections, the most measured: measure with more",
                    real(*largest)
                )
            }
            Self::Scattered { off } => {
                write!(f, "the points lie {} % off the curve: measure each for longer", real(off * 100.0))
            }
            Self::Outliers(at) => {
                let at: Vec<String> = at.iter().map(|connections| real(*connections)).collect();
                write!(f, "far off the others' curve, and counted less: the points at {} connections", at.join(", "))
            }
            Self::Unsteady { from, to } => {
                write!(f, "without one or other point the upper end of the knee is anywhere from {from} to {to}")
            }
            Self::NotBusy { connections, busy } => write!(
                f,
                "latency × throughput says that {} of {} connections were busy: clients paused, or latency is not what the \
                 connections saw",
                real(*busy),
                real(*connections)
            ),
        }
    }
}
