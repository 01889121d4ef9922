//! The fair, budgeted asynchronous connection pool.
