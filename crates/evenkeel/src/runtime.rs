//! The one place that decides how tasks are run (`docs/decisions/0001-runtime.md`).

use std::{io, thread::available_parallelism};

use tokio::runtime::{Builder, Runtime};

/// The most threads that are taken without being told to.
const WORKERS_MAX: usize = 8;

/// How many threads serve clients; `configured` 0 means: as this machine suggests.
///
/// One thread needs the least CPU per transaction, because nothing crosses threads. More of them raise the ceiling, and
/// leave most of the machine to others when it is shared with the database.
pub(crate) fn workers(configured: u16) -> usize {
    match configured {
        0 => (available_parallelism().map_or(1, usize::from) / 4).clamp(1, WORKERS_MAX),
        given => usize::from(given),
    }
}

/// The runtime for so many threads.
pub(crate) fn build(workers: usize) -> io::Result<Runtime> {
    let mut builder = if workers == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.worker_threads(workers).thread_name("evenkeel").enable_all().build()
}
