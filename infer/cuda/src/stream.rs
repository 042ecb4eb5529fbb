//! Streams, whose work the GPU does in order, and events, which tell how far it has come.

use crate::device::Device;
use crate::driver::NOT_READY;
use crate::error::Error;
use cudarc::driver::sys::{CUevent, CUevent_flags, CUstream, CUstream_flags};
use std::ffi::c_void;

/// A queue of work. It does not synchronise with the default stream, so that streams run side by side.
///
/// Invariant: `raw` is a stream of `device`'s context, destroyed only in drop.
#[derive(Debug)]
pub struct Stream {
    device: Device,
    raw: CUstream,
}

// SAFETY: the driver lets any thread use a stream that has its context current.
unsafe impl Send for Stream {}

impl Stream {
    /// A new, empty stream.
    ///
    /// # Errors
    /// The driver has none.
    pub fn new(device: &Device) -> Result<Self, Error> {
        device.bind_to_thread()?;
        let mut raw: CUstream = std::ptr::null_mut();
        let flags = CUstream_flags::CU_STREAM_NON_BLOCKING as u32;
        // SAFETY: writes one pointer; a context is current.
        let code = unsafe { (device.driver().stream_create)(&raw mut raw, flags) };
        device.driver().check("cuStreamCreate", code)?;
        Ok(Self {
            device: device.clone(),
            raw,
        })
    }

    /// The `cudaStream_t` that TensorRT takes. Valid while `self` lives.
    #[must_use]
    pub fn raw(&self) -> *mut c_void {
        self.raw.cast()
    }

    /// The stream's device.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    pub(crate) fn handle(&self) -> CUstream {
        self.raw
    }

    /// Waits until everything queued so far is done.
    ///
    /// # Errors
    /// Something queued has failed.
    pub fn synchronize(&self) -> Result<(), Error> {
        // SAFETY: the invariant.
        let code = unsafe { (self.device.driver().stream_synchronize)(self.raw) };
        self.device.driver().check("cuStreamSynchronize", code)
    }

    /// Work queued from now on starts after `event`, as last recorded, has fired. This call itself does not wait.
    ///
    /// # Errors
    /// The driver's.
    pub fn wait(&self, event: &Event) -> Result<(), Error> {
        // SAFETY: both invariants; 0 is the only flag value for streams outside of a capture.
        let code = unsafe { (self.device.driver().stream_wait)(self.raw, event.raw, 0) };
        self.device.driver().check("cuStreamWaitEvent", code)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: the invariant; what is still queued is finished by the driver first.
        self.device.clean_up("cuStreamDestroy", |d| unsafe {
            (d.stream_destroy)(self.raw)
        });
    }
}

/// A mark in a stream. A thread that waits for it sleeps and does not spin.
///
/// Invariant: `raw` is an event of `device`'s context, destroyed only in drop.
#[derive(Debug)]
pub struct Event {
    device: Device,
    raw: CUevent,
}

// SAFETY: the driver lets any thread use an event that has its context current.
unsafe impl Send for Event {}

impl Event {
    /// An event that tells whether it has fired but not when, which would cost a little.
    ///
    /// # Errors
    /// The driver has none.
    pub fn new(device: &Device) -> Result<Self, Error> {
        device.bind_to_thread()?;
        let mut raw: CUevent = std::ptr::null_mut();
        let flags = CUevent_flags::CU_EVENT_BLOCKING_SYNC as u32
            | CUevent_flags::CU_EVENT_DISABLE_TIMING as u32;
        // SAFETY: writes one pointer; a context is current.
        let code = unsafe { (device.driver().event_create)(&raw mut raw, flags) };
        device.driver().check("cuEventCreate", code)?;
        Ok(Self {
            device: device.clone(),
            raw,
        })
    }

    /// Marks the end of what is queued in `stream` now.
    ///
    /// # Errors
    /// The driver's.
    pub fn record(&self, stream: &Stream) -> Result<(), Error> {
        // SAFETY: both invariants.
        let code = unsafe { (self.device.driver().event_record)(self.raw, stream.raw) };
        self.device.driver().check("cuEventRecord", code)
    }

    /// Whether it has fired; true also if it was never recorded.
    ///
    /// # Errors
    /// Something before it has failed.
    pub fn query(&self) -> Result<bool, Error> {
        // SAFETY: the invariant.
        let code = unsafe { (self.device.driver().event_query)(self.raw) };
        if code == NOT_READY {
            return Ok(false);
        }
        self.device.driver().check("cuEventQuery", code)?;
        Ok(true)
    }

    /// Sleeps until it has fired.
    ///
    /// # Errors
    /// Something before it has failed.
    pub fn synchronize(&self) -> Result<(), Error> {
        // SAFETY: the invariant.
        let code = unsafe { (self.device.driver().event_synchronize)(self.raw) };
        self.device.driver().check("cuEventSynchronize", code)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the invariant.
        self.device
            .clean_up("cuEventDestroy", |d| unsafe { (d.event_destroy)(self.raw) });
    }
}
