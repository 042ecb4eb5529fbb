//! Edits ONNX files: `prune` and `half` change weights and a few nodes and leave everything else as it is. It is a crate
//! of its own because both the tools around the model (`hanja-model`) and the product, which makes an fp16 model in memory
//! for an engine build, need it.
//!
//! ```
//! use hanja_onnx::{Model, half::half, read_file};
//! use std::path::Path;
//!
//! let bytes = read_file(Path::new("../weights/hanja-pico.onnx"))?;
//! let mut model = Model::parse(&bytes)?;
//! assert_eq!(model.picture_input()?.dims[1], Some(3)); // batch, channels, height, width
//! let report = half(&mut model)?;
//! assert!(report.tensors > 0 && model.to_bytes().len() < bytes.len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | idea |
//! |---|---|
//! | `wire` | any message as a list of fields; a field that is not changed is written back byte for byte |
//! | `tensor` | weights: their shape and their values, however they are stored |
//! | `graph` | the graph as a list of parts in the order of the file |
//! | `half` | fp16 weights and fp16 computation |
//! | `storage` | fp16 weights, f32 computation |
//! | `second_size` | the model twice in one graph, for two sizes of the picture |
//! | `shape` | the shape of the picture input |
//!
//! Why this is written by hand instead of using another crate: `docs/decisions/0008-onnx-by-hand.md`. The field numbers are those of `onnx.proto`,
//! which never change.

#![forbid(unsafe_code)]

mod error;
mod graph;
pub mod half;
pub mod second_size;
mod shape;
pub mod storage;
mod tensor;
pub mod wire;

pub use error::OnnxError;
pub use graph::{Constant, Graph, Node, Part, Setting, ValueInfo};
pub use shape::PictureInput;
pub use tensor::{Element, Tensor};

use std::path::{Path, PathBuf};
use wire::{Message, damaged, owned};

/// `ModelProto.graph`.
const GRAPH: u32 = 7;

/// `ModelProto.opset_import`: domain 1, version 2.
const OPSET_IMPORT: u32 = 8;

/// `ModelProto.metadata_props`: key 1, value 2.
const METADATA: u32 = 14;

/// Largest file that is read, bytes: protocol buffers cannot be longer than 2 GiB.
const MAX_BYTES: u64 = 1 << 31;

/// Reads a regular file of at most 2 GiB.
///
/// # Errors
/// [`OnnxError::File`] if it cannot be read, is not a regular file, or is longer.
pub fn read_file(path: &Path) -> Result<Vec<u8>, OnnxError> {
    let failed = |source| OnnxError::File {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let meta = std::fs::metadata(path).map_err(failed)?;
    // A pipe or a device might never end.
    if !meta.is_file() {
        return Err(failed(std::io::Error::other("it is not a file")));
    }
    if meta.len() > MAX_BYTES {
        return Err(failed(std::io::Error::other("it is larger than 2 GiB")));
    }
    std::fs::read(path).map_err(failed)
}

/// A model file, parsed down to the parts of its graph.
#[derive(Clone, Debug)]
pub struct Model {
    /// All fields of the file; that of the graph is empty, for `graph` has its content.
    message: Message<'static>,
    /// Nodes, weights, inputs and outputs.
    pub graph: Graph,
}

impl Model {
    /// Parses the bytes of a file.
    ///
    /// # Errors
    /// [`OnnxError::Damaged`] if they are not a model with one graph, [`OnnxError::Tensor`] if the shape and the data of a
    /// tensor disagree, [`OnnxError::External`] if a tensor's data lie in another file.
    pub fn parse(bytes: &[u8]) -> Result<Self, OnnxError> {
        let mut message = Message::parse(bytes)?;
        if message.all(GRAPH).count() > 1 {
            return Err(damaged("it has more than one graph"));
        }
        let Some(graph) = message.bytes(GRAPH) else {
            return Err(damaged("it has no graph"));
        };
        let graph = Graph::parse(graph)?;
        message.set(GRAPH, owned([]));
        Ok(Self {
            message: message.into_owned(),
            graph,
        })
    }

    /// Version of the standard operator set that the model uses; 1 if the file names none.
    ///
    /// # Errors
    /// [`OnnxError::Damaged`] if the entry cannot be read.
    pub fn opset(&self) -> Result<u64, OnnxError> {
        let mut version = 1;
        for value in self.message.all(OPSET_IMPORT) {
            let wire::Value::Bytes(bytes) = value else {
                return Err(damaged("an operator set is no message"));
            };
            let import = Message::parse(bytes)?;
            if matches!(import.bytes(1), None | Some(b"" | b"ai.onnx")) {
                version = import.integer(2).unwrap_or(1);
            }
        }
        Ok(version)
    }

    /// The value of `key` in the file's metadata; none if there is no such key.
    ///
    /// # Errors
    /// [`OnnxError::Damaged`] if the metadata cannot be read.
    pub fn metadata(&self, key: &str) -> Result<Option<String>, OnnxError> {
        for value in self.message.all(METADATA) {
            let wire::Value::Bytes(bytes) = value else {
                return Err(damaged("an entry of its metadata is no message"));
            };
            let entry = Message::parse(bytes)?;
            if entry.text(1)? == key {
                return Ok(Some(entry.text(2)?.to_owned()));
            }
        }
        Ok(None)
    }

    /// The bytes of the file, with all changes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut message = self.message.clone();
        message.set(GRAPH, owned(self.graph.to_bytes()));
        message.to_bytes()
    }

    /// Writes the file as a whole or not at all; it may be the one that was read. Returns the bytes written.
    ///
    /// # Errors
    /// [`OnnxError::File`] if it cannot be written.
    pub fn write(&self, path: &Path) -> Result<Vec<u8>, OnnxError> {
        let bytes = self.to_bytes();
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let written = std::fs::write(&part, &bytes).and_then(|()| std::fs::rename(&part, path));
        written.map_err(|source| {
            // Removing it may fail as well; the first error is the one to report.
            let _ = std::fs::remove_file(&part);
            OnnxError::File {
                action: "write",
                path: path.to_owned(),
                source,
            }
        })?;
        Ok(bytes)
    }
}
