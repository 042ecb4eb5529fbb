//! NVIDIA's ONNX parser. Its classes have no implementation behind them: methods are called on the objects themselves,
//! and the parser has a deleting destructor at a place of its own.

use std::ffi::{c_char, c_void};
use std::ptr::NonNull;

use crate::abi::{self, Owned, call, place};
use crate::error::Error;
use crate::library::Library;

/// The most errors that are reported; a model with an unknown operator can have one per node.
const MOST_ERRORS: i32 = 16;

/// A parser bound to one network. It owns the weights that the network refers to.
#[derive(Debug)]
pub(crate) struct Parser {
    object: NonNull<c_void>,
    library: Library,
}

impl Parser {
    /// A parser that writes into `network`.
    ///
    /// # Safety
    /// `network` is a network definition of this library and outlives the parser.
    pub(crate) unsafe fn new(library: &Library, network: &Owned) -> Result<Self, Error> {
        library.logger().clear();
        // SAFETY: the network is the caller's promise.
        let object = unsafe { library.create_parser(network.object())? };
        let object = NonNull::new(object).ok_or_else(|| library.failed("createNvOnnxParser"))?;
        Ok(Self {
            object,
            library: library.clone(),
        })
    }

    /// Fills the network with the model.
    pub(crate) fn parse(&self, onnx: &[u8]) -> Result<(), Error> {
        self.library.logger().clear();
        let slot = place(self.library.slots().parse);
        let bytes: *const c_void = onnx.as_ptr().cast();
        // No path: the weights are in the file itself.
        let none: *const c_char = std::ptr::null();
        // SAFETY: a living parser; the bytes are only read during the call.
        let done = unsafe {
            call!(self.object.as_ptr(), slot, fn(
                *const c_void = bytes, usize = onnx.len(), *const c_char = none) -> u8)
        };
        if done != 0 {
            return Ok(());
        }
        let mut errors = self.errors();
        if errors.is_empty() {
            errors.push(self.library.logger().said());
        }
        Err(Error::Onnx {
            library: self.library.label(),
            errors,
        })
    }

    fn errors(&self) -> Vec<String> {
        let slots = self.library.slots();
        // SAFETY: a living parser; takes nothing, returns the number.
        let count = unsafe { call!(self.object.as_ptr(), place(slots.nb_errors), fn() -> i32) };
        let get = place(slots.error);
        let mut errors: Vec<_> = (0..count.min(MOST_ERRORS))
            .filter_map(|index| {
                // SAFETY: a living parser, an index below the count. The error is the parser's and stays ours to read.
                unsafe {
                    let error = call!(self.object.as_ptr(), get, fn(i32 = index) -> *mut c_void);
                    (!error.is_null()).then(|| self.describe(error))
                }
            })
            .collect();
        if count > MOST_ERRORS {
            errors.push(format!("and {} more", count - MOST_ERRORS));
        }
        errors
    }

    /// # Safety
    /// `error` is a living error of this parser.
    unsafe fn describe(&self, error: *mut c_void) -> String {
        let slots = self.library.slots();
        // SAFETY: the caller's promise; both strings live as long as the error.
        let (what, node, name) = unsafe {
            let what = abi::text(call!(error, place(slots.error_desc), fn() -> *const c_char));
            let node = call!(error, place(slots.error_node), fn() -> i32);
            let name = slots
                .error_node_name
                .place()
                .map(|slot| abi::text(call!(error, slot, fn() -> *const c_char)));
            (what, node, name.unwrap_or_default())
        };
        match (node, name.as_str()) {
            (..0, "") => what,
            (..0, name) => format!("{what} (node {name})"),
            (node, "") => format!("{what} (node {node})"),
            (node, name) => format!("{what} (node {node}, {name})"),
        }
    }
}

impl Drop for Parser {
    fn drop(&mut self) {
        let slot = place(self.library.slots().delete_parser);
        // SAFETY: a living parser that is ours; this is its deleting destructor.
        unsafe { call!(self.object.as_ptr(), slot, fn()) }
    }
}
