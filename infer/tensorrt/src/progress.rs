//! How far an engine build is: TensorRT's IProgressMonitor, which exists since TensorRT 10, implemented here.

use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::abi;
use crate::logger::{InterfaceInfo, Vtable, language, nothing};

/// One step of a build's phase. Phases nest and their steps differ in length, so this is no percentage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// TensorRT's name for the phase.
    pub phase: &'a str,
    /// The phase that this one is a part of.
    pub parent: Option<&'a str>,
    /// Steps done: 0 when the phase begins, `steps` when it ends.
    pub done: i32,
    /// Steps in all.
    pub steps: i32,
}

/// The function to call; false ends the build. It is called from TensorRT's threads, also from several at once.
pub(crate) type Callback<'a> = &'a (dyn Fn(&Progress<'_>) -> bool + Sync);

/// {language, interface, destructor, deleting destructor, phaseStart, stepComplete, phaseFinish}
static TABLE: Vtable<7> = Vtable {
    offset: 0,
    type_info: 0,
    methods: [
        language as *const c_void,
        interface as *const c_void,
        nothing as *const c_void,
        nothing as *const c_void,
        phase_start as *const c_void,
        step_complete as *const c_void,
        phase_finish as *const c_void,
    ],
};

#[derive(Debug)]
struct Phase {
    parent: Option<String>,
    steps: i32,
}

/// The object that TensorRT sees: its first word is the table's address. Lives as long as the build.
#[repr(C)]
pub(crate) struct Monitor<'a> {
    vtable: *const *const c_void,
    callback: Callback<'a>,
    phases: Mutex<HashMap<String, Phase>>,
    cancelled: AtomicBool,
}

impl<'a> Monitor<'a> {
    pub(crate) fn new(callback: Callback<'a>) -> Box<Self> {
        Box::new(Self {
            vtable: TABLE.methods.as_ptr(),
            callback,
            phases: Mutex::default(),
            cancelled: AtomicBool::new(false),
        })
    }

    pub(crate) fn as_object(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    /// Whether the callback asked to stop.
    pub(crate) fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    fn report(&self, name: &str, phase: &Phase, done: i32) -> bool {
        let (parent, steps) = (phase.parent.as_deref(), phase.steps);
        let go_on = (self.callback)(&Progress {
            phase: name,
            parent,
            done,
            steps,
        });
        if !go_on {
            self.cancelled.store(true, Ordering::Relaxed);
        }
        !self.cancelled()
    }

    fn start(&self, name: String, parent: String, steps: i32) {
        let phase = Phase {
            parent: Some(parent).filter(|parent| !parent.is_empty()),
            steps,
        };
        self.report(&name, &phase, 0);
        self.phases
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, phase);
    }

    fn step(&self, name: &str, step: i32) -> bool {
        let phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(phase) = phases.get(name) else {
            return !self.cancelled();
        };
        self.report(name, phase, step.saturating_add(1).min(phase.steps))
    }

    fn finish(&self, name: &str) {
        let phase = self
            .phases
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
        if let Some(phase) = phase {
            self.report(name, &phase, phase.steps);
        }
    }
}

/// The monitor behind a call from TensorRT.
///
/// # Safety
/// `this` is what `Monitor::as_object` gave, and the monitor lives.
unsafe fn monitor<'a>(this: *mut c_void) -> &'a Monitor<'a> {
    // SAFETY: the caller's promise; everything in a monitor that changes is synchronised.
    unsafe { &*this.cast::<Monitor<'a>>() }
}

unsafe extern "C" fn phase_start(
    this: *mut c_void,
    name: *const c_char,
    parent: *const c_char,
    steps: i32,
) {
    // A panic of the callback must not unwind through C++; the build is ended instead, by the next step.
    // SAFETY: TensorRT passes back the object that it was given, and C strings for the time of the call.
    let (monitor, name, parent) = unsafe { (monitor(this), abi::text(name), abi::text(parent)) };
    if catch_unwind(AssertUnwindSafe(|| monitor.start(name, parent, steps))).is_err() {
        monitor.cancelled.store(true, Ordering::Relaxed);
    }
}

unsafe extern "C" fn step_complete(this: *mut c_void, name: *const c_char, step: i32) -> u8 {
    // SAFETY: as in `phase_start`.
    let (monitor, name) = unsafe { (monitor(this), abi::text(name)) };
    catch_unwind(AssertUnwindSafe(|| monitor.step(&name, step)))
        .unwrap_or_else(|_| {
            monitor.cancelled.store(true, Ordering::Relaxed);
            false
        })
        .into()
}

unsafe extern "C" fn phase_finish(this: *mut c_void, name: *const c_char) {
    // SAFETY: as in `phase_start`.
    let (monitor, name) = unsafe { (monitor(this), abi::text(name)) };
    if catch_unwind(AssertUnwindSafe(|| monitor.finish(&name))).is_err() {
        monitor.cancelled.store(true, Ordering::Relaxed);
    }
}

unsafe extern "C" fn interface(_this: *mut c_void) -> InterfaceInfo {
    InterfaceInfo {
        kind: c"IProgressMonitor".as_ptr(),
        major: 1,
        minor: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As C++ would: through the table.
    fn start(monitor: &Monitor<'_>, name: &std::ffi::CStr, parent: *const c_char, steps: i32) {
        // SAFETY: place 4 of the monitor's table is phaseStart.
        unsafe {
            abi::call!(monitor.as_object(), 4, fn(
                *const c_char = name.as_ptr(), *const c_char = parent, i32 = steps));
        }
    }

    fn step(monitor: &Monitor<'_>, name: &std::ffi::CStr, step: i32) -> bool {
        // SAFETY: place 5 of the monitor's table is stepComplete.
        unsafe {
            abi::call!(monitor.as_object(), 5, fn(*const c_char = name.as_ptr(), i32 = step) -> u8)
                != 0
        }
    }

    #[test]
    fn steps_are_passed_on_and_no_ends_the_build() {
        let seen = Mutex::new(Vec::new());
        let callback = |progress: &Progress<'_>| {
            let Progress {
                phase,
                parent,
                done,
                steps,
            } = *progress;
            seen.lock()
                .expect("lock")
                .push(format!("{parent:?} {phase} {done}/{steps}"));
            done != 2
        };
        let monitor = Monitor::new(&callback);
        start(&monitor, c"Build", std::ptr::null(), 3);
        start(&monitor, c"Tactics", c"Build".as_ptr(), 1);
        assert!(step(&monitor, c"Tactics", 0));
        // SAFETY: place 6 of the monitor's table is phaseFinish.
        unsafe {
            abi::call!(monitor.as_object(), 6, fn(*const c_char = c"Tactics".as_ptr()));
        }
        assert!(step(&monitor, c"Build", 0));
        assert!(!monitor.cancelled());
        assert!(!step(&monitor, c"Build", 1));
        assert!(monitor.cancelled());
        assert!(!step(&monitor, c"never started", 1));
        drop(monitor);
        assert_eq!(
            seen.into_inner().expect("lock"),
            [
                "None Build 0/3",
                "Some(\"Build\") Tactics 0/1",
                "Some(\"Build\") Tactics 1/1",
                "Some(\"Build\") Tactics 1/1",
                "None Build 1/3",
                "None Build 2/3",
            ]
        );
    }

    #[test]
    fn a_panic_in_the_callback_ends_the_build() {
        let callback = |progress: &Progress<'_>| {
            assert_eq!(progress.done, 0, "no step wanted");
            true
        };
        let monitor = Monitor::new(&callback);
        start(&monitor, c"Build", std::ptr::null(), 3);
        assert!(!step(&monitor, c"Build", 0));
        assert!(monitor.cancelled());
    }
}
