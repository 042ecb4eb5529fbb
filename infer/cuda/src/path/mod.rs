//! Frames in, candidates out, with the model between two kernels, and two frames under way at a time.
//!
//! ```text
//! stream "prepare":  [copy of the slot] letterbox . [copy of the slot] letterbox . ...
//!                                                 \                              \
//! stream "execute":                                 engine, filter, copy back .    engine, filter, copy back .
//! ```
//!
//! Each frame has a buffer set of its own, so the next frame is prepared while the engine works on this one. The owner of a
//! frame's bytes (the ring's lease) is dropped as soon as the GPU has read them. Where the driver has graphs, the work of a set
//! in the stream "execute" is a graph from the set's second frame on.

mod set;

use crate::candidates::FilteredBoxes;
use crate::conversion::Conversion;
use crate::device::Device;
use crate::error::Error;
use crate::graph::{CaptureError, Graph};
use crate::kernels::{FilterSpec, Kernels};
use crate::registration::Place;
use crate::stream::Stream;
use set::{Recorded, Set};
use std::any::Any;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::Arc;

/// Frames under way at a time.
const SETS: usize = 2;

/// The model's output.
pub type OutputSpec = FilterSpec;

/// What a path is made for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spec {
    /// Width and height of the model's input.
    pub input: (usize, usize),
    /// The input is f16, not f32.
    pub half: bool,
    /// The model's output, and the threshold.
    pub output: OutputSpec,
    /// Most candidates that are wanted of one frame.
    pub most: usize,
    /// Use graphs where the driver has them.
    pub graphs: bool,
}

/// Where a frame's bytes are.
#[derive(Debug)]
pub enum Source<'a> {
    /// In registered memory: the GPU fetches them.
    Registered(Place),
    /// Anywhere: copied into page-locked memory first, before the call returns.
    Host(&'a [u8]),
}

/// What an engine needs to put its work into the stream, for which it must not wait. An engine with streams of its own, as
/// TensorRT may have since 8.6, has to order them: they start after the work that is already in this stream, and later work
/// in this stream starts after them. TensorRT's `enqueueV3` promises both, and a graph records such streams with this one.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// A `cudaStream_t`.
    pub stream: *mut c_void,
    /// The input tensor, an address for the GPU.
    pub input: u64,
    /// The output, an address for the GPU.
    pub output: u64,
}

/// Whether frames run as graphs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Graphs {
    /// They do, or will from a set's second frame on.
    On,
    /// They do not, and why.
    Off(String),
}

/// The frame path of one engine. Belongs to one thread at a time; binds the context to it by itself.
///
/// After an error the path is empty: frames under way are lost, and what they held is dropped. Unless the error
/// [is fatal](Error::is_fatal), the path can be used again.
#[derive(Debug)]
pub struct FramePath {
    // Fields are dropped in this order: queued work ends before the memory is freed.
    prepare: Stream,
    execute: Stream,
    kernels: Kernels,
    sets: [Set; SETS],
    /// Sets with a frame under way, oldest first.
    busy: VecDeque<usize>,
    next: usize,
    graphs: Graphs,
    spec: Spec,
    device: Device,
}

impl FramePath {
    /// Frames that may be under way at a time.
    pub const DEPTH: usize = SETS;

    /// Allocates everything but the buffers for the picture's bytes, which are allocated for the first frame.
    ///
    /// # Errors
    /// Numbers that no model has; out of memory; the driver refuses the kernels.
    pub fn new(device: &Device, spec: Spec) -> Result<Self, Error> {
        spec.output.check()?;
        let (width, height) = spec.input;
        if width == 0 || height == 0 || width.max(height) > 1 << 14 {
            return Err(Error::number(
                "the size of a model's input",
                format!("{width}x{height}"),
            ));
        }
        let graphs = if !spec.graphs {
            Graphs::Off("not wanted".to_owned())
        } else if Graph::supported(device) {
            Graphs::On
        } else {
            Graphs::Off("this driver has none; CUDA 11.4 and newer do".to_owned())
        };
        Ok(Self {
            prepare: Stream::new(device)?,
            execute: Stream::new(device)?,
            kernels: Kernels::load(device)?,
            sets: [Set::new(device, &spec)?, Set::new(device, &spec)?],
            busy: VecDeque::with_capacity(SETS),
            next: 0,
            graphs,
            spec,
            device: device.clone(),
        })
    }

    /// Frames under way: submitted, not yet waited for. At most two.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.busy.len()
    }

    /// Whether frames run as graphs, and why not.
    #[must_use]
    pub fn graphs(&self) -> &Graphs {
        &self.graphs
    }

    /// Sets the threshold, from the next frame that is started.
    pub fn set_conf(&mut self, conf: f32) {
        self.spec.output.conf = conf;
    }

    /// Starts a frame. `keep` owns the frame's bytes, such as the lease on them; it is dropped when the GPU has read them, or
    /// after a failure. `enqueue` puts the engine's work into the stream; it is not called for frames that run as a graph. What
    /// a graph has recorded (the engine, its weights) must not change during the life of a path.
    ///
    /// # Errors
    /// Both sets are busy; the frame has too few bytes for `conversion`; `conversion` is for another input size; the engine's
    /// or the driver's. After the last two the path is empty.
    pub fn submit_frame<E>(
        &mut self,
        source: Source<'_>,
        conversion: &Arc<Conversion>,
        keep: impl Any + Send,
        mut enqueue: impl FnMut(Work) -> Result<(), E>,
    ) -> Result<(), Error>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let p = conversion.placement();
        if (p.net_width, p.net_height) != self.spec.input {
            let value = format!("{}x{}", p.net_width, p.net_height);
            return Err(Error::number(
                "the conversion's size, other than the model's input,",
                value,
            ));
        }
        let got = match &source {
            Source::Registered(place) => place.len(),
            Source::Host(bytes) => bytes.len(),
        };
        let needed = conversion.needed();
        if got < needed {
            return Err(Error::Size {
                what: "the frame",
                needed,
                got,
            });
        }
        let index = self.free_set()?;
        let set = &mut self.sets[index];
        set.keep = Some(Box::new(keep));
        let started = set
            .prepare_frame(
                source,
                conversion,
                &self.kernels,
                &self.prepare,
                self.spec.half,
            )
            .and_then(|input| self.start(index, input, &mut enqueue));
        self.or_empty(started)
    }

    /// Starts a frame whose input tensor the CPU makes. `fill` gets the tensor (f32, planar) as an earlier frame left it, at
    /// first with zeroes, so it has to write the bars too. For devices that cannot read the frame where it lies: the tensor is
    /// written once, straight into memory that the engine reads.
    ///
    /// # Errors
    /// As for [`submit_frame`](Self::submit_frame); the model's input is f16.
    pub fn submit_filled<E>(
        &mut self,
        fill: impl FnOnce(&mut [f32]),
        mut enqueue: impl FnMut(Work) -> Result<(), E>,
    ) -> Result<(), Error>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        if self.spec.half {
            return Err(Error::number(
                "the type of a tensor that the CPU fills",
                "f16",
            ));
        }
        let index = self.free_set()?;
        let started = self.sets[index]
            .prepare_filled(fill, &self.prepare)
            .and_then(|input| self.start(index, input, &mut enqueue));
        self.or_empty(started)
    }

    /// Whether [`wait`](Self::wait) would return without waiting: the oldest frame is done, or there is none. Also releases what
    /// has been read, as [`release_read`](Self::release_read) does.
    ///
    /// # Errors
    /// A frame failed on the GPU. The path is empty then.
    pub fn is_done(&mut self) -> Result<bool, Error> {
        self.release_read()?;
        let Some(&index) = self.busy.front() else {
            return Ok(true);
        };
        let done = self.sets[index].done.query();
        self.or_empty(done)
    }

    /// Waits for the oldest frame; `None` if none is under way.
    ///
    /// # Errors
    /// The frame failed on the GPU. The path is empty then.
    pub fn wait(&mut self) -> Result<Option<FilteredBoxes>, Error> {
        let Some(&index) = self.busy.front() else {
            return Ok(None);
        };
        let found = self
            .device
            .bind_to_thread()
            .and_then(|()| self.sets[index].finish(&self.spec, &self.prepare));
        let found = self.or_empty(found)?;
        self.busy.pop_front();
        Ok(Some(found))
    }

    /// Drops the owners of bytes that have been read. [`wait`](Self::wait) and the submitting calls do that as well; this is for
    /// callers that do neither for a while. Does not wait.
    ///
    /// # Errors
    /// A frame failed on the GPU. The path is empty then.
    pub fn release_read(&mut self) -> Result<(), Error> {
        let mut released = self.device.bind_to_thread();
        for index in &self.busy {
            released = released.and_then(|()| self.sets[*index].release_if_read());
        }
        self.or_empty(released)
    }

    fn free_set(&mut self) -> Result<usize, Error> {
        self.release_read()?;
        if self.busy.len() == SETS {
            return Err(Error::Busy);
        }
        Ok(self.next)
    }

    /// Queues the second half of a frame: engine, filter, copy back.
    fn start<E>(
        &mut self,
        index: usize,
        input: u64,
        enqueue: &mut dyn FnMut(Work) -> Result<(), E>,
    ) -> Result<(), Error>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let work = Work {
            stream: self.execute.raw(),
            input,
            output: self.sets[index].output.address(),
        };
        self.execute.wait(&self.sets[index].prepared)?;
        if self.graphs == Graphs::On && self.sets[index].warm {
            self.record(index, &work, enqueue)?;
        }
        let set = &self.sets[index];
        match &set.recorded {
            // The graph is for this input and threshold: `record` has just made sure of that.
            Some(Recorded { graph, .. }) if self.graphs == Graphs::On => {
                // SAFETY: the memory is the set's own, which nobody else uses until `done` has fired (`busy`), and which
                // lives until the streams are empty (`drop`). The engine's own memory lives as long as the engine, which whoever
                // recorded it keeps longer than this path.
                unsafe { graph.launch(&self.execute) }?;
            }
            _ => run(
                set,
                &self.kernels,
                &self.execute,
                &self.spec,
                &work,
                enqueue,
            )?,
        }
        let set = &mut self.sets[index];
        set.warm = true;
        set.done.record(&self.execute)?;
        self.busy.push_back(index);
        self.next = (index + 1) % SETS;
        Ok(())
    }

    /// Records the set's graph if it has none for this input and threshold. If the driver or the engine cannot be recorded, this
    /// path uses no graphs from now on, and the frame goes on without one.
    fn record<E>(
        &mut self,
        index: usize,
        work: &Work,
        enqueue: &mut dyn FnMut(Work) -> Result<(), E>,
    ) -> Result<(), Error>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let set = &self.sets[index];
        let conf = self.spec.output.conf;
        let same = |r: &Recorded| r.input == work.input && r.conf.to_bits() == conf.to_bits();
        if set.recorded.as_ref().is_some_and(same) {
            return Ok(());
        }
        let (kernels, execute, spec) = (&self.kernels, &self.execute, &self.spec);
        let captured = Graph::capture(execute, || run(set, kernels, execute, spec, work, enqueue));
        match captured {
            Ok(graph) => {
                let input = work.input;
                self.sets[index].recorded = Some(Recorded { graph, input, conf });
                Ok(())
            }
            Err(CaptureError::Work(e) | CaptureError::Graph(e)) if e.is_fatal() => Err(e),
            Err(e) => {
                tracing::warn!(reason = %e, "no CUDA graphs: the model's layers are started one by one");
                self.graphs = Graphs::Off(e.to_string());
                Ok(())
            }
        }
    }

    /// After a failure: waits until the GPU has finished or turns out to be lost, and empties the path.
    fn or_empty<T>(&mut self, mut result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &mut result
            && let Err(after) = self.empty()
        {
            match error {
                // The engine's message is kept, even if a lost context is behind it.
                Error::Engine { lost, .. } => *lost |= after.is_fatal(),
                error if after.is_fatal() && !error.is_fatal() => *error = after,
                _ => {}
            }
        }
        result
    }

    /// Empties the path; returns the first error of the streams.
    fn empty(&mut self) -> Result<(), Error> {
        let ended = [self.prepare.synchronize(), self.execute.synchronize()];
        for set in &mut self.sets {
            set.reset();
        }
        self.busy.clear();
        self.next = 0;
        ended.into_iter().collect()
    }
}

impl Drop for FramePath {
    fn drop(&mut self) {
        // What a frame holds may only be dropped once the GPU does not read it any more.
        let ended = self.device.bind_to_thread().and(self.empty());
        if let Err(error) = ended {
            tracing::debug!(%error, "dropping the frame path");
        }
    }
}

/// What a graph records: engine, filter, copy of the first candidates.
fn run<E>(
    set: &Set,
    kernels: &Kernels,
    execute: &Stream,
    spec: &Spec,
    work: &Work,
    enqueue: &mut dyn FnMut(Work) -> Result<(), E>,
) -> Result<(), Error>
where
    E: std::error::Error + Send + Sync + 'static,
{
    enqueue(*work).map_err(|e| Error::Engine {
        source: Arc::new(e),
        lost: false,
    })?;
    // SAFETY: the set's own memory, of the sizes that `Set::new` made it; nobody else uses it until `done` has fired,
    // and it lives until the streams are empty.
    unsafe {
        kernels.filter(work.output, &spec.output, &set.found, execute)?;
        set.found
            .copy_to(&set.candidates, 0, set.first_copy, execute)
    }
}
