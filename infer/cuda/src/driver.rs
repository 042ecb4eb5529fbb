//! NVIDIA's driver library as a table of functions, looked up at the first use.
//!
//! cudarc finds the library and knows its types. Its own wrappers panic when a function is missing, and put return
//! codes into an enum that a newer driver's codes would break; so the functions are looked up here, all before the
//! first call, and their codes are plain numbers.

use crate::error::{Error, Unavailable};
use cudarc::driver::sys::{
    self, CUcontext, CUdevice, CUdeviceptr, CUevent, CUfunction, CUgraph, CUgraphExec, CUmodule,
    CUstream,
};
use std::ffi::{CStr, c_char, c_int, c_uint, c_ulonglong, c_void};
use std::sync::OnceLock;

/// What functions return.
pub(crate) type Code = c_uint;
/// No error.
pub(crate) const SUCCESS: Code = 0;
/// Not an error: the event has not fired.
pub(crate) const NOT_READY: Code = 600;

macro_rules! table {
    (
        required { $($field:ident = $symbol:literal ($($arg:ty),*);)* }
        optional { $($maybe:ident = $maybe_symbol:literal ($($maybe_arg:ty),*);)* }
    ) => {
        /// Functions of libcuda. The optional ones are newer than CUDA 10.2, or may be missing for another reason.
        pub(crate) struct Driver {
            $(pub(crate) $field: unsafe extern "C" fn($($arg),*) -> Code,)*
            $(pub(crate) $maybe: Option<unsafe extern "C" fn($($maybe_arg),*) -> Code>,)*
        }

        impl Driver {
            fn look_up() -> Result<Self, Unavailable> {
                Ok(Self {
                    $($field: {
                        // SAFETY: the type is the one that the driver's documentation gives this function, with its
                        // result as the integer that the enum is in C.
                        unsafe { symbol::<unsafe extern "C" fn($($arg),*) -> Code>($symbol) }
                            .ok_or_else(|| Unavailable::MissingFunction(name_of($symbol)))?
                    },)*
                    $($maybe: {
                        // SAFETY: as above.
                        unsafe { symbol::<unsafe extern "C" fn($($maybe_arg),*) -> Code>($maybe_symbol) }
                    },)*
                })
            }
        }
    };
}

table! {
    required {
        init = c"cuInit" (c_uint);
        driver_version = c"cuDriverGetVersion" (*mut c_int);
        device_count = c"cuDeviceGetCount" (*mut c_int);
        device_get = c"cuDeviceGet" (*mut CUdevice, c_int);
        device_name = c"cuDeviceGetName" (*mut c_char, c_int, CUdevice);
        device_attribute = c"cuDeviceGetAttribute" (*mut c_int, c_uint, CUdevice);
        primary_retain = c"cuDevicePrimaryCtxRetain" (*mut CUcontext, CUdevice);
        set_current = c"cuCtxSetCurrent" (CUcontext);
        module_load = c"cuModuleLoadDataEx"
            (*mut CUmodule, *const c_void, c_uint, *mut c_uint, *mut *mut c_void);
        module_function = c"cuModuleGetFunction" (*mut CUfunction, CUmodule, *const c_char);
        module_unload = c"cuModuleUnload" (CUmodule);
        launch = c"cuLaunchKernel"
            (CUfunction, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, CUstream, *mut *mut c_void,
             *mut *mut c_void);
        stream_create = c"cuStreamCreate" (*mut CUstream, c_uint);
        stream_destroy = c"cuStreamDestroy_v2" (CUstream);
        stream_synchronize = c"cuStreamSynchronize" (CUstream);
        stream_wait = c"cuStreamWaitEvent" (CUstream, CUevent, c_uint);
        event_create = c"cuEventCreate" (*mut CUevent, c_uint);
        event_destroy = c"cuEventDestroy_v2" (CUevent);
        event_record = c"cuEventRecord" (CUevent, CUstream);
        event_query = c"cuEventQuery" (CUevent);
        event_synchronize = c"cuEventSynchronize" (CUevent);
        mem_alloc = c"cuMemAlloc_v2" (*mut CUdeviceptr, usize);
        mem_free = c"cuMemFree_v2" (CUdeviceptr);
        host_alloc = c"cuMemHostAlloc" (*mut *mut c_void, usize, c_uint);
        host_free = c"cuMemFreeHost" (*mut c_void);
        host_device_pointer = c"cuMemHostGetDevicePointer_v2" (*mut CUdeviceptr, *mut c_void, c_uint);
        host_register = c"cuMemHostRegister_v2" (*mut c_void, usize, c_uint);
        host_unregister = c"cuMemHostUnregister" (*mut c_void);
        to_device = c"cuMemcpyHtoDAsync_v2" (CUdeviceptr, *const c_void, usize, CUstream);
        to_host = c"cuMemcpyDtoHAsync_v2" (*mut c_void, CUdeviceptr, usize, CUstream);
        fill_words = c"cuMemsetD32Async" (CUdeviceptr, c_uint, usize, CUstream);
    }
    optional {
        error_text = c"cuGetErrorString" (Code, *mut *const c_char);
        begin_capture = c"cuStreamBeginCapture_v2" (CUstream, c_uint);
        end_capture = c"cuStreamEndCapture" (CUstream, *mut CUgraph);
        graph_destroy = c"cuGraphDestroy" (CUgraph);
        // 11.4: what came before has two incompatible forms under changing names.
        graph_instantiate = c"cuGraphInstantiateWithFlags" (*mut CUgraphExec, CUgraph, c_ulonglong);
        graph_launch = c"cuGraphLaunch" (CUgraphExec, CUstream);
        graph_exec_destroy = c"cuGraphExecDestroy" (CUgraphExec);
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

fn name_of(symbol: &'static CStr) -> &'static str {
    symbol.to_str().unwrap_or("?")
}

/// The address of a function, if the library has it.
///
/// # Safety
/// The function of this name has the type `F`.
unsafe fn symbol<F: Copy>(name: &'static CStr) -> Option<F> {
    // SAFETY: called only by `look_up`, after `load` found the library, which cudarc then keeps open for good; so the
    // copied address stays valid. The type is the caller's promise.
    unsafe { sys::culib().get::<F>(name.to_bytes_with_nul()) }
        .ok()
        .map(|symbol| *symbol)
}

impl Driver {
    /// The driver library, loaded and looked through once in a process.
    ///
    /// # Errors
    /// It is not there, or lacks a function that CUDA 10.2 has.
    pub(crate) fn load() -> Result<&'static Self, Unavailable> {
        static DRIVER: OnceLock<Result<Driver, Unavailable>> = OnceLock::new();
        let found = DRIVER.get_or_init(|| {
            // SAFETY: loads the driver library, whose constructors are NVIDIA's and expect this.
            if unsafe { sys::is_culib_present() } {
                Self::look_up()
            } else {
                Err(Unavailable::NoLibrary)
            }
        });
        found.as_ref().map_err(Clone::clone)
    }

    /// A return code as a result.
    pub(crate) fn check(&self, call: &'static str, code: Code) -> Result<(), Error> {
        if code == SUCCESS {
            return Ok(());
        }
        Err(Error::Driver {
            call,
            code,
            what: self.text(code),
        })
    }

    /// The driver's own description of a code.
    pub(crate) fn text(&self, code: Code) -> String {
        let mut text: *const c_char = std::ptr::null();
        if let Some(error_text) = self.error_text {
            // SAFETY: takes any number; writes one pointer.
            unsafe { error_text(code, &raw mut text) };
        }
        if text.is_null() {
            return "unknown error".to_owned();
        }
        // SAFETY: not null, so the driver's own zero-terminated constant.
        unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned()
    }
}
