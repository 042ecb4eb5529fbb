//! Moving payloads in and out of shared words at the speed of memcpy.
//!
//! The reference is the loop in [`Words`](super::words::Words): one relaxed 64-bit access a word, 1.4 x memcpy on
//! frames that are not in the cache, because a compiler may not merge atomic accesses. Here the C library's memcpy
//! does the same, called from an inline-asm block: there the compiler cannot see that it is memcpy, and so cannot
//! assume what memcpy promises it otherwise, that nobody writes the source meanwhile. The block stands for the loop:
//! every word is moved, in no particular order, with no ordering against anything else. That is also what the machine
//! does, for memcpy neither decides anything by what it reads nor leaves stores behind unordered (glibc ends its
//! non-temporal copies with a fence). The loop is what it is tested against.
//!
//! The loop moves each word whole; memcpy may move a part of a word before the rest, and so tear within one. Nobody is
//! the worse for it. A reader decides nothing by these bytes before RECHECK has said that the writer did not touch them
//! while they were copied, and then there was nothing to tear; the words that do decide (a slot's state, a payload's
//! length, `newest`, hazard cells) are never moved by a bulk copy. A lease's bytes are not written while it lasts.
//!
//! A copy with AVX written out by hand took 1.2 x memcpy on a processor with fast `rep movsb`, and `rep movsb` 3.7 x
//! on one without: the C library knows the processor better.

use super::atomic::Word;
use std::mem::MaybeUninit;

/// Shorter copies are left to the loop.
const LEAST: usize = 64;

/// Whether there is an asm block for this machine. (Miri and ThreadSanitizer see only the loop.)
const BULK: bool = cfg!(all(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
));

/// Copies as many words as `out` has room for, and there are; returns the bytes done, perhaps 0.
pub(super) fn load(words: &[Word], out: &mut [MaybeUninit<u8>]) -> usize {
    let bytes = out.len().min(size_of_val(words)) / 8 * 8;
    if !BULK || bytes < LEAST {
        return 0;
    }
    // SAFETY: `words` is at least `bytes` long and valid for atomic reads, `out` at least `bytes` and ours alone;
    // they cannot overlap, since `out` is borrowed mutably. Other processes may store to `words` meanwhile: the
    // block's loads are the hardware's, where that is no error, and its results are bytes of any value.
    unsafe { opaque_memcpy(out.as_mut_ptr().cast(), words.as_ptr().cast(), bytes) };
    bytes
}

/// Copies as many whole words of `bytes` as there are `words`; returns the bytes done, perhaps 0.
pub(super) fn store(words: &[Word], bytes: &[u8]) -> usize {
    let len = bytes.len().min(size_of_val(words)) / 8 * 8;
    if !BULK || len < LEAST {
        return 0;
    }
    // SAFETY: as in `load`, with the directions exchanged: `words` lies in memory that this process may write (its
    // mapping, as the ring's one writer). Other processes may read it meanwhile.
    unsafe { opaque_memcpy(words.as_ptr().cast::<u8>().cast_mut(), bytes.as_ptr(), len) };
    len
}

#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
unsafe extern "C" {
    fn memcpy(dst: *mut u8, src: *const u8, len: usize) -> *mut u8;
}

/// # Safety
/// Both ranges of `len` bytes are valid and do not overlap; `dst` may be written, atomically at least.
#[cfg(all(target_arch = "x86_64", not(miri)))]
unsafe fn opaque_memcpy(dst: *mut u8, src: *const u8, len: usize) {
    // SAFETY: a call by the C ABI with the caller's ranges; without `nostack` the stack is aligned for it, and every
    // register it may change is declared.
    unsafe {
        core::arch::asm!(
            "call {memcpy}",
            memcpy = in(reg) memcpy,
            inout("rdi") dst => _,
            inout("rsi") src => _,
            inout("rdx") len => _,
            clobber_abi("C"),
        );
    }
}

/// # Safety
/// Both ranges of `len` bytes are valid and do not overlap; `dst` may be written, atomically at least.
#[cfg(all(target_arch = "aarch64", not(miri)))]
unsafe fn opaque_memcpy(dst: *mut u8, src: *const u8, len: usize) {
    // SAFETY: as on x86_64.
    unsafe {
        core::arch::asm!(
            "blr {memcpy}",
            memcpy = in(reg) memcpy,
            inout("x0") dst => _,
            inout("x1") src => _,
            inout("x2") len => _,
            clobber_abi("C"),
        );
    }
}

#[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
unsafe fn opaque_memcpy(_: *mut u8, _: *const u8, _: usize) {
    unreachable!("BULK is false here")
}
