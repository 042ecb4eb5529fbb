//! The protocol under loom: every interleaving of a writer, leasing readers and taps within the bounds given, and
//! every value that the memory model lets a load return. `ci/loom.sh` runs it.
//!
//! What is checked is the code that runs in the product; only the memory is small. Beside the words, each slot has
//! one cell that stands for the plain `&[u8]` of a lease: loom fails as soon as the writer's access to it and a
//! reader's are not ordered by happens-before, whatever the values are.
//!
//! A model that finds nothing proves nothing unless it can find something: `broken_every_ordering_is_needed` drops each
//! ordering in turn and expects the scene named beside it to fail. It also found three that were not right: HOLD was
//! Relaxed, a race; RESTORE and FIND were stronger than needed.
//!
//! Bounds: 2 or 3 slots, 2 to 4 frames, 2 or 3 preemptions. loom treats SeqCst *accesses* as AcqRel, which is no loss
//! here: only the fences are SeqCst.

use super::Geometry;
use super::atomic::{CHECK, HEAR, OWN, SITES, Word};
use super::layout::{Layout, META_OFFSET, State, header, slot};
use super::protocol::{self, WriterState};
use super::words::Words;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread::{self, JoinHandle};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

thread_local! {
    /// The site that has lost its ordering in this test. (loom runs all threads of a model on one real thread.)
    static WEAKENED: Cell<Option<&'static str>> = const { Cell::new(None) };
    /// Stores that a modelled process has left to live.
    static FUEL: RefCell<Vec<(thread::ThreadId, u32)>> = const { RefCell::new(Vec::new()) };
}

/// Whether the site of this name has lost its ordering.
pub(super) fn dropped(site: &str) -> bool {
    WEAKENED.get() == Some(site)
}

/// Whether the current process lives.
pub(super) fn alive() -> bool {
    let me = thread::current().id();
    FUEL.with_borrow(|all| all.iter().all(|(who, left)| *who != me || *left > 0))
}

/// Takes one store from the current process; false if it is dead.
pub(super) fn may_store() -> bool {
    let alive = alive();
    let me = thread::current().id();
    FUEL.with_borrow_mut(|all| {
        if let Some((_, left)) = all.iter_mut().find(|(who, _)| *who == me) {
            *left = left.saturating_sub(1);
        }
    });
    alive
}

/// The current process dies after this many stores more.
fn die_after(stores: u32) {
    FUEL.with_borrow_mut(|all| all.push((thread::current().id(), stores)));
}

/// A ring in loom's memory: only the words that the protocol touches.
struct Ring {
    words: BTreeMap<usize, Word>,
    layout: Layout,
    /// Stands for the bytes of slot i as a lease sees them.
    bytes: Vec<UnsafeCell<u64>>,
    cells: [Word; 2],
}

impl Words for Ring {
    fn word(&self, index: usize) -> &Word {
        &self.words[&index]
    }
}

impl Ring {
    fn new(slots: u32) -> Arc<Self> {
        let geometry = Geometry {
            slots,
            meta_len: 8,
            payload_capacity: 8,
        };
        let layout = Layout::new(1, 1, geometry).unwrap();
        let mut indices = vec![header::NEWEST, header::NOTIFY];
        for i in 0..slots {
            let first = layout.slot_word(i);
            indices.extend([first + slot::STATE, first + slot::PAYLOAD_LEN]);
            indices.extend([first + META_OFFSET as usize / 8, layout.payload_byte(i) / 8]);
        }
        Arc::new(Self {
            words: indices.into_iter().map(|i| (i, Word::new(0))).collect(),
            layout,
            bytes: (0..slots).map(|_| UnsafeCell::new(0)).collect(),
            cells: [Word::new(0), Word::new(0)],
        })
    }

    /// What `RingWriter::publish` does; false: every slot was leased.
    fn publish(&self, state: &mut WriterState, scan: bool) -> bool {
        let leased = |old| scan && self.cells.iter().any(|c| protocol::cell_holds(c, old));
        let Some(claim) = state.claim(self, &self.layout, leased) else {
            return false;
        };
        let content = claim.seq.to_le_bytes();
        self.copy_in(self.layout.payload_byte(claim.slot), &content);
        if alive() {
            // SAFETY: nobody else has access now: exactly what loom checks here.
            self.bytes[claim.slot as usize].with_mut(|p| unsafe { *p = claim.seq });
        }
        self.copy_in(self.layout.meta_byte(claim.slot), &content);
        state.publish(self, &self.layout, claim, 8);
        true
    }

    /// Leases `state`, reads it as the product does, lets go.
    fn lease(&self, cell: usize, state: State, release_early: bool) {
        let granted = protocol::lease(self, &self.layout, &self.cells[cell], state);
        if granted && alive() {
            self.use_lease(cell, state, release_early);
        }
    }

    /// What is done with a granted lease.
    fn use_lease(&self, cell: usize, state: State, release_early: bool) {
        let cell = &self.cells[cell];
        if release_early {
            protocol::release(cell);
        }
        // SAFETY: the writer keeps away while the lease lasts: exactly what loom checks here.
        let seq = self.bytes[state.slot() as usize].with(|p| unsafe { *p });
        assert_eq!(seq, state.seq(), "a lease saw another frame's bytes");
        if !release_early {
            protocol::release(cell);
        }
    }

    fn tap(&self, state: State) {
        let (mut meta, mut payload) = ([0; 8], [0; 8]);
        let whole = protocol::tap(self, &self.layout, state, |len| {
            self.copy_out(self.layout.meta_byte(state.slot()), &mut meta);
            self.copy_out(self.layout.payload_byte(state.slot()), &mut payload);
            len
        });
        let want = state.seq().to_le_bytes();
        assert!(
            whole.is_none_or(|len| (len, meta, payload) == (8, want, want)),
            "torn"
        );
    }

    fn newest(&self) -> Option<State> {
        Some(protocol::newest(self, &self.layout)).filter(|s| *s != State::NEVER)
    }

    /// Who hears of a publish finds it, or a later one.
    fn listen(&self) {
        let count = self.word(header::NOTIFY).load(HEAR);
        let newest = self.newest().map_or(0, State::seq);
        assert!(newest >= count, "rung {count} times, newest is {newest}");
    }

    /// Who sees `newest` finds it in its slot, or what came later.
    fn look(&self) {
        if let Some(state) = self.newest() {
            let word = self.word(self.layout.slot_word(state.slot()) + slot::STATE);
            let there = State(word.load(CHECK));
            let found = there == state || there.seq() > state.seq();
            assert!(found, "announced {state:?}, found {there:?}");
        }
    }
}

/// Who takes part, and what is broken on purpose beside [`WEAKENED`].
#[derive(Clone, Copy, Default)]
struct Scene {
    slots: u32,
    frames: u32,
    /// Leases of the newest that reader 0 takes, one after the other, in one cell.
    leases: u32,
    /// Instead of all others: one reader with two threads.
    handed_on: bool,
    /// Reader 1 looks for frame 1 and leases it.
    finder: bool,
    /// Copies of the newest.
    taps: u32,
    /// A tap that looks for frame 1.
    tap_finder: bool,
    listener: bool,
    preemptions: usize,
    writer_dies_after: Option<u32>,
    reader_dies_after: Option<u32>,
    no_scan: bool,
    release_early: bool,
}

impl Scene {
    fn run(self) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(self.preemptions);
        builder.check(move || {
            FUEL.with_borrow_mut(Vec::clear);
            let ring = Ring::new(self.slots);
            let mut all = Vec::new();
            if self.handed_on {
                self.hand_on(&ring);
                return self.after(&ring);
            }
            if self.leases > 0 {
                all.push(spawn(&ring, move |r| self.lease(r)));
            }
            if self.finder {
                all.push(spawn(&ring, |r| {
                    if let Some(state) = protocol::find(r, &r.layout, 1) {
                        r.lease(1, state, false);
                    }
                }));
            }
            if self.taps > 0 {
                all.push(spawn(&ring, move |r| {
                    for _ in 0..self.taps {
                        r.newest().into_iter().for_each(|s| r.tap(s));
                    }
                }));
            }
            if self.tap_finder {
                all.push(spawn(&ring, |r| {
                    protocol::find(r, &r.layout, 1)
                        .into_iter()
                        .for_each(|s| r.tap(s));
                }));
            }
            if self.listener {
                all.push(spawn(&ring, |r| {
                    r.listen();
                    r.look();
                }));
            }
            self.write(&ring);
            for reader in all {
                reader.join().unwrap();
            }
            self.after(&ring);
        });
    }

    fn lease(self, ring: &Ring) {
        if let Some(stores) = self.reader_dies_after {
            die_after(stores);
        }
        for _ in 0..self.leases {
            if alive() {
                let newest = ring.newest();
                newest
                    .into_iter()
                    .for_each(|s| ring.lease(0, s, self.release_early));
            }
        }
    }

    /// Frame 1 is leased and frame 2 published when it begins: then the lease ends on another thread while the reader's
    /// own leases frame 2 in the same cell, if it finds it free, and the writer wants the slot of frame 1.
    fn hand_on(self, ring: &Arc<Ring>) {
        let mut state = WriterState::new();
        ring.publish(&mut state, true);
        let (cell, first) = (&ring.cells[0], ring.newest().unwrap());
        assert!(protocol::lease(&**ring, &ring.layout, cell, first));
        ring.publish(&mut state, true);
        let ends = spawn(ring, move |r| r.use_lease(0, first, false));
        let writes = spawn(ring, move |r| {
            r.publish(&mut state, true);
        });
        let newest = ring.newest().unwrap();
        if protocol::is_free(cell) {
            ring.lease(0, newest, false);
        }
        ends.join().unwrap();
        writes.join().unwrap();
    }

    fn write(self, ring: &Ring) {
        let mut state = WriterState::new();
        if let Some(stores) = self.writer_dies_after {
            die_after(stores);
        }
        let mut published = 0;
        for _ in 0..self.frames {
            published += u32::from(ring.publish(&mut state, !self.no_scan));
        }
        // A dropped frame is possible only if all slots but the newest are leased.
        let cells = self.leases.min(1) + u32::from(self.finder);
        assert!(
            self.writer_dies_after.is_some() || cells + 1 >= self.slots || published == self.frames,
            "the writer dropped a frame although a slot was free"
        );
    }

    /// Whatever happened: no reader's cell is left but a dead one's, and `newest` is a whole frame.
    fn after(self, ring: &Ring) {
        FUEL.with_borrow_mut(Vec::clear);
        assert_eq!(ring.cells[1].load(OWN), 0);
        if self.reader_dies_after.is_none() {
            assert_eq!(ring.cells[0].load(OWN), 0);
        }
        if let Some(newest) = ring.newest() {
            ring.tap(newest);
        }
    }
}

fn spawn(ring: &Arc<Ring>, body: impl FnOnce(&Ring) + 'static) -> JoinHandle<()> {
    let ring = Arc::clone(ring);
    thread::spawn(move || body(&ring))
}

#[cfg(test)]
mod tests;
