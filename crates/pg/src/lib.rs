//! The PostgreSQL protocol, sans-IO.
