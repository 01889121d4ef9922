//! Every figure that the documents behind this crate work out, worked out again.

use std::time::Duration;

use crate::{Derivation, Nodes, Sum, VtTablet, Workload, ceiling, headroom, limit_per_user, queued_inside};

/// A question that a source asks, and its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Where it is from.
    pub source: &'static str,
    /// What is asked.
    pub question: &'static str,
    /// The answer, in the words of the source.
    pub answer: String,
    /// The summands, where the answer is a sum of pools.
    pub sum: Option<Sum>,
    /// How it comes about.
    pub derivation: Derivation,
}

const POLARDB: &str = "PolarDB-X, how to choose a connection pool";
const VITESS: &str = "Vitess, VTTablet connection pools and sizing";

/// Threads of a PolarDB-X compute node.
const SLOTS: u32 = 1_024;

/// All of them, in the order of the sources.
///
/// # Errors
/// Those of the functions called; the figures of the documents are in range and cause none.
pub fn examples() -> Result<Vec<Example>, crate::Error> {
    Ok(vec![first_figure()?, two_nodes(), pool_and_nodes()?, room_for_bursts()?, vttablet(), user_share()?])
}

fn first_figure() -> Result<Example, crate::Error> {
    let ideal = Workload::new(5_000.0, Duration::from_millis(5))?.ideal();
    Ok(Example {
        source: POLARDB,
        question: "5,000 queries per second of 5 ms each: how many connections at least?",
        answer: format!("{} connections", ideal.value),
        sum: None,
        derivation: ideal.derivation,
    })
}

fn two_nodes() -> Example {
    let nodes = Nodes { nodes: 2, slots: SLOTS };
    let rate = ceiling(Duration::from_millis(10), 2 * SLOTS, nodes);
    Example {
        source: POLARDB,
        question: "Queries of 10 ms: how many per second do two nodes do at best?",
        answer: format!("{} queries per second", crate::count(rate.value as u64)),
        sum: None,
        derivation: rate.derivation,
    }
}

fn pool_and_nodes() -> Result<Example, crate::Error> {
    let work = Workload::new(400_000.0, Duration::from_millis(5))?;
    let nodes = work.nodes(SLOTS);
    Ok(Example {
        source: POLARDB,
        question: "400,000 queries per second of 5 ms each: how large a pool, and how many nodes?",
        answer: format!("{} connections on {} nodes", crate::count(work.ideal().value.into()), nodes.value),
        sum: None,
        derivation: nodes.derivation,
    })
}

fn room_for_bursts() -> Result<Example, crate::Error> {
    let mut derivation = Derivation::default();
    let [small, large, of_2_000, twice_2_000] =
        [(25, 1.5), (25, 2.0), (2_000, 1.5), (2_000, 2.0)].map(|(ideal, factor)| headroom(ideal, factor));
    let (small, large) = (derivation.take(small?), derivation.take(large?));
    let (least, most) = (derivation.take(of_2_000?), derivation.take(twice_2_000?));
    derivation.take(queued_inside(least, Nodes { nodes: 2, slots: SLOTS }));
    Ok(Example {
        source: POLARDB,
        question: "1.5 to 2 times the ideal number, for bursts: how large are these pools then?",
        answer: format!(
            "{small} to {large}, and {} to {} connections",
            crate::count(least.into()),
            crate::count(most.into())
        ),
        sum: None,
        derivation,
    })
}

fn vttablet() -> Example {
    let sum = VtTablet::default().sum();
    let mut derivation = Derivation::default();
    let fixed = derivation.take(sum.fixed());
    derivation.push(
        "most connections with those opened on demand",
        "of the pools + on demand, fewer than 10",
        format!("{fixed} + {}", sum.with_variable() - fixed),
        sum.with_variable().to_string(),
    );
    Example {
        source: VITESS,
        question: "How many connections can one VTTablet open with its defaults?",
        answer: format!(
            "{fixed} of its pools, {} with those opened on demand, and one more for each reserved session",
            sum.with_variable()
        ),
        sum: Some(sum),
        derivation,
    }
}

fn user_share() -> Result<Example, crate::Error> {
    let limit = limit_per_user(VtTablet::default().transaction_cap, 0.4)?;
    Ok(Example {
        source: VITESS,
        question: "How many of 20 transaction connections may one user have, when the limit of 0.4 is on?",
        answer: format!("{} connections", limit.value),
        sum: None,
        derivation: limit.derivation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_those_of_the_sources() {
        let answers: Vec<String> = examples().unwrap().into_iter().map(|example| example.answer).collect();
        assert_eq!(
            answers,
            [
                "25 connections",
                "204,800 queries per second",
                "2,000 connections on 2 nodes",
                "38 to 50, and 3,000 to 4,000 connections",
                "326 of its pools, 335 with those opened on demand, and one more for each reserved session",
                "8 connections",
            ]
        );
    }

    #[test]
    fn each_is_derived() {
        for example in examples().unwrap() {
            assert!(!example.derivation.steps().is_empty(), "{}", example.question);
        }
    }
}
