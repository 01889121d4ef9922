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
    /// Where the curve has its knee, much less was done than elsewhere: throughput does not bend as the curve does.
    CurveMisses {
        /// The fewest connections with which nearly the most was seen: the knee instead.
        seen: u32,
    },
    /// Points lie this far off the curve, as a part of it (root mean square).
    Scattered {
        /// 0.1 is a tenth.
        off: f64,
    },
    /// Measured more than once with these numbers of connections, throughput was not the same.
    Unsettled {
        /// The numbers where it was furthest from the same, the worst first.
        connections: Vec<f64>,
        /// How far the largest is above the smallest there, at most: 0.3 is three tenths.
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
            Self::CurveMisses { seen } => write!(
                f,
                "the curve passes far from what was measured at its knee; {seen} connections are the fewest that were seen to do \
                 nearly the most"
            ),
            Self::Scattered { off } => {
                write!(f, "the points lie {} % off the curve: measure each for longer", real(off * 100.0))
            }
            Self::Unsettled { connections, off } => write!(
                f,
                "measured again, throughput differed by up to {} %, with {} connections: something else used the machine, or \
                 each was measured too shortly",
                real(off * 100.0),
                list(connections)
            ),
            Self::Outliers(at) => {
                write!(f, "far off the others' curve, and counted less: the points at {} connections", list(at))
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

/// Numbers of connections, separated by commas.
fn list(connections: &[f64]) -> String {
    let numbers: Vec<String> = connections.iter().map(|connections| real(*connections)).collect();
    numbers.join(", ")
}
