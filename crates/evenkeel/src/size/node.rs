//! `evenkeel size --from`: what a running node had to do, and how large its pools should be for it.

mod class;
mod demand;
mod exposition;
mod http;
mod load;
mod look;
mod parts;
mod report;

use std::{
    io::{IsTerminal, Write, stderr},
    thread,
    time::Duration,
};

use anyhow::Result;

use self::{http::Node, load::ServerLoad, look::Look};
use super::{Answer, Terms};

/// Into how many parts the time is cut. Each is one look; the busiest part is what pools are sized for.
const PARTS: u32 = 15;

/// Watches a node for `length` and sizes the pools of its servers.
///
/// # Errors
/// The node does not answer, was restarted meanwhile, or its load makes no sense with the terms.
pub(super) fn size(url: &str, length: Duration, terms: &Terms) -> Result<Answer> {
    let node = Node::parse(url)?;
    let servers = watch(&node, length)?;
    // A node that is older than the page knows nothing of limits; everything else of it is well.
    let limits = look::limits(&node).unwrap_or_default();
    report::answer(&node, length, &servers, &limits, terms)
}

fn watch(node: &Node, length: Duration) -> Result<Vec<ServerLoad>> {
    // Asked first: who mistyped the URL does not wait for it to be told.
    let servers = look::servers(node)?;
    let classes_before = classes(node);
    let mut looks = vec![Look::at(node)?];
    let begun = looks[0].at;
    for part in 1..=PARTS {
        progress(&format!("watching {node}: {:.0} s of {:.0} s", begun.elapsed().as_secs_f64(), length.as_secs_f64()));
        let due = begun + length * part / PARTS;
        thread::sleep(due.saturating_duration_since(std::time::Instant::now()));
        looks.push(Look::at(node)?);
    }
    progress("");
    let mut loads = load::loads(&looks, servers, &look::route_entries(node)?)?;
    let of_classes = class::loads(&classes_before, &classes(node), begun.elapsed());
    for load in &mut loads {
        load.classes = of_classes.iter().filter(|class| class.server == load.entry.server).cloned().collect();
    }
    Ok(loads)
}

/// The classes of a node; one that is older than their page has none.
fn classes(node: &Node) -> Vec<look::ClassEntry> {
    look::classes(node).unwrap_or_default()
}

/// Says how far it is, on one line, if anybody looks.
pub(super) fn progress(text: &str) {
    let mut out = stderr();
    if out.is_terminal() {
        // Nobody is harmed when it cannot be said.
        let _ = write!(out, "\r\x1b[K{text}").and_then(|()| out.flush());
    }
}
