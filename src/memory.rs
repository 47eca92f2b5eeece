//! How much memory the process has held.

/// Begins to count the peak anew (Linux's `/proc/self/clear_refs`); where the system does not let us, the old peak stays.
pub fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The largest resident size so far, in bytes, where the system tells (`VmHWM` of Linux's `/proc/self/status`).
#[must_use]
pub fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
