//! Doors for the fuzzer (`tests/fuzz/`): the readers' code over memory that another process may have filled, and may go on
//! changing, as it likes. A script of stores, 12 bytes each, says how.

use super::atomic::{OWN, SET, Word};
use super::control::{Reply, Request};
use super::hazard::HazardPage;
use super::layout::{HEADER_LEN, Layout, State, header, slot};
use super::memfd::{self, Writable};
use super::protocol;
use super::reader::RingReader;
use super::words::{VecWords, Words};
use super::{Geometry, Sample, Topic};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

const TOPIC: Topic = Topic::new(1, "fuzz");

/// A header of 512 words, over and over from `bytes`, for a mapping of `mapped` bytes: an accepted layout stays inside.
pub fn header(bytes: &[u8], mapped: u64) {
    let word = |index: usize| {
        let mut word = [0; 8];
        for (to, at) in word.iter_mut().zip(8 * index..) {
            *to = bytes.get(at).copied().unwrap_or(0);
        }
        u64::from_le_bytes(word)
    };
    if let Ok(layout) = Layout::read(word, mapped) {
        assert_eq!(layout.total_len, mapped);
        for slot in [0, layout.slots - 1] {
            let meta_end = layout.meta_byte(slot) as u64 + u64::from(layout.meta_len);
            let payload_end = layout.payload_byte(slot) as u64 + layout.payload_capacity;
            assert!(meta_end <= layout.payload_byte(slot) as u64 && payload_end <= mapped);
        }
    }
}

/// A ring of small geometry, taken from the first four bytes, and the script that is the rest.
fn small_ring(bytes: &[u8]) -> Option<(Layout, VecDeque<(usize, u64)>)> {
    let (&[slots, meta, low, high], rest) = bytes.split_first_chunk()?;
    let geometry = Geometry {
        slots: 2 + u32::from(slots % 7),
        meta_len: 8 * u32::from(meta % 33),
        payload_capacity: 1 + u64::from(u16::from_le_bytes([low, high]) % 2048),
    };
    let layout = Layout::new(TOPIC.number(), 1, geometry).ok()?;
    let stores = rest.as_chunks::<12>().0;
    let script = stores.iter().map(|store| one_store(&layout, store));
    Some((layout, script.collect()))
}

/// One store: mostly into words that matter, mostly of values that could be meant.
fn one_store(layout: &Layout, store: &[u8; 12]) -> (usize, u64) {
    let [place, number, how, which, value @ ..] = *store;
    let first = layout.slot_word(u32::from(number) % layout.slots);
    let place = match place % 8 {
        0 | 1 => header::NEWEST,
        2..5 => first + slot::STATE,
        5 => first + slot::PAYLOAD_LEN,
        6 => header::NOTIFY,
        _ => usize::from(number) * 256 + usize::from(which),
    };
    let value = u64::from_le_bytes(value);
    let value = match how % 4 {
        0 | 1 => State::published(value % 16, u32::from(which) % layout.slots).0,
        2 => State::writing(value % 16, u32::from(which) % layout.slots).0,
        _ => value,
    };
    (place % (layout.total_len / 8) as usize, value)
}

/// Memory in which another process stores something between any two of our accesses.
struct Shifting {
    words: VecWords,
    script: RefCell<VecDeque<(usize, u64)>>,
}

impl Words for Shifting {
    fn word(&self, index: usize) -> &Word {
        if let Some((at, value)) = self.script.borrow_mut().pop_front() {
            self.words.word(at).store(value, SET);
        }
        self.words.word(index)
    }
}

/// The protocol's reading half over memory that changes between any two accesses.
pub fn shifting_memory(bytes: &[u8]) {
    let Some((layout, script)) = small_ring(bytes) else {
        return;
    };
    let words = (0..layout.total_len / 8).map(|_| Word::new(0)).collect();
    let memory = Shifting {
        words: VecWords(words),
        script: RefCell::new(script),
    };
    let (cell, mut meta, mut payload) = (Word::new(0), Vec::new(), Vec::new());
    for round in 0..32 {
        let newest = protocol::newest(&memory, &layout);
        let found = protocol::find(&memory, &layout, newest.seq().saturating_sub(round % 4));
        for state in [Some(newest), found].into_iter().flatten() {
            assert!(state == State::NEVER || state.slot() < layout.slots);
            let copied = protocol::tap(&memory, &layout, state, |len| {
                assert!(len <= layout.payload_capacity);
                meta.resize(layout.meta_len as usize, 0);
                memory.copy_out(layout.meta_byte(state.slot()), &mut meta);
                payload.resize(len as usize, 0);
                memory.copy_out(layout.payload_byte(state.slot()), &mut payload);
                len
            });
            assert!(copied.is_none_or(|len| len == payload.len() as u64));
            if protocol::lease(&memory, &layout, &cell, state) {
                assert_eq!(cell.load(OWN), state.0);
                protocol::release(&cell);
            }
            assert_eq!(cell.load(OWN), 0, "a refused lease leaves nothing behind");
        }
        if memory.script.borrow().is_empty() {
            return;
        }
    }
}

/// The whole reader, mapping included, on a sealed file of arbitrary content.
pub fn whole_reader(bytes: &[u8]) {
    let Some((layout, script)) = small_ring(bytes) else {
        return;
    };
    let Ok((fd, memory)) = memfd::create_mapped("ring-fuzz", layout.total_len, Writable::Existing)
    else {
        return;
    };
    for (index, value) in layout.header_words(1).into_iter().chain(script) {
        memory.word(index).store(value, SET);
    }
    let Ok((hazard_fd, _page)) = HazardPage::create(2) else {
        return;
    };
    let hazard = Some((hazard_fd.as_fd(), 2));
    let Ok(reader) = RingReader::map(fd.as_fd(), hazard, TOPIC) else {
        return; // the script reached the header
    };
    assert!(layout.total_len > HEADER_LEN && reader.total_len() == layout.total_len);
    let mut sample = Sample::default();
    for seen in [0, 1, reader.newest_seq().saturating_sub(1), u64::MAX >> 8] {
        let leases = [reader.lease_newest(seen), reader.lease_exact(seen)];
        for lease in leases.iter().flatten() {
            assert_eq!(lease.meta().len(), layout.meta_len as usize);
            assert!(lease.payload().len() as u64 <= layout.payload_capacity);
        }
        for tap in [RingReader::tap_newest, RingReader::tap_next] {
            if tap(&reader, seen, &mut sample) {
                let len = sample.payload.len() as u64;
                assert!(sample.seq > seen && len <= layout.payload_capacity);
            }
        }
        for peek in [RingReader::peek_newest, RingReader::peek_next] {
            if let Some(len) = peek(&reader, seen, &mut sample) {
                let mut some = vec![MaybeUninit::uninit(); 1 + len as usize / 2];
                // A hostile ring may hold the number twice, with other lengths.
                let copied = reader.copy_payload(sample.seq, &mut some);
                assert!(sample.seq > seen);
                assert!(copied.is_none_or(|len| len <= layout.payload_capacity));
            }
        }
    }
}

/// A message, as if it had come from a client and as if it had come from a server.
pub fn control(bytes: &[u8]) {
    let (request, reply) = (Request::parse(bytes), Reply::parse(bytes));
    assert!(request.is_err() || reply.is_err(), "nothing is both");
    assert!(bytes.len() == 64 || (request.is_err() && reply.is_err()));
}
