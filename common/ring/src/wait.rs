//! Wake-up: one futex word in the ring's header. A publish wakes everybody with one system call; waiting works on a
//! read-only mapping, needs no registration and leaves nothing behind.

use super::atomic::HEAR;
use super::layout::header;
use super::memfd::Mapping;
use super::words::Words;
use rustix::io::Errno;
use rustix::thread::futex;
use std::time::Duration;

/// Wakes every waiting reader.
pub(super) fn wake_all(mapping: &Mapping) {
    // Not FUTEX_PRIVATE: the waiters are other processes. Waking nobody is not an error, and nothing else can fail.
    let _ = futex::wake(
        mapping.word(header::NOTIFY).futex(),
        futex::Flags::empty(),
        i32::MAX as u32,
    );
}

/// The doorbell's count; take it before looking for news, hand it to [`sleep`] if there were none.
pub(super) fn count(mapping: &Mapping) -> u32 {
    // All 64 bits: only the kernel looks at half of the word.
    mapping.word(header::NOTIFY).load(HEAR) as u32
}

/// Sleeps until the count differs from `seen`, or `timeout` passes, or a signal comes. The writer may die between
/// its store and its wake, so callers use short time-outs and look again.
pub(super) fn sleep(mapping: &Mapping, seen: u32, timeout: Duration) {
    let Ok(timeout) = rustix::time::Timespec::try_from(timeout) else {
        return;
    };
    match futex::wait(
        mapping.word(header::NOTIFY).futex(),
        futex::Flags::empty(),
        seen,
        Some(&timeout),
    ) {
        Ok(()) | Err(Errno::AGAIN | Errno::TIMEDOUT | Errno::INTR) => {}
        Err(e) => {
            // Never spin: a kernel that cannot wait here still gets a bounded polling rate.
            tracing::warn!("futex wait failed ({e}), polling instead");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
