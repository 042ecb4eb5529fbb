//! Memory of the GPU, and page-locked memory of the CPU that the GPU can reach.

use crate::device::Device;
use crate::error::Error;
use crate::stream::Stream;
use cudarc::driver::sys::{CU_MEMHOSTALLOC_DEVICEMAP, CUdeviceptr};
use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::NonNull;
use zerocopy::FromBytes;

/// Types for memory shared with a GPU: every pattern of bits is a value, and nothing has to be dropped.
pub trait Plain: FromBytes + Copy + Send + Sync + 'static {}
impl<T: FromBytes + Copy + Send + Sync + 'static> Plain for T {}

/// Memory of the GPU, uninitialised. Freeing waits for work that uses it.
///
/// Invariant: `address` is an allocation of `len` bytes in `device`'s context, freed only in drop.
#[derive(Debug)]
pub struct DeviceBuffer {
    device: Device,
    address: CUdeviceptr,
    len: usize,
}

impl DeviceBuffer {
    /// Allocates `len` bytes, at least 1.
    ///
    /// # Errors
    /// Out of memory.
    pub fn new(device: &Device, len: usize) -> Result<Self, Error> {
        device.bind_to_thread()?;
        let (mut address, len) = (0, len.max(1));
        // SAFETY: writes one address; a context is current.
        let code = unsafe { (device.driver().mem_alloc)(&raw mut address, len) };
        device.driver().check("cuMemAlloc", code)?;
        Ok(Self {
            device: device.clone(),
            address,
            len,
        })
    }

    /// Where it is, for the GPU.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Queues a copy of `len` bytes from `from` to the start of this buffer.
    ///
    /// # Safety
    /// `from` is the address of `len` readable, page-locked bytes (of a [`PinnedBuffer`], or registered). Until the stream has
    /// copied them, they stay so, and nobody else uses these bytes of `self`.
    ///
    /// # Errors
    /// It does not fit; the driver's.
    pub unsafe fn copy_from(
        &self,
        from: *const u8,
        len: usize,
        stream: &Stream,
    ) -> Result<(), Error> {
        self.fits("device memory", len)?;
        // SAFETY: the invariant and the caller's promise.
        let code = unsafe {
            (self.device.driver().to_device)(self.address, from.cast(), len, stream.handle())
        };
        self.device.driver().check("cuMemcpyHtoDAsync", code)
    }

    /// Queues a copy of `len` bytes at byte `at` of this buffer to the same place in `to`.
    ///
    /// # Safety
    /// Until the stream has done it, `to` lives and nobody reads or writes it.
    ///
    /// # Errors
    /// It does not fit; the driver's.
    pub unsafe fn copy_to<T: Plain>(
        &self,
        to: &PinnedBuffer<T>,
        at: usize,
        len: usize,
        stream: &Stream,
    ) -> Result<(), Error> {
        let end = at.saturating_add(len);
        self.fits("device memory", end)?;
        to.fits("page-locked memory", end)?;
        // SAFETY: inside of both (just checked), the invariants, the caller's promise.
        let code = unsafe {
            let to = to.start.as_ptr().cast::<u8>().add(at).cast::<c_void>();
            (self.device.driver().to_host)(to, self.address + at as u64, len, stream.handle())
        };
        self.device.driver().check("cuMemcpyDtoHAsync", code)
    }

    /// Queues setting the first `words` 32-bit words to `value`.
    ///
    /// # Safety
    /// Until the stream has done it, nobody else uses these bytes.
    ///
    /// # Errors
    /// It does not fit; the driver's.
    pub unsafe fn fill(&self, value: u32, words: usize, stream: &Stream) -> Result<(), Error> {
        self.fits("device memory", words.saturating_mul(4))?;
        // SAFETY: inside (just checked), aligned (allocations are to 256 bytes), the invariant.
        let code = unsafe {
            (self.device.driver().fill_words)(self.address, value, words, stream.handle())
        };
        self.device.driver().check("cuMemsetD32Async", code)
    }

    fn fits(&self, what: &'static str, needed: usize) -> Result<(), Error> {
        fits(what, needed, self.len)
    }
}

impl Drop for DeviceBuffer {
    fn drop(&mut self) {
        // SAFETY: the invariant.
        self.device
            .clean_up("cuMemFree", |d| unsafe { (d.mem_free)(self.address) });
    }
}

/// Page-locked memory of the CPU, zeroed at first. Where the device can, it is mapped for the GPU too, which then reads and
/// writes it without a copy. The CPU's cache works as for other memory, so the CPU reads it fast.
///
/// Invariant: `start` is an allocation of `len` initialised values of `T`, made by the driver and freed only in drop.
#[derive(Debug)]
pub struct PinnedBuffer<T: Plain> {
    device: Device,
    start: NonNull<T>,
    len: usize,
    address: Option<u64>,
    values: PhantomData<T>,
}

// SAFETY: plain memory, tied to no thread; whoever queues work of the GPU on it promises that nobody else uses it meanwhile
// (`copy_to`, `copy_from`).
unsafe impl<T: Plain> Send for PinnedBuffer<T> {}

impl<T: Plain> PinnedBuffer<T> {
    /// Allocates `len` values, at least 1.
    ///
    /// # Errors
    /// Out of memory.
    pub fn new(device: &Device, len: usize) -> Result<Self, Error> {
        const {
            assert!(
                align_of::<T>() <= 4096,
                "memory of the driver's begins a page"
            )
        };
        device.bind_to_thread()?;
        let len = len.max(1);
        let bytes = len
            .checked_mul(size_of::<T>())
            .ok_or_else(|| Error::number("values of page-locked memory", len))?;
        let map = device.facts().can_map;
        let flags = if map { CU_MEMHOSTALLOC_DEVICEMAP } else { 0 };
        let mut start: *mut c_void = std::ptr::null_mut();
        // SAFETY: writes one pointer; a context is current.
        let code = unsafe { (device.driver().host_alloc)(&raw mut start, bytes, flags) };
        device.driver().check("cuMemHostAlloc", code)?;
        let start = NonNull::new(start.cast::<T>())
            .ok_or_else(|| Error::number("page-locked memory", "null"))?;
        // SAFETY: just allocated, `bytes` long, nobody else's; zeroes are values of T (`Plain`).
        unsafe { start.as_ptr().cast::<u8>().write_bytes(0, bytes) };
        let mut buffer = Self {
            device: device.clone(),
            start,
            len,
            address: None,
            values: PhantomData,
        };
        if map {
            let mut address = 0;
            let pointer = buffer.start.as_ptr().cast();
            // SAFETY: allocated with DEVICEMAP; writes one address; 0 is the only flag value.
            let code =
                unsafe { (device.driver().host_device_pointer)(&raw mut address, pointer, 0) };
            device.driver().check("cuMemHostGetDevicePointer", code)?;
            buffer.address = Some(address);
        }
        Ok(buffer)
    }

    /// Where it is for the GPU, if it is mapped.
    #[must_use]
    pub fn address(&self) -> Option<u64> {
        self.address
    }

    /// The values.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        // SAFETY: the invariant; not written by the GPU meanwhile (contract of `DeviceBuffer::copy_to`).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// The values.
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: the invariant; not used by the GPU meanwhile (contracts of `copy_to` and `copy_from`).
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }

    /// First byte.
    #[must_use]
    pub fn as_ptr(&self) -> *const u8 {
        self.start.as_ptr().cast_const().cast()
    }

    fn fits(&self, what: &'static str, needed: usize) -> Result<(), Error> {
        fits(what, needed, self.len * size_of::<T>())
    }
}

impl<T: Plain> Drop for PinnedBuffer<T> {
    fn drop(&mut self) {
        // SAFETY: the invariant.
        self.device.clean_up("cuMemFreeHost", |d| unsafe {
            (d.host_free)(self.start.as_ptr().cast())
        });
    }
}

fn fits(what: &'static str, needed: usize, got: usize) -> Result<(), Error> {
    if needed > got {
        return Err(Error::Size { what, needed, got });
    }
    Ok(())
}
