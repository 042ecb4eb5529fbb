//! The two kernels, compiled by the driver for its device when they are loaded.

use crate::candidates::{CANDIDATE_WORDS, HEADER_WORDS};
use crate::conversion::{Conversion, GEOMETRY_WORDS};
use crate::device::Device;
use crate::driver::SUCCESS;
use crate::error::Error;
use crate::memory::DeviceBuffer;
use crate::stream::Stream;
use cudarc::driver::sys::{CUfunction, CUjit_option, CUmodule};
use std::ffi::{CStr, c_void};
use std::ptr::null_mut;

/// Zero-terminated, as the driver wants it.
const PTX: &str = concat!(include_str!("../kernels/hanja.ptx"), "\0");
/// Threads a block, in the picture's two directions and along the rows.
const TILE: (u32, u32) = (32, 8);
const ROWS: u32 = 128;

/// What the filter kernel is to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FilterSpec {
    /// Rows of the model's output.
    pub rows: usize,
    /// Columns: box, objectness, classes. 6 to 65540.
    pub columns: usize,
    /// The output is f16, not f32.
    pub half: bool,
    /// Least score, a number.
    pub conf: f32,
}

impl FilterSpec {
    /// Checks the numbers.
    ///
    /// # Errors
    /// One is outside of its range.
    pub fn check(&self) -> Result<(), Error> {
        if self.rows == 0 || self.rows > 1 << 24 {
            return Err(Error::number("the rows of a model's output", self.rows));
        }
        if !(6..=5 + usize::from(u16::MAX)).contains(&self.columns) {
            return Err(Error::number(
                "the columns of a model's output",
                self.columns,
            ));
        }
        if !self.conf.is_finite() {
            return Err(Error::number("the threshold", self.conf));
        }
        Ok(())
    }

    /// Bytes of the model's output.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.rows * self.columns * if self.half { 2 } else { 4 }
    }

    /// The most bytes that the kernel writes.
    #[must_use]
    pub fn found_len(&self) -> usize {
        4 * (HEADER_WORDS + self.rows * CANDIDATE_WORDS)
    }
}

/// The loaded kernels.
///
/// Invariant: the functions belong to `module`, which is unloaded only in drop.
#[derive(Debug)]
pub struct Kernels {
    device: Device,
    module: CUmodule,
    letterbox: CUfunction,
    filter: CUfunction,
}

// SAFETY: the driver lets any thread use a function that has its context current.
unsafe impl Send for Kernels {}

impl Kernels {
    /// Loads the kernels; the driver compiles them for the device, and keeps the result in its own cache.
    ///
    /// # Errors
    /// The driver cannot compile them.
    pub fn load(device: &Device) -> Result<Self, Error> {
        device.bind_to_thread()?;
        let driver = device.driver();
        let (mut module, mut log): (CUmodule, _) = (null_mut(), [0u8; 2048]);
        let mut options = [
            CUjit_option::CU_JIT_ERROR_LOG_BUFFER as u32,
            CUjit_option::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES as u32,
        ];
        let mut values: [*mut c_void; 2] = [
            log.as_mut_ptr().cast(),
            std::ptr::without_provenance_mut(log.len() - 1),
        ];
        // SAFETY: the text ends with a zero; two options with their values; writes one pointer and into `log`.
        let code = unsafe {
            (driver.module_load)(
                &raw mut module,
                PTX.as_ptr().cast(),
                2,
                options.as_mut_ptr(),
                values.as_mut_ptr(),
            )
        };
        if code != SUCCESS {
            let log = CStr::from_bytes_until_nul(&log).map_or("".into(), CStr::to_string_lossy);
            let log = log.trim().replace('\n', "; ");
            return Err(Error::Kernels {
                code,
                what: driver.text(code),
                log: if log.is_empty() {
                    log
                } else {
                    format!(": {log}")
                },
            });
        }
        let mut kernels = Self {
            device: device.clone(),
            module,
            letterbox: null_mut(),
            filter: null_mut(),
        };
        for (function, name) in [
            (&mut kernels.letterbox, c"letterbox"),
            (&mut kernels.filter, c"filter"),
        ] {
            // SAFETY: a loaded module, a zero-terminated name; writes one pointer.
            let code = unsafe { (driver.module_function)(function, module, name.as_ptr()) };
            driver.check("cuModuleGetFunction", code)?;
        }
        Ok(kernels)
    }

    /// Queues the conversion of the picture at `source` into `tensor`, f32 or f16.
    ///
    /// # Safety
    /// `source` is an address for the GPU of [`Conversion::needed`] bytes, and `table` holds the conversion's words, both by the
    /// time that the stream comes to this work. Until the stream has done it, they stay so, `tensor` lives, and nobody else
    /// uses `tensor`.
    ///
    /// # Errors
    /// `table` or `tensor` is too small; the driver's.
    pub unsafe fn letterbox(
        &self,
        source: u64,
        conversion: &Conversion,
        table: &DeviceBuffer,
        (tensor, half): (&DeviceBuffer, bool),
        stream: &Stream,
    ) -> Result<(), Error> {
        let needed = 4 * conversion.words().len();
        if needed > table.len() {
            let got = table.len();
            return Err(Error::Size {
                what: "the table",
                needed,
                got,
            });
        }
        let needed = conversion.tensor_len() * if half { 2 } else { 4 };
        if needed > tensor.len() {
            let got = tensor.len();
            return Err(Error::Size {
                what: "the tensor",
                needed,
                got,
            });
        }
        let p = conversion.placement();
        let (mut source, mut geometry) = (source, table.address());
        let (mut words, mut tensor) = (geometry + 4 * GEOMETRY_WORDS as u64, tensor.address());
        let mut half = u32::from(half);
        let mut arguments = [
            (&raw mut source).cast(),
            (&raw mut geometry).cast(),
            (&raw mut words).cast(),
            (&raw mut tensor).cast(),
            (&raw mut half).cast(),
        ];
        let grid = (
            (p.net_width as u32).div_ceil(TILE.0),
            (p.net_height as u32).div_ceil(TILE.1),
        );
        // SAFETY: arguments as in hanja.cu. Reads inside of picture and table, as `Conversion` was checked for; writes
        // inside of the tensor (just checked). The rest is the caller's promise.
        unsafe { self.launch(self.letterbox, grid, TILE, &mut arguments, stream) }
    }

    /// Queues the filter: it writes the rows of `output`, an address for the GPU, that are above the threshold into `found`.
    ///
    /// # Safety
    /// `output` has [`FilterSpec::output_len`] bytes by the time that the stream comes to this work. Until the stream has done
    /// it, they stay, and nobody else uses `found`.
    ///
    /// # Errors
    /// `found` is too small; numbers outside of their ranges; the driver's.
    pub unsafe fn filter(
        &self,
        output: u64,
        spec: &FilterSpec,
        found: &DeviceBuffer,
        stream: &Stream,
    ) -> Result<(), Error> {
        spec.check()?;
        let (needed, got) = (spec.found_len(), found.len());
        if needed > got {
            return Err(Error::Size {
                what: "the list of candidates",
                needed,
                got,
            });
        }
        // SAFETY: the caller's promise; the count is the first word.
        unsafe { found.fill(0, HEADER_WORDS, stream) }?;
        let (mut output, mut found, mut conf) = (output, found.address(), spec.conf);
        let (mut rows, mut columns) = (spec.rows as u32, spec.columns as u32); // checked
        let (mut half, mut most) = (u32::from(spec.half), rows);
        let mut arguments = [
            (&raw mut output).cast(),
            (&raw mut rows).cast(),
            (&raw mut columns).cast(),
            (&raw mut half).cast(),
            (&raw mut conf).cast(),
            (&raw mut most).cast(),
            (&raw mut found).cast(),
        ];
        let grid = ((spec.rows as u32).div_ceil(ROWS), 1);
        // SAFETY: arguments as in hanja.cu. Reads rows * columns values of `output`; writes at most `rows` candidates,
        // for which there is room (just checked). The rest is the caller's promise.
        unsafe { self.launch(self.filter, grid, (ROWS, 1), &mut arguments, stream) }
    }

    /// # Safety
    /// The function takes these arguments and stays inside the memory they describe, which stays until it is done.
    unsafe fn launch(
        &self,
        function: CUfunction,
        grid: (u32, u32),
        block: (u32, u32),
        arguments: &mut [*mut c_void],
        stream: &Stream,
    ) -> Result<(), Error> {
        let driver = self.device.driver();
        let (arguments, extra) = (arguments.as_mut_ptr(), null_mut());
        // SAFETY: the invariant; the driver copies the arguments before it returns; the caller's promise.
        let code = unsafe {
            (driver.launch)(
                function,
                grid.0,
                grid.1,
                1,
                block.0,
                block.1,
                1,
                0,
                stream.handle(),
                arguments,
                extra,
            )
        };
        driver.check("cuLaunchKernel", code)
    }
}

impl Drop for Kernels {
    fn drop(&mut self) {
        // SAFETY: the invariant; the driver waits for what still runs.
        self.device.clean_up("cuModuleUnload", |d| unsafe {
            (d.module_unload)(self.module)
        });
    }
}
