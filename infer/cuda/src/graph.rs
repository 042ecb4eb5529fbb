//! A sequence of work that is recorded once and then started with a single call, which saves the CPU a launch for every
//! layer of the model.

use crate::device::Device;
use crate::driver::SUCCESS;
use crate::error::Error;
use crate::stream::Stream;
use cudarc::driver::sys::{CUgraph, CUgraphExec, CUstreamCaptureMode};
use std::ptr::null_mut;

/// Why there is no graph. The work can still be queued piece by piece.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError<E> {
    /// What was to be recorded failed by itself.
    #[error("{0}")]
    Work(E),
    /// The driver cannot record, or cannot run what was recorded.
    #[error("{0}")]
    Graph(Error),
}

/// A recorded graph, ready to run.
///
/// Invariant: `executable` belongs to `device`'s context and is destroyed only in drop.
#[derive(Debug)]
pub struct Graph {
    device: Device,
    executable: CUgraphExec,
}

// SAFETY: the driver lets any thread use a graph, one at a time; the type is not `Sync`, so no two threads can.
unsafe impl Send for Graph {}

/// A recorded, not yet executable graph.
struct Recording {
    device: Device,
    raw: CUgraph,
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.device
            .clean_up("cuGraphDestroy", |d| match d.graph_destroy {
                // SAFETY: made by `record`, destroyed only here.
                Some(destroy) => unsafe { destroy(self.raw) },
                None => SUCCESS,
            });
    }
}

impl Graph {
    /// Whether this driver has graphs: CUDA 11.4 and newer do.
    #[must_use]
    pub fn supported(device: &Device) -> bool {
        let d = device.driver();
        d.begin_capture.is_some()
            && d.end_capture.is_some()
            && d.graph_destroy.is_some()
            && d.graph_instantiate.is_some()
            && d.graph_launch.is_some()
            && d.graph_exec_destroy.is_some()
    }

    /// Records what `work` queues in `stream` instead of doing it.
    ///
    /// # Errors
    /// `work`'s own; the driver cannot record it, or has no graphs.
    pub fn capture<E>(
        stream: &Stream,
        work: impl FnOnce() -> Result<(), E>,
    ) -> Result<Self, CaptureError<E>> {
        let device = stream.device();
        let recording = record(stream, work)?;
        let instantiate = device
            .driver()
            .graph_instantiate
            .ok_or(CaptureError::Graph(Error::Unsupported(
                "cuGraphInstantiateWithFlags",
            )))?;
        let mut executable: CUgraphExec = null_mut();
        // SAFETY: a complete recording; writes one pointer.
        let code = unsafe { instantiate(&raw mut executable, recording.raw, 0) };
        device
            .driver()
            .check("cuGraphInstantiateWithFlags", code)
            .map_err(CaptureError::Graph)?;
        Ok(Self {
            device: device.clone(),
            executable,
        })
    }

    /// Queues the recorded work.
    ///
    /// # Safety
    /// All memory that it uses is there until the stream has done it, and used by nobody else.
    ///
    /// # Errors
    /// The driver's.
    pub unsafe fn launch(&self, stream: &Stream) -> Result<(), Error> {
        let launch = self
            .device
            .driver()
            .graph_launch
            .ok_or(Error::Unsupported("cuGraphLaunch"))?;
        // SAFETY: both invariants, the caller's promise.
        let code = unsafe { launch(self.executable, stream.handle()) };
        self.device.driver().check("cuGraphLaunch", code)
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        self.device
            .clean_up("cuGraphExecDestroy", |d| match d.graph_exec_destroy {
                // SAFETY: the invariant; a launch under way is finished by the driver.
                Some(destroy) => unsafe { destroy(self.executable) },
                None => SUCCESS,
            });
    }
}

fn record<E>(
    stream: &Stream,
    work: impl FnOnce() -> Result<(), E>,
) -> Result<Recording, CaptureError<E>> {
    let device = stream.device();
    let driver = device.driver();
    if !Graph::supported(device) {
        return Err(CaptureError::Graph(Error::Unsupported(
            "cuGraphInstantiateWithFlags",
        )));
    }
    let (Some(begin), Some(end)) = (driver.begin_capture, driver.end_capture) else {
        return Err(CaptureError::Graph(Error::Unsupported(
            "cuStreamBeginCapture",
        )));
    };
    // Calls of other threads must not invalidate the recording.
    let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL as u32;
    // SAFETY: the stream's invariant.
    let code = unsafe { begin(stream.handle(), mode) };
    driver
        .check("cuStreamBeginCapture", code)
        .map_err(CaptureError::Graph)?;
    let done = work();
    let mut raw: CUgraph = null_mut();
    // SAFETY: begun above, on this thread; writes one pointer, which stays null if the recording was invalidated.
    let code = unsafe { end(stream.handle(), &raw mut raw) };
    let recording = (!raw.is_null()).then(|| Recording {
        device: device.clone(),
        raw,
    });
    done.map_err(CaptureError::Work)?;
    driver
        .check("cuStreamEndCapture", code)
        .map_err(CaptureError::Graph)?;
    recording.ok_or(CaptureError::Graph(Error::Unsupported(
        "recording of this work",
    )))
}
