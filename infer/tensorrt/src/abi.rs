//! The layouts of C++, by the Itanium C++ ABI that GCC and Clang follow on Linux for x86_64 and aarch64.
//!
//! A polymorphic object begins with the address of its table of virtual methods; a method is a C function whose first
//! argument is the object. A public TensorRT object is two addresses: that of its table, and that of its implementation.
//! The inline members of NVIDIA's headers call the implementation's methods, and so does this crate.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;

use crate::slots::Slot;

/// The slot of the deleting destructor of every public object but the parser.
const DELETE: usize = 1;

/// Calls a virtual method by its place: `call!(object, place, fn(i32 = index) -> *mut c_void)`.
///
/// The caller's SAFETY comment says why the object lives and why the place and the signature are the method's.
macro_rules! call {
    ($object:expr, $place:expr, fn($($type:ty = $argument:expr),*) $(-> $result:ty)?) => {{
        let object: *mut std::ffi::c_void = $object;
        let method = $crate::abi::method(object, $place);
        let method: unsafe extern "C" fn(*mut std::ffi::c_void $(, $type)*) $(-> $result)? =
            std::mem::transmute::<*const std::ffi::c_void, _>(method);
        method(object $(, $argument)*)
    }};
}
pub(crate) use call;

/// The address of an object's virtual method.
///
/// # Safety
/// `object` is a living C++ object whose table has more than `place` entries.
pub(crate) unsafe fn method(object: *mut c_void, place: usize) -> *const c_void {
    // SAFETY: by the ABI the object begins with its table's address, and the caller promises the table's length.
    unsafe { *(*object.cast::<*const *const c_void>()).add(place) }
}

/// The place of a method that this major version always has.
///
/// # Panics
/// If the table lacks it: a mistake in this crate, which a test excludes for every supported version.
pub(crate) fn place(slot: Slot) -> usize {
    slot.place().expect("a method of every supported version")
}

/// A public TensorRT object that is ours to delete.
#[derive(Debug)]
pub(crate) struct Owned {
    object: NonNull<c_void>,
    implementation: NonNull<c_void>,
}

impl Owned {
    /// Takes ownership of what a `create` method returned; `None` for null, and for an object without implementation.
    ///
    /// # Safety
    /// `object` is null, or a public TensorRT object that nobody else deletes.
    pub(crate) unsafe fn new(object: *mut c_void) -> Option<Self> {
        let object = NonNull::new(object)?;
        // SAFETY: a public object is two addresses: its table, its implementation.
        let implementation = unsafe { implementation(object.as_ptr()) };
        let implementation = NonNull::new(implementation)?;
        Some(Self {
            object,
            implementation,
        })
    }

    /// The object itself, to pass on as an argument.
    pub(crate) fn object(&self) -> *mut c_void {
        self.object.as_ptr()
    }

    /// The implementation, on which methods are called.
    pub(crate) fn implementation(&self) -> *mut c_void {
        self.implementation.as_ptr()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the object is living and ours (`new`); slot 1 of a public object is its deleting destructor.
        unsafe { call!(self.object.as_ptr(), DELETE, fn()) }
    }
}

/// The implementation of a public object.
///
/// # Safety
/// `object` is a living public TensorRT object.
pub(crate) unsafe fn implementation(object: *mut c_void) -> *mut c_void {
    // SAFETY: a public object is two addresses: its table, its implementation.
    unsafe { *object.cast::<*mut c_void>().add(1) }
}

/// Most dimensions that a tensor can have.
const MOST: usize = 8;

/// Dimensions as TensorRT 8 passes them.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dims32 {
    count: i32,
    sizes: [i32; MOST],
}

/// Dimensions as TensorRT 10 and later pass them.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dims64 {
    count: i32,
    sizes: [i64; MOST],
}

/// The number of dimensions, if it is in range; TensorRT returns -1 for a tensor that it does not know.
fn count(count: i32) -> Option<usize> {
    usize::try_from(count).ok().filter(|&count| count <= MOST)
}

impl Dims32 {
    pub(crate) fn get(&self) -> Option<Vec<i64>> {
        Some(
            self.sizes[..count(self.count)?]
                .iter()
                .map(|&size| size.into())
                .collect(),
        )
    }

    pub(crate) fn new(shape: &[i64]) -> Option<Self> {
        let mut sizes = [0; MOST];
        for (to, &from) in sizes.get_mut(..shape.len())?.iter_mut().zip(shape) {
            *to = i32::try_from(from).ok()?;
        }
        Some(Self {
            count: i32::try_from(shape.len()).ok()?,
            sizes,
        })
    }
}

impl Dims64 {
    pub(crate) fn get(&self) -> Option<Vec<i64>> {
        Some(self.sizes[..count(self.count)?].to_vec())
    }

    pub(crate) fn new(shape: &[i64]) -> Option<Self> {
        let mut sizes = [0; MOST];
        sizes.get_mut(..shape.len())?.copy_from_slice(shape);
        Some(Self {
            count: i32::try_from(shape.len()).ok()?,
            sizes,
        })
    }
}

/// A C string of TensorRT's, copied; empty for null.
///
/// # Safety
/// `text` is null or a C string that lives during this call.
pub(crate) unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the caller promises the rest.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_have_the_headers_layout() {
        assert_eq!(size_of::<Dims32>(), 36);
        assert_eq!(size_of::<Dims64>(), 72);
        assert_eq!(std::mem::offset_of!(Dims64, sizes), 8);
    }

    #[test]
    fn dimensions_out_of_range_are_refused() {
        assert_eq!(
            Dims32::new(&[1, 3, -1, -1]).and_then(|d| d.get()),
            Some(vec![1, 3, -1, -1])
        );
        assert_eq!(
            Dims64::new(&[1, 3, 640, 480]).and_then(|d| d.get()),
            Some(vec![1, 3, 640, 480])
        );
        assert!(Dims64::new(&[1; 9]).is_none());
        assert!(Dims32::new(&[1; 9]).is_none());
        assert!(Dims32::new(&[1 << 40]).is_none());
        assert_eq!(
            Dims64 {
                count: -1,
                sizes: [0; MOST]
            }
            .get(),
            None
        );
        assert_eq!(
            Dims32 {
                count: 9,
                sizes: [0; MOST]
            }
            .get(),
            None
        );
    }
}
