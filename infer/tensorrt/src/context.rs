//! Running an engine: addresses and shapes of its tensors, then enqueue. One interface over two ways: named tensors and
//! `enqueueV3` since TensorRT 8.5, numbered bindings and `enqueueV2` before.

use std::ffi::{CString, c_char, c_void};

use crate::abi::{Dims32, Dims64, Owned, call, place};
use crate::error::Error;
use crate::library::Library;
use crate::runtime::{Engine, c_name};
use crate::tensor::{Direction, TensorInfo};

/// TensorRT's IExecutionContext: one run of an engine at a time.
///
/// Fields are dropped in this order: the context before its engine.
#[derive(Debug)]
pub struct Context {
    context: Owned,
    names: Vec<CString>,
    /// Device addresses by tensor, 0 until bound. TensorRT before 8.5 gets this list as the bindings.
    addresses: Vec<u64>,
    engine: Engine,
}

// SAFETY: TensorRT's contexts belong to no thread; methods that change something take `&mut self`.
unsafe impl Send for Context {}

impl Context {
    pub(crate) fn new(context: Owned, engine: Engine) -> Result<Self, Error> {
        let names: Vec<_> = engine
            .tensors()
            .iter()
            .map(|tensor| c_name(&tensor.name))
            .collect::<Result<_, _>>()?;
        let addresses = vec![0; names.len()];
        Ok(Self {
            context,
            names,
            addresses,
            engine,
        })
    }

    /// The engine that it runs.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    fn library(&self) -> &Library {
        self.engine.library()
    }

    fn find(&self, tensor: &str) -> Result<(usize, &TensorInfo), Error> {
        let tensors = self.engine.tensors();
        tensors
            .iter()
            .enumerate()
            .find(|(_, info)| info.name == tensor)
            .ok_or_else(|| {
                let names: Vec<_> = tensors.iter().map(|info| info.name.as_str()).collect();
                Error::Tensor(format!(
                    "the engine has no tensor {tensor}; it has {}",
                    names.join(", ")
                ))
            })
    }

    /// Sets where a tensor's data is, as a device address (`CUdeviceptr` of CUDA's driver). It holds until it is changed.
    ///
    /// # Errors
    /// For a name that the engine does not have, and what TensorRT itself refuses.
    ///
    /// # Safety
    /// From the next `enqueue` until the stream has finished with it and until another address is bound, the address
    /// must be that of device-accessible memory of the current context, as large as the tensor, aligned to 256 bytes,
    /// and not written (an input) or touched (an output) by anything else.
    pub unsafe fn bind(&mut self, tensor: &str, device_ptr: u64) -> Result<(), Error> {
        let (index, _) = self.find(tensor)?;
        if device_ptr == 0 {
            return Err(Error::Tensor(format!("no address for the tensor {tensor}")));
        }
        let library = self.library();
        if let Some(slot) = library.slots().set_tensor_address.place() {
            library.logger().clear();
            let name = self.names[index].as_ptr();
            // SAFETY: a living context, a C string; the address itself is the caller's promise.
            let done = unsafe {
                call!(self.context.implementation(), slot, fn(*const c_char = name, u64 = device_ptr) -> u8)
            };
            if done == 0 {
                return Err(library.failed(format!("setTensorAddress of {tensor}")));
            }
        }
        self.addresses[index] = device_ptr;
        Ok(())
    }

    /// Fixes an input's dimensions where the engine left some open. Outputs follow: see [`Context::shape`].
    ///
    /// # Errors
    /// For a name that is no input, more than 8 dimensions, and what TensorRT refuses: a shape that the engine was not
    /// built for.
    pub fn set_input_shape(&mut self, tensor: &str, shape: &[i64]) -> Result<(), Error> {
        let (index, info) = self.find(tensor)?;
        if info.direction != Direction::Input {
            return Err(Error::Tensor(format!(
                "{tensor} is no input: its shape follows from the inputs'"
            )));
        }
        let library = self.library();
        let slots = library.slots();
        let object = self.context.implementation();
        let wrong = || Error::Tensor(format!("{shape:?} is no shape for the input {tensor}"));
        library.logger().clear();
        let name = self.names[index].as_ptr();
        // SAFETY: a living context; the name and the dimensions live during the call. Dimensions go by address, only
        // those of a binding go by value.
        let done = unsafe {
            match slots.set_input_shape.place() {
                Some(slot) if library.dims32() => {
                    let dims = Dims32::new(shape).ok_or_else(wrong)?;
                    call!(object, slot, fn(*const c_char = name, *const Dims32 = &raw const dims) -> u8)
                }
                Some(slot) => {
                    let dims = Dims64::new(shape).ok_or_else(wrong)?;
                    call!(object, slot, fn(*const c_char = name, *const Dims64 = &raw const dims) -> u8)
                }
                None => {
                    let dims = Dims32::new(shape).ok_or_else(wrong)?;
                    let slot = place(slots.set_binding_dimensions);
                    call!(object, slot, fn(i32 = binding(index), Dims32 = dims) -> u8)
                }
            }
        };
        if done == 0 {
            return Err(
                library.failed(format!("setting the shape {shape:?} of the input {tensor}"))
            );
        }
        Ok(())
    }

    /// A tensor's dimensions in this context: final once every input's shape is set, else with -1 in it.
    ///
    /// # Errors
    /// For a name that the engine does not have, or if TensorRT gives no shape.
    pub fn shape(&self, tensor: &str) -> Result<Vec<i64>, Error> {
        let (index, _) = self.find(tensor)?;
        let library = self.library();
        let slots = library.slots();
        let object = self.context.implementation();
        library.logger().clear();
        let name = self.names[index].as_ptr();
        // SAFETY: a living context; the name lives during the call, the index is one of the engine's.
        let shape = unsafe {
            match slots.context_tensor_shape.place() {
                Some(slot) if library.dims32() => {
                    call!(object, slot, fn(*const c_char = name) -> Dims32).get()
                }
                Some(slot) => call!(object, slot, fn(*const c_char = name) -> Dims64).get(),
                None => {
                    let slot = place(slots.context_binding_dimensions);
                    call!(object, slot, fn(i32 = binding(index)) -> Dims32).get()
                }
            }
        };
        shape.ok_or_else(|| library.failed(format!("getting the shape of {tensor}")))
    }

    /// Puts one run onto a CUDA stream (`CUstream`, which is `cudaStream_t`; null is the default stream) and returns at
    /// once, mostly. May be captured into a graph after one run outside.
    ///
    /// # Errors
    /// For a tensor without an address, and what TensorRT refuses. What fails on the device shows at the stream.
    ///
    /// # Safety
    /// `stream` is a living stream of the current context or null, and every bound address keeps [`Context::bind`]'s
    /// promise. The context must not be dropped or run again before the stream has finished this run, unless the next
    /// run is on the same stream.
    pub unsafe fn enqueue(&mut self, stream: *mut c_void) -> Result<(), Error> {
        if let Some(index) = self.addresses.iter().position(|&address| address == 0) {
            let name = &self.engine.tensors()[index].name;
            return Err(Error::Tensor(format!(
                "the tensor {name} was given no address"
            )));
        }
        let library = self.library();
        let slots = library.slots();
        let object = self.context.implementation();
        library.logger().clear();
        // SAFETY: a living context; stream and addresses are the caller's promise. Bindings are in the engine's order,
        // which is that of `addresses`; no event is wanted.
        let (call, done) = unsafe {
            match slots.enqueue_v3.place() {
                Some(slot) => (
                    "enqueueV3",
                    call!(object, slot, fn(*mut c_void = stream) -> u8),
                ),
                None => {
                    let slot = place(slots.enqueue_v2);
                    let (bindings, event) = (self.addresses.as_ptr(), std::ptr::null_mut());
                    let done = call!(object, slot, fn(
                        *const u64 = bindings, *mut c_void = stream, *mut c_void = event) -> u8);
                    ("enqueueV2", done)
                }
            }
        };
        if done == 0 {
            return Err(library.failed(call));
        }
        Ok(())
    }
}

/// A binding's number: tensors are few (`runtime`).
fn binding(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}
