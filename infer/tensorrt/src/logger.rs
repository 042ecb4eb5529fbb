//! TensorRT's ILogger, implemented here: messages go to tracing, and the last errors wait for the call that they explain.
//!
//! TensorRT keeps the logger's address in globals and calls it from threads of its own, so there is one per loaded
//! library and it lives as long as the process.

use std::collections::VecDeque;
use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::abi;

/// How many errors are kept, and how many bytes of each: some of TensorRT's errors are whole build reports.
const KEPT: usize = 4;
const LONGEST: usize = 600;

/// What a versioned interface returns as its name and version.
#[repr(C)]
pub(crate) struct InterfaceInfo {
    pub(crate) kind: *const c_char,
    pub(crate) major: i32,
    pub(crate) minor: i32,
}

/// A table of virtual methods as C++ lays it out: offset to the top and type information come before the methods.
#[repr(C)]
pub(crate) struct Vtable<const N: usize> {
    pub(crate) offset: usize,
    pub(crate) type_info: usize,
    pub(crate) methods: [*const c_void; N],
}

// SAFETY: addresses of functions and nothing else; never written to.
unsafe impl<const N: usize> Sync for Vtable<N> {}

/// {log, destructor, deleting destructor}: TensorRT 8 and 10.
static PLAIN: Vtable<3> = Vtable {
    offset: 0,
    type_info: 0,
    methods: [
        log as *const c_void,
        nothing as *const c_void,
        nothing as *const c_void,
    ],
};

/// {language, interface, destructor, deleting destructor, log}: TensorRT 11 and TensorRT-RTX 1.7.
static VERSIONED: Vtable<5> = Vtable {
    offset: 0,
    type_info: 0,
    methods: [
        language as *const c_void,
        interface as *const c_void,
        nothing as *const c_void,
        nothing as *const c_void,
        log as *const c_void,
    ],
};

/// The object that TensorRT sees: its first word is the table's address.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Logger {
    vtable: *const *const c_void,
    errors: Mutex<VecDeque<String>>,
    any: AtomicBool,
}

// SAFETY: the table is constant, everything else is synchronised.
unsafe impl Sync for Logger {}

impl Logger {
    /// A logger for the rest of the process.
    pub(crate) fn leak(versioned: bool) -> &'static Self {
        let vtable = if versioned {
            VERSIONED.methods.as_ptr()
        } else {
            PLAIN.methods.as_ptr()
        };
        let errors = Mutex::default();
        Box::leak(Box::new(Self {
            vtable,
            errors,
            any: AtomicBool::new(false),
        }))
    }

    /// The object's address, for TensorRT.
    pub(crate) fn as_object(&'static self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    /// Forgets the errors of earlier calls: those from now on explain the next failure.
    pub(crate) fn clear(&self) {
        // Relaxed, because `any` only saves taking the lock and the lock orders the messages: at worst a message that
        // another thread adds at this moment stays for one call more.
        if self.any.swap(false, Ordering::Relaxed) {
            self.errors
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
        }
    }

    /// The last errors, in order; says so when there were none.
    pub(crate) fn said(&self) -> String {
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        if errors.is_empty() {
            return "TensorRT gave no reason".into();
        }
        errors
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(" | ")
    }

    fn keep(&self, mut message: String) {
        if message.len() > LONGEST {
            message.truncate(message.floor_char_boundary(LONGEST));
            message.push('…');
        }
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        if errors.len() == KEPT {
            errors.pop_front();
        }
        errors.push_back(message);
        self.any.store(true, Ordering::Relaxed);
    }

    fn dispatch(&self, severity: i32, message: String) {
        match severity {
            ..=1 => {
                tracing::error!(target: "tensorrt", "{message}");
                self.keep(message);
            }
            2 => tracing::warn!(target: "tensorrt", "{message}"),
            // What TensorRT calls information is a page per engine.
            3 => tracing::debug!(target: "tensorrt", "{message}"),
            _ => tracing::trace!(target: "tensorrt", "{message}"),
        }
    }
}

unsafe extern "C" fn log(this: *mut c_void, severity: i32, message: *const c_char) {
    // A panic in a tracing subscriber must not unwind through C++, and there is nowhere to report it.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: TensorRT passes back the object that it was given, which is never freed (`leak`).
        let logger = unsafe { &*this.cast::<Logger>() };
        // SAFETY: ILogger::log is given a C string for the time of the call.
        logger.dispatch(severity, unsafe { abi::text(message) });
    }));
}

/// Loggers are never freed, so both destructors have nothing to do.
pub(crate) unsafe extern "C" fn nothing(_this: *mut c_void) {}

/// `APILanguage::kCPP`: whose conventions this object follows.
pub(crate) unsafe extern "C" fn language(_this: *mut c_void) -> i32 {
    0
}

unsafe extern "C" fn interface(_this: *mut c_void) -> InterfaceInfo {
    InterfaceInfo {
        kind: c"ILogger".as_ptr(),
        major: 1,
        minor: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As C++ would: through the table.
    fn speak(logger: &'static Logger, place: usize, severity: i32, message: &std::ffi::CStr) {
        let object = logger.as_object();
        // SAFETY: the object is a Logger with a table that has `log` at this place.
        unsafe {
            abi::call!(object, place, fn(i32 = severity, *const c_char = message.as_ptr()));
        }
    }

    #[test]
    fn the_last_errors_are_kept_from_any_thread() {
        for (versioned, place) in [(false, 0), (true, 4)] {
            let logger = Logger::leak(versioned);
            assert_eq!(logger.said(), "TensorRT gave no reason");
            std::thread::spawn(move || speak(logger, place, 1, c"out of memory"))
                .join()
                .expect("log");
            speak(logger, place, 2, c"a warning is no reason");
            assert_eq!(logger.said(), "out of memory");
            for _ in 0..KEPT {
                speak(logger, place, 0, c"worse");
            }
            assert!(!logger.said().contains("out of memory"));
            logger.clear();
            assert_eq!(logger.said(), "TensorRT gave no reason");
        }
    }

    #[test]
    fn long_and_broken_messages_are_cut_whole() {
        let logger = Logger::leak(false);
        let long = std::ffi::CString::new("자".repeat(LONGEST)).expect("no zero byte");
        speak(logger, 0, 1, &long);
        assert!(logger.said().len() <= LONGEST + '…'.len_utf8());
        speak(logger, 0, 1, c"\xff\xfe");
        assert!(logger.said().ends_with("| \u{fffd}\u{fffd}"));
        // SAFETY: a null message, as a careless caller would pass.
        unsafe { log(logger.as_object(), 1, std::ptr::null()) };
    }

    #[test]
    fn the_versioned_logger_says_what_it_is() {
        let object = Logger::leak(true).as_object();
        // SAFETY: places 0 to 3 of the versioned table.
        let info = unsafe {
            assert_eq!(abi::call!(object, 0, fn() -> i32), 0);
            abi::call!(object, 2, fn());
            abi::call!(object, 3, fn());
            abi::call!(object, 1, fn() -> InterfaceInfo)
        };
        // SAFETY: a constant of this module.
        assert_eq!(unsafe { abi::text(info.kind) }, "ILogger");
        assert_eq!((info.major, info.minor), (1, 0));
    }
}
