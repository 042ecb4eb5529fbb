//! Rings made by hand, byte by byte from docs/abi.md: good ones, and ones with anything wrong in them.

use super::wire::{DETECTIONS, FRAMES, Message, STATS, reply};
use rustix::fs::{MemfdFlags, SealFlags};
use std::os::fd::OwnedFd;

const HEADER: u64 = 4096;
pub const ALL_SEALS: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);
/// Of its slots the forger fills the second.
const SLOT: u64 = 1;

/// A ring with one published slot.
#[derive(Clone)]
pub struct Ring {
    pub topic: u16,
    pub slots: u32,
    pub capacity: u64,
    pub generation: u64,
    pub seq: u64,
    pub meta: Vec<u8>,
    pub payload: Vec<u8>,
    /// What the slot says its payload's length is; the truth if `None`.
    pub payload_len: Option<u64>,
    /// Words of the file put in at the end, (byte offset, value).
    pub damage: Vec<(u64, u64)>,
    pub seals: SealFlags,
    /// Bytes of the file; what the geometry gives if `None`.
    pub len: Option<u64>,
}

/// A number for each ring ever made here, so that a reader sees a new generation.
fn next_generation() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Ring {
    pub fn new(topic: u16, capacity: u64, meta: Vec<u8>, payload: Vec<u8>) -> Self {
        Self {
            topic,
            slots: 4,
            capacity,
            generation: next_generation(),
            seq: 5,
            meta,
            payload,
            payload_len: None,
            damage: Vec::new(),
            seals: ALL_SEALS,
            len: None,
        }
    }

    /// One that every reader understands.
    pub fn good(topic: u16) -> Self {
        match topic {
            FRAMES => frame(b"YUYV", (4, 2, 8), &[128; 16]),
            DETECTIONS => Self::new(DETECTIONS, 9856, Vec::new(), record(2)),
            STATS => Self::new(STATS, 640, Vec::new(), stats()),
            other => panic!("no forger for topic {other}"),
        }
    }

    pub fn damaged(mut self, at: u64, value: u64) -> Self {
        self.damage.push((at, value));
        self
    }

    fn align(&self) -> u64 {
        if self.capacity >= 64 << 10 { 4096 } else { 64 }
    }

    fn payload_offset(&self) -> u64 {
        (64 + self.meta.len() as u64).next_multiple_of(self.align())
    }

    fn stride(&self) -> u64 {
        (self.payload_offset() + self.capacity).next_multiple_of(self.align())
    }

    fn total_len(&self) -> u64 {
        (HEADER + self.stride() * u64::from(self.slots)).next_multiple_of(4096)
    }

    fn state(&self) -> u64 {
        self.seq << 8 | SLOT << 1
    }

    /// Byte offset of the filled slot.
    pub fn slot(&self) -> u64 {
        HEADER + SLOT * self.stride()
    }

    /// The reply that goes with it.
    pub fn reply(&self, quota: u16) -> Message {
        reply(0, quota, self.generation, self.total_len())
    }

    /// The file.
    pub fn build(&self) -> OwnedFd {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create("forged", flags).expect("a memfd");
        rustix::fs::ftruncate(&fd, self.total_len()).expect("its size");
        let put = |at: u64, bytes: &[u8]| {
            assert_eq!(
                rustix::io::pwrite(&fd, bytes, at).expect("a write"),
                bytes.len()
            );
        };
        let word = |at: u64, value: u64| put(at, &value.to_le_bytes());
        put(0, b"HANJARNG");
        word(8, 1 | HEADER << 32);
        word(16, u64::from(self.topic) | u64::from(self.slots) << 32);
        word(24, self.generation);
        word(32, self.stride());
        word(40, self.meta.len() as u64 | 64 << 32);
        word(48, self.payload_offset());
        word(56, self.capacity);
        word(64, self.total_len());
        word(72, u64::from(std::process::id()));
        word(128, self.state());
        word(192, 1);
        word(self.slot(), self.state());
        let len = self.payload.len() as u64;
        word(self.slot() + 8, self.payload_len.unwrap_or(len));
        put(self.slot() + 64, &self.meta);
        put(self.slot() + self.payload_offset(), &self.payload);
        self.damage.iter().for_each(|(at, value)| word(*at, *value));
        if let Some(len) = self.len {
            rustix::fs::ftruncate(&fd, len).expect("its size");
        }
        if !self.seals.is_empty() {
            rustix::fs::fcntl_add_seals(&fd, self.seals).expect("seals");
        }
        fd
    }
}

/// A hazard page as a server makes it.
pub fn hazard_page(len: u64, seals: SealFlags) -> OwnedFd {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = rustix::fs::memfd_create("forged", flags).expect("a memfd");
    rustix::fs::ftruncate(&fd, len).expect("its size");
    rustix::fs::fcntl_add_seals(&fd, seals).expect("seals");
    fd
}

pub fn good_hazard_page() -> OwnedFd {
    hazard_page(4096, ALL_SEALS)
}

/// Puts numbers into bytes.
fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}

/// A frame with the metadata given, (width, height, stride).
pub fn frame(fourcc: &[u8; 4], (width, height, stride): (u32, u32, u32), bytes: &[u8]) -> Ring {
    let mut meta = vec![0; 256];
    put(&mut meta, 0, 1u64.to_le_bytes());
    put(&mut meta, 8, 5u64.to_le_bytes());
    put(&mut meta, 24, *fourcc);
    put(&mut meta, 28, width.to_le_bytes());
    put(&mut meta, 32, height.to_le_bytes());
    put(&mut meta, 36, stride.to_le_bytes());
    put(&mut meta, 40, (bytes.len() as u64).to_le_bytes());
    // Sensor, dequeued, published: what is wrong with a frame should not be its times.
    for (at, time) in (56..).step_by(8).zip(1..=3u64) {
        put(&mut meta, at, time.to_le_bytes());
    }
    Ring::new(FRAMES, 1 << 16, meta, bytes.to_vec())
}

/// A detection record with `count` detections.
pub fn record(count: u32) -> Vec<u8> {
    let mut bytes = vec![0; 256 + 32 * count as usize];
    put(&mut bytes, 0, *b"HJDT");
    put(&mut bytes, 4, 1u16.to_le_bytes());
    put(&mut bytes, 8, 256u16.to_le_bytes());
    put(&mut bytes, 10, 32u16.to_le_bytes());
    put(&mut bytes, 12, count.to_le_bytes());
    for (at, field) in [(16, 1u64), (24, 5), (32, 1), (40, 7)] {
        put(&mut bytes, at, field.to_le_bytes());
    }
    for (at, time) in (96..).step_by(8).zip(1..=9u64) {
        put(&mut bytes, at, time.to_le_bytes());
    }
    bytes
}

pub fn stats() -> Vec<u8> {
    let mut bytes = vec![0; 640];
    put(&mut bytes, 0, *b"HJST");
    put(&mut bytes, 4, 1u16.to_le_bytes());
    put(&mut bytes, 8, 1u16.to_le_bytes());
    bytes
}
