start transaction with consistent snapshot, read only; commit work and no chain release; rollback to savepoint `a`; kill query 5; use `db`
