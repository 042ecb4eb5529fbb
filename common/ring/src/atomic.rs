//! The only door to shared memory's words: every access of the protocol is one of the sites below, by name.
//!
//! The same protocol is built three ways. Normally a [`Word`] is core's `AtomicU64` and a site is a constant that
//! disappears. With `--cfg hanja_loom` it is loom's, and a test may weaken one site to show that the model notices
//! (`ring/model.rs`). With the feature `failpoints` a process can be told to die after the n-th store at a site
//! (`tests/kill_fuzz`). Clippy's `disallowed-types` keeps other atomics out of this crate.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this is the shim that the rule points to"
)]

#[cfg(not(hanja_loom))]
use core::sync::atomic;
#[cfg(hanja_loom)]
use loom::sync::atomic;

use atomic::{AtomicU64, Ordering};

/// A place in the protocol that touches shared memory: its ordering, and the name under which `docs/design.md`
/// explains it and the tests weaken or interrupt it. Loads, stores and fences are different types, so that no load can
/// be asked for an ordering that only stores have.
macro_rules! kind {
    ($(#[$doc:meta])* $kind:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $kind {
            #[cfg(any(feature = "failpoints", hanja_loom))]
            #[cfg_attr(not(hanja_loom), allow(dead_code, reason = "only stores are failpoints"))]
            name: &'static str,
            order: Ordering,
        }
    };
}
kind!(
    /// A place that loads.
    Load
);
kind!(
    /// A place that stores.
    Store
);
kind!(
    /// A place that fences.
    Fence
);

macro_rules! sites {
    ($($(#[$doc:meta])* $kind:ident $name:ident = $order:ident;)*) => {
        $($(#[$doc])* pub(super) const $name: $kind = $kind {
            #[cfg(any(feature = "failpoints", hanja_loom))]
            name: stringify!($name),
            order: Ordering::$order,
        };)*
        /// Names of all sites.
        #[cfg(any(feature = "failpoints", hanja_loom))]
        #[allow(unreachable_pub, reason = "public with failpoints")]
        pub const SITES: &[&str] = &[$(stringify!($name)),*];
    };
}

sites! {
    // SYNC: MARK_FENCE with LEASE_FENCE and with TAP_FENCE.
    /// Writer, between a slot's mark and everything that follows it.
    Fence MARK_FENCE = SeqCst;
    /// Leasing reader, between its cell and its look at the slot's state.
    Fence LEASE_FENCE = SeqCst;
    /// Tap, between its copy and its second look at the slot's state.
    Fence TAP_FENCE = Acquire;

    // Writer.
    /// The slot's state with WRITING set. Ordered by MARK_FENCE.
    Store MARK = Relaxed;
    /// A leased slot's old state, put back. SYNC with CHECK through MARK_FENCE, which came after the payload
    /// that was published under this state and releases it again.
    Store RESTORE = Relaxed;
    /// Payload, metadata, length. Ordered by MARK_FENCE before and PUBLISH after.
    Store FILL = Relaxed;
    /// The slot's new state. SYNC with CHECK.
    Store PUBLISH = Release;
    /// `newest`. SYNC with NEWEST: who sees it sees the slot's state, or a later one.
    Store ANNOUNCE = Release;
    /// The doorbell's count. SYNC with HEAR: who sees it sees `newest`, or a later one.
    Store RING = Release;
    /// Writer's look at a hazard cell. SYNC with RELEASE and HOLD.
    Load SCAN = Acquire;

    // Readers.
    /// Look at `newest`. SYNC with ANNOUNCE.
    Load NEWEST = Acquire;
    /// Look at the doorbell. SYNC with RING.
    Load HEAR = Acquire;
    /// Search for a sequence number. A hint: CHECK decides.
    Load FIND = Relaxed;
    /// Look at a slot's state before it is read. SYNC with PUBLISH and RESTORE. (For a lease LEASE_FENCE would do.)
    Load CHECK = Acquire;
    /// Look at a slot's state after it was copied. Ordered by TAP_FENCE.
    Load RECHECK = Relaxed;
    /// Payload, metadata, length. Ordered by CHECK before; after it by TAP_FENCE, or for leases by RELEASE.
    Load READ = Relaxed;
    /// Look for an empty cell of one's own. SYNC with RELEASE by another thread of this process: the next HOLD in this
    /// cell then comes after everything that thread read, and hands that on to SCAN.
    Load FREE = Acquire;
    /// A lease, stored into its cell. LEASE_FENCE orders it before CHECK. SYNC with SCAN: a writer that finds this
    /// lease in the cell knows that the one before it has ended, and everything read under it.
    Store HOLD = Release;
    /// An empty cell. SYNC with SCAN: what was read under the lease was read before the writer's reuse. SYNC with FREE.
    Store RELEASE = Release;

    /// A word of this process's own, or one that was written before anybody else could see it.
    Load OWN = Relaxed;
    /// Such a word, stored.
    Store SET = Relaxed;
}

/// A 64-bit word of shared memory.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Word(AtomicU64);

impl Word {
    /// A word outside shared memory, for tests and models.
    #[cfg(any(test, fuzzing, hanja_loom))]
    pub(crate) fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    /// The load itself is always relaxed, and ordered by a fence behind it: readers map the ring read-only, the writer
    /// the hazard pages, and of read-only memory `core::sync::atomic` guarantees relaxed loads only (elsewhere an
    /// ordered load may be an instruction that writes). With the fence it orders at least as much as an acquire load,
    /// which is what loom and ThreadSanitizer get: of fences one believes more than they promise, the other nothing.
    #[inline]
    pub(crate) fn load(&self, site: Load) -> u64 {
        if cfg!(any(hanja_loom, hanja_tsan)) {
            return self.0.load(site.ordering());
        }
        let value = self.0.load(Ordering::Relaxed);
        if site.ordering() == Ordering::Acquire {
            atomic::fence(Ordering::Acquire);
        }
        value
    }

    #[inline]
    pub(crate) fn store(&self, value: u64, site: Store) {
        #[cfg(hanja_loom)]
        if !super::model::may_store() {
            return; // a dead process stores nothing
        }
        self.0.store(value, site.ordering());
        #[cfg(feature = "failpoints")]
        failpoint::passed(site);
    }

    /// The low half, for the futex system calls: the kernel compares 32 bits.
    #[cfg(not(hanja_loom))]
    pub(super) fn futex(&self) -> &atomic::AtomicU32 {
        const { assert!(cfg!(target_endian = "little"), "the low half comes first") };
        // SAFETY: the address is valid and aligned for 8 bytes, so for its first 4; every access to the word is
        // atomic, this one and the kernel's too.
        unsafe { &*std::ptr::from_ref(self).cast::<atomic::AtomicU32>() }
    }

    /// Models do not sleep.
    #[cfg(hanja_loom)]
    pub(super) fn futex(&self) -> &std::sync::atomic::AtomicU32 {
        unreachable!("models have no futex")
    }
}

#[inline]
pub(super) fn fence(site: Fence) {
    #[cfg(hanja_loom)]
    if !super::model::alive() || super::model::dropped(site.name) {
        return;
    }
    atomic::fence(site.order);
}

macro_rules! ordering {
    ($($kind:ident)*) => {$(
        impl $kind {
            #[inline]
            fn ordering(self) -> Ordering {
                #[cfg(hanja_loom)]
                if super::model::dropped(self.name) {
                    return Ordering::Relaxed;
                }
                self.order
            }
        }
    )*};
}
ordering!(Load Store);

/// Dying at a chosen store.
#[cfg(feature = "failpoints")]
pub mod failpoint {
    pub use super::SITES;
    use super::Store;
    use core::sync::atomic::{AtomicU64, Ordering};
    use std::sync::OnceLock;

    static SITE: OnceLock<&'static str> = OnceLock::new();
    static LEFT: AtomicU64 = AtomicU64::new(0);

    /// From now on, abort this process right after its `nth` store (from 1) at `site`, one of [`SITES`]. Once per
    /// process.
    pub fn arm(site: &'static str, nth: u64) {
        LEFT.store(nth, Ordering::Relaxed);
        let _ = SITE.set(site);
    }

    #[inline]
    pub(super) fn passed(site: Store) {
        if SITE.get().is_some_and(|armed| *armed == site.name)
            && LEFT.fetch_sub(1, Ordering::Relaxed) == 1
        {
            std::process::abort();
        }
    }
}

#[cfg(test)]
#[cfg(not(hanja_loom))]
mod tests {
    use super::*;

    /// Under Miri (`ci/miri.sh`) an acquire load of memory that may not be written is an error; here it can only pass.
    #[test]
    fn read_only_memory_can_be_loaded_at_every_site() {
        static CONSTANT: u64 = 7;
        // SAFETY: same size and alignment; the word is only loaded, never stored to.
        let word = unsafe { &*std::ptr::from_ref(&CONSTANT).cast::<Word>() };
        for site in [SCAN, NEWEST, HEAR, FIND, CHECK, RECHECK, READ, FREE, OWN] {
            assert_eq!(word.load(site), 7, "{site:?}");
        }
    }
}
