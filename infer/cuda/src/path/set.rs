//! The memory of one frame under way, and the first and the last steps of its processing.

use super::{Source, Spec};
use crate::candidates::{CANDIDATE_WORDS, FilteredBoxes, HEADER_WORDS};
use crate::conversion::Conversion;
use crate::device::Device;
use crate::error::Error;
use crate::graph::Graph;
use crate::kernels::Kernels;
use crate::memory::{DeviceBuffer, PinnedBuffer};
use crate::stream::{Event, Stream};
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// Boxes that are copied back before their count is known: 16 KiB. A page full of characters has fewer; of a cluttered
/// picture, the rest is copied once the count is known.
const FIRST_CANDIDATES: usize = 511;

/// Work recorded for one address of the input and one threshold.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) graph: Graph,
    pub(super) input: u64,
    pub(super) conf: f32,
}

/// One frame's buffers. Between a frame's start and its `done` event, only the GPU uses them.
pub(super) struct Set {
    device: Device,
    /// The owner of the frame's bytes; held until `prepared` has fired.
    pub(super) keep: Option<Box<dyn Any + Send>>,
    /// Fires when the GPU has read the frame's bytes and made the input tensor.
    pub(super) prepared: Event,
    /// Fires when the candidates have been copied back.
    pub(super) done: Event,
    /// Has run once: what an engine does only in its first run is over.
    pub(super) warm: bool,
    pub(super) recorded: Option<Recorded>,
    /// The frame, copied by the CPU.
    staged: Option<PinnedBuffer<u8>>,
    /// The frame, copied by the GPU.
    frame: Option<DeviceBuffer>,
    /// The conversion that is in `table`, or queued to be copied there.
    conversion: Option<Arc<Conversion>>,
    table_source: Option<PinnedBuffer<u32>>,
    table: Option<DeviceBuffer>,
    tensor: DeviceBuffer,
    tensor_values: usize,
    /// The tensor, made by the CPU.
    filled: Option<PinnedBuffer<f32>>,
    pub(super) output: DeviceBuffer,
    pub(super) found: DeviceBuffer,
    pub(super) candidates: PinnedBuffer<u32>,
    /// Bytes of `found` that are always copied back.
    pub(super) first_copy: usize,
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Set")
            .field("kept", &self.keep.is_some())
            .field("warm", &self.warm)
            .field("recorded", &self.recorded)
            .finish_non_exhaustive()
    }
}

impl Set {
    pub(super) fn new(device: &Device, spec: &Spec) -> Result<Self, Error> {
        let values = 3 * spec.input.0 * spec.input.1;
        let found_len = spec.output.found_len();
        let first = 4 * (HEADER_WORDS + FIRST_CANDIDATES * CANDIDATE_WORDS);
        Ok(Self {
            device: device.clone(),
            keep: None,
            prepared: Event::new(device)?,
            done: Event::new(device)?,
            warm: false,
            recorded: None,
            staged: None,
            frame: None,
            conversion: None,
            table_source: None,
            table: None,
            tensor: DeviceBuffer::new(device, values * if spec.half { 2 } else { 4 })?,
            tensor_values: values,
            filled: None,
            output: DeviceBuffer::new(device, spec.output.output_len())?,
            found: DeviceBuffer::new(device, found_len)?,
            candidates: PinnedBuffer::new(device, found_len / 4)?,
            first_copy: first.min(found_len),
        })
    }

    /// Queues everything up to the input tensor; returns its address. The frame must have the bytes that the conversion needs.
    pub(super) fn prepare_frame(
        &mut self,
        source: Source<'_>,
        conversion: &Arc<Conversion>,
        kernels: &Kernels,
        prepare: &Stream,
        half: bool,
    ) -> Result<u64, Error> {
        self.upload_table(conversion, prepare)?;
        let needed = conversion.needed();
        let (host, mapped) = match source {
            Source::Registered(place) => {
                let (host, mapped) = (place.as_ptr(), place.address());
                // Keeps the registration until the GPU has read the bytes.
                let lease = self.keep.take();
                self.keep = Some(Box::new((lease, place)));
                (host, mapped)
            }
            Source::Host(bytes) => {
                let staged = at_least(&mut self.staged, needed, |len| {
                    PinnedBuffer::new(&self.device, len)
                })?;
                staged.as_mut_slice()[..needed].copy_from_slice(&bytes[..needed]);
                // The bytes have been copied, so their owner may reuse them.
                self.keep = None;
                // Not mapped on a discrete GPU, which would fetch every byte across the bus more than once.
                let mapped = staged.address().filter(|_| self.device.facts().integrated);
                (staged.as_ptr(), mapped)
            }
        };
        let address = if let Some(address) = mapped {
            address
        } else {
            let frame = at_least(&mut self.frame, needed, |len| {
                DeviceBuffer::new(&self.device, len)
            })?;
            // SAFETY: `host` is registered, and `keep` holds the registration, or it is our page-locked copy; both
            // stay until `prepared` has fired. This set's memory is nobody else's meanwhile.
            unsafe { frame.copy_from(host, needed, prepare) }?;
            frame.address()
        };
        let table = self.table.as_ref().ok_or(Error::Size {
            what: "the table",
            needed,
            got: 0,
        })?;
        // SAFETY: `address` has `needed` bytes until `prepared` has fired (as above); the table was queued before.
        unsafe { kernels.letterbox(address, conversion, table, (&self.tensor, half), prepare) }?;
        self.prepared.record(prepare)?;
        Ok(self.tensor.address())
    }

    /// Queues the copy of this conversion's table to the GPU, if it is not there yet.
    fn upload_table(
        &mut self,
        conversion: &Arc<Conversion>,
        prepare: &Stream,
    ) -> Result<(), Error> {
        let same = |c: &Arc<Conversion>| Arc::ptr_eq(c, conversion) || **c == **conversion;
        if self.conversion.as_ref().is_some_and(same) {
            return Ok(());
        }
        self.conversion = None;
        let words = conversion.words();
        let source = at_least(&mut self.table_source, words.len(), |len| {
            PinnedBuffer::new(&self.device, len)
        })?;
        source.as_mut_slice()[..words.len()].copy_from_slice(words);
        let bytes = 4 * words.len();
        let table = at_least(&mut self.table, bytes, |len| {
            DeviceBuffer::new(&self.device, len)
        })?;
        // SAFETY: page-locked, ours, not touched before this set is free again.
        unsafe { table.copy_from(source.as_ptr(), bytes, prepare) }?;
        self.conversion = Some(Arc::clone(conversion));
        Ok(())
    }

    /// Lets the CPU make the input tensor; returns its address.
    pub(super) fn prepare_filled(
        &mut self,
        fill: impl FnOnce(&mut [f32]),
        prepare: &Stream,
    ) -> Result<u64, Error> {
        let values = self.tensor_values;
        let filled = at_least(&mut self.filled, values, |len| {
            PinnedBuffer::new(&self.device, len)
        })?;
        fill(&mut filled.as_mut_slice()[..values]);
        // Not mapped on a discrete GPU, whose engine would read it across the bus again and again.
        let mapped = filled.address().filter(|_| self.device.facts().integrated);
        let address = if let Some(address) = mapped {
            address
        } else {
            // SAFETY: page-locked, ours, not touched before this set is free again.
            unsafe { self.tensor.copy_from(filled.as_ptr(), 4 * values, prepare) }?;
            self.tensor.address()
        };
        self.prepared.record(prepare)?;
        Ok(address)
    }

    /// Resets the set after a failure, when the GPU is idle: releases what it holds, and assumes nothing that was queued to
    /// have been done.
    pub(super) fn reset(&mut self) {
        self.keep = None;
        self.conversion = None;
        self.recorded = None;
        self.warm = false;
    }

    /// Releases the owner of the frame's bytes if the GPU has read them.
    pub(super) fn release_if_read(&mut self) -> Result<(), Error> {
        if self.keep.is_some() && self.prepared.query()? {
            self.keep = None;
        }
        Ok(())
    }

    /// Waits for the frame; returns what was found in it.
    pub(super) fn finish(&mut self, spec: &Spec, prepare: &Stream) -> Result<FilteredBoxes, Error> {
        if self.keep.is_some() {
            self.prepared.synchronize()?;
            self.keep = None;
        }
        self.done.synchronize()?;
        let count = self
            .candidates
            .as_slice()
            .first()
            .map_or(0, |n| *n as usize);
        let bytes = 4 * (HEADER_WORDS + count.min(spec.output.rows) * CANDIDATE_WORDS);
        if bytes > self.first_copy {
            // SAFETY: the set's own memory, used by nobody else before it is waited for.
            unsafe {
                self.found.copy_to(
                    &self.candidates,
                    self.first_copy,
                    bytes - self.first_copy,
                    prepare,
                )
            }?;
            // In this stream, because in the other one the copy could wait for the next frame's engine.
            self.done.record(prepare)?;
            self.done.synchronize()?;
        }
        Ok(FilteredBoxes::of_words(
            &self.candidates.as_slice()[..bytes / 4],
            spec.most,
        ))
    }
}

/// The buffer; allocated anew if it is missing or too small.
fn at_least<B: Sized + HasLen>(
    buffer: &mut Option<B>,
    len: usize,
    make: impl FnOnce(usize) -> Result<B, Error>,
) -> Result<&mut B, Error> {
    match buffer {
        Some(there) if there.length() >= len => {}
        _ => *buffer = Some(make(len)?),
    }
    buffer.as_mut().ok_or(Error::Size {
        what: "a buffer",
        needed: len,
        got: 0,
    })
}

/// What `at_least` compares.
trait HasLen {
    fn length(&self) -> usize;
}

impl HasLen for DeviceBuffer {
    fn length(&self) -> usize {
        self.len()
    }
}

impl<T: crate::memory::Plain> HasLen for PinnedBuffer<T> {
    fn length(&self) -> usize {
        self.as_slice().len()
    }
}
