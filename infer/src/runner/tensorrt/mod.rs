//! On the GPU: TensorRT runs the model between two kernels of ours (`hanja_cuda::FramePath`); the CPU only submits frames.
//!
//! Where a frame's bytes go:
//!
//! | the device | the frame | way |
//! |---|---|---|
//! | can register the ring's memory | raw, in the ring | the GPU fetches the slot itself; the lease is held until it has |
//! | cannot, shares its memory (Jetson Nano, TX2) | any | the CPU makes the tensor, once, in memory that the engine reads |
//! | any other case | JPEG, pictures from files | copied once to page-locked memory, converted by the GPU |

#![allow(unsafe_code)] // TensorRT's two conditions: plans are trusted, memory outlives the work on it

mod network;

use super::contract::{Output, Picture, Runner};
use crate::backend::Unusable;
use crate::decode::MOST_CANDIDATES;
use crate::engine::{self, Cache, DeviceKey, Found, Job, trusted_read};
use crate::error::InferError;
use crate::model::{Facts, ModelFile};
use crate::nms::ScoredBox;
use crate::preprocess::{Letterbox, Luma, Preprocessor, Target};
use hanja_cuda::{Device, FramePath, OutputSpec, Registration, Source, Spec};
use hanja_record::{FrameRef, PixelFormat};
use hanja_ring::{Lease, now_ns};
use hanja_stage::config::InferConfig;
use hanja_tensorrt::{Engine, Library, Runtime};
use network::{Network, failed};
use std::collections::VecDeque;

/// An engine on a GPU, and all that a frame needs on the way through it.
#[derive(Debug)]
pub(crate) struct TensorRtRunner {
    // Fields are dropped in this order: the path waits for its work before the engine's context is freed.
    path: FramePath,
    network: Network,
    device: Device,
    preprocessor: Preprocessor,
    /// The brightness of the pictures under way, oldest first.
    lumas: VecDeque<Luma>,
    /// The brightness of the picture finished last; `None` if it is not kept.
    luma: Option<Luma>,
    /// Buffers for the brightness of later pictures.
    spare: Vec<Luma>,
    ring: Option<Ring>,
    ways: Ways,
    description: String,
}

/// Ways of a frame that some devices do not have. Tests switch them off to measure what each gains.
#[derive(Clone, Copy, Debug)]
struct Ways {
    /// CUDA graphs.
    graphs: bool,
    /// The GPU reads frames in the ring.
    zero_copy: bool,
}

impl Ways {
    const ALL: Self = Self {
        graphs: true,
        zero_copy: true,
    };
}

/// A generation of the ring, registered for the GPU if it can be.
#[derive(Debug)]
struct Ring {
    generation: u64,
    registration: Option<Registration>,
}

impl TensorRtRunner {
    /// Loads the engine for `file` on this machine's GPU.
    pub(crate) fn load(file: &ModelFile, config: &InferConfig) -> Result<Self, Unusable> {
        Self::load_with(file, config, Ways::ALL)
    }

    fn load_with(file: &ModelFile, config: &InferConfig, ways: Ways) -> Result<Self, Unusable> {
        let library = Library::find().map_err(Unusable::missing)?;
        let device = Device::probe().map_err(Unusable::missing)?;
        let (plan, job) = plan(file, config, &library, &device)?;
        let engine = deserialized(&library, &plan, job, config)?;
        drop(plan);
        let network = Network::new(&engine, &device, file, config)?;
        let spec = Spec {
            input: network.input,
            half: network.half_input,
            output: OutputSpec {
                conf: InferConfig::least_score(false),
                ..network.output
            },
            most: MOST_CANDIDATES,
            graphs: ways.graphs,
        };
        let path = FramePath::new(&device, spec).map_err(Unusable::missing)?;
        let (width, height) = network.input;
        let target = Target::Fixed {
            width: width as u32,
            height: height as u32,
        };
        let facts = device.facts();
        let description = format!("tensorrt {} on {facts}", library.version());
        Ok(Self {
            path,
            network,
            device,
            preprocessor: Preprocessor::new(target),
            lumas: VecDeque::new(),
            luma: None,
            spare: Vec::new(),
            ring: None,
            ways,
            description,
        })
    }

    /// Registers the memory of the lease's ring, if that is not done yet and the device can.
    fn attach(&mut self, lease: &Lease) {
        let generation = lease.generation();
        if self
            .ring
            .as_ref()
            .is_some_and(|r| r.generation == generation)
        {
            return;
        }
        // The old registration is dropped first: a small device may not have memory to pin two rings at once.
        self.ring = None;
        let registration = match Registration::of_ring(&self.device, lease.mapping()) {
            Ok(registration) => {
                tracing::info!("the GPU reads frames where they lie in the ring");
                Some(registration)
            }
            Err(refusal) => {
                let instead = if self.cpu_makes_tensor() {
                    "the CPU makes the model's input"
                } else {
                    "frames are copied for the GPU"
                };
                tracing::info!("{instead}: {refusal}");
                None
            }
        };
        self.ring = Some(Ring {
            generation,
            registration,
        });
    }

    /// Whether the CPU makes the tensor, because the GPU cannot read the ring: one pass over the picture instead of two.
    fn cpu_makes_tensor(&self) -> bool {
        let facts = self.device.facts();
        facts.integrated && !facts.can_register && !self.network.half_input
    }

    /// Keeps the brightness of the picture that was just submitted until it is finished.
    fn queue_luma(&mut self) {
        if self.luma.is_some() {
            let mut own = self.spare.pop().unwrap_or_default();
            self.preprocessor.swap_luma(&mut own);
            self.lumas.push_back(own);
        }
    }

    fn submit_filled(&mut self, frame: &FrameRef<'_>) -> Result<Letterbox, InferError> {
        let (path, network) = (&mut self.path, &mut self.network);
        let filling = self.preprocessor.prepare(frame)?;
        let letterbox = filling.letterbox();
        path.submit_filled(|tensor| filling.fill(tensor), |work| network.enqueue(work))
            .map_err(failed)?;
        self.queue_luma();
        Ok(letterbox)
    }
}

/// The plan to run; if it is from the cache, also the job that would build it anew.
fn plan(
    file: &ModelFile,
    config: &InferConfig,
    library: &Library,
    device: &Device,
) -> Result<(Vec<u8>, Option<Job>), Unusable> {
    if let Some(path) = &config.engine {
        let plan = trusted_read(path).map_err(Unusable::missing)?;
        return Ok((plan, None));
    }
    let job = job(file, config, device)?;
    let key = job.key_of(file, engine::library_key(library));
    match Cache::new(&job.cache).find(&key) {
        Ok(Found::Engine(engine)) => Ok((engine.plan, Some(job))),
        // The process that builds it anew logs why the one in the cache is unfit.
        Ok(Found::Nothing | Found::Unfit(_)) => Err(Unusable::NotBuilt(Box::new(job))),
        Err(e) => {
            // An error in the log: the machine is set up wrongly, and could use TensorRT otherwise.
            let reason = format!("the engine cache {}: {e}", job.cache.display());
            tracing::error!("TensorRT stays unused: {reason}");
            Err(Unusable::Missing(reason))
        }
    }
}

/// The plan as an engine; `job` is there if the plan is from the cache.
fn deserialized(
    library: &Library,
    plan: &[u8],
    job: Option<Job>,
    config: &InferConfig,
) -> Result<Engine, Unusable> {
    let runtime = Runtime::new(library).map_err(Unusable::missing)?;
    // SAFETY: nobody but root and this user can have written the plan (`trusted_read`, which the cache uses too), and
    // one from the cache is, byte for byte, what a build of ours stored.
    let refusal = match unsafe { runtime.deserialize(plan) } {
        Ok(engine) => return Ok(engine),
        Err(e) => e,
    };
    if let Some(job) = job {
        // Undamaged and of this version, yet refused: the driver or the library changed and kept its version number.
        let refused = Some(refusal.to_string());
        return Err(Unusable::NotBuilt(Box::new(Job { refused, ..job })));
    }
    let path = config.engine.clone().unwrap_or_default();
    Err(Unusable::Missing(format!(
        "the engine {} is refused: {refusal}; it has to be built on this machine, by this TensorRT: hanja engine build --out FILE",
        path.display()
    )))
}

/// What is to be built for this model, device and configuration.
fn job(file: &ModelFile, config: &InferConfig, device: &Device) -> Result<Job, Unusable> {
    let facts = device.facts();
    Ok(Job {
        device: Some(DeviceKey {
            name: facts.name.clone(),
            compute_capability: facts.capability,
        }),
        ..Job::of(file, config).map_err(Unusable::missing)?
    })
}

impl Runner for TensorRtRunner {
    fn kind(&self) -> hanja_record::Backend {
        hanja_record::Backend::TensorRt
    }

    fn describe(&self) -> String {
        self.description.clone()
    }

    fn facts(&self) -> &Facts {
        &self.network.facts
    }

    fn set_conf(&mut self, conf: f32) {
        self.path.set_conf(conf);
    }

    fn keep_luma(&mut self) {
        self.preprocessor.keep_luma();
        self.luma.get_or_insert_default();
    }

    fn luma(&self) -> Option<&Luma> {
        self.luma.as_ref()
    }

    fn depth(&self) -> usize {
        FramePath::DEPTH
    }

    fn submit(&mut self, picture: Picture<'_>) -> Result<Letterbox, InferError> {
        if let Picture::Leased(lease) = &picture
            && self.ways.zero_copy
        {
            self.attach(lease);
        }
        if self.cpu_makes_tensor() {
            return self.submit_filled(&picture.frame()?);
        }
        let frame = picture.frame()?;
        let (path, network) = (&mut self.path, &mut self.network);
        let (bytes, conversion, letterbox) = self.preprocessor.for_gpu(&frame)?;
        let enqueue = |work| network.enqueue(work);
        let ring = self.ring.as_ref().and_then(|r| r.registration.as_ref());
        let slot = ring
            .filter(|_| frame.format != PixelFormat::Mjpg)
            .and_then(|ring| ring.place(bytes));
        let submitted = match slot {
            Some(slot) => {
                let lease = match picture {
                    Picture::Leased(lease) => Some(lease),
                    Picture::Bytes(_) => None,
                };
                path.submit_frame(Source::Registered(slot), &conversion, lease, enqueue)
            }
            // Copied before the call returns; the lease, if there is one, is released at the end of this function.
            None => path.submit_frame(Source::Host(bytes), &conversion, (), enqueue),
        };
        submitted.map_err(failed)?;
        self.queue_luma();
        Ok(letterbox)
    }

    fn is_done(&mut self) -> Result<bool, InferError> {
        self.path.is_done().map_err(failed)
    }

    fn finish(&mut self, candidates: &mut Vec<ScoredBox>) -> Result<Output, InferError> {
        let found = self.path.wait().map_err(failed)?;
        let found = found.ok_or_else(|| failed("there is no picture under way"))?;
        let inferred = now_ns();
        if let Some(next) = self.lumas.pop_front() {
            self.spare.extend(self.luma.replace(next));
        }
        candidates.clear();
        candidates.extend(found.list.iter().map(|c| ScoredBox {
            x1: c.x1,
            y1: c.y1,
            x2: c.x2,
            y2: c.y2,
            score: c.score,
            class: c.class,
            row: c.row,
        }));
        Ok(Output {
            rows: self.network.output.rows,
            columns: self.network.output.columns,
            total: found.total,
            begun: None,
            inferred,
        })
    }

    /// Measures a little more than the model: the GPU also copies and converts the input, and filters the output.
    fn bare_loop(&mut self, runs: usize) -> Result<Vec<u64>, InferError> {
        let (width, height) = self.network.input;
        let grey = vec![128; width * height];
        let frame = FrameRef {
            format: PixelFormat::Grey,
            width: width as u32,
            height: height as u32,
            stride: width as u32,
            bytes: &grey,
        };
        let (mut times, mut candidates) = (Vec::with_capacity(runs), Vec::new());
        for _ in 0..runs {
            let started = now_ns();
            self.submit(Picture::Bytes(frame))?;
            self.finish(&mut candidates)?;
            times.push(now_ns() - started);
        }
        Ok(times)
    }
}

#[cfg(test)]
mod on_device;
#[cfg(test)]
mod tests;
