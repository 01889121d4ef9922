//! One waiter in a route's queue.

use crate::list::{Linked, Links};
use crate::types::{Request, Time};

#[derive(Debug)]
pub(crate) struct Waiter {
    /// The route it waits for, by index.
    pub(crate) route: u32,
    pub(crate) request: Request,
    pub(crate) since: Time,
    /// Its number in the order of arrival over all routes: shows overtaking.
    pub(crate) arrival: u64,
    pub(crate) links: Links,
}

impl Linked for Waiter {
    fn links(&self) -> &Links {
        &self.links
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }
}
