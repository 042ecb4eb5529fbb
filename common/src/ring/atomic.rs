//! The only door to shared memory's words: every access of the protocol is one of the [`Site`]s below, by name.
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
/// explains it and the tests weaken or interrupt it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site {
    #[cfg(any(feature = "failpoints", hanja_loom))]
    name: &'static str,
    order: Ordering,
}

macro_rules! sites {
    ($($(#[$doc:meta])* $name:ident = $order:ident;)*) => {
        $($(#[$doc])* pub(super) const $name: Site = Site {
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
    // Fences. SYNC: MARK_FENCE with LEASE_FENCE and with TAP_FENCE.
    /// Writer, between a slot's mark and everything that follows it.
    MARK_FENCE = SeqCst;
    /// Leasing reader, between its cell and its look at the slot's state.
    LEASE_FENCE = SeqCst;
    /// Tap, between its copy and its second look at the slot's state.
    TAP_FENCE = Acquire;

    // Writer's stores.
    /// The slot's state with WRITING set. Ordered by MARK_FENCE.
    MARK = Relaxed;
    /// A leased slot's old state, put back. SYNC with CHECK through MARK_FENCE, which came after the payload
    /// that was published under this state and releases it again.
    RESTORE = Relaxed;
    /// Payload, metadata, length. Ordered by MARK_FENCE before and PUBLISH after.
    FILL = Relaxed;
    /// The slot's new state. SYNC with CHECK.
    PUBLISH = Release;
    /// `newest`. SYNC with NEWEST: who sees it sees the slot's state, or a later one.
    ANNOUNCE = Release;
    /// The doorbell's count. SYNC with HEAR: who sees it sees `newest`, or a later one.
    RING = Release;
    /// Writer's look at a hazard cell. SYNC with RELEASE and HOLD.
    SCAN = Acquire;

    // Readers.
    /// Look at `newest`. SYNC with ANNOUNCE.
    NEWEST = Acquire;
    /// Look at the doorbell. SYNC with RING.
    HEAR = Acquire;
    /// Search for a sequence number. A hint: CHECK decides.
    FIND = Relaxed;
    /// Look at a slot's state before it is read. SYNC with PUBLISH and RESTORE. (For a lease LEASE_FENCE would do.)
    CHECK = Acquire;
    /// Look at a slot's state after it was copied. Ordered by TAP_FENCE.
    RECHECK = Relaxed;
    /// Payload, metadata, length. Ordered by CHECK before; after it by TAP_FENCE, or for leases by RELEASE.
    READ = Relaxed;
    /// A lease, stored into its cell. LEASE_FENCE orders it before CHECK. SYNC with SCAN: a writer that finds this
    /// lease in the cell knows that the one before it has ended, and everything read under it.
    HOLD = Release;
    /// An empty cell. SYNC with SCAN: what was read under the lease was read before the writer's reuse.
    RELEASE = Release;

    /// A word of this process's own, or one that was written before anybody else could see it.
    OWN = Relaxed;
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

    #[inline]
    pub(crate) fn load(&self, site: Site) -> u64 {
        self.0.load(site.ordering())
    }

    #[inline]
    pub(crate) fn store(&self, value: u64, site: Site) {
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
pub(super) fn fence(site: Site) {
    #[cfg(hanja_loom)]
    if !super::model::alive() || super::model::dropped(site.name) {
        return;
    }
    atomic::fence(site.order);
}

impl Site {
    #[inline]
    fn ordering(self) -> Ordering {
        #[cfg(hanja_loom)]
        if super::model::dropped(self.name) {
            return Ordering::Relaxed;
        }
        self.order
    }
}

/// Dying at a chosen store.
#[cfg(feature = "failpoints")]
pub mod failpoint {
    pub use super::SITES;
    use super::Site;
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
    pub(super) fn passed(site: Site) {
        if SITE.get().is_some_and(|armed| *armed == site.name)
            && LEFT.fetch_sub(1, Ordering::Relaxed) == 1
        {
            std::process::abort();
        }
    }
}
