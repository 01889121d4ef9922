//! Counters and latency histograms that cost nanoseconds.
