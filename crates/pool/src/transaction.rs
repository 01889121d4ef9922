//! The right to a transaction, where there is a limit on them.

use std::fmt;
use std::sync::Arc;

use scheduler::Admission;

use crate::connector::Connector;
use crate::shared::Shared;

/// The right of one party to a transaction. Dropping it gives it back.
#[must_use = "dropping it ends the transaction for the limit"]
pub struct TransactionPermit<C: Connector> {
    shared: Arc<Shared<C>>,
    party: Arc<str>,
    /// Present until it is dropped.
    admission: Option<Admission>,
}

impl<C: Connector> TransactionPermit<C> {
    pub(crate) fn new(shared: Arc<Shared<C>>, party: Arc<str>, admission: Admission) -> Self {
        Self { shared, party, admission: Some(admission) }
    }

    /// Whose it is.
    #[must_use]
    pub fn party(&self) -> &str {
        &self.party
    }
}

impl<C: Connector> Drop for TransactionPermit<C> {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            self.shared.lock().limiter.end(&self.party, admission);
        }
    }
}

impl<C: Connector> fmt::Debug for TransactionPermit<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionPermit").field("party", &self.party).finish_non_exhaustive()
    }
}
