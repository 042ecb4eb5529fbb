//! The C interface to taps; `hanja_tap.h` beside this crate is its documentation.
//!
//! | file | idea |
//! |---|---|
//! | `lib` | the exported functions: pointers are checked here and nowhere else |
//! | `tap` | the work of a handle, in safe Rust |
//! | `error` | error codes, the last error, no panic into C |
//!
//! Header and Rust are kept together by `tests/bindings_c.rs`, which compares every offset and runs every function.

mod error;
mod tap;

use error::{Code, Failure, guard};
use hanja_record::{
    BUCKETS, Detection, DetectionHeader, DetectionRecord, Histogram, HistogramRecord, MetricId,
    NUMERALS, StageStats,
};
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, TryLockError};
pub use tap::TapSample;
use tap::{State, TapOptions};

/// `hanja_tap`. Nothing waits for the lock: it turns a second thread's call with the same tap from undefined behaviour
/// into an error.
#[derive(Debug)]
pub struct Handle(Mutex<State>);

impl Handle {
    fn lock(&self) -> Result<MutexGuard<'_, State>, Failure> {
        self.0.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => {
                Failure::new(Code::Busy, "another thread is in a call with this tap")
            }
            TryLockError::Poisoned(_) => {
                Failure::new(Code::Internal, "a bug stopped this tap earlier; close it")
            }
        })
    }
}

/// A pointer that must not be NULL.
///
/// # Safety
/// `pointer` is NULL or points to a live `T` that nobody changes while `'a` lasts.
unsafe fn non_null<'a, T>(pointer: *const T, name: &str) -> Result<&'a T, Failure> {
    // SAFETY: the caller's contract is the function's.
    unsafe { pointer.as_ref() }.ok_or_else(|| null(name))
}

fn null(name: &str) -> Failure {
    Failure::argument(format!("{name} is NULL"))
}

/// The library's version.
#[unsafe(no_mangle)]
pub extern "C" fn hanja_tap_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Makes a tap.
///
/// # Safety
/// `tap` is NULL or can be written; `runtime_dir` is NULL or a string that ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hanja_tap_open(
    tap: *mut *mut Handle,
    runtime_dir: *const c_char,
    stage: c_int,
    topic: c_int,
    order: c_int,
) -> c_int {
    guard(|| {
        if tap.is_null() {
            return Err(null("tap"));
        }
        // SAFETY: not NULL, so the caller's contract says that it can be written.
        unsafe { tap.write(std::ptr::null_mut()) };
        let options = TapOptions::new(stage, topic, order)?;
        let dir = (!runtime_dir.is_null()).then(|| {
            // SAFETY: not NULL, so the caller's contract says that it is a terminated string.
            let bytes = unsafe { CStr::from_ptr(runtime_dir) }.to_bytes();
            PathBuf::from(OsStr::from_bytes(bytes))
        });
        let handle = Box::new(Handle(Mutex::new(State::open(dir, &options))));
        // SAFETY: as above.
        unsafe { tap.write(Box::into_raw(handle)) };
        Ok(())
    })
}

/// Waits for a sample.
///
/// # Safety
/// `tap` is NULL or came from [`hanja_tap_open`] and was not closed; `sample` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hanja_tap_next(
    tap: *const Handle,
    timeout_ms: c_int,
    sample: *mut TapSample,
) -> c_int {
    guard(|| {
        // SAFETY: the caller's contract.
        let mut state = unsafe { non_null(tap, "tap") }?.lock()?;
        if sample.is_null() {
            return Err(null("sample"));
        }
        let found = state.next(timeout_ms)?;
        // SAFETY: not NULL, so the caller's contract says that it can be written.
        unsafe { sample.write(found) };
        Ok(())
    })
}

/// Copies the last sample's payload.
///
/// # Safety
/// `tap` as in [`hanja_tap_next`]; `buffer` is NULL or has `capacity` writable bytes that nobody else uses during the
/// call; `length` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hanja_tap_copy(
    tap: *const Handle,
    buffer: *mut c_void,
    capacity: usize,
    length: *mut usize,
) -> c_int {
    guard(|| {
        // SAFETY: the caller's contract.
        let mut state = unsafe { non_null(tap, "tap") }?.lock()?;
        let needed = state.payload_length()?;
        let size = state.size_for(capacity)?;
        if !length.is_null() {
            // SAFETY: not NULL, so the caller's contract says that it can be written.
            unsafe { length.write(size) };
        }
        if size > capacity {
            let message = format!("the buffer has {capacity} bytes, the payload {needed}");
            return Err(Failure::new(Code::Small, message));
        }
        if size == 0 {
            return state.copy(&mut []);
        }
        if buffer.is_null() {
            return Err(null("buffer"));
        }
        // SAFETY: not NULL and at least `size` bytes long (the caller's contract), which C need not have initialised.
        let out = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<MaybeUninit<u8>>(), size) };
        state.copy(out)
    })
}

/// Ends a tap.
///
/// # Safety
/// `tap` is NULL or came from [`hanja_tap_open`], was not closed before, and no call with it is going on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hanja_tap_close(tap: *mut Handle) {
    guard(|| {
        if !tap.is_null() {
            // SAFETY: made by `Box::into_raw` in `hanja_tap_open` (the caller's contract).
            drop(unsafe { Box::from_raw(tap) });
        }
        Ok(())
    });
}

/// The description of an error code.
#[unsafe(no_mangle)]
pub extern "C" fn hanja_tap_strerror(code: c_int) -> *const c_char {
    error::describe(code).as_ptr()
}

/// Why this thread's last failed call failed.
#[unsafe(no_mangle)]
pub extern "C" fn hanja_tap_last_error() -> *const c_char {
    error::last()
}

/// The bytes of a record.
///
/// # Safety
/// `record` is NULL or has `length` readable bytes that nobody changes while `'a` lasts.
unsafe fn record_bytes<'a>(record: *const c_void, length: usize) -> Result<&'a [u8], Failure> {
    if record.is_null() {
        return Err(null("record"));
    }
    if isize::try_from(length).is_err() {
        return Err(Failure::argument("length is larger than memory can be"));
    }
    // SAFETY: not NULL, so `length` bytes long (the caller's contract), and not longer than a slice may be.
    Ok(unsafe { std::slice::from_raw_parts(record.cast(), length) })
}

/// Takes a detection record apart.
///
/// # Safety
/// `record` is NULL or has `length` bytes; `header` is NULL or can be written; `detections` is NULL or has room for
/// `capacity` detections.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hanja_tap_detections(
    record: *const c_void,
    length: usize,
    header: *mut DetectionHeader,
    detections: *mut Detection,
    capacity: usize,
) -> c_int {
    guard(|| {
        // SAFETY: the caller's contract.
        let bytes = unsafe { record_bytes(record, length) }?;
        if header.is_null() {
            return Err(null("header"));
        }
        if detections.is_null() && capacity > 0 {
            return Err(null("detections"));
        }
        let record = DetectionRecord::from_bytes(bytes)
            .map_err(|e| Failure::new(Code::Record, e.to_string()))?;
        // SAFETY: not NULL, so the caller's contract says that it can be written.
        unsafe { header.write(record.header) };
        for (index, found) in record.detections.iter().take(capacity).enumerate() {
            // SAFETY: below `capacity`, and not NULL since `capacity` is not 0.
            unsafe { detections.add(index).write(*found) };
        }
        Ok(())
    })
}

/// Checks stage statistics.
///
/// # Safety
/// `record` is NULL or has `length` bytes; `stats` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hanja_tap_stats(
    record: *const c_void,
    length: usize,
    stats: *mut StageStats,
) -> c_int {
    guard(|| {
        // SAFETY: the caller's contract.
        let bytes = unsafe { record_bytes(record, length) }?;
        if stats.is_null() {
            return Err(null("stats"));
        }
        let read =
            StageStats::from_bytes(bytes).map_err(|e| Failure::new(Code::Record, e.to_string()))?;
        // SAFETY: not NULL, so the caller's contract says that it can be written.
        unsafe { stats.write(read) };
        Ok(())
    })
}

/// The text behind stage statistics, terminated.
///
/// # Safety
/// `record` is NULL or has `length` bytes; `words` is NULL or has room for `capacity` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hanja_tap_words(
    record: *const c_void,
    length: usize,
    words: *mut c_char,
    capacity: usize,
) -> c_int {
    guard(|| {
        // SAFETY: the caller's contract.
        let bytes = unsafe { record_bytes(record, length) }?;
        if words.is_null() {
            return Err(null("words"));
        }
        let read =
            StageStats::from_bytes(bytes).map_err(|e| Failure::new(Code::Record, e.to_string()))?;
        // The characters that replace damaged bytes may be longer than those.
        let mut text = read.words_in(bytes);
        while text.len() > StageStats::MAX_WORDS {
            text.pop();
        }
        // A zero byte would end the text for C in any case.
        let text = text.split('\0').next().unwrap_or_default();
        if text.len() >= capacity {
            let message = format!("the words need {} bytes", text.len() + 1);
            return Err(Failure::new(Code::Small, message));
        }
        // SAFETY: not NULL, and the text with its terminator is not longer than the room.
        unsafe {
            words.cast::<u8>().copy_from(text.as_ptr(), text.len());
            words.add(text.len()).write(0);
        }
        Ok(())
    })
}

/// One histogram behind stage statistics.
///
/// # Safety
/// `record` is NULL or has `length` bytes; `histogram` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hanja_tap_histogram(
    record: *const c_void,
    length: usize,
    id: u16,
    histogram: *mut HistogramRecord,
) -> c_int {
    guard(|| {
        // SAFETY: the caller's contract.
        let bytes = unsafe { record_bytes(record, length) }?;
        if histogram.is_null() {
            return Err(null("histogram"));
        }
        let known = MetricId::from_u16(id);
        if known == MetricId::None {
            return Err(Failure::argument(format!(
                "there is no latency {id}: use 1 to 12"
            )));
        }
        let read =
            StageStats::from_bytes(bytes).map_err(|e| Failure::new(Code::Record, e.to_string()))?;
        let all = read.histograms_in(bytes);
        let one = all.get(known).cloned().unwrap_or_default();
        // SAFETY: not NULL, so the caller's contract says that it can be written.
        unsafe { histogram.write(one.to_record(known)) };
        Ok(())
    })
}

/// Where a bucket begins.
#[unsafe(no_mangle)]
pub extern "C" fn hanja_tap_bucket_us(bucket: u32) -> u32 {
    let bucket = usize::try_from(bucket).unwrap_or(usize::MAX);
    if bucket > BUCKETS {
        return u32::MAX;
    }
    u32::try_from(Histogram::begin_us(bucket)).unwrap_or(u32::MAX)
}

/// A quantile, or -1.
///
/// # Safety
/// `histogram` is NULL or can be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hanja_tap_quantile_us(histogram: *const HistogramRecord, q: f64) -> f64 {
    let mut found = -1.0;
    guard(|| {
        // SAFETY: the caller's contract.
        let record = unsafe { non_null(histogram, "histogram") }?;
        found = Histogram::from(record).quantile(q).unwrap_or(-1.0);
        Ok(())
    });
    found
}

/// The numeral of a class, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hanja_tap_label(class_number: u16) -> *const c_char {
    const LABELS: [&CStr; NUMERALS.len()] = [
        c"一", c"二", c"三", c"四", c"五", c"六", c"七", c"八", c"九", c"十",
    ];
    LABELS
        .get(usize::from(class_number))
        .map_or(std::ptr::null(), |label| label.as_ptr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_the_models() {
        for (class, name) in NUMERALS.iter().enumerate() {
            let label = hanja_tap_label(class as u16);
            // SAFETY: not NULL for a class of the model, and static.
            assert_eq!(unsafe { CStr::from_ptr(label) }.to_str(), Ok(*name));
        }
        assert!(hanja_tap_label(10).is_null());
    }

    #[test]
    fn a_tap_in_use_is_busy_and_one_that_failed_is_closed() {
        let options = TapOptions::new(0, 1, 0).unwrap_or_else(|_| unreachable!());
        let handle = Handle(Mutex::new(State::open(Some("/nowhere".into()), &options)));
        let held = handle.lock();
        assert!(held.is_ok());
        let mut sample = MaybeUninit::<TapSample>::uninit();
        // SAFETY: both pointers are good.
        let second = unsafe { hanja_tap_next(&raw const handle, 0, sample.as_mut_ptr()) };
        assert_eq!(second, Code::Busy as c_int);
        drop(held);
        let panicked = guard(|| {
            let _held = handle.lock()?;
            panic!("in the middle")
        });
        assert_eq!(panicked, Code::Internal as c_int);
        // SAFETY: as above.
        let after = unsafe { hanja_tap_next(&raw const handle, 0, sample.as_mut_ptr()) };
        assert_eq!(after, Code::Internal as c_int);
    }
}
