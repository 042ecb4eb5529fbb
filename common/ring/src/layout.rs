//! Where everything lies in a ring's shared memory: one header page, then the slots.
//!
//! The writer computes a [`Layout`] from a [`Geometry`]; a reader reads it once from the header, checks every number
//! against the size of the mapping, and from then on uses its own copy: a header changed later moves nothing.
//! `docs/abi.md` is this file in prose.

use super::{ABI_MAJOR, ABI_MINOR, Geometry, RingError};

/// `HANJARNG`, little-endian.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"HANJARNG");
/// Bytes of the header; the first slot begins here.
pub(super) const HEADER_LEN: u64 = 4096;
/// Slot numbers fit the state word's 7 bits.
pub(super) const MAX_SLOTS: u32 = 128;
/// No slot is larger: 8K RGB is 100 MB.
const MAX_PAYLOAD: u64 = 256 << 20;
/// Metadata begins one cache line into the slot.
pub(super) const META_OFFSET: u64 = 64;

/// Header words (64-bit indices). `NEWEST` and `NOTIFY` have cache lines of their own: one is read by every reader
/// all the time, the other is slept on.
pub(super) mod header {
    pub(crate) const MAGIC: usize = 0;
    pub(crate) const ABI: usize = 1;
    pub(crate) const TOPIC_SLOTS: usize = 2;
    pub(crate) const GENERATION: usize = 3;
    pub(crate) const SLOT_STRIDE: usize = 4;
    pub(crate) const META_LEN: usize = 5;
    pub(crate) const PAYLOAD_OFFSET: usize = 6;
    pub(crate) const PAYLOAD_CAPACITY: usize = 7;
    pub(crate) const TOTAL_LEN: usize = 8;
    pub(crate) const WRITER_PID: usize = 9;
    pub(crate) const NEWEST: usize = 16;
    pub(crate) const NOTIFY: usize = 24;
}

/// Slot words, relative to the slot's first word.
pub(super) mod slot {
    pub(crate) const STATE: usize = 0;
    pub(crate) const PAYLOAD_LEN: usize = 1;
}

/// A slot's state word: sequence number (56 bits), slot number (7 bits), WRITING (1 bit).
///
/// Sequence numbers start at 1, so 0 means "never written". The slot number makes the word unique in the whole ring:
/// the same word serves as state, as `newest` and as the content of a hazard cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State(pub(super) u64);

impl State {
    pub(super) const NEVER: State = State(0);
    const WRITING: u64 = 1;

    pub(super) fn published(seq: u64, slot: u32) -> Self {
        State(seq << 8 | u64::from(slot) << 1)
    }

    pub(super) fn writing(seq: u64, slot: u32) -> Self {
        State(Self::published(seq, slot).0 | Self::WRITING)
    }

    pub(super) fn is_writing(self) -> bool {
        self.0 & Self::WRITING != 0
    }

    pub(super) fn seq(self) -> u64 {
        self.0 >> 8
    }

    pub(super) fn slot(self) -> u32 {
        (self.0 >> 1 & 0x7f) as u32
    }
}

/// Checked offsets of one ring. Every constructor guarantees: all slots lie inside `total_len`, all offsets are
/// multiples of 8, `slots` is 2 to [`MAX_SLOTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Its number.
    pub(super) topic: u16,
    pub(super) generation: u64,
    pub(super) slots: u32,
    pub(super) slot_stride: u64,
    pub(super) meta_len: u32,
    pub(super) payload_offset: u64,
    pub(super) payload_capacity: u64,
    pub(super) total_len: u64,
}

impl Layout {
    /// Lays a new ring out. Large payloads start on a page of their own, so that a GPU can register them.
    pub(super) fn new(topic: u16, generation: u64, g: Geometry) -> Result<Self, RingError> {
        let fits = (2..=MAX_SLOTS).contains(&g.slots)
            && g.meta_len <= 4096 - META_OFFSET as u32
            && g.meta_len.is_multiple_of(8)
            && (1..=MAX_PAYLOAD).contains(&g.payload_capacity);
        if !fits {
            return Err(RingError::Geometry(g));
        }
        let align = if g.payload_capacity >= 64 << 10 {
            4096
        } else {
            64
        };
        let payload_offset = (META_OFFSET + u64::from(g.meta_len)).next_multiple_of(align);
        let slot_stride = (payload_offset + g.payload_capacity).next_multiple_of(align);
        Ok(Self {
            topic,
            generation,
            slots: g.slots,
            slot_stride,
            meta_len: g.meta_len,
            payload_offset,
            payload_capacity: g.payload_capacity,
            total_len: (HEADER_LEN + slot_stride * u64::from(g.slots)).next_multiple_of(4096),
        })
    }

    /// Header words as the writer stores them, (index, value).
    pub(super) fn header_words(&self, pid: u32) -> [(usize, u64); 10] {
        let abi = u64::from(ABI_MAJOR) | u64::from(ABI_MINOR) << 16 | HEADER_LEN << 32;
        [
            (header::MAGIC, MAGIC),
            (header::ABI, abi),
            (
                header::TOPIC_SLOTS,
                u64::from(self.topic) | u64::from(self.slots) << 32,
            ),
            (header::GENERATION, self.generation),
            (header::SLOT_STRIDE, self.slot_stride),
            (
                header::META_LEN,
                u64::from(self.meta_len) | META_OFFSET << 32,
            ),
            (header::PAYLOAD_OFFSET, self.payload_offset),
            (header::PAYLOAD_CAPACITY, self.payload_capacity),
            (header::TOTAL_LEN, self.total_len),
            (header::WRITER_PID, u64::from(pid)),
        ]
    }

    /// Reads and checks a header written by another process; `word` returns a header word, `mapped` is the size
    /// of the mapping in bytes (at least one page).
    pub(super) fn read(word: impl Fn(usize) -> u64, mapped: u64) -> Result<Self, RingError> {
        let bad = |what: &'static str, value: u64| RingError::Header { what, value };
        if word(header::MAGIC) != MAGIC {
            return Err(bad("magic", word(header::MAGIC)));
        }
        let major = word(header::ABI) as u16;
        // (A1)
        if major != ABI_MAJOR {
            return Err(RingError::Version(major));
        }
        let topic_slots = word(header::TOPIC_SLOTS);
        let geometry = Geometry {
            slots: (topic_slots >> 32) as u32,
            meta_len: word(header::META_LEN) as u32,
            payload_capacity: word(header::PAYLOAD_CAPACITY),
        };
        // (A4) The layout is a function of the geometry: whatever the header claims beyond that must agree with it.
        let layout = Self::new(topic_slots as u16, word(header::GENERATION), geometry)?;
        for (index, value) in layout.header_words(word(header::WRITER_PID) as u32) {
            let skip = index == header::ABI;
            if !skip && word(index) != value {
                return Err(bad("layout", word(index)));
            }
        }
        if layout.total_len != mapped {
            return Err(bad("size", mapped));
        }
        Ok(layout)
    }

    /// First word of slot `slot`. `slot` is below `self.slots`.
    pub(super) fn slot_word(&self, slot: u32) -> usize {
        debug_assert!(slot < self.slots);
        ((HEADER_LEN + self.slot_stride * u64::from(slot)) / 8) as usize
    }

    /// Byte offset of the metadata of slot `slot`.
    pub(super) fn meta_byte(&self, slot: u32) -> usize {
        self.slot_word(slot) * 8 + META_OFFSET as usize
    }

    /// Byte offset of the payload of slot `slot`.
    pub(super) fn payload_byte(&self, slot: u32) -> usize {
        self.slot_word(slot) * 8 + self.payload_offset as usize
    }

    pub(super) fn geometry(&self) -> Geometry {
        Geometry {
            slots: self.slots,
            meta_len: self.meta_len,
            payload_capacity: self.payload_capacity,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAMES: Geometry = Geometry {
        slots: 8,
        meta_len: 256,
        payload_capacity: 614_400,
    };

    fn words_of(layout: &Layout) -> Vec<u64> {
        let mut words = vec![0; 512];
        for (i, v) in layout.header_words(1) {
            words[i] = v;
        }
        words
    }

    #[test]
    fn header_round_trip() {
        let layout = Layout::new(1, 77, FRAMES).unwrap();
        let words = words_of(&layout);
        assert_eq!(
            Layout::read(|i| words[i], layout.total_len).unwrap(),
            layout
        );
        assert_eq!(layout.payload_byte(0) % 4096, 0, "frames are page-aligned");
    }

    /// (A1) The version is word 1.
    #[test]
    fn every_damaged_word_is_refused() {
        let layout = Layout::new(1, 77, FRAMES).unwrap();
        for index in [0, 1, 2, 4, 5, 6, 7, 8] {
            let mut words = words_of(&layout);
            words[index] ^= if index == 2 { 1 << 40 } else { 0x1f };
            assert!(
                Layout::read(|i| words[i], layout.total_len).is_err(),
                "word {index}"
            );
        }
        let words = words_of(&layout);
        assert!(Layout::read(|i| words[i], layout.total_len - 4096).is_err());
    }

    proptest! {
        /// (A4) Whatever a hostile writer puts into the header, an accepted layout stays inside the mapping.
        #[test]
        fn accepted_layouts_stay_inside(slots: u32, meta in 0u32..8192, cap: u64, mapped: u64) {
            let g = Geometry { slots, meta_len: meta, payload_capacity: cap };
            if let Ok(layout) = Layout::new(1, 1, g) {
                let words = words_of(&layout);
                let last = layout.payload_byte(layout.slots - 1) as u64 + layout.payload_capacity;
                prop_assert!(last <= layout.total_len);
                prop_assert_eq!(Layout::read(|i| words[i], mapped).is_ok(), mapped == layout.total_len);
            }
        }

        #[test]
        fn state_word_round_trip(seq in 1u64..1 << 56, slot in 0u32..128) {
            let s = State::published(seq, slot);
            prop_assert_eq!((s.seq(), s.slot(), s.is_writing()), (seq, slot, false));
            let w = State::writing(seq, slot);
            prop_assert_eq!((w.seq(), w.slot(), w.is_writing()), (seq, slot, true));
        }
    }
}
