//! Shared memory as a row of atomic 64-bit words: the safe type that keeps `&[u8]` away from memory another process
//! writes (the idea is vm-memory's).
//!
//! A plain or volatile access that races with a write is undefined behaviour, so payloads are moved with relaxed
//! atomic loads and stores, on both sides. It costs 1.4 x memcpy for frames that are not in the cache.

use super::primitive::{AtomicU64, Ordering};

/// Memory that can be addressed as atomic words. The real one is a mapping; loom's is a vector.
pub(super) trait Words {
    /// Word number `index`; panics when it lies outside (the layout's constructor makes that unreachable).
    fn word(&self, index: usize) -> &AtomicU64;

    /// Stores `bytes` at byte offset `at` with relaxed word stores. Bytes beside them in a partial word survive:
    /// only the one writing process calls this, so reading them back first is not a race.
    fn copy_in(&self, at: usize, bytes: &[u8]) {
        let (mut index, lead) = (at / 8, at % 8);
        let mut rest = bytes;
        if lead != 0 {
            let n = rest.len().min(8 - lead);
            merge(self.word(index), lead, &rest[..n]);
            rest = &rest[n..];
            index += 1;
        }
        let mut chunks = rest.chunks_exact(8);
        for chunk in &mut chunks {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            self.word(index)
                .store(u64::from_le_bytes(word), Ordering::Relaxed);
            index += 1;
        }
        if !chunks.remainder().is_empty() {
            merge(self.word(index), 0, chunks.remainder());
        }
    }

    /// Fills `out` from byte offset `at` (a multiple of 8) with relaxed word loads. The bytes may be torn: the
    /// caller re-checks the slot's state before it believes them.
    fn copy_out(&self, at: usize, out: &mut [u8]) {
        debug_assert!(at.is_multiple_of(8));
        let mut index = at / 8;
        let mut chunks = out.chunks_exact_mut(8);
        for chunk in &mut chunks {
            chunk.copy_from_slice(&self.word(index).load(Ordering::Relaxed).to_le_bytes());
            index += 1;
        }
        let tail = chunks.into_remainder();
        if !tail.is_empty() {
            let word = self.word(index).load(Ordering::Relaxed).to_le_bytes();
            tail.copy_from_slice(&word[..tail.len()]);
        }
    }
}

fn merge(word: &AtomicU64, lead: usize, bytes: &[u8]) {
    let mut old = word.load(Ordering::Relaxed).to_le_bytes();
    old[lead..lead + bytes.len()].copy_from_slice(bytes);
    word.store(u64::from_le_bytes(old), Ordering::Relaxed);
}

#[cfg(test)]
#[cfg(not(loom))]
pub(super) struct VecWords(pub(super) Vec<AtomicU64>);

#[cfg(test)]
#[cfg(not(loom))]
impl VecWords {
    pub(super) fn new(bytes: usize) -> Self {
        Self((0..bytes.div_ceil(8)).map(|_| AtomicU64::new(0)).collect())
    }
}

#[cfg(test)]
#[cfg(not(loom))]
impl Words for VecWords {
    fn word(&self, index: usize) -> &AtomicU64 {
        &self.0[index]
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn copies_agree_with_a_byte_array(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6)) {
            let whole = parts.concat();
            let words = VecWords::new(whole.len() + 32);
            let mut at = 8;
            for part in &parts {
                words.copy_in(at, part);
                at += part.len();
            }
            let mut out = vec![0; whole.len()];
            words.copy_out(8, &mut out);
            prop_assert_eq!(out, whole);
            prop_assert_eq!(words.word(0).load(Ordering::Relaxed), 0);
        }
    }
}
