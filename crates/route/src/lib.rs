//! Databases, users and routes: where a client's work goes, and under which limits.
