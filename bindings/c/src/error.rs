//! Errors for C: a code to act on, and a message to print.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// `HANJA_TAP_*` of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Code {
    Timeout = 1,
    Absent = 2,
    Torn = 3,
    Small = 4,
    Argument = 5,
    Record = 6,
    Busy = 7,
    Internal = 8,
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    message: String,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message }
    }

    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new(Code::Argument, message)
    }
}

thread_local! {
    /// Per thread, like errno, since a failed open gives no handle that could hold the message.
    static LAST_ERROR: RefCell<CString> = RefCell::new(CString::default());
}

/// Runs the body of an exported function. A panic must not unwind into C, where nothing can catch it: it becomes an error
/// code like any other (unless the library was built with `panic = "abort"`).
pub(crate) fn guard(body: impl FnOnce() -> Result<(), Failure>) -> c_int {
    // Unwind safe: a handle whose call panicked is poisoned and refuses further calls.
    let outcome = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let message = format!("bug in hanja_tap: {}", panic_text(panic.as_ref()));
        Err(Failure::new(Code::Internal, message))
    });
    match outcome {
        Ok(()) => 0,
        Err(failure) => {
            set_last(failure.message);
            failure.code as c_int
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown")
}

fn set_last(message: String) {
    let message = CString::new(message.replace('\0', " ")).unwrap_or_default();
    // A thread that is ending has no last error any more, and nobody can read it either.
    let _ = LAST_ERROR.try_with(|last| last.replace(message));
}

/// The message of this thread's last error; the pointer is valid until this thread's next [`set_last`].
pub(crate) fn last() -> *const std::ffi::c_char {
    LAST_ERROR
        .try_with(|last| last.borrow().as_ptr())
        .unwrap_or(c"".as_ptr())
}

/// The description of a code.
pub(crate) fn describe(code: c_int) -> &'static CStr {
    match code {
        0 => c"success",
        1 => c"nothing new within the time",
        2 => c"nothing to attach to within the time",
        3 => c"overwritten while it was being copied; take the next one",
        4 => c"the buffer is too small",
        5 => c"wrong argument",
        6 => c"not a record that this version can read",
        7 => c"another thread is using this tap",
        8 => c"a bug in hanja_tap",
        _ => c"no such error code",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_message() -> String {
        // SAFETY: `last` returns a string that is valid until this thread's next failure.
        unsafe { CStr::from_ptr(last()) }
            .to_str()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn a_panic_becomes_an_error() {
        assert_eq!(guard(|| Ok(())), 0);
        assert_eq!(last_message(), "");
        assert_eq!(guard(|| panic!("number {}", 7)), Code::Internal as c_int);
        assert_eq!(last_message(), "bug in hanja_tap: number 7");
        assert_eq!(guard(|| panic!("plain")), Code::Internal as c_int);
        assert_eq!(last_message(), "bug in hanja_tap: plain");
        assert_eq!(
            guard(|| Err(Failure::argument("a\0b"))),
            Code::Argument as c_int
        );
        assert_eq!(last_message(), "a b");
    }

    #[test]
    fn the_last_error_belongs_to_its_thread() {
        guard(|| Err(Failure::argument("mine")));
        let theirs = std::thread::spawn(last_message).join().unwrap();
        assert_eq!((theirs.as_str(), last_message().as_str()), ("", "mine"));
    }
}
