//! What the operating system says of this process.

/// Memory in use that is in RAM, in bytes; none where `/proc` does not tell.
///
/// Source: proc(5), `/proc/pid/status`, `VmRSS`, which is in units of 1,024 bytes.
pub(crate) fn resident_bytes() -> Option<u64> {
    resident(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1_024)
}

/// Open file descriptors; none where `/proc` does not tell.
pub(crate) fn open_files() -> Option<u64> {
    // One of them is the directory being read.
    Some((std::fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_read_as_proc_writes_it() {
        assert_eq!(resident("VmPeak:\t  900 kB\nVmRSS:\t    1536 kB\nThreads:\t1\n"), Some(1_572_864));
        for odd in ["", "VmRSS:", "VmRSS:\t12 MB", "VmRSS:\t-1 kB", "VmRSS:\t18446744073709551615 kB"] {
            assert_eq!(resident(odd), None, "{odd}");
        }
    }

    #[test]
    fn this_process_is_found() {
        assert!(resident_bytes().unwrap() > 100_000);
        assert!(open_files().unwrap() >= 3);
    }
}
