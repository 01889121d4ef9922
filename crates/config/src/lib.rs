//! The configuration: one source for parsing, checking, documenting and the schema.
