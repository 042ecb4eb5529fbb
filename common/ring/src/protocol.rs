//! The protocol itself: claim, publish, lease, tap, as functions over [`Words`], free of system calls.
//!
//! Every shared word has exactly one writing process: the ring's words its writer, a hazard page's cells its reader.
//! There is no read-modify-write anywhere; the writer's step count is bounded by twice the number of slots times cells.
//! Each access names its site (`super::atomic`): there stand the ordering and its partner; why they suffice is
//! argued in `docs/design.md` and checked in `model.rs`, on this very code.

use super::atomic::{
    ANNOUNCE, CHECK, FILL, FIND, FREE, HOLD, LEASE_FENCE, MARK, MARK_FENCE, NEWEST, OWN, PUBLISH,
    READ, RECHECK, RELEASE, RESTORE, RING, SCAN, TAP_FENCE, Word, fence,
};
use super::layout::{Layout, State, header, slot};
use super::words::Words;

/// The writer's private memory of where it stands.
#[derive(Debug)]
pub(super) struct WriterState {
    next_seq: u64,
    next_slot: u32,
    newest: State,
}

/// A slot marked WRITING; nobody leases it and no tap believes it until [`WriterState::publish`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) seq: u64,
    pub(super) slot: u32,
}

impl WriterState {
    pub(super) fn new() -> Self {
        Self {
            next_seq: 1,
            next_slot: 0,
            newest: State::NEVER,
        }
    }

    pub(super) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Marks the oldest slot that nobody leases. `leased(old)` is asked after the mark is out, and says whether any
    /// hazard cell holds `old`. `None`: every slot is leased; nothing changed.
    pub(super) fn claim(
        &mut self,
        words: &impl Words,
        layout: &Layout,
        mut leased: impl FnMut(State) -> bool,
    ) -> Option<Claim> {
        // (D7) Twice around: a reader's release and its look at `newest` are not ordered (a store, then a load), so one cell
        // can be in the way of two slots: with the lease that it has just ended, and with the next one, of a slot that
        // was the newest until now. It cannot be in the way of the first again.
        for step in 0..2 * layout.slots {
            let slot = (self.next_slot + step) % layout.slots;
            if self.newest != State::NEVER && slot == self.newest.slot() {
                continue; // readers are on their way to it
            }
            let state = words.word(layout.slot_word(slot) + slot::STATE);
            let old = State(state.load(OWN));
            state.store(State::writing(self.next_seq, slot).0, MARK);
            // (D1) With LEASE_FENCE: either the reader sees the mark and lets go, or we see its cell. With TAP_FENCE: a
            // tap that copied any of the payload that follows finds the mark, or something later, when it looks again.
            fence(MARK_FENCE);
            if old != State::NEVER && leased(old) {
                state.store(old.0, RESTORE); // nothing was overwritten
                continue;
            }
            self.next_slot = (slot + 1) % layout.slots;
            return Some(Claim {
                seq: self.next_seq,
                slot,
            });
        }
        None
    }

    /// Makes a filled slot the newest. Payload and metadata were stored between `claim` and this.
    pub(super) fn publish(
        &mut self,
        words: &impl Words,
        layout: &Layout,
        claim: Claim,
        payload_len: u64,
    ) {
        let first = layout.slot_word(claim.slot);
        let state = State::published(claim.seq, claim.slot);
        words
            .word(first + slot::PAYLOAD_LEN)
            .store(payload_len, FILL);
        // (D4)
        words.word(first + slot::STATE).store(state.0, PUBLISH);
        words.word(header::NEWEST).store(state.0, ANNOUNCE);
        let notify = words.word(header::NOTIFY);
        let count = notify.load(OWN).wrapping_add(1) & u64::from(u32::MAX);
        // (D5) After `newest`: who hears of it finds it.
        notify.store(count, RING);
        self.newest = state;
        self.next_seq += 1;
    }
}

/// The newest published state; [`State::NEVER`] before the first. A state that cannot be (slot out of range,
/// WRITING set) is taken for "nothing": the header belongs to another process.
pub(super) fn newest(words: &impl Words, layout: &Layout) -> State {
    let state = State(words.word(header::NEWEST).load(NEWEST));
    // (A5)
    if state.is_writing() || state.slot() >= layout.slots {
        State::NEVER
    } else {
        state
    }
}

/// The state under which sequence number `seq` is in the ring now, if it is.
pub(super) fn find(words: &impl Words, layout: &Layout, seq: u64) -> Option<State> {
    (0..layout.slots)
        .map(|slot| State::published(seq, slot))
        .find(|state| {
            let word = words.word(layout.slot_word(state.slot()) + slot::STATE);
            word.load(FIND) == state.0
        })
}

/// Puts `state` into the reader's hazard `cell`; true: the slot will not be touched until [`release`].
pub(super) fn lease(words: &impl Words, layout: &Layout, cell: &Word, state: State) -> bool {
    cell.store(state.0, HOLD);
    // (D1) With MARK_FENCE: either the writer's SCAN sees the cell, or the CHECK below sees its mark.
    fence(LEASE_FENCE);
    let now = words
        .word(layout.slot_word(state.slot()) + slot::STATE)
        .load(CHECK);
    if now == state.0 {
        return true;
    }
    release(cell);
    false
}

/// Ends a lease.
pub(super) fn release(cell: &Word) {
    cell.store(0, RELEASE);
}

/// (D2) Whether the reader's own `cell` holds no lease. Its leases may end on any of its threads; what was read under one of
/// them was read before this says true.
pub(super) fn is_free(cell: &Word) -> bool {
    cell.load(FREE) == 0
}

/// (D2) Writer's side: does this hazard cell hold `state`?
pub(super) fn cell_holds(cell: &Word, state: State) -> bool {
    cell.load(SCAN) == state.0
}

/// Reads a slot without a lease: calls `copy` with the payload's length, which copies what it wants of the slot with
/// [`Words::copy_out`]. `None`: the slot was overwritten meanwhile, what was copied is rubbish.
pub(super) fn tap<T>(
    words: &impl Words,
    layout: &Layout,
    state: State,
    copy: impl FnOnce(u64) -> T,
) -> Option<T> {
    let first = layout.slot_word(state.slot());
    let word = words.word(first + slot::STATE);
    if word.load(CHECK) != state.0 {
        return None;
    }
    let len = words.word(first + slot::PAYLOAD_LEN).load(READ);
    let copied = copy(len.min(layout.payload_capacity)); // (A6)
    // (D3) With MARK_FENCE: had the copy seen a byte of the slot's next content, the look after it sees its mark.
    fence(TAP_FENCE);
    // (A7)
    (word.load(RECHECK) == state.0).then_some(copied)
}

#[cfg(test)]
#[cfg(not(hanja_loom))]
mod tests {
    use super::super::Geometry;
    use super::super::atomic::SET;
    use super::super::words::VecWords;
    use super::*;

    fn setup(slots: u32) -> (VecWords, Layout, WriterState) {
        let g = Geometry {
            slots,
            meta_len: 8,
            payload_capacity: 64,
        };
        let layout = Layout::new(1, 1, g).unwrap();
        (
            VecWords::new(layout.total_len as usize),
            layout,
            WriterState::new(),
        )
    }

    fn write(w: &VecWords, l: &Layout, s: &mut WriterState, cells: &[Word]) -> Option<u64> {
        let claim = s.claim(w, l, |old| cells.iter().any(|c| cell_holds(c, old)))?;
        w.copy_in(l.payload_byte(claim.slot), &claim.seq.to_le_bytes());
        s.publish(w, l, claim, 8);
        Some(claim.seq)
    }

    fn read(w: &VecWords, l: &Layout, state: State) -> Option<u64> {
        let mut payload = [0; 8];
        let len = tap(w, l, state, |len| {
            w.copy_out(l.payload_byte(state.slot()), &mut payload);
            len
        })?;
        assert_eq!(len, 8);
        Some(u64::from_le_bytes(payload))
    }

    #[test]
    fn newest_wins_and_old_states_are_refused() {
        let (w, l, mut s) = setup(3);
        assert_eq!(newest(&w, &l), State::NEVER);
        write(&w, &l, &mut s, &[]);
        let first = newest(&w, &l);
        assert_eq!(read(&w, &l, first), Some(1));
        for _ in 0..3 {
            write(&w, &l, &mut s, &[]);
        }
        assert_eq!(read(&w, &l, first), None, "overwritten");
        assert_eq!(read(&w, &l, newest(&w, &l)), Some(4));
        assert_eq!(find(&w, &l, 4), Some(newest(&w, &l)));
        assert_eq!(find(&w, &l, 1), None);
    }

    #[test]
    fn leased_slots_are_kept_and_a_full_ring_drops() {
        let (w, l, mut s) = setup(3);
        let cells = [Word::new(0), Word::new(0)];
        write(&w, &l, &mut s, &cells);
        assert!(lease(&w, &l, &cells[0], newest(&w, &l)));
        write(&w, &l, &mut s, &cells);
        assert!(lease(&w, &l, &cells[1], newest(&w, &l)));
        write(&w, &l, &mut s, &cells); // third slot, now the newest: nothing is free any more
        assert_eq!(write(&w, &l, &mut s, &cells), None);
        assert_eq!(read(&w, &l, State(cells[0].load(OWN))), Some(1));
        release(&cells[0]);
        assert_eq!(write(&w, &l, &mut s, &cells), Some(4));
        assert_eq!(
            read(&w, &l, State(cells[1].load(OWN))),
            Some(2),
            "still leased"
        );
    }

    #[test]
    fn a_lease_that_comes_too_late_fails_and_clears_its_cell() {
        let (w, l, mut s) = setup(2);
        let cell = Word::new(0);
        write(&w, &l, &mut s, &[]);
        let old = newest(&w, &l);
        write(&w, &l, &mut s, &[]);
        write(&w, &l, &mut s, &[]);
        assert!(!lease(&w, &l, &cell, old));
        assert_eq!(cell.load(OWN), 0);
    }

    #[test]
    fn a_hostile_newest_is_nothing() {
        let (w, l, _) = setup(2);
        for bad in [State::published(1, 2).0, State::writing(1, 0).0, u64::MAX] {
            w.word(header::NEWEST).store(bad, SET);
            assert_eq!(newest(&w, &l), State::NEVER);
        }
    }
}
