//! From an ONNX model to a plan, as `trtexec --onnx --saveEngine --fp16` does it.

use std::ffi::{c_char, c_void};

use crate::abi::{self, Dims32, Dims64, Owned, call, place};
use crate::error::Error;
use crate::library::Library;
use crate::parser::Parser;
use crate::progress::{Callback, Monitor, Progress};
use crate::version::Flavour;

/// `BuilderFlag::kFP16` of TensorRT 8 and 10.
const FP16: i32 = 0;
/// `MemoryPoolType::kWORKSPACE`.
const WORKSPACE: i32 = 0;
/// `NetworkDefinitionCreationFlag::kEXPLICIT_BATCH` of TensorRT 8, as a bit. In later versions every network has it, and the
/// bit means something else.
const EXPLICIT_BATCH: u32 = 1;

/// What to build.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The model, with one input of 1 x 3 x height x width. On TensorRT 11 and TensorRT-RTX its element types are the
    /// engine's: for fp16 hand in an fp16 model.
    pub onnx: &'a [u8],
    /// Rows of the input, in pixels.
    pub height: u32,
    /// Columns of the input, in pixels.
    pub width: u32,
    /// Let TensorRT choose fp16 where it is faster. TensorRT 8 and 10 only.
    pub fp16: bool,
    /// Most bytes of device memory for intermediate results; TensorRT's own limit if none.
    pub workspace: Option<usize>,
    /// What an earlier build measured; makes this one faster and its choices the same.
    pub timing_cache: Option<&'a [u8]>,
    /// Build for this card and not for the one here, as in 86 for 8.6. TensorRT-RTX only, which without it builds for
    /// every card that it knows.
    pub compute_capability: Option<u32>,
    /// Called at every step, from TensorRT's threads; false ends the build. Never called by TensorRT 8, which has
    /// nothing of the kind.
    pub progress: Option<&'a (dyn Fn(&Progress<'_>) -> bool + Sync)>,
}

impl<'a> Request<'a> {
    /// A build with TensorRT's own limits and the model's own element types.
    pub fn new(onnx: &'a [u8], height: u32, width: u32) -> Self {
        Self {
            onnx,
            height,
            width,
            fp16: false,
            workspace: None,
            timing_cache: None,
            compute_capability: None,
            progress: None,
        }
    }
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("onnx_bytes", &self.onnx.len())
            .field("height", &self.height)
            .field("width", &self.width)
            .field("fp16", &self.fp16)
            .field("workspace", &self.workspace)
            .field("timing_cache_bytes", &self.timing_cache.map(<[u8]>::len))
            .field("compute_capability", &self.compute_capability)
            .field("progress", &self.progress.is_some())
            .finish()
    }
}

/// What a build gives.
#[derive(Clone, PartialEq, Eq)]
pub struct Built {
    /// The engine as bytes, for this version and this kind of device only.
    pub plan: Vec<u8>,
    /// What the build measured, for [`Request::timing_cache`] of the next; `None` where TensorRT keeps none.
    pub timing_cache: Option<Vec<u8>>,
}

impl std::fmt::Debug for Built {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Built")
            .field("plan_bytes", &self.plan.len())
            .field(
                "timing_cache_bytes",
                &self.timing_cache.as_ref().map(Vec::len),
            )
            .finish()
    }
}

/// Builds a plan. Takes seconds on a desktop and many minutes on a small device; blocks all the while.
///
/// # Errors
/// For what this version does not have (fp16 as a flag on 11, a foreign compute capability on TensorRT), a model that
/// the parser refuses or whose input is not an image, a cancelled build, and whatever TensorRT itself refuses.
pub fn build(library: &Library, request: &Request<'_>) -> Result<Built, Error> {
    check(library, request)?;
    // Declared before the session, so dropped after it: TensorRT holds its address as long as the configuration exists.
    let monitor = request
        .progress
        .map(|callback: Callback<'_>| Monitor::new(callback));
    let mut session = Session::new(library)?;
    session.parser.parse(request.onnx)?;
    session.fix_input(request.height, request.width)?;
    session.configure(request, monitor.as_deref())?;
    let cancelled = || monitor.as_ref().is_some_and(|monitor| monitor.cancelled());
    let plan = session
        .serialize()
        .map_err(|error| if cancelled() { Error::Cancelled } else { error })?;
    Ok(Built {
        plan,
        timing_cache: session.timing_cache(),
    })
}

fn check(library: &Library, request: &Request<'_>) -> Result<(), Error> {
    if request.fp16 && !library.fp16_by_flag() {
        return Err(library.unsupported(
            "its networks are strongly typed, there is no fp16 flag; hand in an fp16 model (hanja-model half) instead",
        ));
    }
    if request.compute_capability.is_some() && library.flavour() != Flavour::Rtx {
        return Err(library.unsupported("only TensorRT-RTX builds for a card that is not here"));
    }
    if request.height == 0 || request.width == 0 {
        return Err(Error::Tensor("an input of no height or width".into()));
    }
    Ok(())
}

/// The objects of one build. Fields are dropped in this order: the parser, which owns the weights, after the build and
/// before its network; what a builder made before the builder.
struct Session<'a> {
    library: &'a Library,
    cache: Option<Owned>,
    config: Owned,
    parser: Parser,
    network: Owned,
    builder: Owned,
}

impl<'a> Session<'a> {
    fn new(library: &'a Library) -> Result<Self, Error> {
        let slots = library.slots();
        library.logger().clear();
        let builder = library.create_builder()?;
        // SAFETY: null or a new builder, ours alone.
        let builder =
            unsafe { Owned::new(builder) }.ok_or_else(|| library.failed("createInferBuilder"))?;
        let flags = if library.version().major == 8 {
            EXPLICIT_BATCH
        } else {
            0
        };
        // SAFETY: a living builder; returns null or a new network, ours alone.
        let network = unsafe {
            let slot = place(slots.create_network);
            Owned::new(call!(builder.implementation(), slot, fn(u32 = flags) -> *mut c_void))
        };
        let network = network.ok_or_else(|| library.failed("createNetworkV2"))?;
        // SAFETY: the network is dropped after the parser: see the order of the fields, and of these variables.
        let parser = unsafe { Parser::new(library, &network)? };
        // SAFETY: a living builder; returns null or a new configuration, ours alone.
        let config = unsafe {
            let slot = place(slots.create_config);
            Owned::new(call!(builder.implementation(), slot, fn() -> *mut c_void))
        };
        let config = config.ok_or_else(|| library.failed("createBuilderConfig"))?;
        Ok(Self {
            library,
            cache: None,
            config,
            parser,
            network,
            builder,
        })
    }

    /// Sets the size of the network's one input where the model leaves it open.
    fn fix_input(&self, height: u32, width: u32) -> Result<(), Error> {
        let slots = self.library.slots();
        let network = self.network.implementation();
        // SAFETY: a living network with at least the one input that is asked for; its tensors live as long as it does.
        let (count, input) = unsafe {
            let count = call!(network, place(slots.nb_inputs), fn() -> i32);
            let first = if count == 1 {
                call!(network, place(slots.input), fn(i32 = 0) -> *mut c_void)
            } else {
                std::ptr::null_mut()
            };
            (count, first)
        };
        if input.is_null() {
            return Err(Error::Tensor(format!(
                "a model of one input is needed, this one has {count}"
            )));
        }
        // SAFETY: a tensor is a public object; its name lives as long as it does.
        let (tensor, name) = unsafe {
            let tensor = abi::implementation(input);
            (
                tensor,
                abi::text(call!(
                    tensor,
                    place(slots.tensor_name),
                    fn() -> *const c_char
                )),
            )
        };
        // SAFETY: a living tensor of the network.
        let shape = unsafe { self.dimensions(tensor) };
        let wanted = fixed(&name, shape.as_deref().unwrap_or_default(), height, width)?;
        if Some(&wanted) == shape.as_ref() {
            return Ok(());
        }
        // SAFETY: a living input of the network.
        let now = unsafe {
            self.set_dimensions(tensor, &name, &wanted)?;
            self.dimensions(tensor)
        };
        if now.as_ref() == Some(&wanted) {
            return Ok(());
        }
        Err(Error::Tensor(format!(
            "TensorRT made {now:?} of the input {name}, which was to be {wanted:?}"
        )))
    }

    /// # Safety
    /// `tensor` is the implementation of a living tensor of the network.
    unsafe fn dimensions(&self, tensor: *mut c_void) -> Option<Vec<i64>> {
        let slot = place(self.library.slots().dimensions);
        // SAFETY: the caller's promise.
        unsafe {
            if self.library.dims32() {
                call!(tensor, slot, fn() -> Dims32).get()
            } else {
                call!(tensor, slot, fn() -> Dims64).get()
            }
        }
    }

    /// # Safety
    /// `tensor` is the implementation of a living input of the network.
    unsafe fn set_dimensions(
        &self,
        tensor: *mut c_void,
        name: &str,
        shape: &[i64],
    ) -> Result<(), Error> {
        let slot = place(self.library.slots().set_dimensions);
        let wrong = || Error::Tensor(format!("{shape:?} is no shape for the input {name}"));
        // SAFETY: the caller's promise. TensorRT 8 takes the dimensions by value, later ones by address.
        unsafe {
            if self.library.dims32() {
                let dims = Dims32::new(shape).ok_or_else(wrong)?;
                call!(tensor, slot, fn(Dims32 = dims));
            } else {
                let dims = Dims64::new(shape).ok_or_else(wrong)?;
                call!(tensor, slot, fn(*const Dims64 = &raw const dims));
            }
        }
        Ok(())
    }

    fn configure(
        &mut self,
        request: &Request<'_>,
        monitor: Option<&Monitor<'_>>,
    ) -> Result<(), Error> {
        let slots = self.library.slots();
        let config = self.config.implementation();
        self.library.logger().clear();
        if request.fp16 {
            // SAFETY: a living builder and a living configuration; 8 and 10 have both methods (`check`).
            unsafe {
                let fast = place(slots.has_fast_fp16);
                if call!(self.builder.implementation(), fast, fn() -> u8) == 0 {
                    tracing::warn!(
                        "this GPU is not fast at fp16; the engine may be no faster than fp32"
                    );
                }
                call!(config, place(slots.set_flag), fn(i32 = FP16));
            }
        }
        if let Some(bytes) = request.workspace {
            // SAFETY: a living configuration; the older method is there where the newer is not.
            unsafe {
                match slots.set_memory_pool_limit.place() {
                    Some(slot) => call!(config, slot, fn(i32 = WORKSPACE, usize = bytes)),
                    None => call!(config, place(slots.set_max_workspace_size), fn(usize = bytes)),
                }
            }
        }
        if let Some((monitor, slot)) = monitor.zip(slots.set_progress_monitor.place()) {
            // SAFETY: a living configuration; the monitor outlives it (`build`).
            unsafe { call!(config, slot, fn(*mut c_void = monitor.as_object())) };
        }
        if let Some(capability) = request.compute_capability {
            self.build_for(capability)?;
        }
        self.cache = self.create_cache(request.timing_cache);
        Ok(())
    }

    fn build_for(&self, capability: u32) -> Result<(), Error> {
        let slots = self.library.slots();
        let config = self.config.implementation();
        let kind = i32::try_from(capability).unwrap_or(i32::MAX);
        // SAFETY: a living configuration of TensorRT-RTX (`check`): first how many cards, then each.
        let done = unsafe {
            let count = place(slots.set_nb_compute_capabilities);
            let set = place(slots.set_compute_capability);
            call!(config, count, fn(i32 = 1) -> u8) != 0
                && call!(config, set, fn(i32 = kind, i32 = 0) -> u8) != 0
        };
        if done {
            Ok(())
        } else {
            Err(self
                .library
                .failed(format!("setComputeCapability {capability}")))
        }
    }

    /// The given timing cache if it fits, else an empty one. Without any the build is only slower.
    fn create_cache(&self, bytes: Option<&[u8]>) -> Option<Owned> {
        let from = |bytes: &[u8]| {
            let slots = self.library.slots();
            let config = self.config.implementation();
            // SAFETY: a living configuration; the bytes are only read during the call, and null stands for none. A new
            // cache is ours, and is dropped before the configuration.
            unsafe {
                let address = if bytes.is_empty() {
                    std::ptr::null()
                } else {
                    bytes.as_ptr()
                };
                let create = place(slots.create_timing_cache);
                let cache = Owned::new(call!(config, create, fn(
                    *const c_void = address.cast(), usize = bytes.len()) -> *mut c_void))?;
                let set = place(slots.set_timing_cache);
                // 0: refuses a cache of another device or version, whose times do not apply here.
                let accepted = call!(config, set, fn(*mut c_void = cache.object(), u8 = 0) -> u8);
                (accepted != 0).then_some(cache)
            }
        };
        if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
            if let Some(cache) = from(bytes) {
                return Some(cache);
            }
            tracing::warn!(
                "the timing cache is of no use here ({}); starting anew",
                self.library.logger().said()
            );
            self.library.logger().clear();
        }
        from(&[])
    }

    fn serialize(&self) -> Result<Vec<u8>, Error> {
        let slot = place(self.library.slots().build_serialized);
        self.library.logger().clear();
        let (network, config) = (self.network.object(), self.config.object());
        // SAFETY: living objects of one builder; returns null or new memory, ours alone.
        let memory = unsafe {
            Owned::new(call!(self.builder.implementation(), slot, fn(
                *mut c_void = network, *mut c_void = config) -> *mut c_void))
        };
        let memory = memory.ok_or_else(|| self.library.failed("buildSerializedNetwork"))?;
        // SAFETY: memory of this library.
        unsafe { contents(self.library, &memory) }
            .filter(|plan| !plan.is_empty())
            .ok_or_else(|| self.library.failed("buildSerializedNetwork"))
    }

    /// The timing cache after the build.
    fn timing_cache(&self) -> Option<Vec<u8>> {
        self.cache.as_ref()?;
        let slots = self.library.slots();
        // SAFETY: a living configuration; it lends its cache, whose serialised form is new memory, ours alone.
        unsafe {
            let get = place(slots.get_timing_cache);
            let cache = call!(self.config.implementation(), get, fn() -> *mut c_void);
            if cache.is_null() {
                return None;
            }
            let serialize = place(slots.serialize_timing_cache);
            let memory = Owned::new(call!(
                abi::implementation(cache),
                serialize,
                fn() -> *mut c_void
            ))?;
            contents(self.library, &memory)
        }
    }
}

/// The bytes in TensorRT's memory, copied.
///
/// # Safety
/// `memory` is an IHostMemory of this library.
unsafe fn contents(library: &Library, memory: &Owned) -> Option<Vec<u8>> {
    let slots = library.slots();
    let object = memory.implementation();
    // SAFETY: a living IHostMemory: its bytes are as many as it says, and stay until it is dropped.
    unsafe {
        let data = call!(object, place(slots.memory_data), fn() -> *const u8);
        let size = call!(object, place(slots.memory_size), fn() -> usize);
        (!data.is_null()).then(|| std::slice::from_raw_parts(data, size).to_vec())
    }
}

/// The input's shape with what the model leaves open filled in.
fn fixed(name: &str, shape: &[i64], height: u32, width: u32) -> Result<Vec<i64>, Error> {
    let wanted = [1, 3, i64::from(height), i64::from(width)];
    let fits = shape.len() == wanted.len()
        && shape
            .iter()
            .zip(wanted)
            .all(|(&size, wanted)| size < 0 || size == wanted);
    if !fits {
        return Err(Error::Tensor(format!(
            "the model's input {name} is {shape:?}, which cannot be {wanted:?}"
        )));
    }
    Ok(wanted.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_model_leaves_open_is_filled_in() {
        for open in [[1, 3, -1, -1], [-1, 3, 320, -1], [1, 3, 320, 256]] {
            assert_eq!(
                fixed("images", &open, 320, 256).expect("fits"),
                [1, 3, 320, 256]
            );
        }
        for other in [
            &[1, 3, 640, 640][..],
            &[1, 1, -1, -1],
            &[3, -1, -1],
            &[2, 3, -1, -1],
            &[],
        ] {
            let error = fixed("images", other, 320, 256).expect_err("does not fit");
            assert!(error.to_string().contains("images"));
        }
    }
}
