//! Plans to engines, and what an engine says about its tensors.

use std::ffi::{CString, c_char, c_void};
use std::sync::{Arc, Mutex, PoisonError};

use crate::abi::{self, Dims32, Dims64, Owned, call, place};
use crate::context::Context;
use crate::error::Error;
use crate::library::Library;
use crate::tensor::{DataType, Direction, Layout, TensorInfo};

/// More tensors than any network that this product can use has; an engine with more is refused.
const MOST_TENSORS: i32 = 256;

/// TensorRT's IRuntime: makes engines from plans.
#[derive(Debug, Clone)]
pub struct Runtime(Arc<RuntimeInner>);

#[derive(Debug)]
struct RuntimeInner {
    /// One call at a time: no version of TensorRT promises more.
    runtime: Mutex<Owned>,
    library: Library,
}

// SAFETY: TensorRT's objects belong to no thread; `runtime` is only used under its lock.
unsafe impl Send for RuntimeInner {}
// SAFETY: as above; the lock serialises all use through shared references.
unsafe impl Sync for RuntimeInner {}

impl Runtime {
    /// A runtime of this library. The device that is current on this thread is the one that engines will use.
    ///
    /// # Errors
    /// TensorRT's own, for example without a CUDA driver.
    pub fn new(library: &Library) -> Result<Self, Error> {
        library.logger().clear();
        // SAFETY: a new IRuntime, ours alone.
        let runtime = unsafe { Owned::new(library.create_runtime()) }
            .ok_or_else(|| library.failed("createInferRuntime"))?;
        Ok(Self(Arc::new(RuntimeInner {
            runtime: Mutex::new(runtime),
            library: library.clone(),
        })))
    }

    /// Makes an engine of a plan that the same version built for the same kind of device.
    ///
    /// # Errors
    /// TensorRT's own, for a plan of another version or device, or no plan at all; or tensors that no usable engine has.
    ///
    /// # Safety
    /// A plan is code: it must come from a place that is trusted like that of an executable. TensorRT refuses plans that it
    /// finds damaged, but guarantees nothing for a forged one.
    pub unsafe fn deserialize(&self, plan: &[u8]) -> Result<Engine, Error> {
        let library = &self.0.library;
        let slot = place(library.slots().deserialize);
        let runtime = self
            .0
            .runtime
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let object = runtime.implementation();
        library.logger().clear();
        let bytes: *const c_void = plan.as_ptr().cast();
        // SAFETY: a living runtime under its lock; the plan is only read during the call. TensorRT 8 takes a plugin
        // factory as well, which may be null.
        let engine = unsafe {
            if library.version().major == 8 {
                let none = std::ptr::null_mut();
                call!(object, slot, fn(*const c_void = bytes, usize = plan.len(), *mut c_void = none) -> *mut c_void)
            } else {
                call!(object, slot, fn(*const c_void = bytes, usize = plan.len()) -> *mut c_void)
            }
        };
        drop(runtime);
        // SAFETY: null or a new engine, ours alone.
        let engine =
            unsafe { Owned::new(engine) }.ok_or_else(|| library.failed("deserializeCudaEngine"))?;
        let tensors = tensors(library, &engine)?;
        let engine = Mutex::new(engine);
        Ok(Engine(Arc::new(EngineInner {
            engine,
            tensors,
            runtime: self.clone(),
        })))
    }
}

/// An engine: a network compiled for one kind of device. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine(Arc<EngineInner>);

/// Fields are dropped in this order: the engine before the runtime that made it.
#[derive(Debug)]
struct EngineInner {
    engine: Mutex<Owned>,
    tensors: Vec<TensorInfo>,
    runtime: Runtime,
}

// SAFETY: TensorRT's objects belong to no thread; `engine` is only used under its lock, the rest is plain data.
unsafe impl Send for EngineInner {}
// SAFETY: as above; the lock serialises all use through shared references.
unsafe impl Sync for EngineInner {}

impl Engine {
    /// Every input and output, in the engine's own order.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.0.tensors
    }

    /// The library that made it.
    pub fn library(&self) -> &Library {
        &self.0.runtime.0.library
    }

    /// A context to run it in; takes device memory for the intermediate results.
    ///
    /// # Errors
    /// TensorRT's own, mostly for want of device memory.
    pub fn create_context(&self) -> Result<Context, Error> {
        let library = self.library();
        let slot = place(library.slots().create_context);
        let engine = self.0.engine.lock().unwrap_or_else(PoisonError::into_inner);
        let object = engine.implementation();
        library.logger().clear();
        // SAFETY: a living engine under its lock. From TensorRT 10 on there is a strategy for the memory: 0, static.
        let context = unsafe {
            if library.version().major == 8 {
                call!(object, slot, fn() -> *mut c_void)
            } else {
                call!(object, slot, fn(i32 = 0) -> *mut c_void)
            }
        };
        drop(engine);
        // SAFETY: null or a new context, ours alone.
        let context = unsafe { Owned::new(context) }
            .ok_or_else(|| library.failed("createExecutionContext"))?;
        Context::new(context, self.clone())
    }
}

/// Asks an engine for all of its tensors, by name or, before TensorRT 8.5, by binding.
fn tensors(library: &Library, engine: &Owned) -> Result<Vec<TensorInfo>, Error> {
    let object = engine.implementation();
    let slots = library.slots();
    let named = slots.nb_io_tensors.place();
    let count = named.unwrap_or_else(|| place(slots.nb_bindings));
    // SAFETY: a living engine; both methods take nothing and return the number.
    let count = unsafe { call!(object, count, fn() -> i32) };
    if !(1..=MOST_TENSORS).contains(&count) {
        return Err(Error::Tensor(format!(
            "the engine says that it has {count} tensors"
        )));
    }
    (0..count)
        .map(|index| {
            // SAFETY: a living engine, and an index below its count.
            unsafe {
                if named.is_some() {
                    by_name(library, object, index)
                } else {
                    by_binding(library, object, index)
                }
            }
        })
        .collect()
}

/// # Safety
/// `object` is a living engine's implementation of a version with named tensors, `index` below their number.
unsafe fn by_name(library: &Library, object: *mut c_void, index: i32) -> Result<TensorInfo, Error> {
    let slots = library.slots();
    // SAFETY: the caller's promise; the engine's names live as long as it does.
    unsafe {
        let raw = call!(object, place(slots.io_tensor_name), fn(i32 = index) -> *const c_char);
        let name = name(raw, index)?;
        let mode = call!(object, place(slots.tensor_io_mode), fn(*const c_char = raw) -> i32);
        let shape = place(slots.engine_tensor_shape);
        let shape = if library.dims32() {
            call!(object, shape, fn(*const c_char = raw) -> Dims32).get()
        } else {
            call!(object, shape, fn(*const c_char = raw) -> Dims64).get()
        };
        let kind = call!(object, place(slots.tensor_data_type), fn(*const c_char = raw) -> i32);
        let layout = call!(object, place(slots.tensor_format), fn(*const c_char = raw) -> i32);
        let direction = match mode {
            1 => Direction::Input,
            2 => Direction::Output,
            _ => {
                return Err(Error::Tensor(format!(
                    "the engine's tensor {name} is neither input nor output"
                )));
            }
        };
        info(name, direction, shape, (kind, layout))
    }
}

/// # Safety
/// `object` is a living engine's implementation of a version with bindings, `index` below their number.
unsafe fn by_binding(
    library: &Library,
    object: *mut c_void,
    index: i32,
) -> Result<TensorInfo, Error> {
    let slots = library.slots();
    // SAFETY: the caller's promise; the engine's names live as long as it does.
    unsafe {
        let raw = call!(object, place(slots.binding_name), fn(i32 = index) -> *const c_char);
        let name = name(raw, index)?;
        let input = call!(object, place(slots.binding_is_input), fn(i32 = index) -> u8) != 0;
        let shape =
            call!(object, place(slots.engine_binding_dimensions), fn(i32 = index) -> Dims32);
        let kind = call!(object, place(slots.binding_data_type), fn(i32 = index) -> i32);
        let layout = call!(object, place(slots.binding_format), fn(i32 = index) -> i32);
        let direction = if input {
            Direction::Input
        } else {
            Direction::Output
        };
        info(name, direction, shape.get(), (kind, layout))
    }
}

/// # Safety
/// `raw` is null or a living C string.
unsafe fn name(raw: *const c_char, index: i32) -> Result<String, Error> {
    // SAFETY: the caller's promise.
    let name = unsafe { abi::text(raw) };
    if name.is_empty() {
        return Err(Error::Tensor(format!(
            "the engine's tensor {index} has no name"
        )));
    }
    Ok(name)
}

fn info(
    name: String,
    direction: Direction,
    shape: Option<Vec<i64>>,
    (kind, layout): (i32, i32),
) -> Result<TensorInfo, Error> {
    let shape =
        shape.ok_or_else(|| Error::Tensor(format!("the engine's tensor {name} has no shape")))?;
    Ok(TensorInfo {
        name,
        direction,
        shape,
        data_type: DataType::from_raw(kind),
        layout: Layout::from_raw(layout),
    })
}

/// A tensor's name for a call. Names from an engine have no zero byte, but names from a caller may.
pub(crate) fn c_name(name: &str) -> Result<CString, Error> {
    CString::new(name)
        .map_err(|_| Error::Tensor(format!("a tensor's name has a zero byte: {name:?}")))
}
