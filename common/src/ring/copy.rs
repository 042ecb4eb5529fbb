//! Moving payloads in and out of shared words at the speed of memcpy.
//!
//! The reference is the loop in [`Words`](super::words::Words): one relaxed 64-bit access a word, 1.4 x memcpy on
//! frames that are not in the cache, because a compiler may not merge atomic accesses. Here the same is done with AVX,
//! in an inline-asm block. The block is opaque to the compiler, so it stands for that loop: each word is moved
//! once, in no particular order, with no ordering against anything; and the loop is what it is tested against.

use super::atomic::Word;

/// Bytes moved per turn of the AVX loop.
const BLOCK: usize = 128;

/// Whether [`load`] and [`store`] move anything on this machine.
#[cfg(all(target_arch = "x86_64", not(miri)))]
fn wide() -> bool {
    std::arch::is_x86_feature_detected!("avx")
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
fn wide() -> bool {
    false
}

/// Copies as many whole blocks as it can from `words` to `out`; returns the bytes done, 0 without AVX.
pub(super) fn load(words: &[Word], out: &mut [u8]) -> usize {
    let bytes = out.len().min(size_of_val(words)) / BLOCK * BLOCK;
    if bytes == 0 || !wide() {
        return 0;
    }
    // SAFETY: `words` is at least `bytes` long and valid for atomic reads, `out` at least `bytes` and ours alone;
    // they cannot overlap, since `out` is borrowed mutably. AVX was detected. Other processes may store to `words`
    // meanwhile: the block's loads are the hardware's, where that is no error, and its results are bytes of any value.
    unsafe { blocks(words.as_ptr().cast(), out.as_mut_ptr(), bytes) };
    bytes
}

/// Copies as many whole blocks as it can from `bytes` to `words`; returns the bytes done, 0 without AVX.
pub(super) fn store(words: &[Word], bytes: &[u8]) -> usize {
    let len = bytes.len().min(size_of_val(words)) / BLOCK * BLOCK;
    if len == 0 || !wide() {
        return 0;
    }
    // SAFETY: as in `load`, with the directions exchanged: `words` lies in a mapping that is writable for this
    // process, the ring's one writer. Other processes may read it meanwhile.
    unsafe { blocks(bytes.as_ptr(), words.as_ptr().cast::<u8>().cast_mut(), len) };
    len
}

/// Moves `len` bytes.
///
/// # Safety
/// AVX is there; `len` is a multiple of [`BLOCK`] and not 0; both ranges are valid and do not overlap.
#[cfg(all(target_arch = "x86_64", not(miri)))]
unsafe fn blocks(src: *const u8, dst: *mut u8, len: usize) {
    // SAFETY: touches exactly the caller's ranges; declares every register it changes (the C ABI's clobbers include
    // all vector registers, which vzeroupper touches) and the flags.
    unsafe {
        core::arch::asm!(
            "2:",
            "vmovdqu ymm0, [rsi]",
            "vmovdqu ymm1, [rsi + 32]",
            "vmovdqu ymm2, [rsi + 64]",
            "vmovdqu ymm3, [rsi + 96]",
            "vmovdqu [rdi], ymm0",
            "vmovdqu [rdi + 32], ymm1",
            "vmovdqu [rdi + 64], ymm2",
            "vmovdqu [rdi + 96], ymm3",
            "add rsi, 128",
            "add rdi, 128",
            "sub rdx, 128",
            "jnz 2b",
            "vzeroupper",
            inout("rsi") src => _,
            inout("rdi") dst => _,
            inout("rdx") len => _,
            clobber_abi("C"),
            options(nostack),
        );
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
unsafe fn blocks(_: *const u8, _: *mut u8, _: usize) {
    unreachable!("`wide` is false here")
}
