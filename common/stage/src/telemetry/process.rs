//! What the kernel says of this process: CPU time and memory. Read into memory of our own, so that nothing allocates.

use rustix::fs::{Mode, OFlags};
use rustix::time::{ClockId, clock_gettime};

/// Zero where the kernel does not say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// CPU time of all threads, microseconds.
    pub(super) cpu_us: u64,
    /// The kernel's part of it, to the kernel's tick (10 ms).
    pub(super) system_us: u64,
    /// Resident memory, KiB.
    pub(super) resident_kib: u32,
    /// The most there ever was.
    pub(super) peak_kib: u32,
}

pub(super) fn usage() -> Usage {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    let cpu_us = t.tv_sec.unsigned_abs() * 1_000_000 + t.tv_nsec.unsigned_abs() / 1000;
    let mut usage = Usage {
        cpu_us,
        ..Usage::default()
    };
    let mut buffer = [0; 4096];
    if let Some(stat) = read("/proc/self/stat", &mut buffer) {
        usage.system_us = system_us(stat).unwrap_or(0).min(cpu_us);
    }
    if let Some(status) = read("/proc/self/status", &mut buffer) {
        usage.resident_kib = kib(status, "VmRSS:").unwrap_or(0);
        usage.peak_kib = kib(status, "VmHWM:").unwrap_or(0).max(usage.resident_kib);
    }
    usage
}

fn read<'b>(path: &str, buffer: &'b mut [u8]) -> Option<&'b str> {
    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let len = rustix::io::read(&fd, &mut *buffer).ok()?;
    let bytes = buffer.get(..len)?;
    // The name of the process may be cut within a character.
    let whole = match std::str::from_utf8(bytes) {
        Ok(text) => return Some(text),
        Err(e) => e.valid_up_to(),
    };
    std::str::from_utf8(&bytes[..whole]).ok()
}

/// Field 15 of `/proc/self/stat`; the second is the process's name in parentheses, which may hold anything.
fn system_us(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u64 = fields.split_ascii_whitespace().nth(12)?.parse().ok()?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Some(ticks.saturating_mul(1_000_000) / per_second)
}

/// A line like `VmRSS:     1234 kB`.
fn kib(status: &str, name: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_understood() {
        let u = usage();
        assert!(u.cpu_us > 0 && u.system_us <= u.cpu_us, "{u:?}");
        assert!(
            u.resident_kib > 500 && u.peak_kib >= u.resident_kib,
            "{u:?}"
        );
    }

    #[test]
    fn names_do_not_confuse() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 1 0 0 0 55 21 0 0 20 0 1 0";
        assert_eq!(system_us(stat), Some(210_000));
        assert_eq!(system_us("7 (a"), None);
        assert_eq!(kib("Name:\tx\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12));
        assert_eq!(kib("VmRSS:\tmany kB\n", "VmRSS:"), None);
    }
}
