//! Real database clusters in temporary folders, for tests, the demo and benchmarks.
