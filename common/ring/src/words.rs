//! Shared memory as a row of atomic 64-bit words: the safe type that keeps `&[u8]` away from memory another process
//! writes (the idea is vm-memory's).
//!
//! (D8) A plain or volatile access that races with a write is undefined behaviour, so payloads are moved with relaxed
//! atomic loads and stores, on both sides. The loops here define what a copy does; a mapping hands long ones to
//! [`copy`](super::copy), which does the same faster.

use super::atomic::{FILL, OWN, READ, Word};
use std::mem::MaybeUninit;

/// Memory that can be addressed as atomic words. The real one is a mapping; loom's is a handful of its own atomics.
pub(crate) trait Words {
    /// Word number `index`; panics when it lies outside (the layout's constructor makes that unreachable).
    fn word(&self, index: usize) -> &Word;

    /// Words `index..index + count`; panics when they leave the memory.
    fn row(&self, index: usize, count: usize) -> impl Iterator<Item = &Word> {
        (index..index + count).map(|i| self.word(i))
    }

    /// Moves a long beginning of `bytes` to the words from `index` on, faster than word by word; returns the bytes
    /// moved, a multiple of 8, perhaps 0.
    fn bulk_in(&self, _index: usize, _bytes: &[u8]) -> usize {
        0
    }

    /// The other direction of [`bulk_in`](Self::bulk_in).
    fn bulk_out(&self, _index: usize, _out: &mut [MaybeUninit<u8>]) -> usize {
        0
    }

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
        let done = self.bulk_in(index, rest);
        (index, rest) = (index + done / 8, &rest[done..]);
        let (whole, tail) = rest.as_chunks::<8>();
        for (word, chunk) in self.row(index, whole.len()).zip(whole) {
            word.store(u64::from_le_bytes(*chunk), FILL);
        }
        if !tail.is_empty() {
            merge(self.word(index + whole.len()), 0, tail);
        }
    }

    /// Fills `out` from byte offset `at` (a multiple of 8) with relaxed word loads. The bytes may be torn: the
    /// caller re-checks the slot's state before it believes them.
    fn copy_out(&self, at: usize, out: &mut [u8]) {
        self.copy_out_uninit(at, as_uninit(out));
    }

    /// The same for memory that holds nothing yet: every byte of `out` is initialised afterwards.
    fn copy_out_uninit(&self, at: usize, out: &mut [MaybeUninit<u8>]) {
        debug_assert!(at.is_multiple_of(8));
        let done = self.bulk_out(at / 8, out);
        let (index, rest) = ((at + done) / 8, &mut out[done..]);
        let (whole, tail) = rest.as_chunks_mut::<8>();
        for (word, chunk) in self.row(index, whole.len()).zip(&mut *whole) {
            *chunk = word.load(READ).to_le_bytes().map(MaybeUninit::new);
        }
        if !tail.is_empty() {
            let word = self.word(index + whole.len()).load(READ).to_le_bytes();
            tail.write_copy_of_slice(&word[..tail.len()]);
        }
    }
}

/// `bytes` as memory to be overwritten.
fn as_uninit(bytes: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: same layout. Of what is reached through the result only `copy_out_uninit` writes, and never anything
    // uninitialised.
    unsafe { &mut *(std::ptr::from_mut(bytes) as *mut [MaybeUninit<u8>]) }
}

fn merge(word: &Word, lead: usize, bytes: &[u8]) {
    let mut old = word.load(OWN).to_le_bytes();
    old[lead..lead + bytes.len()].copy_from_slice(bytes);
    word.store(u64::from_le_bytes(old), FILL);
}

/// Words of the heap: the reference in tests, the hostile memory of the fuzzer.
#[cfg(any(test, fuzzing))]
#[cfg(not(hanja_loom))]
pub(crate) struct VecWords(pub(crate) Vec<Word>);

#[cfg(any(test, fuzzing))]
#[cfg(not(hanja_loom))]
impl Words for VecWords {
    fn word(&self, index: usize) -> &Word {
        &self.0[index]
    }
}

#[cfg(test)]
#[cfg(not(hanja_loom))]
mod tests {
    use super::super::copy;
    use super::*;
    use proptest::prelude::*;

    impl VecWords {
        pub(crate) fn new(bytes: usize) -> Self {
            Self((0..bytes.div_ceil(8)).map(|_| Word::new(0)).collect())
        }
    }

    /// The same memory with the bulk path of a mapping.
    struct Bulk(VecWords);

    impl Words for Bulk {
        fn word(&self, index: usize) -> &Word {
            self.0.word(index)
        }
        fn bulk_in(&self, index: usize, bytes: &[u8]) -> usize {
            copy::store(&self.0.0[index..], bytes)
        }
        fn bulk_out(&self, index: usize, out: &mut [MaybeUninit<u8>]) -> usize {
            copy::load(&self.0.0[index..], out)
        }
    }

    fn through(words: &impl Words, parts: &[Vec<u8>]) -> Vec<u8> {
        let mut at = 8;
        for part in parts {
            words.copy_in(at, part);
            at += part.len();
        }
        let mut out = vec![0; at - 8];
        words.copy_out(8, &mut out);
        out
    }

    fn parts() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let part = prop_oneof![0..40usize, 0..2000usize];
        let part = part.prop_flat_map(|len| prop::collection::vec(any::<u8>(), len));
        prop::collection::vec(part, 0..6)
    }

    proptest! {
        /// (D8) Both ways of copying give what a byte array would hold, and leave every word beside it alone.
        #[test]
        fn the_loop_and_the_bulk_copy_agree_with_a_byte_array(parts in parts()) {
            let whole = parts.concat();
            let (plain, bulk) = (VecWords::new(whole.len() + 64), Bulk(VecWords::new(whole.len() + 64)));
            prop_assert_eq!(&through(&plain, &parts), &whole);
            prop_assert_eq!(&through(&bulk, &parts), &whole);
            for (a, b) in plain.0.iter().zip(&bulk.0.0) {
                prop_assert_eq!(a.load(OWN), b.load(OWN));
            }
            prop_assert_eq!(plain.word(0).load(OWN), 0);
            prop_assert_eq!(plain.0[whole.len().div_ceil(8) + 1].load(OWN), 0);
        }
    }

    #[test]
    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
    fn the_bulk_copy_is_really_taken() {
        let words = VecWords::new(1000);
        assert_eq!(copy::store(&words.0, &[7; 1005]), 1000);
        assert_eq!(copy::load(&words.0, as_uninit(&mut [0; 999])), 992);
    }
}
