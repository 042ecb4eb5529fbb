//! The GPU: whether there is one, what it can do, and its context.

use crate::driver::{Driver, SUCCESS};
use crate::error::{Error, Unavailable};
use cudarc::driver::sys::{CUcontext, CUdevice, CUdevice_attribute as Attribute};
use std::ffi::{CStr, c_int};
use std::fmt;
use std::sync::Arc;

/// First driver that this works with, in CUDA's numbering.
const OLDEST_DRIVER: i32 = 10_020;
/// First compute capability that the kernels are compiled for: the Tegra X1 of the first Jetson Nano.
const OLDEST_CAPABILITY: (u32, u32) = (5, 3);

/// What the driver says about the GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Product name.
    pub name: String,
    /// Compute capability, major and minor.
    pub capability: (u32, u32),
    /// Shares its memory with the CPU, as a Jetson's does.
    pub integrated: bool,
    /// Memory that exists already can be registered with the GPU ([`crate::Registration`]); Nano and TX2 cannot.
    pub can_register: bool,
    /// The same for memory that this process may only read.
    pub can_register_read_only: bool,
    /// The GPU can work in page-locked memory of the CPU.
    pub can_map: bool,
    /// CUDA version of the driver, major and minor.
    pub driver: (u32, u32),
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.integrated {
            "integrated"
        } else {
            "discrete"
        };
        let ((major, minor), (cuda, point)) = (self.capability, self.driver);
        write!(
            f,
            "{} (sm_{major}{minor}, {kind}, driver for CUDA {cuda}.{point})",
            self.name
        )
    }
}

/// A GPU and its primary context, the one that TensorRT uses too. Cheap to clone.
///
/// The context is never given back: other libraries in the process rely on it, and the function that would do it is
/// not in every driver.
#[derive(Clone)]
pub struct Device {
    inner: Arc<Inner>,
}

struct Inner {
    driver: &'static Driver,
    context: CUcontext,
    facts: Facts,
}

// SAFETY: a context may be used by any thread that has made it current; the driver does its own locking, and the
// pointer never changes nor becomes invalid (never released).
unsafe impl Send for Inner {}
// SAFETY: as above; nothing changes through a shared reference.
unsafe impl Sync for Inner {}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Device").field(&self.inner.facts).finish()
    }
}

impl Device {
    /// Looks for the first GPU (`CUDA_VISIBLE_DEVICES` can choose another), and makes its context current for this
    /// thread. Takes some tenths of a second when there is one. Never panics.
    ///
    /// # Errors
    /// There is none, or it cannot be used; says why.
    pub fn probe() -> Result<Self, Unavailable> {
        let driver = Driver::load()?;
        let refused = |call, code| {
            driver
                .check(call, code)
                .map_err(|e| Unavailable::Refused(e.to_string()))
        };
        // SAFETY: 0 is the only flag value there is.
        let code = unsafe { (driver.init)(0) };
        if code == 100 {
            return Err(Unavailable::NoDevice);
        }
        refused("cuInit", code)?;
        let mut version = 0;
        // SAFETY: writes one int.
        refused("cuDriverGetVersion", unsafe {
            (driver.driver_version)(&raw mut version)
        })?;
        if version < OLDEST_DRIVER {
            return Err(Unavailable::OldDriver(version));
        }
        let mut count = 0;
        // SAFETY: writes one int.
        refused("cuDeviceGetCount", unsafe {
            (driver.device_count)(&raw mut count)
        })?;
        if count < 1 {
            return Err(Unavailable::NoDevice);
        }
        let mut device: CUdevice = 0;
        // SAFETY: writes one int.
        refused("cuDeviceGet", unsafe {
            (driver.device_get)(&raw mut device, 0)
        })?;
        let facts = Facts::of(driver, device, version)?;
        let mut context: CUcontext = std::ptr::null_mut();
        // SAFETY: `device` is the driver's own number; writes one pointer.
        let code = unsafe { (driver.primary_retain)(&raw mut context, device) };
        refused("cuDevicePrimaryCtxRetain", code)?;
        let device = Self {
            inner: Arc::new(Inner {
                driver,
                context,
                facts,
            }),
        };
        device
            .bind_to_thread()
            .map_err(|e| Unavailable::Refused(e.to_string()))?;
        Ok(device)
    }

    /// What the driver said of the GPU when it was probed.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.inner.facts
    }

    /// Makes the context current for the calling thread. Every thread that uses a stream, or TensorRT, has to. Costs
    /// next to nothing when it is current already.
    ///
    /// # Errors
    /// The context is lost.
    pub fn bind_to_thread(&self) -> Result<(), Error> {
        // SAFETY: a valid context (never released).
        let code = unsafe { (self.inner.driver.set_current)(self.inner.context) };
        self.driver().check("cuCtxSetCurrent", code)
    }

    pub(crate) fn driver(&self) -> &'static Driver {
        self.inner.driver
    }

    /// For `drop`: makes the context current and does `work`. Failures go to the log, since nothing else can be done about them.
    pub(crate) fn clean_up(&self, call: &'static str, work: impl FnOnce(&Driver) -> u32) {
        let done = self
            .bind_to_thread()
            .and_then(|()| self.driver().check(call, work(self.driver())));
        if let Err(error) = done {
            tracing::debug!(%error, "freeing GPU resources");
        }
    }
}

impl Facts {
    fn of(driver: &Driver, device: CUdevice, version: i32) -> Result<Self, Unavailable> {
        // An attribute that an old driver does not know is something that it cannot do.
        let attribute = |attribute: Attribute| {
            let mut value: c_int = 0;
            // SAFETY: any number may be asked for; writes one int.
            let code =
                unsafe { (driver.device_attribute)(&raw mut value, attribute as u32, device) };
            if code == SUCCESS {
                value.max(0).cast_unsigned()
            } else {
                0
            }
        };
        let mut name = [0; 128];
        // SAFETY: writes at most the length given, with the zero.
        let code =
            unsafe { (driver.device_name)(name.as_mut_ptr().cast(), name.len() as c_int, device) };
        let name = CStr::from_bytes_until_nul(&name)
            .ok()
            .filter(|_| code == SUCCESS)
            .map_or_else(
                || "unnamed".to_owned(),
                |n| n.to_string_lossy().into_owned(),
            );
        let capability = (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR),
        );
        if capability < OLDEST_CAPABILITY {
            return Err(Unavailable::OldDevice { name, capability });
        }
        let yes = |a| attribute(a) != 0;
        Ok(Self {
            name,
            capability,
            integrated: yes(Attribute::CU_DEVICE_ATTRIBUTE_INTEGRATED),
            can_register: yes(Attribute::CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED),
            can_register_read_only: yes(
                Attribute::CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED,
            ),
            can_map: yes(Attribute::CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY),
            driver: (
                (version / 1000).cast_unsigned(),
                (version % 1000 / 10).cast_unsigned(),
            ),
        })
    }
}
