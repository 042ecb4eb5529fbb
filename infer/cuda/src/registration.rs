//! Memory that other code allocated, above all the ring, registered with the GPU once, so that the GPU reads frames where they
//! lie.

use crate::device::Device;
use crate::error::Error;
use cudarc::driver::sys::{CU_MEMHOSTREGISTER_DEVICEMAP, CU_MEMHOSTREGISTER_READ_ONLY};
use hanja_ring::RingMapping;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// Why memory cannot be registered. Not a failure: the CPU copies then.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// The device cannot, for example Jetson Nano and TX2.
    #[error("{0} cannot register memory of others")]
    Device(String),
    /// The driver refuses.
    #[error("the driver will not register the memory: {0}")]
    Driver(String),
}

/// Registered memory. Clones share it; when the last one and the last [`Place`] in it are dropped, the registration is undone
/// and then the memory's holder is dropped.
#[derive(Clone)]
pub struct Registration {
    inner: Arc<Inner>,
}

/// Invariant: `start..start + len` is registered with `device` from `new` to drop, and mapped while `holder` lives.
struct Inner {
    device: Device,
    start: *const u8,
    len: usize,
    /// Its address for the GPU; `None` on a discrete device, which copies the memory.
    address: Option<u64>,
    // Dropped after `drop` has undone the registration.
    _holder: Box<dyn Any + Send + Sync>,
}

// SAFETY: `start` is only passed to the driver, which any thread may call, or compared; `_holder` is `Send`.
unsafe impl Send for Inner {}
// SAFETY: as above; `_holder` is `Sync`, and nothing changes through a shared reference.
unsafe impl Sync for Inner {}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("start", &self.inner.start)
            .field("len", &self.inner.len)
            .field("address", &self.inner.address)
            .finish_non_exhaustive()
    }
}

impl Registration {
    /// Registers one generation of a ring, which this process has mapped to read.
    ///
    /// # Errors
    /// The device or its driver cannot.
    pub fn of_ring(device: &Device, ring: RingMapping) -> Result<Self, Refusal> {
        // SAFETY: a `RingMapping` keeps its bytes mapped, readable and in place while it lives, and it is the holder.
        unsafe { Self::new(device, ring.start(), ring.len(), ring) }
    }

    /// Registers `len` bytes from `start` on, for reading. Not within the capture of a graph.
    ///
    /// # Safety
    /// They stay mapped, readable and in place while `holder` lives.
    ///
    /// # Errors
    /// The device or its driver cannot.
    pub unsafe fn new<T: Send + Sync + 'static>(
        device: &Device,
        start: *const u8,
        len: usize,
        holder: T,
    ) -> Result<Self, Refusal> {
        let facts = device.facts();
        if !facts.can_register {
            return Err(Refusal::Device(facts.name.clone()));
        }
        let refused = |e: Error| Refusal::Driver(e.to_string());
        device.bind_to_thread().map_err(refused)?;
        let mut flags = 0;
        if facts.can_map {
            flags |= CU_MEMHOSTREGISTER_DEVICEMAP;
        }
        if facts.can_register_read_only {
            flags |= CU_MEMHOSTREGISTER_READ_ONLY;
        }
        // SAFETY: the caller's promise; a context is current.
        let code = unsafe { (device.driver().host_register)(start.cast_mut().cast(), len, flags) };
        device
            .driver()
            .check("cuMemHostRegister", code)
            .map_err(refused)?;
        // From here on, `drop` undoes the registration.
        let mut inner = Inner {
            device: device.clone(),
            start,
            len,
            address: None,
            _holder: Box::new(holder),
        };
        if facts.integrated {
            let mut address = 0;
            // SAFETY: registered with DEVICEMAP; writes one address; 0 is the only flag value.
            let code = unsafe {
                (device.driver().host_device_pointer)(&raw mut address, start.cast_mut().cast(), 0)
            };
            device
                .driver()
                .check("cuMemHostGetDevicePointer", code)
                .map_err(refused)?;
            inner.address = Some(address);
        }
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Where these bytes are in the registered memory; `None` if they are elsewhere.
    #[must_use]
    pub fn place(&self, bytes: &[u8]) -> Option<Place> {
        let offset = bytes.as_ptr().addr().checked_sub(self.inner.start.addr())?;
        let end = offset.checked_add(bytes.len())?;
        (end <= self.inner.len).then(|| Place {
            inner: Arc::clone(&self.inner),
            offset,
            len: bytes.len(),
        })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: the invariant; still mapped, since `_holder` is dropped after this.
        self.device.clean_up("cuMemHostUnregister", |d| unsafe {
            (d.host_unregister)(self.start.cast_mut().cast())
        });
    }
}

/// A range of registered memory, which stays registered while this lives.
///
/// Invariant: `offset + len` is at most `inner.len`.
#[derive(Clone)]
pub struct Place {
    inner: Arc<Inner>,
    offset: usize,
    len: usize,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("offset", &self.offset)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl Place {
    /// Bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where it is for the GPU, which reads it there; `None` on a discrete device, which copies it first.
    #[must_use]
    pub fn address(&self) -> Option<u64> {
        self.inner.address.map(|a| a + self.offset as u64)
    }

    /// Where it is for the CPU, to be copied from by the GPU.
    #[must_use]
    pub fn as_ptr(&self) -> *const u8 {
        self.inner.start.wrapping_add(self.offset)
    }
}
